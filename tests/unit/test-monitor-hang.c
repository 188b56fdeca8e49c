/*
 * A QMP session while the main loop hangs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-fixture.h"
#include "qemu/activity.h"
#include "qemu/yank.h"

#define BLOCK_DONE "{\"return\": {}, \"id\": \"block\"}"

static void send_numbered(Client *client, const char *format, int from, int to)
{
    GString *text = g_string_new(NULL);

    for (int i = from; i < to; i++) {
        g_string_append_printf(text, format, i);
    }
    client_send(client, text->str);
    g_string_free(text, TRUE);
}

static void expect_numbered(Client *client, int from, int to)
{
    for (int i = from; i < to; i++) {
        g_autofree char *want =
            g_strdup_printf("{\"return\": {}, \"id\": %d}", i);

        client_expect(client, want);
    }
}

static void overtake(Client *client, int queued)
{
    client_block(client);
    send_numbered(client, "{'execute': 'echo', 'id': %d}", 0, queued);
    client_send(client, "{'exec-oob': 'echo', 'id': 'oob'}");
    client_expect(client, "{\"return\": {}, \"id\": \"oob\"}");
    client_unblock();
    client_expect(client, BLOCK_DONE);
    expect_numbered(client, 0, queued);
}

static void client_overtake(void)
{
    g_autoptr(Client) client = client_new("oob");

    overtake(client, 0);
    overtake(client, 1);
    overtake(client, 9);
    overtake(client, 1000);
}

static void client_malformed(void)
{
    g_autoptr(Client) client = client_new("oob");

    client_block(client);
    client_send(client, "{'execute': 'echo', 'id': 1}[]"
                        "{'execute': 5, 'id': 2}"
                        "{'exec-oob': 'no', 'id': 3}");
    client_expect(client, "{\"id\": 3, \"error\": {\"class\": "
                          "\"CommandNotFound\", \"desc\": \"The command no "
                          "has not been found\"}}");
    g_assert_true(client_is_quiet(client));
    client_unblock();
    client_expect(client, BLOCK_DONE);
    client_expect(client, "{\"return\": {}, \"id\": 1}");
    client_expect(client, "{\"error\": {\"class\": \"GenericError\", "
                          "\"desc\": \"QMP input must be a JSON object\"}}");
    client_expect(client, "{\"id\": 2, \"error\": {\"class\": "
                          "\"GenericError\", \"desc\": \"QMP input member "
                          "'execute' must be a string\"}}");
}

/* Reads a COMMAND_DROPPED, whose time is unknown, and the error. */
static void expect_dropped(Client *client, int id)
{
    g_autofree char *event = client_line(client);
    g_autofree char *data = g_strdup_printf(
        "\"event\": \"COMMAND_DROPPED\", \"data\": {\"id\": %d, "
        "\"command\": \"echo\"}}",
        id);
    g_autofree char *error = g_strdup_printf(
        "{\"id\": %d, \"error\": {\"class\": \"GenericError\", \"desc\": "
        "\"The in-band queue is full: it holds 1024 requests and 4194304 "
        "bytes at most\"}}",
        id);

    g_assert_true(g_str_has_suffix(event, data));
    client_expect(client, error);
}

static void client_queue_full(void)
{
    g_autoptr(Client) other = client_new("oob");
    g_autoptr(Client) client = client_new("oob");

    client_block(client);
    send_numbered(client, "{'execute': 'echo', 'id': %d}", 0, 1030);
    for (int i = 1024; i < 1030; i++) {
        expect_dropped(client, i);
    }
    client_send(client, "{'exec-oob': 'echo', 'id': 'oob'}");
    client_expect(client, "{\"return\": {}, \"id\": \"oob\"}");
    client_unblock();
    client_expect(client, BLOCK_DONE);
    expect_numbered(client, 0, 1024);
    g_assert_true(client_is_quiet(other));
}

