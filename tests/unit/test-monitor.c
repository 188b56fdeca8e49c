/*
 * A QMP session as its client sees it: negotiation, requests, errors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "monitor-fixture.h"
#include "qapi/qapi-commands-dispatch.h"
#include "qemu/aside.h"

#define ERROR_REPLY(id, cls, desc)                                             \
    "{" id "\"error\": {\"class\": \"" cls "\", \"desc\": \"" desc "\"}}"
#define GENERIC(id, desc) ERROR_REPLY(id, "GenericError", desc)
#define NOT_FOUND(id, desc) ERROR_REPLY(id, "CommandNotFound", desc)
#define NO_ID ""

typedef struct Exchange {
    const char *request;
    const char *reply;
} Exchange;

static void exchange(Client *client, const Exchange *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        client_send(client, table[i].request);
        client_expect(client, table[i].reply);
    }
}

static void client_negotiation(void)
{
    static const Exchange table[] = {
        {"{'execute': 'echo', 'id': 1}",
         NOT_FOUND("\"id\": 1, ", "Expecting capabilities negotiation with "
                                  "'qmp_capabilities'")},
        {"{'execute': 'no-such'}",
         NOT_FOUND(NO_ID, "Expecting capabilities negotiation with "
                          "'qmp_capabilities'")},
        {"{'exec-oob': 'echo', 'id': 2}",
         GENERIC("\"id\": 2, ", "QMP input member 'exec-oob' is unexpected")},
        {"[]", GENERIC(NO_ID, "QMP input must be a JSON object")},
        {"{'execute': 'qmp_capabilities', 'id': 'x'}",
         "{\"return\": {}, \"id\": \"x\"}"},
        {"{'execute': 'qmp_capabilities', 'id': 4}",
         NOT_FOUND("\"id\": 4, ", "Capabilities negotiation is already "
                                  "complete, command ignored")},
        {"{'exec-oob': 'echo'}",
         GENERIC(NO_ID, "QMP input member 'exec-oob' is unexpected")},
        {"{'execute': 'echo', 'control': {'run-oob': true}}",
         GENERIC(NO_ID, "QMP input member 'control' is unexpected")},
    };
    g_autoptr(Client) client = client_new(NULL);

    exchange(client, table, G_N_ELEMENTS(table));
}

static const Exchange requests[] = {
    {"{'execute': 'echo', 'arguments': {'a': [1, null]}, 'id': {'b': 2}}",
     "{\"return\": {\"a\": [1, null]}, \"id\": {\"b\": 2}}"},
    {"{'execute': 'echo', 'id': null}", "{\"return\": {}, \"id\": null}"},
    {"{'execute': 'fail', 'id': 5}",
     ERROR_REPLY("\"id\": 5, ", "DeviceNotFound", "no \\\"such\\\" thing")},
    {"[]", GENERIC(NO_ID, "QMP input must be a JSON object")},
    {"null ", GENERIC(NO_ID, "QMP input must be a JSON object")},
    {"'x'", GENERIC(NO_ID, "QMP input must be a JSON object")},
    {"{}", GENERIC(NO_ID, "QMP input lacks member 'execute'")},
    {"{'id': 7}", GENERIC("\"id\": 7, ", "QMP input lacks member 'execute'")},
    {"{'execute': 1, 'id': 1}",
     GENERIC("\"id\": 1, ", "QMP input member 'execute' must be a string")},
    {"{'execute': 'echo', 'arguments': 1, 'id': 9}",
     GENERIC("\"id\": 9, ", "QMP input member 'arguments' must be an object")},
    {"{'execute': 'echo', 'arguments': null, 'id': 9}",
     GENERIC("\"id\": 9, ", "QMP input member 'arguments' must be an object")},
    {"{'foo': 1, 'execute': 2}",
     GENERIC(NO_ID, "QMP input member 'foo' is unexpected")},
    {"{'execute': 'foo', 'id': []}",
     NOT_FOUND("\"id\": [], ", "The command foo has not been found")},
    {"{'execute' 'foo'}",
     GENERIC(NO_ID, "JSON parse error, missing : in object pair")},
    {"{'execute': 'echo'}", "{\"return\": {}}"},
};

static void client_requests(void)
{
    g_autoptr(Client) client = client_new("");

    exchange(client, requests, G_N_ELEMENTS(requests));
}

static void client_requests_with_oob(void)
{
    g_autoptr(Client) client = client_new("oob");

    exchange(client, requests, G_N_ELEMENTS(requests));
}

static void client_requests_oob(void)
{
    static const Exchange table[] = {
        {"{'exec-oob': 'echo', 'id': 1}", "{\"return\": {}, \"id\": 1}"},
        {"{'execute': 'echo', 'control': {'run-oob': true}, 'id': 1}",
         "{\"return\": {}, \"id\": 1}"},
        {"{'execute': 'block', 'control': {'run-oob': true}}",
         GENERIC(NO_ID, "The command block does not support OOB")},
        {"{'exec-oob': 'qmp_capabilities'}",
         GENERIC(NO_ID, "The command qmp_capabilities does not support OOB")},
        {"{'exec-oob': 'foo'}",
         NOT_FOUND(NO_ID, "The command foo has not been found")},
        {"{'exec-oob': 3}",
         GENERIC(NO_ID, "QMP input member 'exec-oob' must be a string")},
        {"{'exec-oob': 'echo', 'execute': 'echo'}",
         GENERIC(NO_ID, "QMP input member 'execute' clashes with 'exec-oob'")},
        {"{'execute': 'echo', 'exec-oob': 'echo'}",
         GENERIC(NO_ID, "QMP input member 'execute' clashes with 'exec-oob'")},
        {"{'exec-oob': 'echo', 'control': {}}",
         GENERIC(NO_ID, "QMP input member 'control' clashes with 'exec-oob'")},
        {"{'execute': 'echo', 'control': true}",
         GENERIC(NO_ID, "QMP input member 'control' must be an object")},
        {"{'execute': 'echo', 'control': {'run-oob': 1}}",
         GENERIC(NO_ID,
                 "QMP input member 'control.run-oob' must be a boolean")},
        {"{'execute': 'echo', 'control': {'foo': 1}}",
         GENERIC(NO_ID, "QMP input member 'control.foo' is unexpected")},
        {"{'execute': 'block', 'control': {'run-oob': false}, 'bar': 1}",
         GENERIC(NO_ID, "QMP input member 'bar' is unexpected")},
    };
    g_autoptr(Client) client = client_new("oob");

    exchange(client, table, G_N_ELEMENTS(table));
}

static void client_pretty(void)
{
    g_autoptr(Client) client = client_new_pretty();
    g_autofree char *line = NULL;

    client_expect(client, "{");
    client_expect(client, "    \"QMP\": {");
    do {
        g_free(line);
        line = client_line(client);
    } while (strcmp(line, "}"));
    client_send(client, "{'execute': 'qmp_capabilities'}");
    client_expect(client, "{");
    client_expect(client, "    \"return\": {");
    client_expect(client, "    }");
    client_expect(client, "}");
}

/* Many requests in one write: answered in order, and quickly. */
static void batch(const char *negotiate, int n)
{
    g_autoptr(Client) client = client_new(negotiate);
    GString *text = g_string_new(NULL);

    for (int i = 0; i < n; i++) {
        g_string_append_printf(text, "{'execute': 'echo', 'id': %d}", i);
    }
    client_send(client, text->str);
    for (int i = 0; i < n; i++) {
        g_autofree char *want =
            g_strdup_printf("{\"return\": {}, \"id\": %d}", i);

        client_expect(client, want);
    }
    g_string_free(text, TRUE);
}

