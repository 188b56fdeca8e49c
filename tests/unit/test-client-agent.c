/*
 * Guest agent client, with agents that are good, late, silent, or lie.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-peer.h"
#include "client/agent-client.h"

/* A deadline that is to pass, and one that is to pass only in the end. */
#define SHORT_MS 100
#define MIDDLE_MS 500

/* The id in the line of a guest-sync-delimited, as text. */
static char *sync_id(const char *line)
{
    g_autoptr(json_object) req = NULL;
    json_object *id;

    g_assert_cmpint((unsigned char)line[0], ==, 0xff);
    req = json_parse(line + 1, &error_abort);
    g_assert_cmpstr(fake_member(req, "execute"), ==, "guest-sync-delimited");
    g_assert_true(json_object_object_get_ex(
        json_object_object_get(req, "arguments"), "id", &id));
    return g_strdup(json_object_get_string(id));
}

/* Takes one and gives its id; NULL at the end. */
static char *take_sync(FakePeer *peer)
{
    g_autofree char *line = fake_line(peer);

    return line ? sync_id(line) : NULL;
}

static void answer_sync(FakePeer *peer, const char *id)
{
    g_autofree char *text = g_strdup_printf("\xff{\"return\": %s}\n", id);

    fake_send(peer, text);
}

static void answer_sync_line(FakePeer *peer, const char *line)
{
    g_autofree char *id = sync_id(line);

    answer_sync(peer, id);
}

static bool sync_up(FakePeer *peer)
{
    g_autofree char *id = take_sync(peer);

    if (id) {
        answer_sync(peer, id);
    }
    return id != NULL;
}

/* Takes a guest-sync and answers it; false at the end. */
static bool sync_up_plain(FakePeer *peer)
{
    g_autoptr(json_object) req = fake_request(peer);

    if (req) {
        g_autofree char *text = g_strdup_printf(
            "{\"return\": %s}\n",
            json_object_get_string(json_object_object_get(
                json_object_object_get(req, "arguments"), "id")));

        g_assert_cmpstr(fake_member(req, "execute"), ==, "guest-sync");
        fake_send(peer, text);
    }
    return req != NULL;
}

/* A good agent: answers with the arguments. */
static void play_good(FakePeer *peer, void *opaque)
{
    while (sync_up(peer)) {
        g_autoptr(json_object) req = fake_request(peer);
        g_autofree char *text = NULL;
        json_object *arguments;

        if (!req) {
            return;
        }
        g_assert_false(json_object_object_get_ex(req, "id", NULL));
        text = json_object_object_get_ex(req, "arguments", &arguments)
                   ? json_to_string(arguments, false)
                   : g_strdup("{}");
        fake_answer(peer, req, text);
    }
}

static YcAgentClient *agent_connected(FakePeer *peer)
{
    YcAgentClient *agent = yc_agent_client_new(fake_peer_address(peer), NULL);
    GError *err = NULL;
    bool ok = yc_agent_client_connect(agent, FAKE_DEADLINE_MS, &err);

    g_assert_no_error(err);
    g_assert_true(ok);
    g_assert_true(yc_agent_client_is_connected(agent));
    return agent;
}

static void end(FakePeer *peer, YcAgentClient *agent)
{
    yc_agent_client_unref(agent);
    expect_nothing_left();
    fake_peer_free(peer);
}

static void expect_ping_error(YcAgentClient *agent, int timeout_ms,
                              YcError code, const char *words)
{
    GError *err = NULL;

    g_assert_false(yc_agent_client_ping(agent, timeout_ms, &err));
    expect_error(err, code, words);
}

static void test_good(void)
{
    FakePeer *peer = fake_peer_new(play_good, NULL);
    YcAgentClient *agent = agent_connected(peer);
    g_autoptr(json_object) arguments =
        json_parse("{\"mode\": \"x\", \"n\": 1}", &error_abort);
    json_object *result = NULL;
    g_autofree char *text = NULL;
    GError *err = NULL;

    g_assert_true(yc_agent_client_ping(agent, 0, NULL));
    g_assert_true(
        yc_agent_client_execute(agent, "guest-x", arguments, 0, &result, NULL));
    text = json_to_string(result, false);
    g_assert_cmpstr(text, ==, "{\"mode\": \"x\", \"n\": 1}");
    json_object_put(result);
    g_assert_false(yc_agent_client_connect(agent, 0, &err));
    expect_error(err, YC_ERROR_INVALID, "while it is connected");
    end(peer, agent);
}

