/*
 * A domain before a fake process that hangs on demand.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-domain.h"
#include "qemu/lockable.h"

#define YANKD_INSTANCE                                                         \
    "{\"instance\": {\"type\": \"block-node\", \"node-name\": \"nbd0\"}, "     \
    "\"name\": \"blockdev:nbd0\", \"functions\": 1, "

static bool is_set(int *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE) != 0;
}

static void set(int *flag, int value)
{
    __atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

static void release_kept(FakeDomain *fake)
{
    json_object *req;

    while ((req = g_queue_pop_head(&fake->kept))) {
        fake_answer(fake->process, req, "{}");
        json_object_put(req);
    }
}

static void drop_kept(FakeDomain *fake)
{
    json_object *req;

    while ((req = g_queue_pop_head(&fake->kept))) {
        json_object_put(req);
    }
}

static void yank(FakeDomain *fake, json_object *req)
{
    WITH_QEMU_LOCK_GUARD(&fake->lock) {
        g_free(fake->yanked);
        fake->yanked = g_strdup(fake_member(req, "arguments"));
    }
    set(&fake->hangs, 0);
    fake_answer(fake->process, req,
                fake->flags & FAKE_DOMAIN_YANKD
                    ? "{\"yanked\": [" YANKD_INSTANCE
                      "\"cut\": [\"connection to unix:/nbd\"]}]}"
                    : "{}");
}

static void emit(FakeDomain *fake, json_object *req)
{
    json_object *arguments = json_object_object_get(req, "arguments");

    fake_send(fake->process, fake_member(arguments, "text"));
    fake_answer(fake->process, req, "{}");
}

static bool is_unknown(FakeDomain *fake, const char *command)
{
    if (g_str_equal(command, "query-yank-status")) {
        return !(fake->flags & FAKE_DOMAIN_YANKD);
    }
    return (fake->flags & FAKE_DOMAIN_NO_YANK) &&
           (g_str_equal(command, "yank") || g_str_equal(command, "query-yank"));
}

static void answer(FakeDomain *fake, json_object *req, const char *command)
{
    if (is_unknown(fake, command)) {
        fake_answer_error(fake->process, req, "CommandNotFound",
                          "The command has not been found");
    } else if (g_str_equal(command, "yank")) {
        yank(fake, req);
    } else if (g_str_equal(command, "query-yank")) {
        fake_answer(fake->process, req,
                    "[{\"type\": \"chardev\", \"id\": \"charmonitor\"}, "
                    "{\"type\": \"migration\"}, {\"type\": \"block-node\", "
                    "\"node-name\": \"nbd0\"}]");
    } else if (g_str_equal(command, "query-yank-status")) {
        fake_answer(fake->process, req,
                    "[" YANKD_INSTANCE
                    "\"yanks\": 2, \"in-flight\": 8, \"idle-ms\": 12034, "
                    "\"phase\": \"transmission\", \"peer\": \"unix:/nbd\", "
                    "\"stalled\": true}]");
    } else if (g_str_equal(command, "emit")) {
        emit(fake, req);
    } else {
        json_object *arguments = NULL;
        g_autofree char *text = NULL;

        json_object_object_get_ex(req, "arguments", &arguments);
        text = arguments ? json_to_string(arguments, false) : g_strdup("{}");
        fake_answer(fake->process, req, text);
    }
}

/* False when it dies of it. */
static bool process_request(FakeDomain *fake, json_object *req)
{
    const char *oob = fake_member(req, "exec-oob");
    const char *command = *oob ? oob : fake_member(req, "execute");

    if (g_str_equal(command, "die")) {
        return false;
    }
    if (!*oob) {
        __atomic_fetch_add(&fake->n_in_band, 1, __ATOMIC_RELEASE);
        if (is_set(&fake->hangs)) {
            g_queue_push_tail(&fake->kept, json_object_get(req));
            return true;
        }
    }
    answer(fake, req, command);
    if (!is_set(&fake->hangs)) {
        release_kept(fake);
    }
    return true;
}

static void process(FakePeer *peer, void *opaque)
{
    FakeDomain *fake = opaque;
    bool lives = true;

    fake_negotiate(peer, fake->flags & FAKE_DOMAIN_YANKD ? FAKE_GREETING_YANKD
                                                         : FAKE_GREETING);
    while (lives) {
        g_autoptr(json_object) req = fake_request(peer);

        lives = req && process_request(fake, req);
    }
    drop_kept(fake);
}

/* A guest agent: what synchronises, and what echoes. */
static void guest(FakePeer *peer, void *opaque)
{
    FakeDomain *fake = opaque;
    char *line;

    while ((line = fake_line(peer)) != NULL) {
        /* The client begins with a byte that ends what was there before. */
        const char *begin = strchr(line, '{');
        g_autoptr(json_object) req =
            begin ? json_parse(begin, &error_abort) : NULL;
        json_object *arguments =
            req ? json_object_object_get(req, "arguments") : NULL;

        if (req && !is_set(&fake->guest_hangs)) {
            if (g_str_equal(fake_member(req, "execute"),
                            "guest-sync-delimited")) {
                fake_send(peer, "\xff");
                fake_answer(peer, req, fake_member(arguments, "id"));
            } else {
                if (g_str_equal(fake_member(req, "execute"), "guest-outlive")) {
                    fake_domain_die(fake);
                }
                fake_answer(peer, req, "{}");
            }
        }
        g_free(line);
    }
}