/* The bytes are bounded, too; but an empty queue takes any request. */
static void client_queue_bytes(void)
{
    g_autoptr(Client) client = client_new("oob");
    g_autofree char *pad = g_strnfill(3 * MiB, 'p');
    g_autofree char *request = g_strdup_printf(
        "{'execute': 'fail', 'arguments': {'p': '%s', 'q': '%s'}, 'id': 0}",
        pad, pad);

    client_block(client);
    client_send(client, request);
    send_numbered(client, "{'execute': 'echo', 'id': %d}", 1, 2);
    expect_dropped(client, 1);
    client_unblock();
    client_expect(client, BLOCK_DONE);
    client_expect(client, "{\"id\": 0, \"error\": {\"class\": "
                          "\"DeviceNotFound\", \"desc\": \"no \\\"such\\\" "
                          "thing\"}}");
}

static void client_newcomer(void)
{
    g_autoptr(Client) client = client_new("");

    client_block(client);
    {
        g_autoptr(Client) newcomer = client_new("oob");

        client_send(newcomer, "{'exec-oob': 'echo', 'id': 1}");
        client_expect(newcomer, "{\"return\": {}, \"id\": 1}");
    }
    client_unblock();
    client_expect(client, BLOCK_DONE);
}

/* With one request at a time, a quit behind the one that hangs is seen. */
static void client_quit(void)
{
    g_autoptr(Client) client = client_new("");

    client_block(client);
    client_send(client, "{'execute': 'echo'}{'execute': 'quit'}");
    fixture_wait_queued(2);
    while (!fixture_announced()) {
        g_thread_yield();
    }
    g_assert_cmpint(fixture_quits(), ==, 0);
    client_unblock();
    client_expect(client, BLOCK_DONE);
    client_expect(client, "{\"return\": {}}");
    client_expect(client, "{\"return\": {}}");
    g_assert_cmpint(fixture_quits(), ==, 1);
}

static void client_quit_with_arguments(void)
{
    g_autoptr(Client) client = client_new("oob");

    client_block(client);
    client_send(client, "{'execute': 'quit', 'arguments': {'a': 1}}");
    fixture_wait_queued(1);
    g_assert_cmpint(fixture_announced(), ==, 0);
    client_unblock();
    client_expect(client, BLOCK_DONE);
    client_expect(client, "{\"return\": {}}");
}

/* What a client queued that has left is not run, but for a quit. */
static void client_leaves(void)
{
    g_autoptr(Client) client = client_new("oob");
    Client *leaver = client_new("oob");

    client_block(client);
    client_send(leaver, "{'execute': 'event'}{'execute': 'quit'}");
    fixture_wait_queued(2);
    client_free(leaver);
    fixture_wait_queued(0);
    while (!fixture_quits()) {
        g_thread_yield();
    }
    client_unblock();
    client_expect(client, BLOCK_DONE);
    g_assert_true(client_is_quiet(client));
}

/* Without out-of-band execution it is run, as it has always been. */
static void client_leaves_without_oob(void)
{
    g_autoptr(Client) client = client_new("oob");
    Client *leaver = client_new("");

    client_block(client);
    send_numbered(leaver, "{'execute': 'event', 'id': %d}", 0, 200);
    fixture_wait_queued(200);
    client_free(leaver);
    client_unblock();
    client_expect(client, BLOCK_DONE);
    for (int i = 0; i < 200; i++) {
        g_free(client_line(client));
    }
    fixture_wait_sessions(1);
}

/* Reading ahead is bounded where nothing is dropped. */
static void client_reads_ahead(void)
{
    static const char request[] = "{'execute': 'echo', 'id': 1}";
    g_autoptr(Client) client = client_new("");
    int n = 0;

    client_block(client);
    while (client_can_send(client)) {
        client_send(client, request);
        g_assert_cmpint(++n, <, 1000 * 1000);
    }
    client_unblock();
    client_expect(client, BLOCK_DONE);
    while (n-- > 0) {
        client_expect(client, "{\"return\": {}, \"id\": 1}");
    }
}