#define NOT_FOUND                                                              \
    "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"x\"}}\n"

/* An agent that knows guest-sync only. */
static void play_old(FakePeer *peer, void *opaque)
{
    char *id;

    while ((id = take_sync(peer)) != NULL) {
        g_free(id);
        fake_send(peer, opaque);
        fake_send(peer, NOT_FOUND);
        if (sync_up_plain(peer)) {
            g_free(fake_line(peer));
            fake_send(peer, "{\"return\": {}}\n");
        }
    }
}

static void test_old(void)
{
    /* Other output: none, after the byte 0xFF, replies to earlier commands. */
    static char said[][80] = {
        "", "{\"error\": {\"class\": \"GenericError\", \"desc\": \"stray\"}}\n",
        "{\"return\": [\"late\"]}\n"};

    for (size_t i = 0; i < G_N_ELEMENTS(said); i++) {
        FakePeer *peer = fake_peer_new(play_old, said[i]);
        YcAgentClient *agent = agent_connected(peer);

        g_assert_true(yc_agent_client_ping(agent, 0, NULL));
        g_assert_true(yc_agent_client_ping(agent, 0, NULL));
        end(peer, agent);
    }
}

/* A current agent, which refuses the command before late. */
static void play_refuses_late(FakePeer *peer, void *opaque)
{
    g_autofree char *id = take_sync(peer);

    fake_send(peer, NOT_FOUND);
    answer_sync(peer, id);
    if (sync_up_plain(peer)) {
        g_free(fake_line(peer));
        fake_send(peer, "{\"return\": {}}\n");
    }
    fake_until_closed(peer);
}

static void test_refuses_late(void)
{
    FakePeer *peer = fake_peer_new(play_refuses_late, NULL);
    YcAgentClient *agent = agent_connected(peer);

    g_assert_true(yc_agent_client_ping(agent, 0, NULL));
    end(peer, agent);
}

/* An agent as a text, sent after each line of the client's; %s: the id. */
typedef struct Script {
    const char *to_sync;
    const char *to_command;
    YcError code; /* 0: it works */
    const char *words;
} Script;

static void play_script(FakePeer *peer, void *opaque)
{
    const Script *script = opaque;
    g_autofree char *id = NULL;

    while ((id = take_sync(peer)) != NULL) {
        g_auto(GStrv) parts = g_strsplit(script->to_sync, "%s", 2);
        g_autofree char *text = g_strjoinv(id, parts);

        fake_send(peer, text);
        g_clear_pointer(&id, g_free);
        if (script->to_command) {
            g_free(fake_line(peer));
            fake_send(peer, script->to_command);
        }
    }
}

#define SYNCED "\xff{\"return\": %s}\n"
#define NOT_SYNCED                                                             \
    YC_ERROR_TIMEOUT, "the guest agent did not synchronise within 100 ms: "    \
                      "'guest-ping' was not sent"