static void client_batch(void)
{
    batch("oob", MON_QUEUE_MAX_REQUESTS);
}

/* More than the queue holds: nothing is dropped, reading stops and goes on. */
static void client_batch_without_oob(void)
{
    batch("", 20 * MON_QUEUE_MAX_REQUESTS);
}

static void client_negotiate_in_batch(void)
{
    g_autoptr(Client) client = client_new(NULL);

    client_send(client, "{'execute': 'qmp_capabilities', 'arguments':"
                        " {'enable': ['oob']}, 'id': 1}"
                        "{'exec-oob': 'echo', 'id': 2}");
    client_expect(client, "{\"return\": {}, \"id\": 1}");
    client_expect(client, "{\"return\": {}, \"id\": 2}");
}

/* Says all it has to say, and is answered before the session ends. */
static void half_close(const char *negotiate)
{
    g_autoptr(Client) client = client_new(negotiate);

    client_send(client, "{'execute': 'echo', 'id': 1}"
                        "{'execute': 'echo', 'id': 2}{'execute'");
    shutdown(client->fd, SHUT_WR);
    client_expect(client, "{\"return\": {}, \"id\": 1}");
    client_expect(client, "{\"return\": {}, \"id\": 2}");
    g_free(client_line(client)); /* that a request broke off */
    client_expect_end(client);
}

static void client_half_close(void)
{
    half_close("");
    half_close("oob");
}

/* Sends a command and leaves without reading a thing. */
static void client_fire_and_forget(void)
{
    g_autoptr(Client) watcher = client_new("oob");
    Client *client = client_new("");

    client_send(client, "{'execute': 'event'}");
    client_free(client);
    g_free(client_line(watcher));
}

