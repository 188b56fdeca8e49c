/*
 * QMP client against servers that are none, or bad, or go away: each ends in
 * an error that says so, within the deadline.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include "client-fake-peer.h"

/* A deadline that is to pass, and one that is to pass only in the end. */
#define SHORT_MS 200
#define MIDDLE_MS 500

static YcQmpClient *client_new(FakePeer *peer)
{
    YcQmpClient *client = yc_qmp_client_new(fake_peer_address(peer), NULL);

    g_assert_nonnull(client);
    return client;
}

static void expect_connect_error(FakePeer *peer, int timeout_ms, YcError code,
                                 const char *words)
{
    g_autoptr(YcQmpClient) client = client_new(peer);
    GError *err = NULL;

    g_assert_false(yc_qmp_client_connect(client, timeout_ms, &err));
    g_assert_cmpint(yc_qmp_client_state(client), ==, YC_QMP_DISCONNECTED);
    g_assert_nonnull(strstr(err->message, fake_peer_address(peer)));
    expect_error(err, code, words);
}

/* A server as a text: what it says, and whether it goes on listening. */
typedef struct Script {
    const char *greeting;
    const char *after; /* sent after the client's first line; NULL: nothing */
    bool stays;
    int timeout_ms;
    YcError code;
    const char *words;
} Script;

static void play_script(FakePeer *peer, void *opaque)
{
    const Script *script = opaque;

    fake_send(peer, script->greeting);
    if (script->after) {
        g_free(fake_line(peer));
        fake_send(peer, script->after);
    }
    if (script->stays) {
        fake_until_closed(peer);
    }
}

#define HALF "{\"QMP\": {\"version\": "
#define REFUSAL                                                                \
    "{\"error\": {\"class\": \"GenericError\", \"desc\": \"go\\u001b away\"}"

static const Script scripts[] = {
    {"", NULL, true, SHORT_MS, YC_ERROR_NO_GREETING,
     "no greeting within 200 ms: it is no QMP server, or it serves another "
     "client"},
    {HALF, NULL, true, SHORT_MS, YC_ERROR_NO_GREETING,
     "sent 20 bytes, but no whole greeting within 200 ms"},
    {"  \r\n ", NULL, true, SHORT_MS, YC_ERROR_NO_GREETING, "sent 5 bytes"},
    {"", NULL, false, 0, YC_ERROR_CLOSED,
     "the peer closed the connection before its greeting"},
    {HALF, NULL, false, 0, YC_ERROR_CLOSED, "before its greeting"},
    {"{}", NULL, true, 0, YC_ERROR_PROTOCOL,
     "this is no QMP server: it greets with {}"},
    {"{\"QMP\": []}", NULL, true, 0, YC_ERROR_PROTOCOL, "no QMP server"},
    {"{\"event\": 1}", NULL, true, 0, YC_ERROR_PROTOCOL,
     "it greets with {\"event\": 1}"},
    {"{\"event\": \"RESET\"}", NULL, true, MIDDLE_MS, YC_ERROR_NO_GREETING,
     "no greeting within 500 ms"},
    {"{\"event\": \"RESET\"}" FAKE_GREETING, "", true, MIDDLE_MS,
     YC_ERROR_NO_NEGOTIATION, "greeted"},
    {"null ", NULL, true, 0, YC_ERROR_PROTOCOL, "it greets with null"},
    {"1 ", NULL, true, 0, YC_ERROR_PROTOCOL, "it greets with 1"},
    {"SSH-2.0-OpenSSH_9.2\r\n", NULL, true, 0, YC_ERROR_PROTOCOL,
     "this is no QMP server: JSON parse error"},
    {"\x16\x03\x01", NULL, true, 0, YC_ERROR_PROTOCOL, "no QMP server"},
    {"\xff", NULL, true, 0, YC_ERROR_PROTOCOL, "stray '\\xff'"},
    {"}", NULL, true, 0, YC_ERROR_PROTOCOL, "JSON parse error"},
    {FAKE_GREETING, "", true, MIDDLE_MS, YC_ERROR_NO_NEGOTIATION,
     "greeted, but did not answer qmp_capabilities within 500 ms: its main "
     "loop hangs"},
    {FAKE_GREETING, "", false, 0, YC_ERROR_CLOSED,
     "the peer closed the connection during negotiation"},
    {FAKE_GREETING, "{\"return\": {}, \"id\": 1", true, MIDDLE_MS,
     YC_ERROR_NO_NEGOTIATION, "did not answer"},
    {FAKE_GREETING, "{\"return\": {}, \"id\": 1", false, 0, YC_ERROR_CLOSED,
     "during negotiation"},
    {FAKE_GREETING, "{\"return\": {}, \"id\": 2}", true, MIDDLE_MS,
     YC_ERROR_NO_NEGOTIATION, "did not answer"},
    {FAKE_GREETING, REFUSAL ", \"id\": 1}", true, 0, YC_ERROR_PROTOCOL,
     "refused qmp_capabilities: go\\x1b away"},
    {FAKE_GREETING, REFUSAL "}", true, 0, YC_ERROR_PROTOCOL,
     "refused qmp_capabilities: go\\x1b away"},
    {FAKE_GREETING, "{\"error\": 1, \"id\": 1}", true, 0, YC_ERROR_PROTOCOL,
     "sent a malformed error: 1"},
    {FAKE_GREETING, FAKE_GREETING, true, 0, YC_ERROR_PROTOCOL,
     "sent what is neither answer nor event: {\"QMP\": "},
    {FAKE_GREETING, "[]", true, 0, YC_ERROR_PROTOCOL, "event: []"},
    {FAKE_GREETING, "{\"return\": }", true, 0, YC_ERROR_PROTOCOL,
     "JSON parse error"},
    {FAKE_GREETING FAKE_GREETING, NULL, true, 0, YC_ERROR_PROTOCOL,
     "neither answer nor event"},
};