static const Script scripts[] = {
    /* Whatever was said before the delimiter is no concern of ours. */
    {"{\"return\": 1}{\"ret\xff{\"return\": %s}\n", "{\"return\": {}}", 0,
     NULL},
    {"garbage \x01 }}}]\xff\xff{\"return\": %s}", "{\"return\": {}}\n", 0,
     NULL},
    {"\xff{\"return\": 5}\xff{\"return\": %s}\n", "{\"return\": {}}", 0, NULL},
    {"\xff  {\"return\": %s}\n", "{\"return\": []}\n", 0, NULL},
    /* Lies. */
    {"", NULL, NOT_SYNCED},
    {"{\"return\": %s}\n", NULL, NOT_SYNCED},
    {"\xff{\"return\": 5}\n", NULL, NOT_SYNCED},
    {"\xff{\"return\": \"%s\"}\n", NULL, NOT_SYNCED},
    {"\xff{\"return\": 1%s}\n", NULL, NOT_SYNCED},
    {"\xff{\"execute\": \"guest-sync-delimited\", \"arguments\": {\"id\": "
     "%s}}\n",
     NULL, NOT_SYNCED},
    {"\xff[%s]\n", NULL, NOT_SYNCED},
    {"\xff{\"return\": ", NULL, NOT_SYNCED},
    {"\xff\xff\xff\xff", NULL, NOT_SYNCED},
    {NOT_FOUND, "", YC_ERROR_TIMEOUT, "did not synchronise within 500 ms"},
    {NOT_FOUND, NOT_FOUND, YC_ERROR_TIMEOUT, "did not synchronise"},
    {SYNCED, "", YC_ERROR_TIMEOUT,
     "the guest agent did not answer within 500 ms: 'guest-ping'"},
    {SYNCED, "{\"return\": ", YC_ERROR_TIMEOUT, "did not answer"},
    {SYNCED, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}",
     YC_ERROR_QMP_GENERIC, "no"},
    {SYNCED, "{\"error\": 7}", YC_ERROR_PROTOCOL, "malformed error: 7"},
    {SYNCED, "{}", YC_ERROR_PROTOCOL,
     "the guest agent answered 'guest-ping' with {}"},
    {SYNCED, "[]", YC_ERROR_PROTOCOL, "'guest-ping' with []"},
    {SYNCED, "null\n", YC_ERROR_PROTOCOL, "'guest-ping' with null"},
    {SYNCED, "%@\x1b", YC_ERROR_PROTOCOL, "with JSON parse error"},
    {SYNCED, "\xff", YC_ERROR_PROTOCOL, "stray '\\xff'"},
};

static int script_ms(const Script *script)
{
    if (script->code != YC_ERROR_TIMEOUT) {
        return FAKE_DEADLINE_MS;
    }
    return script->to_command ? MIDDLE_MS : SHORT_MS;
}

static void test_scripts(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        const Script *script = &scripts[i];
        FakePeer *peer = fake_peer_new(play_script, (void *)script);
        YcAgentClient *agent = agent_connected(peer);

        if (script->code) {
            expect_ping_error(agent, script_ms(script), script->code,
                              script->words);
        } else {
            g_assert_true(yc_agent_client_ping(agent, 0, NULL));
            g_assert_true(yc_agent_client_ping(agent, 0, NULL));
        }
        end(peer, agent);
    }
}

/* Echoes, as a guest without an agent whose console is on that port. */
static void play_echo(FakePeer *peer, void *opaque)
{
    char *line;

    while ((line = fake_line(peer)) != NULL) {
        fake_send(peer, line);
        fake_send(peer, "\r\n");
        g_free(line);
    }
}

static void test_echo(void)
{
    FakePeer *peer = fake_peer_new(play_echo, NULL);
    YcAgentClient *agent = agent_connected(peer);

    expect_ping_error(agent, SHORT_MS, NOT_SYNCED);
    end(peer, agent);
}

static void play_endless(FakePeer *peer, void *opaque)
{
    g_autofree char *piece = g_strnfill(64 * KiB, 'x');

    g_free(take_sync(peer));
    fake_send(peer, opaque);
    while (fake_try_send(peer, piece, 64 * KiB)) {
    }
}

/* Data without an end: neither memory nor time without bounds. */
static void test_endless(void)
{
    static char texts[][8] = {"", "\xff", "\xff\"", "\xff["};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        FakePeer *peer = fake_peer_new(play_endless, texts[i]);
        YcAgentClient *agent = agent_connected(peer);

        expect_ping_error(agent, SHORT_MS, NOT_SYNCED);
        end(peer, agent);
    }
}

static void play_long_sync(FakePeer *peer, void *opaque)
{
    g_autofree char *spaces = g_strnfill(200000, ' ');
    g_autofree char *id = take_sync(peer);
    g_autofree char *text =
        g_strdup_printf("\xff%s{\"return\": %s}\n", spaces, id);

    fake_send(peer, text);
    fake_until_closed(peer);
}

/* The answer stands right behind the delimiter, or is none. */
static void test_long_sync(void)
{
    FakePeer *peer = fake_peer_new(play_long_sync, NULL);
    YcAgentClient *agent = agent_connected(peer);

    expect_ping_error(agent, SHORT_MS, NOT_SYNCED);
    end(peer, agent);
}

static void play_endless_answer(FakePeer *peer, void *opaque)
{
    g_autofree char *piece = g_strnfill(64 * KiB, 'x');

    sync_up(peer);
    g_free(fake_line(peer));
    fake_send(peer, "{\"return\": \"");
    while (fake_try_send(peer, piece, 64 * KiB)) {
    }
}