static void client_quit(void)
{
    g_autoptr(Client) client = client_new("");

    client_send(client, "{'execute': 'quit', 'id': 1}");
    client_expect(client, "{\"return\": {}, \"id\": 1}");
    g_assert_cmpint(fixture_quits(), ==, 1);
    /* By the monitor thread, which may come second here. */
    while (!fixture_announced()) {
        g_thread_yield();
    }
}

/* The reply precedes the event, as in stock. */
static void client_quit_oob(void)
{
    g_autoptr(Client) client = client_new("oob");
    g_autofree char *event = NULL;

    fixture_tell_quit();
    client_send(client, "{'exec-oob': 'quit', 'id': 1}");
    client_expect(client, "{\"return\": {}, \"id\": 1}");
    event = client_line(client);
    g_assert_nonnull(strstr(event, "\"SHUTDOWN\""));
    g_assert_cmpint(fixture_quits(), ==, 1);
}

/* Nothing is begun while the process ends, but out-of-band. */
static void client_after_quit(void)
{
    g_autoptr(Client) client = client_new("oob");

    client_send(client, "{'execute': 'quit'}{'execute': 'echo', 'id': 1}");
    client_expect(client, "{\"return\": {}}");
    g_assert_true(client_is_quiet(client));
    client_send(client, "{'exec-oob': 'echo', 'id': 2}");
    client_expect(client, "{\"return\": {}, \"id\": 2}");
}

/* A deferred reply delays no other request. */
static void client_reply_later(void)
{
    g_autoptr(Client) client = client_new("oob");

    client_send(client, "{'exec-oob': 'later', 'id': 1}"
                        "{'exec-oob': 'echo', 'id': 2}"
                        "{'execute': 'later', 'id': 3}");
    client_expect(client, "{\"return\": {}, \"id\": 2}");
    client_expect(client, "{\"return\": {}, \"id\": 3}");
    g_assert_true(client_is_quiet(client));
    fixture_reply(NULL);
    client_expect(client, "{\"return\": {}, \"id\": 1}");
    client_send(client, "{'exec-oob': 'later', 'id': [4]}");
    fixture_reply("It took too long");
    client_expect(client, GENERIC("\"id\": [4], ", "It took too long"));
    /* A client that has shut its sending direction gets the reply. */
    client_send(client, "{'exec-oob': 'later', 'id': 5}");
    g_assert_cmpint(shutdown(client->fd, SHUT_WR), ==, 0);
    g_assert_true(client_is_quiet(client));
    fixture_reply(NULL);
    client_expect(client, "{\"return\": {}, \"id\": 5}");
    client_expect_end(client);
}

/* The client is gone when the reply is sent. */
static void client_reply_to_nobody(void)
{
    Client *client = client_new("oob");

    client_send(client, "{'exec-oob': 'later'}{'exec-oob': 'echo'}");
    client_expect(client, "{\"return\": {}}");
    client_free(client);
    fixture_wait_sessions(0);
    fixture_reply("Nobody reads this");
}

/* A request of at least @len bytes, and its echo. */
static void send_long(Client *client, const char *how, size_t len, int id)
{
    g_autofree char *pad = g_strnfill(len, 'p');
    g_autofree char *text = g_strdup_printf(
        "{'%s': 'echo', 'arguments': {'p': '%s'}, 'id': %d}", how, pad, id);

    client_send(client, text);
}

static void expect_long(Client *client, size_t len, int id)
{
    g_autofree char *pad = g_strnfill(len, 'p');
    g_autofree char *text =
        g_strdup_printf("{\"return\": {\"p\": \"%s\"}, \"id\": %d}", pad, id);

    client_expect(client, text);
}

/* A long message is handled on its own thread and delays no other session. */
static void client_long(void)
{
    g_autoptr(Client) client = client_new("oob");
    g_autofree char *pad = g_strnfill(MiB, ' ');
    g_autofree char *half =
        g_strdup_printf("{'exec-oob': 'where', 'id': 2, 'arguments':%s", pad);

    client_send(client, "{'exec-oob': 'where', 'id': 1}");
    client_expect(client, "{\"return\": \"monitor\", \"id\": 1}");
    client_send(client, half);
    client_send(client, "{}}{'exec-oob': 'where', 'id': 3}");
    client_expect(client, "{\"return\": \"monitor-bulk\", \"id\": 2}");
    client_expect(client, "{\"return\": \"monitor-bulk\", \"id\": 3}");
    /* After the message the session has left the bulk thread. */
    client_send(client, "{'exec-oob': 'where', 'id': 4}");
    client_expect(client, "{\"return\": \"monitor\", \"id\": 4}");
}

