/*
 * Events and changes of state of domains, and the handlers they reach.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-domain.h"
#include "client/ping.h"
#include "qemu/lockable.h"

/* What handlers noted, for the test to read. */
static QemuMutex lock;
static QemuCond cond;
static GString *notes;

static void note(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
static void note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    QEMU_LOCK_GUARD(&lock);
    g_string_append_vprintf(notes, fmt, ap);
    qemu_cond_broadcast(&cond);
    va_end(ap);
}

static void expect_notes(const char *text)
{
    QEMU_LOCK_GUARD(&lock);
    while (!g_str_equal(notes->str, text)) {
        if (!qemu_cond_timedwait(&cond, &lock, FAKE_DEADLINE_MS)) {
            g_error("the notes are '%s', not '%s'", notes->str, text);
        }
    }
    g_string_truncate(notes, 0);
}

/* @data: what the handler is called. */
static void note_event(YcDomain *dom, const char *name, json_object *event,
                       void *data)
{
    g_auto(YcDomainStatus) status = {0};

    /* No lock is held, so this one may be taken; the state is the new one. */
    yc_domain_get_status(dom, &status);
    note("%s:%s=%s ", (char *)data, name,
         status.run_state ? status.run_state : "?");
}

static void note_state(YcDomain *dom, bool alive, const GError *why, void *data)
{
    note("%s:%s%s ", (char *)data, alive ? "alive" : "dead", why ? "!" : "");
}

static void note_freed(void *data)
{
    note("free-%s ", (char *)data);
}

static void test_events(void)
{
    FakeDomain *fake = fake_domain_new("vm1", 0);
    guint a, b;

    a = yc_domain_add_handler(fake->dom, note_event, note_state, (void *)"a",
                              note_freed);
    b = yc_domain_add_handler(fake->dom, note_event, NULL, (void *)"b",
                              note_freed);
    g_assert_cmpuint(a, !=, 0);
    g_assert_cmpuint(a, !=, b);
    fake_domain_emit(fake, "{\"event\": \"STOP\"}\r\n");
    expect_notes("a:STOP=paused b:STOP=paused ");
    yc_domain_remove_handler(fake->dom, b);
    expect_notes("free-b ");
    yc_domain_remove_handler(fake->dom, b);
    /* It does not need any lock of the domain, or job. */
    yc_domain_lock(fake->dom);
    g_assert_true(yc_domain_begin_job(fake->dom, YC_JOB_MODIFY, "x",
                                      YC_WAIT_DEFAULT, NULL));
    yc_domain_unlock(fake->dom);
    fake_domain_emit(fake, "{\"event\": \"RESUME\"}\r\n");
    expect_notes("a:RESUME=running ");
    yc_domain_lock(fake->dom);
    g_assert_true(yc_domain_end_job(fake->dom, NULL));
    yc_domain_unlock(fake->dom);
    fake_domain_die(fake);
    expect_notes("a:dead! ");
    fake_domain_free(fake);
    expect_notes("free-a ");
}

static guint own_id; /* of the handler to be removed */

static void remove_self(YcDomain *dom, const char *name, json_object *event,
                        void *data)
{
    note("once ");
    yc_domain_remove_handler(dom, own_id);
    note("after ");
}

/* Its data is freed after its return, not below its feet. */
static void test_remove_in_handler(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);

    own_id = yc_domain_add_handler(fake->dom, remove_self, NULL, (void *)"self",
                                   note_freed);
    fake_domain_emit(fake, "{\"event\": \"STOP\"}\r\n"
                           "{\"event\": \"RESUME\"}\r\n");
    expect_notes("once after free-self ");
}

static void remove_other(YcDomain *dom, const char *name, json_object *event,
                         void *data)
{
    note("first ");
    yc_domain_remove_handler(dom, own_id);
}

/* One that is removed by another is not called any more. */
static void test_remove_other(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);

    yc_domain_add_handler(fake->dom, remove_other, NULL, NULL, NULL);
    own_id = yc_domain_add_handler(fake->dom, note_event, NULL, (void *)"other",
                                   note_freed);
    fake_domain_emit(fake, "{\"event\": \"STOP\"}\r\n");
    expect_notes("first free-other ");
}

