/*
 * QMP client: events and the rest of what callbacks are told, and the end of
 * clients from wherever.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-peer.h"
#include "qemu/lockable.h"

/* What callbacks noted, for the test to read.  Any thread. */
typedef struct Notes {
    QemuMutex lock;
    QemuCond cond;
    GString *text;
    int freed;
} Notes;

static Notes notes;

static void note(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
static void note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    QEMU_LOCK_GUARD(&notes.lock);
    g_string_append_vprintf(notes.text, fmt, ap);
    qemu_cond_broadcast(&notes.cond);
    va_end(ap);
}

/* Waits until the notes end with @end. */
static void wait_note(const char *end)
{
    QEMU_LOCK_GUARD(&notes.lock);
    while (!g_str_has_suffix(notes.text->str, end)) {
        if (!qemu_cond_timedwait(&notes.cond, &notes.lock, FAKE_DEADLINE_MS)) {
            g_error("the notes are: %s", notes.text->str);
        }
    }
}

static void expect_notes(const char *text)
{
    QEMU_LOCK_GUARD(&notes.lock);
    g_assert_cmpstr(notes.text->str, ==, text);
    g_string_truncate(notes.text, 0);
}

static void note_event(const char *name, json_object *event, void *data)
{
    note("%s ", name);
    json_object_put(event);
}

static void note_state(YcQmpState state, const GError *why, void *data)
{
    note("%s%s ", yc_qmp_state_name(state), why ? "!" : "");
}

/* @data: how the answer is called in the notes. */
static void note_answer(json_object *result, const GError *err, void *data)
{
    note("%s=%s ", (char *)data, err ? "error" : "ok");
    json_object_put(result);
}

static void note_freed(void *data)
{
    g_free(data);
    __atomic_fetch_add(&notes.freed, 1, __ATOMIC_RELAXED);
}

static YcQmpClient *client_new(FakePeer *peer)
{
    YcQmpClient *client = yc_qmp_client_new(fake_peer_address(peer), NULL);

    g_assert_nonnull(client);
    yc_qmp_client_set_event_fn(client, note_event, g_strdup(""), note_freed);
    yc_qmp_client_set_state_fn(client, note_state, g_strdup(""), note_freed);
    return client;
}

static YcQmpClient *client_connected(FakePeer *peer)
{
    YcQmpClient *client = client_new(peer);
    GError *err = NULL;
    bool ok = yc_qmp_client_connect(client, FAKE_DEADLINE_MS, &err);

    g_assert_no_error(err);
    g_assert_true(ok);
    return client;
}

/* Nothing is left, and each callback's data was freed. */
static void end(FakePeer *peer, int freed)
{
    expect_nothing_left();
    fake_peer_free(peer);
    g_assert_cmpint(notes.freed, ==, freed);
    notes.freed = 0;
    g_string_truncate(notes.text, 0);
}

static void play_echo(FakePeer *peer, void *opaque)
{
    fake_negotiate(peer, FAKE_GREETING);
    fake_echo(peer);
}

static void play_events(FakePeer *peer, void *opaque)
{
    g_autoptr(json_object) req = NULL;

    fake_send(peer, FAKE_GREETING);
    req = fake_request(peer);
    fake_send(peer, "{\"event\": \"EARLY\"}\r\n");
    fake_answer(peer, req, "{}");
    json_object_put(req);
    fake_send(peer, "{\"event\": \"A\"}{\"event\": \"B\"}");
    req = fake_request(peer);
    fake_answer(peer, req, "{}");
    fake_send(peer, "{\"event\": \"C\", \"data\": {}, \"timestamp\": {}}");
}

/* All that a client tells comes in the order in which it happened. */
static void test_events(void)
{
    FakePeer *peer = fake_peer_new(play_events, NULL);
    YcQmpClient *client = client_connected(peer);

    wait_note("B ");
    yc_qmp_client_execute_async(client, YC_QMP_IN_BAND, "x", NULL, 0,
                                note_answer, g_strdup("x"), note_freed);
    wait_note("! ");
    expect_notes("connecting greeting negotiating EARLY ready A B x=ok C "
                 "disconnected! ");
    yc_qmp_client_unref(client);
    end(peer, 3);
}