static void test_endless_answer(void)
{
    FakePeer *peer = fake_peer_new(play_endless_answer, NULL);
    YcAgentClient *agent = agent_connected(peer);

    expect_ping_error(agent, FAKE_DEADLINE_MS, YC_ERROR_PROTOCOL,
                      "JSON message size limit (64 MiB)");
    end(peer, agent);
}

/* Sleeps over the first command, and answers it late. */
static void play_late(FakePeer *peer, void *opaque)
{
    g_autofree char *first = NULL, *second = NULL;

    g_assert_true(sync_up(peer));
    first = fake_line(peer);
    g_assert_nonnull(strstr(first, "slow"));
    fake_wait(peer);
    fake_send(peer, "{\"return\": \"slow\"}\n");
    /* Twice, even. */
    fake_send(peer, "{\"return\": \"slow\"}\n");
    g_assert_true(sync_up(peer));
    second = fake_line(peer);
    g_assert_nonnull(strstr(second, "quick"));
    fake_send(peer, "{\"return\": \"quick\"}\n");
    fake_until_closed(peer);
}

/* The answer to one command is never taken for that to another. */
static void test_late(void)
{
    FakePeer *peer = fake_peer_new(play_late, NULL);
    YcAgentClient *agent = agent_connected(peer);
    json_object *result = NULL;
    GError *err = NULL;

    g_assert_false(yc_agent_client_execute(agent, "guest-slow", NULL, MIDDLE_MS,
                                           NULL, &err));
    expect_error(err, YC_ERROR_TIMEOUT, "did not answer within 500 ms");
    fake_peer_go(peer);
    g_assert_true(
        yc_agent_client_execute(agent, "guest-quick", NULL, 0, &result, NULL));
    g_assert_cmpstr(json_object_get_string(result), ==, "quick");
    json_object_put(result);
    end(peer, agent);
}

/* Answers, by what became of them. */
static void count_answer(json_object *result, const GError *err, void *data)
{
    int *counts = data;

    json_object_put(result);
    __atomic_fetch_add(&counts[err ? err->code : 0], 1, __ATOMIC_RELEASE);
}

static void wait_count(int *count, int value)
{
    int64_t end = g_get_monotonic_time() + FAKE_DEADLINE_MS * INT64_C(1000);

    while (__atomic_load_n(count, __ATOMIC_ACQUIRE) != value) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_thread_yield();
    }
}

/* Silent: reads all, and counts the lines for the test. */
static void play_silent(FakePeer *peer, void *opaque)
{
    char *line;

    while ((line = fake_line(peer)) != NULL) {
        g_assert_nonnull(strstr(line, "guest-sync-delimited"));
        g_free(line);
    }
}

/* Commands wait for each other; those that only waited are never sent. */
static void test_queue(void)
{
    FakePeer *peer = fake_peer_new(play_silent, NULL);
    YcAgentClient *agent = agent_connected(peer);
    int counts[YC_ERROR_QMP_KVM_MISSING_CAP + 1] = {0};

    yc_agent_client_execute_async(agent, "guest-first", NULL, SHORT_MS * 2,
                                  count_answer, counts, NULL);
    expect_ping_error(agent, SHORT_MS, YC_ERROR_TIMEOUT,
                      "'guest-ping' was not sent within 100 ms: the guest "
                      "agent is busy with 'guest-first'");
    wait_count(&counts[YC_ERROR_TIMEOUT], 1);
    for (int i = 0; i < 20; i++) {
        yc_agent_client_execute_async(agent, "guest-x", NULL, 0, count_answer,
                                      counts, NULL);
    }
    yc_agent_client_disconnect(agent);
    wait_count(&counts[YC_ERROR_CLOSED], 20);
    g_assert_false(yc_agent_client_is_connected(agent));
    expect_ping_error(agent, 0, YC_ERROR_CLOSED, "is not connected");
    end(peer, agent);
}

/* Answers what it is asked, but first it reads no further than the first. */
static void play_stopped(FakePeer *peer, void *opaque)
{
    char *line;

    g_assert_true(sync_up(peer));
    fake_wait(peer);
    while ((line = fake_line(peer)) != NULL) {
        g_assert_null(strstr(line, "guest-x"));
        if (strstr(line, "guest-ping")) {
            fake_send(peer, "{\"return\": {}}\n");
        } else if (line[0] == '\xff') {
            answer_sync_line(peer, line);
        } else {
            g_assert_nonnull(strstr(line, "guest-big"));
        }
        g_free(line);
    }
}