/* A handler that begins a job and runs a command is slow, but works. */
static void command_in_handler(YcDomain *dom, const char *name,
                               json_object *event, void *data)
{
    yc_domain_lock(dom);
    if (yc_domain_begin_job(dom, YC_JOB_QUERY, "q", YC_WAIT_DEFAULT, NULL)) {
        note("%s ",
             yc_domain_command(dom, "x", NULL, FAKE_DEADLINE_MS, NULL, NULL)
                 ? "done"
                 : "failed");
        yc_domain_end_job(dom, NULL);
    }
    yc_domain_unlock(dom);
}

static void test_command_in_handler(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);

    yc_domain_add_handler(fake->dom, command_in_handler, NULL, NULL, NULL);
    fake_domain_emit(fake, "{\"event\": \"STOP\"}\r\n");
    expect_notes("done ");
}

/*
 * What waits for the event thread does not work there.
 */
typedef struct Mistake {
    bool (*call)(YcDomain *dom, GError **errp);
    GError *err;
    int done; /* atomic */
} Mistake;

static void make_mistake(YcDomain *dom, const char *name, json_object *event,
                         void *data)
{
    Mistake *mistake = data;

    mistake->call(dom, &mistake->err);
    g_atomic_int_set(&mistake->done, 1);
}

static GError *mistake_in_handler(FakeDomain *fake,
                                  bool (*call)(YcDomain *dom, GError **errp))
{
    Mistake mistake = {.call = call};

    yc_domain_add_handler(fake->dom, make_mistake, NULL, &mistake, NULL);
    fake_domain_emit(fake, "{\"event\": \"STOP\"}\r\n");
    while (!g_atomic_int_get(&mistake.done)) {
        g_thread_yield();
    }
    return mistake.err;
}

static bool connect_again(YcDomain *dom, GError **errp)
{
    return yc_domain_connect(dom, FAKE_DEADLINE_MS, errp);
}

static bool ping_in_band(YcDomain *dom, GError **errp)
{
    gint64 us;

    return yc_domain_ping(dom, YC_PING_IN_BAND, FAKE_DEADLINE_MS, &us, errp);
}

static GError *connect_in_handler(FakeDomain *fake)
{
    return mistake_in_handler(fake, connect_again);
}

static GError *ping_in_handler(FakeDomain *fake)
{
    return mistake_in_handler(fake, ping_in_band);
}

static void expect_status(FakeDomain *fake, const char *event,
                          const char *run_state, const char *migration,
                          bool stalled)
{
    g_auto(YcDomainStatus) before = {0}, status = {0};

    yc_domain_get_status(fake->dom, &before);
    fake_domain_emit(fake, event);
    do {
        yc_domain_status_clear(&status);
        yc_domain_get_status(fake->dom, &status);
        g_thread_yield();
    } while (status.n_events == before.n_events);
    g_assert_true(status.alive);
    g_assert_null(status.reason);
    g_assert_cmpstr(status.run_state, ==, run_state);
    g_assert_cmpstr(status.migration, ==, migration);
    g_assert_true((status.main_loop_stalled_ms >= 0) == stalled);
}

static void test_status(void)
{
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", 0);
    g_auto(YcDomainStatus) status = {0};

    expect_status(fake, "{\"event\": \"UNKNOWN\"}\r\n", NULL, NULL, false);
    expect_status(fake,
                  "{\"event\": \"MIGRATION\", \"data\": {\"status\": "
                  "\"active\"}}\r\n",
                  NULL, "active", false);
    expect_status(fake, "{\"event\": \"MIGRATION\", \"data\": 7}\r\n", NULL,
                  NULL, false);
    expect_status(fake, "{\"event\": \"MAIN_LOOP_STALLED\", \"data\": {}}\r\n",
                  NULL, NULL, true);
    expect_status(fake, "{\"event\": \"GUEST_PANICKED\"}\r\n", "guest-panicked",
                  NULL, true);
    expect_status(fake, "{\"event\": \"MAIN_LOOP_RESUMED\", \"data\": {}}\r\n",
                  "guest-panicked", NULL, false);
    expect_status(fake, "{\"event\": \"RESUME\"}\r\n", "running", NULL, false);
    /* The error is told before the stop that it leads to. */
    expect_status(fake,
                  "{\"event\": \"BLOCK_IO_ERROR\", \"data\": "
                  "{\"action\": \"report\"}}\r\n",
                  "running", NULL, false);
    expect_status(fake,
                  "{\"event\": \"BLOCK_IO_ERROR\", \"data\": "
                  "{\"action\": \"stop\"}}\r\n",
                  "io-error", NULL, false);
    expect_status(fake, "{\"event\": \"STOP\"}\r\n", "io-error", NULL, false);
    expect_status(fake, "{\"event\": \"RESUME\"}\r\n", "running", NULL, false);
    expect_status(fake, "{\"event\": \"STOP\"}\r\n", "paused", NULL, false);
    fake_domain_die(fake);
    yc_domain_get_status(fake->dom, &status);
    g_assert_false(status.alive);
    g_assert_nonnull(strstr(status.reason, "closed the connection"));
    g_assert_null(status.run_state);
}