static void test_scripts(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        const Script *script = &scripts[i];
        FakePeer *peer = fake_peer_new(play_script, (void *)script);

        expect_connect_error(peer, script->timeout_ms ?: FAKE_DEADLINE_MS,
                             script->code, script->words);
        expect_nothing_left();
        fake_peer_free(peer);
    }
}

/* Ends never, if it is not made to. */
static void play_endless(FakePeer *peer, void *opaque)
{
    const char *piece = opaque;

    fake_send(peer, "{\"QMP\": {\"version\": \"");
    while (fake_try_send(peer, piece, strlen(piece))) {
    }
}

static void test_endless_greeting(void)
{
    static char string[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    FakePeer *peer = fake_peer_new(play_endless, string);

    expect_connect_error(peer, FAKE_DEADLINE_MS, YC_ERROR_PROTOCOL,
                         "sent more than 65536 bytes");
    expect_nothing_left();
    fake_peer_free(peer);
}

static void play_spaces(FakePeer *peer, void *opaque)
{
    while (fake_try_send(peer, "    ", 4)) {
    }
}

static void test_endless_spaces(void)
{
    FakePeer *peer = fake_peer_new(play_spaces, NULL);

    expect_connect_error(peer, FAKE_DEADLINE_MS, YC_ERROR_PROTOCOL,
                         "sent more than 65536 bytes");
    expect_nothing_left();
    fake_peer_free(peer);
}

/* Greets and negotiates; then answers the first request with a text. */
static void play_answer(FakePeer *peer, void *opaque)
{
    fake_negotiate(peer, FAKE_GREETING);
    g_free(fake_line(peer));
    fake_send(peer, opaque);
    fake_until_closed(peer);
}

static void expect_request_error(const char *text, int timeout_ms, YcError code,
                                 const char *words)
{
    FakePeer *peer = fake_peer_new(play_answer, (void *)text);
    YcQmpClient *client = client_new(peer);
    GError *err = NULL;

    g_assert_true(yc_qmp_client_connect(client, FAKE_DEADLINE_MS, NULL));
    g_assert_false(yc_qmp_client_execute(client, YC_QMP_IN_BAND, "foo", NULL,
                                         timeout_ms, NULL, &err));
    expect_error(err, code, words);
    yc_qmp_client_unref(client);
    expect_nothing_left();
    fake_peer_free(peer);
}

static void test_bad_answers(void)
{
    static const struct {
        const char *text;
        int timeout_ms;
        YcError code;
        const char *words;
    } cases[] = {
        {"", SHORT_MS, YC_ERROR_TIMEOUT,
         "'foo' was not answered within 200 ms"},
        {"{\"return\": {}, \"id\": 77}{\"return\": {}, \"id\": \"2\"}"
         "{\"return\": {}}{\"return\": {}, \"id\": 1}",
         SHORT_MS, YC_ERROR_TIMEOUT, "was not answered"},
        {"{\"id\": 2, \"error\": {\"class\": 1, \"desc\": \"x\"}}", 0,
         YC_ERROR_PROTOCOL, "sent a malformed error"},
        {"{\"id\": 2, \"error\": {\"class\": \"GenericError\"}}", 0,
         YC_ERROR_PROTOCOL, "sent a malformed error"},
        {"{\"id\": 2}", 0, YC_ERROR_CLOSED, "'foo' has no answer: unix:"},
        {"{\"id\": 2}", 0, YC_ERROR_CLOSED, "neither answer nor event"},
        {"{\"event\": 2}", 0, YC_ERROR_CLOSED, "neither answer nor event"},
        {"garbage\n", 0, YC_ERROR_CLOSED, "JSON parse error"},
        {"{\"return\": {}, \"return\": {}, \"id\": 2}", 0, YC_ERROR_CLOSED,
         "duplicate key"},
        {"{\"return\": \"\xc3\x28\", \"id\": 2}", 0, YC_ERROR_CLOSED,
         "JSON parse error"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        expect_request_error(cases[i].text,
                             cases[i].timeout_ms ?: FAKE_DEADLINE_MS,
                             cases[i].code, cases[i].words);
    }
}

static void test_deep_answer(void)
{
    g_autofree char *text = g_strnfill(2000, '[');

    expect_request_error(text, 0, YC_ERROR_CLOSED,
                         "JSON nesting depth limit (1024) exceeded");
}

typedef struct Huge {
    size_t n;
    bool ends;
} Huge;

static void play_huge(FakePeer *peer, void *opaque)
{
    const Huge *huge = opaque;
    g_autofree char *piece = g_strnfill(64 * KiB, 'x');
    size_t sent = 0;

    fake_negotiate(peer, FAKE_GREETING);
    g_free(fake_line(peer));
    fake_send(peer, "{\"id\": 2, \"return\": \"");
    while (sent < huge->n) {
        fake_send_len(peer, piece, MIN(64 * KiB, huge->n - sent));
        sent += 64 * KiB;
    }
    fake_send(peer, "\"}");
    fake_until_closed(peer);
}

static bool execute_huge(size_t n, size_t max_message, GError **errp)
{
    Huge huge = {.n = n};
    FakePeer *peer = fake_peer_new(play_huge, &huge);
    YcQmpClient *client = client_new(peer);
    json_object *result = NULL;
    bool ok;

    if (max_message) {
        yc_qmp_client_set_max_message(client, max_message);
    }
    g_assert_true(yc_qmp_client_connect(client, FAKE_DEADLINE_MS, NULL));
    ok = yc_qmp_client_execute(client, YC_QMP_IN_BAND, "foo", NULL,
                               FAKE_DEADLINE_MS, &result, errp);
    if (ok) {
        g_assert_cmpint(json_object_get_string_len(result), ==, n);
        json_object_put(result);
    }
    yc_qmp_client_unref(client);
    expect_nothing_left();
    fake_peer_free(peer);
    return ok;
}

static void test_huge_answer(void)
{
    GError *err = NULL;

    g_assert_true(execute_huge(4 * MiB, 0, NULL));
    g_assert_false(execute_huge(70 * MiB, 0, &err));
    expect_error(err, YC_ERROR_CLOSED, "JSON message size limit (64 MiB)");
    err = NULL;
    g_assert_false(execute_huge(MiB, 256 * KiB, &err));
    expect_error(err, YC_ERROR_CLOSED, "sent more than 262144 bytes");
}

/* The whole of a good conversation, for the server to break off anywhere. */
static const char *const conversation[] = {
    FAKE_GREETING,
    "{\"event\": \"E\"}\r\n{\"return\": {}, \"id\": 1}\r\n",
    "{\"return\": {\"a\": [1]}, \"id\": 2}\r\n",
};

static void play_cut(FakePeer *peer, void *opaque)
{
    size_t left = *(size_t *)opaque;

    for (size_t i = 0; i < G_N_ELEMENTS(conversation); i++) {
        size_t n = MIN(left, strlen(conversation[i]));

        if (i > 0) {
            g_free(fake_line(peer));
        }
        fake_send_len(peer, conversation[i], n);
        left -= n;
        if (!left) {
            return;
        }
    }
}

static size_t conversation_length(void)
{
    size_t len = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(conversation); i++) {
        len += strlen(conversation[i]);
    }
    return len;
}

static void ignore_event(const char *name, json_object *event, void *data)
{
    json_object_put(event);
}

/* A server that dies after any of its bytes. */
static void test_vanishes(void)
{
    size_t len = conversation_length(), n = 0;
    int ok = 0;
    FakePeer *peer = fake_peer_new(play_cut, &n);

    for (n = 1; n <= len; n++) {
        YcQmpClient *client = client_new(peer);
        GError *err = NULL;

        yc_qmp_client_set_event_fn(client, ignore_event, NULL, NULL);
        if (yc_qmp_client_connect(client, FAKE_DEADLINE_MS, &err) &&
            yc_qmp_client_execute(client, YC_QMP_OOB, "x", NULL,
                                  FAKE_DEADLINE_MS, NULL, &err)) {
            ok++;
        } else {
            g_assert_error(err, YC_ERROR, YC_ERROR_CLOSED);
            g_clear_error(&err);
        }
        yc_qmp_client_unref(client);
        expect_nothing_left();
    }
    /* Only what follows the last bracket may be missing. */
    g_assert_cmpint(ok, ==, 3);
    fake_peer_free(peer);
}

/* The client goes away at any moment. */
static void test_client_vanishes(void)
{
    size_t all = conversation_length();
    FakePeer *peer = fake_peer_new(play_cut, &all);

    for (int i = 0; i < 100; i++) {
        YcQmpClient *client = client_new(peer);

        yc_qmp_client_connect_async(client, 0, NULL, NULL, NULL);
        for (int spin = 0; spin < i * 100; spin++) {
            yc_qmp_client_state(client);
        }
        yc_qmp_client_unref(client);
    }
    expect_nothing_left();
    fake_peer_free(peer);
}

static void expect_no_connection(const char *address, int timeout_ms,
                                 const char *words)
{
    g_autoptr(YcQmpClient) client = yc_qmp_client_new(address, NULL);
    GError *err = NULL;

    g_assert_false(yc_qmp_client_connect(client, timeout_ms, &err));
    expect_error(err, YC_ERROR_CONNECT, words);
}

static void test_no_connection(void)
{
    g_autofree char *dir = g_dir_make_tmp("client-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "x", NULL);
    g_autofree char *words =
        g_strdup_printf("'%s': No such file or directory", path);
    g_autofree char *long_path = g_strnfill(200, '/');

    expect_no_connection(path, 0, words);
    expect_no_connection("127.0.0.1:1", 0, "Connection refused");
    expect_no_connection(long_path, 0, "108");
    expect_nothing_left();
    rmdir(dir);
}

/* A backlog that is full, as that of a frozen server. */
static void test_connect_deadline(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    g_autofree char *dir = g_dir_make_tmp("client-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "x", NULL);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(fd, 0), ==, 0);
    g_assert_cmpint(connect(first, (struct sockaddr *)&addr, sizeof(addr)), ==,
                    0);
    expect_no_connection(path, SHORT_MS,
                         "no connection within 200 ms: its process accepts no "
                         "client, perhaps because it serves another client");
    close(first);
    close(fd);
    expect_nothing_left();
    unlink(path);
    rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/hostile/scripts", test_scripts);
    g_test_add_func("/client/hostile/endless-greeting", test_endless_greeting);
    g_test_add_func("/client/hostile/endless-spaces", test_endless_spaces);
    g_test_add_func("/client/hostile/bad-answers", test_bad_answers);
    g_test_add_func("/client/hostile/deep-answer", test_deep_answer);
    g_test_add_func("/client/hostile/huge-answer", test_huge_answer);
    g_test_add_func("/client/hostile/vanishes", test_vanishes);
    g_test_add_func("/client/hostile/client-vanishes", test_client_vanishes);
    g_test_add_func("/client/hostile/no-connection", test_no_connection);
    g_test_add_func("/client/hostile/connect-deadline", test_connect_deadline);
    return g_test_run();
}
