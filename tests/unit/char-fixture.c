/*
 * What the tests of character devices share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "char-fixture.h"
#include "chardev/char-opts.h"
#include "qapi/qapi-commands-char.h"
#include "qapi/qapi-commands-yank.h"
#include "qemu/activity.h"
#include "qemu/yank.h"

bool char_fixture_add(const char *option, Error **errp)
{
    g_autoptr(ChardevBackend) backend = NULL;
    g_autofree char *id = NULL;

    return chardev_parse_opts(option, &id, &backend, errp) &&
           chardev_add(id, backend, errp);
}

bool char_fixture_add_path(const char *format, const char *path, Error **errp)
{
    g_autofree char *option = g_strdup_printf(format, path);

    return char_fixture_add(option, errp);
}

char *char_fixture_filename(const char *id)
{
    g_autoptr(ChardevInfoList) list = qmp_query_chardev(&error_abort);

    for (ChardevInfoList *l = list; l; l = l->next) {
        if (g_str_equal(l->value->label, id)) {
            return g_strdup(l->value->filename);
        }
    }
    return NULL;
}

int char_fixture_try_yank(const char *id)
{
    YankInstanceRef ref = {.type = QTYPE_QDICT,
                           .u.instance = *CHARDEV_YANK_INSTANCE(id)};
    YankInstanceRefList list = {.value = &ref};
    g_autoptr(YankResult) result = qmp_yank(&list, NULL);
    int cut = 0;

    if (!result) {
        return -1;
    }
    for (strList *l = result->yanked->value->cut; l; l = l->next) {
        cut++;
    }
    return cut;
}

int char_fixture_yank(const char *id)
{
    int cut = char_fixture_try_yank(id);

    g_assert_cmpint(cut, >=, 0);
    return cut;
}

int char_fixture_instances(void)
{
    g_autoptr(YankInstanceList) list = qmp_query_yank(&error_abort);
    int n = 0;

    for (YankInstanceList *l = list; l; l = l->next) {
        n++;
    }
    return n;
}

typedef struct Phase {
    char *name;
    const char *phase;
} Phase;

static bool in_phase(void *opaque)
{
    Phase *wanted = opaque;
    ActivitySnapshot now;

    return activity_snapshot(wanted->name, &now) &&
           g_str_equal(now.phase, wanted->phase);
}

void char_fixture_run_until_phase(const char *id, const char *phase)
{
    g_autofree char *name = g_strconcat("chardev:", id, NULL);
    Phase wanted = {name, phase};

    io_fixture_run_until(NULL, in_phase, &wanted);
}

void char_fixture_wait_phase(const char *id, const char *phase)
{
    g_autofree char *name = g_strconcat("chardev:", id, NULL);
    Phase wanted = {name, phase};
    gint64 deadline =
        g_get_monotonic_time() + FIXTURE_DEADLINE_S * G_USEC_PER_SEC;

    while (!in_phase(&wanted)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_thread_yield();
    }
}

void char_fixture_finish(void)
{
    chardev_cleanup();
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    g_assert_cmpint(char_fixture_instances(), ==, 0);
    io_fixture_finish();
}