/* The first connection is well until the test says so; no other is. */
static void once(FakePeer *peer, void *opaque)
{
    if (fake_peer_connections(peer) == 1) {
        fake_negotiate(peer, FAKE_GREETING);
        fake_wait(peer);
    }
}

/* Attempts that fail are no news. */
static void test_told_once(void)
{
    g_autoptr(FakePeer) peer = fake_peer_new(once, NULL);
    g_autoptr(YcQmpClient) monitor =
        yc_qmp_client_new(fake_peer_address(peer), NULL);
    g_autoptr(YcDomain) dom = NULL;

    yc_qmp_client_set_reconnect(monitor, 1, 1);
    dom = yc_domain_new("vm1", monitor, NULL, NULL);
    yc_domain_add_handler(dom, NULL, note_state, (void *)"a", note_freed);
    g_assert_true(yc_domain_connect(dom, FAKE_DEADLINE_MS, NULL));
    fake_peer_go(peer);
    while (fake_peer_connections(peer) < 5) {
        g_thread_yield();
    }
    g_clear_pointer(&dom, yc_domain_unref);
    expect_notes("a:alive a:dead! free-a ");
}

static void answering(FakePeer *peer, void *opaque)
{
    fake_negotiate(peer, FAKE_GREETING);
    fake_echo(peer);
}

/* News of a connection that came before the close change nothing. */
static void test_close_before_told(void)
{
    g_autoptr(FakeDomain) other = fake_domain_new("vm2", 0);
    g_autoptr(FakePeer) peer = fake_peer_new(answering, NULL);
    g_autoptr(YcQmpClient) monitor =
        yc_qmp_client_new(fake_peer_address(peer), NULL);
    g_autoptr(YcDomain) dom = yc_domain_new("vm1", monitor, NULL, NULL);
    g_auto(YcDomainStatus) status = {0};

    yc_domain_add_handler(dom, NULL, note_state, (void *)"vm1", NULL);
    fake_domain_block_events(other);
    yc_qmp_client_connect_async(monitor, FAKE_DEADLINE_MS, NULL, NULL, NULL);
    while (yc_qmp_client_state(monitor) != YC_QMP_READY) {
        g_thread_yield();
    }
    yc_domain_close(dom, "too late");
    yc_domain_add_handler(other->dom, note_event, NULL, (void *)"other", NULL);
    fake_domain_unblock_events(other);
    /* Behind all that was to be told of the first. */
    fake_domain_emit(other, "{\"event\": \"RESUME\"}\r\n");
    expect_notes("other:RESUME=running ");
    yc_domain_get_status(dom, &status);
    g_assert_false(status.alive);
    g_assert_cmpstr(status.reason, ==, "too late");
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    qemu_mutex_init(&lock);
    qemu_cond_init(&cond);
    notes = g_string_new(NULL);
    g_test_add_func("/client/events/order", test_events);
    g_test_add_func("/client/events/remove-in-handler", test_remove_in_handler);
    g_test_add_func("/client/events/remove-other", test_remove_other);
    g_test_add_func("/client/events/command-in-handler",
                    test_command_in_handler);
    g_test_add_func("/client/events/status", test_status);
    g_test_add_func("/client/events/told-once", test_told_once);
    g_test_add_func("/client/events/close-before-told", test_close_before_told);
    test_add_misuse("/client/events/misuse/connect", connect_in_handler,
                    "yc_domain_connect() of domain 'vm1' in a callback");
    test_add_misuse("/client/events/misuse/ping", ping_in_handler,
                    "yc_domain_ping() of domain 'vm1' in a callback");
    failed = g_test_run();
    expect_nothing_left();
    g_string_free(notes, true);
    return failed;
}