static void note_gate(const char *name, json_object *event, void *data)
{
    FakePeer *gate = data;

    if (g_str_equal(name, "FIRST")) {
        fake_peer_hear(gate);
    }
    json_object_put(event);
}

static void play_event_flood(FakePeer *peer, void *opaque)
{
    fake_negotiate(peer, FAKE_GREETING);
    fake_send(peer, "{\"event\": \"FIRST\"}");
    for (int i = 0; i < 5000; i++) {
        fake_send(peer, "{\"event\": \"E\"}");
    }
    fake_echo(peer);
}

/* Whoever is slow with events gets no more than so many; answers go on. */
static void test_event_flood(void)
{
    FakePeer *peer = fake_peer_new(play_event_flood, NULL);
    YcQmpClient *client = yc_qmp_client_new(fake_peer_address(peer), NULL);

    yc_qmp_client_set_event_fn(client, note_gate, peer, NULL);
    g_assert_true(yc_qmp_client_connect(client, FAKE_DEADLINE_MS, NULL));
    g_assert_true(
        yc_qmp_client_execute(client, YC_QMP_OOB, "x", NULL, 0, NULL, NULL));
    g_assert_cmpint(yc_qmp_client_dropped(client, YC_QMP_DROPPED_EVENT), ==,
                    5001 - 4096);
    fake_tell(peer);
    yc_qmp_client_unref(client);
    end(peer, 0);
}

static void play_big_events(FakePeer *peer, void *opaque)
{
    g_autofree char *text = g_strnfill(MiB, 'x');
    g_autofree char *event = g_strdup_printf(
        "{\"event\": \"BIG\", \"data\": {\"text\": \"%s\"}}", text);

    fake_negotiate(peer, FAKE_GREETING);
    fake_send(peer, "{\"event\": \"FIRST\"}");
    for (int i = 0; i < 32; i++) {
        fake_send(peer, event);
    }
    fake_echo(peer);
}

/* Nor does what is kept for him grow with their size. */
static void test_big_events(void)
{
    FakePeer *peer = fake_peer_new(play_big_events, NULL);
    YcQmpClient *client = yc_qmp_client_new(fake_peer_address(peer), NULL);
    guint64 dropped;

    yc_qmp_client_set_event_fn(client, note_gate, peer, NULL);
    g_assert_true(yc_qmp_client_connect(client, FAKE_DEADLINE_MS, NULL));
    g_assert_true(
        yc_qmp_client_execute(client, YC_QMP_OOB, "x", NULL, 0, NULL, NULL));
    dropped = yc_qmp_client_dropped(client, YC_QMP_DROPPED_EVENT);
    g_assert_cmpint(dropped, >=, 32 - 16);
    g_assert_cmpint(dropped, <=, 32 - 15 + 1);
    fake_tell(peer);
    yc_qmp_client_unref(client);
    end(peer, 0);
}

static void play_silent(FakePeer *peer, void *opaque)
{
    fake_negotiate(peer, FAKE_GREETING);
    fake_until_closed(peer);
}

/* The last unref with requests under way: each is answered, once. */
static void test_unref_pending(void)
{
    FakePeer *peer = fake_peer_new(play_silent, NULL);
    YcQmpClient *client = client_connected(peer);

    for (int i = 0; i < 20; i++) {
        yc_qmp_client_execute_async(client, i & 1 ? YC_QMP_OOB : YC_QMP_IN_BAND,
                                    "x", NULL, 0, note_answer, g_strdup("x"),
                                    note_freed);
    }
    yc_qmp_client_unref(client);
    end(peer, 22);
}

static void unref_in_answer(json_object *result, const GError *err, void *data)
{
    YcQmpClient *client = data;

    g_assert_null(err);
    json_object_put(result);
    /* A callback may call whatever it likes. */
    g_assert_true(
        yc_qmp_client_execute(client, YC_QMP_OOB, "y", NULL, 0, NULL, NULL));
    yc_qmp_client_unref(client);
    note("unref ");
}