/* A guest that does not read holds back half a command, and no more. */
static void test_stopped(void)
{
    g_autofree char *text = g_strnfill(4 * MiB, 'x');
    g_autoptr(json_object) arguments = json_object_new_object();
    FakePeer *peer = fake_peer_new(play_stopped, NULL);
    YcAgentClient *agent = agent_connected(peer);
    int counts[YC_ERROR_QMP_KVM_MISSING_CAP + 1] = {0};

    json_object_object_add(arguments, "text", json_object_new_string(text));
    yc_agent_client_execute_async(agent, "guest-big", arguments, SHORT_MS,
                                  count_answer, counts, NULL);
    yc_agent_client_execute_async(agent, "guest-x", NULL, SHORT_MS * 2,
                                  count_answer, counts, NULL);
    wait_count(&counts[YC_ERROR_TIMEOUT], 2);
    fake_peer_go(peer);
    g_assert_true(yc_agent_client_ping(agent, 0, NULL));
    end(peer, agent);
}

static void play_gone(FakePeer *peer, void *opaque)
{
    g_free(take_sync(peer));
}

static void note_state(bool connected, const GError *why, void *data)
{
    int *n = data;

    g_assert_true(connected == !why);
    g_assert_true(connected == !(*n & 1));
    __atomic_fetch_add(n, 1, __ATOMIC_RELEASE);
}

/* The socket goes away in the midst of it, and comes back when asked to. */
static void test_gone(void)
{
    FakePeer *peer = fake_peer_new(play_gone, NULL);
    YcAgentClient *agent = yc_agent_client_new(fake_peer_address(peer), NULL);
    int n_states = 0;

    yc_agent_client_set_state_fn(agent, note_state, &n_states, NULL);
    for (int i = 0; i < 10; i++) {
        g_assert_true(yc_agent_client_connect(agent, 0, NULL));
        expect_ping_error(agent, 0, YC_ERROR_CLOSED,
                          "'guest-ping' has no answer");
        g_assert_false(yc_agent_client_is_connected(agent));
    }
    wait_count(&n_states, 20);
    end(peer, agent);
}

static void test_no_connection(void)
{
    g_autoptr(YcAgentClient) agent = yc_agent_client_new("/none/x", NULL);
    GError *err = NULL;

    g_assert_false(yc_agent_client_connect(agent, 0, &err));
    expect_error(err, YC_ERROR_CONNECT, "'/none/x'");
    expect_ping_error(agent, 0, YC_ERROR_CLOSED, "No such file");
    g_assert_null(yc_agent_client_new("x", NULL));
    yc_agent_client_unref(g_steal_pointer(&agent));
    expect_nothing_left();
}

static void unref_in_answer(json_object *result, const GError *err, void *data)
{
    json_object_put(result);
    yc_agent_client_unref(data);
}

static void test_unref_in_callback(void)
{
    FakePeer *peer = fake_peer_new(play_good, NULL);
    YcAgentClient *agent = agent_connected(peer);

    yc_agent_client_execute_async(agent, "guest-x", NULL, 0, unref_in_answer,
                                  agent, NULL);
    expect_nothing_left();
    fake_peer_free(peer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/agent/good", test_good);
    g_test_add_func("/client/agent/old", test_old);
    g_test_add_func("/client/agent/refuses-late", test_refuses_late);
    g_test_add_func("/client/agent/scripts", test_scripts);
    g_test_add_func("/client/agent/echo", test_echo);
    g_test_add_func("/client/agent/endless", test_endless);
    g_test_add_func("/client/agent/long-sync", test_long_sync);
    g_test_add_func("/client/agent/endless-answer", test_endless_answer);
    g_test_add_func("/client/agent/late", test_late);
    g_test_add_func("/client/agent/queue", test_queue);
    g_test_add_func("/client/agent/stopped", test_stopped);
    g_test_add_func("/client/agent/gone", test_gone);
    g_test_add_func("/client/agent/no-connection", test_no_connection);
    g_test_add_func("/client/agent/unref-in-callback", test_unref_in_callback);
    return g_test_run();
}