FakeDomain *fake_domain_new(const char *name, unsigned flags)
{
    FakeDomain *fake = g_new0(FakeDomain, 1);
    g_autoptr(YcQmpClient) monitor = NULL;
    g_autoptr(YcAgentClient) agent = NULL;
    GError *err = NULL;
    bool ok;

    fake->flags = flags;
    g_queue_init(&fake->kept);
    qemu_mutex_init(&fake->lock);
    fake->process = fake_peer_new(process, fake);
    monitor = yc_qmp_client_new(fake_peer_address(fake->process), NULL);
    if (flags & FAKE_DOMAIN_RECONNECT) {
        yc_qmp_client_set_reconnect(monitor, 10, 100);
    }
    if (flags & FAKE_DOMAIN_AGENT) {
        fake->guest = fake_peer_new(guest, fake);
        agent = yc_agent_client_new(fake_peer_address(fake->guest), NULL);
    }
    fake->dom = yc_domain_new(name, monitor, NULL, agent);
    ok = yc_domain_connect(fake->dom, FAKE_DEADLINE_MS, &err);
    g_assert_no_error(err);
    g_assert_true(ok);
    return fake;
}

void fake_domain_free(FakeDomain *fake)
{
    if (!fake) {
        return;
    }
    yc_domain_unref(fake->dom);
    fake_peer_free(fake->process);
    fake_peer_free(fake->guest);
    qemu_mutex_destroy(&fake->lock);
    g_free(fake->yanked);
    g_free(fake);
}

void fake_domain_set_hangs(FakeDomain *fake, bool hangs)
{
    set(&fake->hangs, hangs);
}

void fake_domain_set_guest_hangs(FakeDomain *fake, bool hangs)
{
    set(&fake->guest_hangs, hangs);
}

char *fake_domain_yanked(FakeDomain *fake)
{
    QEMU_LOCK_GUARD(&fake->lock);
    return g_strdup(fake->yanked);
}

static void wait_until(bool (*done)(FakeDomain *fake, int n), FakeDomain *fake,
                       int n)
{
    int64_t deadline = g_get_monotonic_time() + FAKE_DEADLINE_MS * 1000;

    while (!done(fake, n)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(1000);
    }
}

/* And has been told why, for which an exit from the monitor does not wait. */
static bool is_dead(FakeDomain *fake, int n)
{
    g_auto(YcDomainStatus) status = {0};

    yc_domain_get_status(fake->dom, &status);
    return !status.alive && strstr(status.reason, "closed the connection");
}

void fake_domain_die(FakeDomain *fake)
{
    GError *err = NULL;

    g_assert_false(
        yc_domain_oob(fake->dom, "die", NULL, FAKE_DEADLINE_MS, NULL, &err));
    expect_error(err, YC_ERROR_CLOSED, "closed the connection");
    if (!(fake->flags & FAKE_DOMAIN_RECONNECT)) {
        wait_until(is_dead, fake, 0);
    }
}

void fake_domain_emit(FakeDomain *fake, const char *text)
{
    g_autoptr(json_object) arguments = json_object_new_object();
    GError *err = NULL;

    json_object_object_add(arguments, "text", json_object_new_string(text));
    yc_domain_oob(fake->dom, "emit", arguments, FAKE_DEADLINE_MS, NULL, &err);
    g_assert_no_error(err);
}

void fake_domain_begin(FakeDomain *fake, YcJob kind)
{
    GError *err = NULL;

    yc_domain_lock(fake->dom);
    yc_domain_begin_job(fake->dom, kind, "test", YC_WAIT_DEFAULT, &err);
    g_assert_no_error(err);
}

void fake_domain_end(FakeDomain *fake)
{
    GError *err = NULL;

    yc_domain_end_job(fake->dom, &err);
    g_assert_no_error(err);
    yc_domain_unlock(fake->dom);
}

static bool has_blocked(FakeDomain *fake, int n)
{
    return __atomic_load_n(&fake->blocks, __ATOMIC_ACQUIRE) == n;
}

static void block(YcDomain *dom, const char *name, json_object *event,
                  void *fake)
{
    if (has_blocked(fake, 1)) {
        set(&((FakeDomain *)fake)->blocks, 2);
        wait_until(has_blocked, fake, 3);
        set(&((FakeDomain *)fake)->blocks, 0);
    }
}

void fake_domain_block_events(FakeDomain *fake)
{
    set(&fake->blocks, 1);
    yc_domain_add_handler(fake->dom, block, NULL, fake, NULL);
    fake_domain_emit(fake, "{\"event\": \"STOP\"}\r\n");
    wait_until(has_blocked, fake, 2);
}

void fake_domain_unblock_events(FakeDomain *fake)
{
    set(&fake->blocks, 3);
    wait_until(has_blocked, fake, 0);
}

static bool has_waiters(FakeDomain *fake, int n)
{
    unsigned waiters;

    yc_domain_lock(fake->dom);
    waiters = yc_domain_n_waiters(fake->dom);
    yc_domain_unlock(fake->dom);
    return (int)waiters == n;
}

void fake_domain_wait_waiters(FakeDomain *fake, unsigned n)
{
    wait_until(has_waiters, fake, n);
}

static bool has_in_band(FakeDomain *fake, int n)
{
    return __atomic_load_n(&fake->n_in_band, __ATOMIC_ACQUIRE) >= n;
}

void fake_domain_wait_in_band(FakeDomain *fake, int n)
{
    wait_until(has_in_band, fake, n);
}

void expect_domain_error(GError *err, YcDomainError code, const char *text)
{
    g_assert_nonnull(err);
    g_assert_cmpstr(err->message, ==, text);
    g_assert_error(err, YC_DOMAIN_ERROR, (int)code);
    g_error_free(err);
}