static void test_unref_in_callback(void)
{
    FakePeer *peer = fake_peer_new(play_echo, NULL);
    YcQmpClient *client = client_connected(peer);

    yc_qmp_client_execute_async(client, YC_QMP_IN_BAND, "x", NULL, 0,
                                unref_in_answer, client, NULL);
    wait_note("unref ");
    end(peer, 2);
}

static void unref_in_event(const char *name, json_object *event, void *data)
{
    json_object_put(event);
    yc_qmp_client_unref(*(YcQmpClient **)data);
    note("unref ");
}

static void play_two_events(FakePeer *peer, void *opaque)
{
    fake_negotiate(peer, FAKE_GREETING);
    fake_wait(peer);
    fake_send(peer, "{\"event\": \"A\"}{\"event\": \"B\"}");
    fake_until_closed(peer);
}

static void test_unref_in_event(void)
{
    FakePeer *peer = fake_peer_new(play_two_events, NULL);
    YcQmpClient *client = yc_qmp_client_new(fake_peer_address(peer), NULL);

    yc_qmp_client_set_event_fn(client, unref_in_event, &client, NULL);
    g_assert_true(yc_qmp_client_connect(client, 0, NULL));
    fake_peer_go(peer);
    wait_note("unref ");
    expect_nothing_left();
    fake_peer_free(peer);
    expect_notes("unref ");
}

static void test_disconnect(void)
{
    FakePeer *peer = fake_peer_new(play_silent, NULL);
    YcQmpClient *client = client_connected(peer);
    GError *err = NULL;

    g_assert_false(yc_qmp_client_connect(client, 0, &err));
    expect_error(err, YC_ERROR_INVALID, "while it is ready");
    yc_qmp_client_execute_async(client, YC_QMP_OOB, "x", NULL, 0, note_answer,
                                g_strdup("x"), note_freed);
    yc_qmp_client_disconnect(client);
    wait_note("disconnected! x=error ");
    yc_qmp_client_disconnect(client);
    err = NULL;
    g_assert_false(
        yc_qmp_client_execute(client, YC_QMP_OOB, "x", NULL, 0, NULL, &err));
    expect_error(err, YC_ERROR_CLOSED, "disconnected on request");
    g_assert_true(yc_qmp_client_connect(client, 0, NULL));
    g_assert_cmpint(fake_peer_connections(peer), ==, 2);
    yc_qmp_client_unref(client);
    end(peer, 3);
}

/* Never connected, or not yet. */
static void test_unconnected(void)
{
    FakePeer *peer = fake_peer_new(play_silent, NULL);
    YcQmpClient *client = client_new(peer);
    GError *err = NULL;

    g_assert_null(yc_qmp_client_package(client));
    g_assert_false(yc_qmp_client_execute(client, YC_QMP_IN_BAND, "x", NULL, 0,
                                         NULL, &err));
    expect_error(err, YC_ERROR_CLOSED, "the client is disconnected");
    yc_qmp_client_disconnect(client);
    yc_qmp_client_connect_async(client, 0, note_answer, g_strdup("c"),
                                note_freed);
    yc_qmp_client_unref(client);
    end(peer, 3);
}

static void test_cleanup(void)
{
    YcQmpClient *client = yc_qmp_client_new("/none", NULL);

    g_assert_false(yc_cleanup(1));
    yc_qmp_client_unref(client);
    expect_nothing_left();
    expect_nothing_left();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_mutex_init(&notes.lock);
    qemu_cond_init(&notes.cond);
    notes.text = g_string_new(NULL);
    g_test_add_func("/client/events/events", test_events);
    g_test_add_func("/client/events/event-flood", test_event_flood);
    g_test_add_func("/client/events/big-events", test_big_events);
    g_test_add_func("/client/events/unref-pending", test_unref_pending);
    g_test_add_func("/client/events/unref-in-callback", test_unref_in_callback);
    g_test_add_func("/client/events/unref-in-event", test_unref_in_event);
    g_test_add_func("/client/events/disconnect", test_disconnect);
    g_test_add_func("/client/events/unconnected", test_unconnected);
    g_test_add_func("/client/events/cleanup", test_cleanup);
    return g_test_run();
}