static void client_leaves_while_running(void)
{
    g_autoptr(Client) client = client_new("oob");
    Client *leaver = client_new("oob");

    client_block(leaver);
    client_free(leaver);
    client_send(client, "{'execute': 'echo', 'id': 1}"
                        "{'exec-oob': 'echo', 'id': 2}");
    client_expect(client, "{\"return\": {}, \"id\": 2}");
    client_unblock();
    client_expect(client, "{\"return\": {}, \"id\": 1}");
}

/* In turn over the sessions: the short queue does not wait for the long. */
static void client_round_robin(void)
{
    g_autoptr(Client) many = client_new("oob");
    g_autoptr(Client) few = client_new("");

    client_block(many);
    send_numbered(many, "{'execute': 'event', 'id': %d}", 0, 100);
    fixture_wait_queued(100);
    client_send(few, "{'execute': 'echo'}");
    fixture_wait_queued(101);
    client_unblock();
    for (int events = 0;; events++) {
        g_autofree char *line = client_line(few);

        if (strstr(line, "return")) {
            g_assert_cmpint(events, <=, 1);
            break;
        }
    }
}

static void expect_event(Client *client, const char *name)
{
    g_autofree char *line = client_line(client);
    g_autofree char *member = g_strdup_printf("\"event\": \"%s\"", name);

    g_assert_nonnull(strstr(line, member));
}

static void client_stall(void)
{
    g_autoptr(Client) client = client_new("oob");

    client->wants_stalls = true;
    client_block(client);
    expect_event(client, "MAIN_LOOP_STALLED");
    g_assert_cmpuint(mon_stall_watch_stalled_ms(), >=, 1000);
    client_unblock();
    client_expect(client, BLOCK_DONE);
    expect_event(client, "MAIN_LOOP_RESUMED");
    g_assert_cmpuint(mon_stall_watch_stalled_ms(), ==, 0);
}

/* Told once. */
static void client_stalled_instance(void)
{
    const YankInstance *instance = BLOCKDEV_YANK_INSTANCE("stuck");
    g_autoptr(Client) client = client_new("oob");
    Activity *activity = activity_new("blockdev:stuck");
    ActivityRequest request;
    g_autofree char *event = NULL;

    g_assert_true(yank_register_instance(instance, &error_abort));
    activity_begin(activity, &request);
    event = client_line(client);
    g_assert_nonnull(strstr(event, "\"event\": \"YANK_INSTANCE_STALLED\""));
    g_assert_nonnull(strstr(event, "\"name\": \"blockdev:stuck\""));
    g_assert_nonnull(strstr(event, "\"stalled\": true"));

    for (int ticks = 0; ticks < 20; ticks++) {
        g_assert_true(client_is_quiet(client));
    }
    activity_end(activity, &request);
    activity_free(activity);
    yank_unregister_instance(instance);
}

static void test_client(gconstpointer data)
{
    fixture_run((void (*)(void))data);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, client)                                                      \
    g_test_add_data_func("/monitor-hang/" path, (void *)(client), test_client)
    ADD("overtake", client_overtake);
    ADD("malformed", client_malformed);
    ADD("queue-full", client_queue_full);
    ADD("queue-bytes", client_queue_bytes);
    ADD("newcomer", client_newcomer);
    ADD("quit", client_quit);
    ADD("quit-with-arguments", client_quit_with_arguments);
    ADD("leaves", client_leaves);
    ADD("leaves-without-oob", client_leaves_without_oob);
    ADD("reads-ahead", client_reads_ahead);
    ADD("leaves-while-running", client_leaves_while_running);
    ADD("round-robin", client_round_robin);
    ADD("stall", client_stall);
    ADD("stalled-instance", client_stalled_instance);
    return g_test_run();
}
