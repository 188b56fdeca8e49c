/*
 * What unit tests of the NBD client share: a fake server, a node on it, and
 * somebody who yanks while the main thread hangs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_NBD_CLIENT_TEST_H
#define TESTS_UNIT_NBD_CLIENT_TEST_H

#include <glib/gstdio.h>
#include "block-test.h"
#include "nbd-fake-server.h"
#include "qemu/activity.h"

static char *test_dir, *test_socket;
static FakeServer *server;

static inline void nbd_test_begin(void)
{
    test_dir = g_dir_make_tmp("yankd-XXXXXX", NULL);
    test_socket = g_build_filename(test_dir, "nbd", NULL);
    test_main_begin();
}

static inline int nbd_test_end(int ret)
{
    ret = test_main_end(ret);
    g_assert_cmpint(g_rmdir(test_dir), ==, 0);
    g_free(test_socket);
    g_free(test_dir);
    return ret;
}

static inline void server_start(FakeMode mode)
{
    server = fake_server_new(test_socket, mode);
}

static inline void server_end(void)
{
    g_clear_pointer(&server, fake_server_free);
    test_finish();
}

static inline char *nbd_json(const char *more)
{
    return g_strdup_printf("{'driver': 'nbd', 'node-name': 'n', 'server':"
                           " {'type': 'unix', 'path': '%s'}%s}",
                           test_socket, more);
}

static inline BlockNode *nbd_add(const char *more)
{
    g_autofree char *json = nbd_json(more);

    return test_add(json);
}

static inline void nbd_add_fails(const char *more, const char *format)
{
    g_autofree char *json = nbd_json(more);
    g_autoptr(GString) message = g_string_new(format);

    g_string_replace(message, "PATH", test_socket, 0);
    test_add_fails(json, message->str);
}

static inline void nbd_del(void)
{
    g_assert_true(block_node_del("n", &error_abort));
}

/* ---- Phases. ---- */

static inline bool nbd_phase_is(const char *phase)
{
    ActivitySnapshot snapshot;

    return activity_snapshot("blockdev:n", &snapshot) &&
           g_str_equal(snapshot.phase, phase);
}

static inline void nbd_wait_phase(const char *phase)
{
    int64_t end = g_get_monotonic_time() + DEADLINE_MS * 1000;

    while (!nbd_phase_is(phase)) {
        if (g_get_monotonic_time() > end) {
            g_error("phase '%s' does not come", phase);
        }
        g_usleep(100);
    }
}

/* ---- Yank. ---- */

/*
 * What was cut, one a line; g_free() it.  NULL: there is no such instance, or
 * it has no function yet.
 */
static inline char *nbd_yank(void)
{
    YankInstanceRef ref = {
        .type = QTYPE_QSTRING,
        .u.name = (char *)"blockdev:n",
    };
    YankInstanceRefList list = {.value = &ref};
    YankResult *result = qmp_yank(&list, NULL);
    g_autoptr(GString) text = g_string_new(NULL);

    if (!result) {
        return NULL;
    }
    if (result->yanked->value->functions == 0) {
        qapi_free_YankResult(result);
        return NULL;
    }
    for (strList *l = result->yanked->value->cut; l; l = l->next) {
        g_string_append_printf(text, "%s%s", text->len ? "\n" : "", l->value);
    }
    qapi_free_YankResult(result);
    return g_strdup(text->str);
}

static inline void nbd_yank_cuts(const char *format)
{
    g_autofree char *cut = nbd_yank();
    g_autoptr(GString) expect = g_string_new(format);

    g_string_replace(expect, "PATH", test_socket, 0);
    g_assert_cmpstr(cut, ==, expect->str);
}

/* Somebody who waits for a phase, and yanks. */
typedef struct Rescuer {
    QemuThread thread;
    const char *phase;
    const char *cut;
    int64_t yanked_at;
} Rescuer;

static inline void *rescuer_main(void *opaque)
{
    Rescuer *r = opaque;

    nbd_wait_phase(r->phase);
    /* The main thread shall be well into its wait. */
    g_usleep(20000);
    r->yanked_at = g_get_monotonic_time();
    nbd_yank_cuts(r->cut);
    return NULL;
}

static inline void rescuer_start(Rescuer *r, const char *phase, const char *cut)
{
    r->phase = phase;
    r->cut = cut;
    qemu_thread_create(&r->thread, "rescuer", rescuer_main, r,
                       QEMU_THREAD_JOINABLE);
}

/* The hang is over; it must have ended soon after the yank. */
static inline void rescuer_check(Rescuer *r)
{
    int64_t now = g_get_monotonic_time();

    qemu_thread_join(&r->thread);
    g_assert_cmpint(now, >=, r->yanked_at);
    g_assert_cmpint(now - r->yanked_at, <, 2000000);
}

#endif