/* Sessions move to and fro while all threads send replies and events. */
static void client_long_and_short(void)
{
    g_autoptr(Client) client = client_new("oob");
    g_autoptr(Client) other = client_new("oob");

    for (int i = 0; i < 100; i++) {
        size_t len = (i % 5) * 20 * KiB;

        client_send(other, "{'exec-oob': 'event'}");
        send_long(client, "exec-oob", len, i);
        send_long(client, "execute", len, i);
        for (int n = 0; n < 2;) {
            g_autofree char *line = client_line(client);

            n += strstr(line, "\"TEST\"") == NULL;
        }
        for (int n = 0; n < 2; n++) {
            g_autofree char *line = client_line(other);

            g_assert_nonnull(line);
        }
    }
}

/* Clients disconnect at the beginning, in the middle or at the end of it. */
static void client_long_and_gone(void)
{
    g_autoptr(Client) client = client_new("oob");

    for (int i = 0; i < 50; i++) {
        Client *leaver = client_new(i & 1 ? "oob" : "");
        g_autofree char *pad = g_strnfill((i + 1) * 4 * KiB, ' ');

        client_send(leaver, "{'execute': 'echo', 'id': 1}");
        client_send(leaver, "{'execute': 'echo', 'arguments': ");
        client_send(leaver, pad);
        client_send(leaver, i % 3 ? "" : "{}}");
        client_free(leaver);
    }
    fixture_wait_sessions(1);
    send_long(client, "exec-oob", 100 * KiB, 1);
    expect_long(client, 100 * KiB, 1);
}

/* The monitor closes while sessions move between threads. */
static Client *left[4];

static void client_long_at_the_end(void)
{
    g_autofree char *pad = g_strnfill(64 * KiB, ' ');

    for (unsigned i = 0; i < G_N_ELEMENTS(left); i++) {
        left[i] = client_new("oob");
        for (unsigned n = 0; n < 4; n++) {
            client_send(left[i], "{'execute': 'echo', 'id': 'last'");
            client_send(left[i], pad);
            client_send(left[i], i & 1 ? "}" : "}{'exec-oob': ");
        }
    }
}

static void test_long_at_the_end(void)
{
    fixture_run(client_long_at_the_end);
    for (unsigned i = 0; i < G_N_ELEMENTS(left); i++) {
        client_free(left[i]);
    }
}

/* A call that returns when the test lets it go. */
static void wait_for_event(void *opaque)
{
    eventfd_t value;

    g_assert_cmpint(eventfd_read(*(int *)opaque, &value), ==, 0);
}

static void test_abandoned_calls(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    AbandonedCallList *list = qmp_query_abandoned_calls(&error_abort);

    g_assert_null(list);
    aside_unref(
        aside_start("reading 'x'", wait_for_event, &fd, NULL, &error_abort));
    list = qmp_query_abandoned_calls(&error_abort);
    g_assert_nonnull(list);
    g_assert_null(list->next);
    g_assert_cmpstr(list->value->what, ==, "reading 'x'");
    g_assert_cmpuint(list->value->age_ms, <, 60000);
    qapi_free_AbandonedCallList(list);
    g_assert_cmpint(eventfd_write(fd, 1), ==, 0);
    while ((list = qmp_query_abandoned_calls(&error_abort))) {
        qapi_free_AbandonedCallList(list);
        g_thread_yield();
    }
    close(fd);
}

static void client_many(void)
{
    Client *clients[10];

    for (int i = 0; i < 10; i++) {
        clients[i] = client_new(i & 1 ? "oob" : "");
    }
    for (int i = 0; i < 10; i++) {
        client_send(clients[i], "{'execute': 'echo'}");
    }
    for (int i = 0; i < 10; i++) {
        client_expect(clients[i], "{\"return\": {}}");
        client_free(clients[i]);
    }
}

static void test_client(gconstpointer data)
{
    fixture_run((void (*)(void))data);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, client)                                                      \
    g_test_add_data_func("/monitor/" path, (void *)(client), test_client)
    ADD("negotiation", client_negotiation);
    ADD("requests", client_requests);
    ADD("requests-with-oob", client_requests_with_oob);
    ADD("requests-oob", client_requests_oob);
    ADD("pretty", client_pretty);
    ADD("batch", client_batch);
    ADD("batch-without-oob", client_batch_without_oob);
    ADD("negotiate-in-batch", client_negotiate_in_batch);
    ADD("half-close", client_half_close);
    ADD("fire-and-forget", client_fire_and_forget);
    ADD("quit", client_quit);
    ADD("quit-oob", client_quit_oob);
    ADD("after-quit", client_after_quit);
    ADD("reply-later", client_reply_later);
    ADD("reply-to-nobody", client_reply_to_nobody);
    ADD("long", client_long);
    ADD("long-and-short", client_long_and_short);
    ADD("long-and-gone", client_long_and_gone);
    g_test_add_func("/monitor/long-at-the-end", test_long_at_the_end);
    g_test_add_func("/monitor/abandoned-calls", test_abandoned_calls);
    ADD("many", client_many);
    return g_test_run();
}
