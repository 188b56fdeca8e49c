/*
 * What the monitor writes: events, and clients that do not read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-fixture.h"

static void expect_event(Client *client, const char *data)
{
    g_autofree char *line = client_line(client);
    g_autofree char *end =
        g_strdup_printf("}, \"event\": \"TEST\", \"data\": %s}", data);

    g_assert_true(g_str_has_prefix(line, "{\"timestamp\": {\"seconds\": "));
    g_assert_nonnull(strstr(line, ", \"microseconds\": "));
    g_assert_true(g_str_has_suffix(line, end));
}

/* To all in command mode; before the reply of the command that sent it. */
static void client_events(void)
{
    g_autoptr(Client) client = client_new("oob");
    g_autoptr(Client) other = client_new("");
    g_autoptr(Client) newcomer = client_new(NULL);

    client_send(client,
                "{'execute': 'event', 'arguments': {'n': 1}, 'id': 1}"
                "{'exec-oob': 'event', 'arguments': {'n': 2}, 'id': 2}");
    for (int i = 0; i < 2; i++) {
        g_autofree char *line = client_line(other);

        g_assert_nonnull(strstr(line, "\"TEST\""));
    }
    g_assert_true(client_is_quiet(newcomer));
}

static void client_event_order(void)
{
    g_autoptr(Client) client = client_new("");

    client_send(client, "{'execute': 'event', 'arguments': {'n': 1}, 'id': 1}");
    expect_event(client, "{\"n\": 1}");
    client_expect(client, "{\"return\": {}, \"id\": 1}");
}

/* Reads nothing until all is asked for: it is all there, in order. */
static void client_slow(void)
{
    g_autoptr(Client) client = client_new("oob");

    for (int i = 0; i < 8; i++) {
        client_send(client, "{'exec-oob': 'big'}{'execute': 'big'}");
    }
    for (int i = 0; i < 16; i++) {
        g_autofree char *line = client_line(client);

        g_assert_cmpuint(strlen(line), ==, MiB + strlen("{'return': ''}"));
    }
}

/* A client that does not read is cut off, and nobody else notices. */
static void client_deaf(void)
{
    g_autoptr(Client) client = client_new("oob");
    g_autoptr(Client) deaf = client_new("oob");

    for (int i = 0; i < 40; i++) {
        client_send(deaf, "{'exec-oob': 'big'}");
    }
    fixture_wait_sessions(1);
    client_send(client, "{'execute': 'echo'}");
    client_expect(client, "{\"return\": {}}");
}

/* The same by in-band replies, which the main thread writes. */
static void client_deaf_in_band(void)
{
    g_autoptr(Client) client = client_new("oob");
    g_autoptr(Client) deaf = client_new("");

    for (int i = 0; i < 40; i++) {
        client_send(deaf, "{'execute': 'big'}");
    }
    fixture_wait_sessions(1);
    client_send(client, "{'execute': 'echo'}");
    client_expect(client, "{\"return\": {}}");
}

/* By events alone. */
static void client_deaf_to_events(void)
{
    g_autoptr(Client) client = client_new("oob");
    g_autoptr(Client) deaf = client_new("");
    g_autofree char *pad = g_strnfill(MiB, 'p');
    g_autofree char *request =
        g_strdup_printf("{'exec-oob': 'event', 'arguments': {'p': '%s'}}", pad);

    for (int i = 0; i < 20; i++) {
        g_autofree char *event = NULL;
        g_autofree char *reply = NULL;

        client_send(client, request);
        event = client_line(client);
        reply = client_line(client);
        g_assert_cmpstr(reply, ==, "{\"return\": {}}");
    }
    fixture_wait_sessions(1);
}

static GThread *last_reader;

static void *read_to_end(void *opaque)
{
    Client *client = opaque;
    g_autofree char *big = client_line(client);

    g_assert_cmpuint(strlen(big), >, MiB);
    client_expect(client, "{\"return\": {}, \"id\": 1}");
    client_expect_end(client);
    client_free(client);
    return NULL;
}

static void client_last_words(void)
{
    Client *client = client_new("oob");

    client_send(client, "{'exec-oob': 'big'}{'exec-oob': 'echo', 'id': 1}");
    fixture_wait_unread();
    last_reader = g_thread_new("last-reader", read_to_end, client);
}

/* What is queued when the monitor ends reaches a client that reads. */
static void test_last_words(void)
{
    fixture_run(client_last_words);
    g_thread_join(last_reader);
}

static void test_client(gconstpointer data)
{
    fixture_run((void (*)(void))data);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, client)                                                      \
    g_test_add_data_func("/monitor-output/" path, (void *)(client), test_client)
    ADD("events", client_events);
    ADD("event-order", client_event_order);
    ADD("slow", client_slow);
    ADD("deaf", client_deaf);
    ADD("deaf-in-band", client_deaf_in_band);
    ADD("deaf-to-events", client_deaf_to_events);
    g_test_add_func("/monitor-output/last-words", test_last_words);
    return g_test_run();
}
