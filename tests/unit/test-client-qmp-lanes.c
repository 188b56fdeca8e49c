/*
 * QMP client: in-band requests that wait, out-of-band ones that do not, and
 * what becomes of each when its deadline passes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-peer.h"

/* A deadline that is to pass, and one that is to pass only in the end. */
#define SHORT_MS 200
#define MIDDLE_MS 500
/* As many as a stock server may have unanswered. */
#define MAX_IN_BAND 7

/* Answers, counted. */
typedef struct Tally {
    int ok;
    int timeouts;
    int closed;
    int others;
} Tally;

static void tally_answer(json_object *result, const GError *err, void *data)
{
    Tally *tally = data;
    int *n = &tally->others;

    if (!err) {
        n = &tally->ok;
    } else if (err->code == YC_ERROR_TIMEOUT) {
        n = &tally->timeouts;
    } else if (err->code == YC_ERROR_CLOSED) {
        n = &tally->closed;
    }
    __atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
    json_object_put(result);
}

static void wait_tally(int *n, int value)
{
    int64_t end = g_get_monotonic_time() + FAKE_DEADLINE_MS * INT64_C(1000);

    while (__atomic_load_n(n, __ATOMIC_ACQUIRE) != value) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_thread_yield();
    }
}

static YcQmpClient *client_connected(FakePeer *peer)
{
    YcQmpClient *client = yc_qmp_client_new(fake_peer_address(peer), NULL);
    GError *err = NULL;
    bool ok = yc_qmp_client_connect(client, FAKE_DEADLINE_MS, &err);

    g_assert_no_error(err);
    g_assert_true(ok);
    return client;
}

static void end(FakePeer *peer, YcQmpClient *client)
{
    yc_qmp_client_unref(client);
    expect_nothing_left();
    fake_peer_free(peer);
}

static void request(YcQmpClient *client, YcQmpLane lane, const char *command,
                    int timeout_ms, Tally *tally)
{
    yc_qmp_client_execute_async(client, lane, command, NULL, timeout_ms,
                                tally_answer, tally, NULL);
}

/* Takes @n requests, all called @command. */
static void take(FakePeer *peer, json_object **reqs, int n, const char *command)
{
    for (int i = 0; i < n; i++) {
        reqs[i] = fake_request(peer);
        g_assert_cmpstr(fake_member(reqs[i], "execute"), ==, command);
    }
}

static void answer(FakePeer *peer, json_object *req)
{
    fake_answer(peer, req, "{}");
    json_object_put(req);
}

/* As a stock server that hangs: in-band is not answered, out-of-band is. */
static void play_hang(FakePeer *peer, void *opaque)
{
    json_object *reqs[MAX_IN_BAND], *oob, *next;

    fake_negotiate(peer, FAKE_GREETING);
    take(peer, reqs, MAX_IN_BAND, "in");
    g_assert_true(fake_is_quiet(peer));
    fake_tell(peer);
    oob = fake_request(peer);
    g_assert_cmpstr(fake_member(oob, "exec-oob"), ==, "yank");
    answer(peer, oob);
    /* One is answered, and one more comes. */
    g_assert_true(fake_is_quiet(peer));
    answer(peer, reqs[3]);
    next = fake_request(peer);
    g_assert_cmpstr(fake_member(next, "execute"), ==, "in");
    g_assert_true(fake_is_quiet(peer));
    answer(peer, next);
    reqs[3] = NULL;
    for (int i = 0; i < MAX_IN_BAND; i++) {
        if (reqs[i]) {
            answer(peer, reqs[i]);
        }
    }
    fake_echo(peer);
}

static void test_in_band_limit(void)
{
    FakePeer *peer = fake_peer_new(play_hang, NULL);
    YcQmpClient *client = client_connected(peer);
    Tally tally = {0};

    for (int i = 0; i < 20; i++) {
        request(client, YC_QMP_IN_BAND, "in", 0, &tally);
    }
    fake_peer_hear(peer);
    /* While thirteen wait. */
    g_assert_true(
        yc_qmp_client_execute(client, YC_QMP_OOB, "yank", NULL, 0, NULL, NULL));
    wait_tally(&tally.ok, 20);
    end(peer, client);
}

static void play_no_limit(FakePeer *peer, void *opaque)
{
    json_object *reqs[20];

    fake_negotiate(peer, FAKE_GREETING_YANKD);
    take(peer, reqs, 20, "in");
    for (int i = 20; i-- > 0;) {
        answer(peer, reqs[i]);
    }
    fake_until_closed(peer);
}

/* yankd goes on reading; and answers may come in any order. */
static void test_no_limit_on_yankd(void)
{
    FakePeer *peer = fake_peer_new(play_no_limit, NULL);
    YcQmpClient *client = client_connected(peer);
    Tally tally = {0};

    for (int i = 0; i < 20; i++) {
        request(client, YC_QMP_IN_BAND, "in", 0, &tally);
    }
    wait_tally(&tally.ok, 20);
    end(peer, client);
}

static void play_late(FakePeer *peer, void *opaque)
{
    json_object *reqs[MAX_IN_BAND];
    g_autoptr(json_object) req = NULL;

    fake_negotiate(peer, FAKE_GREETING);
    take(peer, reqs, MAX_IN_BAND, "in");
    fake_wait(peer);
    /* All deadlines have passed: what only waited never comes. */
    g_assert_true(fake_is_quiet(peer));
    for (int i = 0; i < MAX_IN_BAND; i++) {
        answer(peer, reqs[i]);
    }
    req = fake_request(peer);
    g_assert_cmpstr(fake_member(req, "execute"), ==, "after");
    fake_answer(peer, req, "{}");
    fake_until_closed(peer);
}

static void test_deadlines(void)
{
    FakePeer *peer = fake_peer_new(play_late, NULL);
    YcQmpClient *client = client_connected(peer);
    Tally tally = {0};
    GError *err = NULL;

    for (int i = 0; i < MAX_IN_BAND; i++) {
        request(client, YC_QMP_IN_BAND, "in", MIDDLE_MS, &tally);
    }
    for (int i = 0; i < 10; i++) {
        request(client, YC_QMP_IN_BAND, "never", SHORT_MS / 2, &tally);
    }
    wait_tally(&tally.timeouts, MAX_IN_BAND + 10);
    /* What is unanswered still counts, though nobody waits for it. */
    g_assert_false(yc_qmp_client_execute(client, YC_QMP_IN_BAND, "never", NULL,
                                         SHORT_MS, NULL, &err));
    expect_error(err, YC_ERROR_TIMEOUT,
                 "'never' was not sent within 200 ms: 7 in-band commands are "
                 "unanswered, 'in' for ");
    fake_peer_go(peer);
    g_assert_true(yc_qmp_client_execute(client, YC_QMP_IN_BAND, "after", NULL,
                                        0, NULL, NULL));
    g_assert_cmpint(yc_qmp_client_dropped(client, YC_QMP_DROPPED_LATE), ==,
                    MAX_IN_BAND);
    g_assert_cmpint(yc_qmp_client_dropped(client, YC_QMP_DROPPED_UNKNOWN_ID),
                    ==, 0);
    end(peer, client);
}

static void play_unknown(FakePeer *peer, void *opaque)
{
    fake_negotiate(peer, FAKE_GREETING);
    fake_send(peer, "{\"return\": {}, \"id\": 99}{\"return\": {}, \"id\": []}"
                    "{\"return\": {}}");
    fake_echo(peer);
}

static void test_unknown_ids(void)
{
    FakePeer *peer = fake_peer_new(play_unknown, NULL);
    YcQmpClient *client = client_connected(peer);

    g_assert_true(
        yc_qmp_client_execute(client, YC_QMP_OOB, "x", NULL, 0, NULL, NULL));
    g_assert_cmpint(yc_qmp_client_dropped(client, YC_QMP_DROPPED_UNKNOWN_ID),
                    ==, 3);
    g_assert_cmpint(yc_qmp_client_dropped(client, YC_QMP_DROPPED_LATE), ==, 0);
    end(peer, client);
}

/* A process that is stopped: its socket takes only so much. */
static void play_stopped(FakePeer *peer, void *opaque)
{
    g_autofree char *big = NULL, *rest = NULL;

    fake_negotiate(peer, FAKE_GREETING);
    fake_wait(peer);
    big = fake_line(peer);
    if (big) {
        g_assert_nonnull(strstr(big, "\"big\""));
        rest = fake_line(peer);
        g_assert_nonnull(strstr(rest, "\"after\""));
        fake_tell(peer);
    }
}

static void send_big(YcQmpClient *client, Tally *tally)
{
    g_autofree char *text = g_strnfill(4 * MiB, 'x');
    g_autoptr(json_object) arguments = json_object_new_object();

    json_object_object_add(arguments, "text", json_object_new_string(text));
    yc_qmp_client_execute_async(client, YC_QMP_OOB, "big", arguments, MIDDLE_MS,
                                tally_answer, tally, NULL);
}

static void test_stopped(void)
{
    FakePeer *peer = fake_peer_new(play_stopped, NULL);
    YcQmpClient *client = client_connected(peer);
    Tally tally = {0};
    GError *err = NULL;

    send_big(client, &tally);
    /* Behind half of another: gone when its deadline has passed. */
    g_assert_false(yc_qmp_client_execute(client, YC_QMP_OOB, "yank", NULL,
                                         SHORT_MS, NULL, &err));
    expect_error(err, YC_ERROR_TIMEOUT,
                 "'yank' was not sent within 200 ms: the server does not read");
    wait_tally(&tally.timeouts, 1);
    request(client, YC_QMP_OOB, "after", 0, &tally);
    fake_peer_go(peer);
    fake_peer_hear(peer);
    end(peer, client);
}

static void play_fill(FakePeer *peer, void *opaque)
{
    char *line;

    fake_negotiate(peer, FAKE_GREETING);
    fake_wait(peer);
    /* Whole requests only, up to the one that tells that all is there. */
    while ((line = fake_line(peer)) != NULL && !strstr(line, "\"last\"")) {
        g_assert_nonnull(strstr(line, "\"ping\""));
        g_assert_true(g_str_has_suffix(line, "}"));
        g_free(line);
    }
    g_assert_nonnull(line);
    g_free(line);
    fake_tell(peer);
}

/* Small ones until the socket is full: those that did not leave are gone. */
static void test_fill(void)
{
    FakePeer *peer = fake_peer_new(play_fill, NULL);
    YcQmpClient *client = client_connected(peer);
    Tally tally = {0};

    for (int i = 0; i < 10000; i++) {
        request(client, YC_QMP_OOB, "ping", SHORT_MS, &tally);
    }
    wait_tally(&tally.timeouts, 10000);
    request(client, YC_QMP_OOB, "last", 0, &tally);
    fake_peer_go(peer);
    fake_peer_hear(peer);
    end(peer, client);
}

/* Requests of which the client remembers that they were sent. */
#define REMEMBERED 8192
#define ASKED (REMEMBERED + 1000)

static void free_json(gpointer value)
{
    json_object_put(value);
}

/* Answers all that came at once, when it hears the last. */
static void play_owes(FakePeer *peer, void *opaque)
{
    int *n = opaque;
    g_autoptr(GPtrArray) reqs = g_ptr_array_new_with_free_func(free_json);
    json_object *req;

    fake_negotiate(peer, FAKE_GREETING);
    do {
        req = fake_request(peer);
        g_ptr_array_add(reqs, req);
    } while (!g_str_equal(fake_member(req, "exec-oob"), "last"));
    *n = reqs->len - 1;
    for (guint i = 0; i < reqs->len; i++) {
        fake_answer(peer, reqs->pdata[i], "{}");
    }
    fake_until_closed(peer);
}

/* A server may owe answers for ever, and costs no more memory for it. */
static void test_owes(void)
{
    int n;
    FakePeer *peer = fake_peer_new(play_owes, &n);
    YcQmpClient *client = client_connected(peer);
    guint64 late, unknown;
    Tally tally = {0};

    for (int i = 0; i < ASKED; i++) {
        request(client, YC_QMP_OOB, "x", 1000, &tally);
    }
    wait_tally(&tally.timeouts, ASKED);
    g_assert_true(
        yc_qmp_client_execute(client, YC_QMP_OOB, "last", NULL, 0, NULL, NULL));
    late = yc_qmp_client_dropped(client, YC_QMP_DROPPED_LATE);
    unknown = yc_qmp_client_dropped(client, YC_QMP_DROPPED_UNKNOWN_ID);
    yc_qmp_client_unref(client);
    expect_nothing_left();
    fake_peer_free(peer);
    /* A slow machine may not have sent them all in time. */
    g_assert_cmpint(late, ==, MIN(n, REMEMBERED));
    g_assert_cmpint(late + unknown, ==, n);
}

static void play_last_words(FakePeer *peer, void *opaque)
{
    json_object *req;

    fake_negotiate(peer, FAKE_GREETING);
    req = fake_request(peer);
    fake_wait(peer);
    answer(peer, req);
}

/*
 * The server answers and is gone, while the client goes on sending: what it
 * said last still counts.
 */
static void test_last_words(void)
{
    for (int i = 0; i < 50; i++) {
        FakePeer *peer = fake_peer_new(play_last_words, NULL);
        YcQmpClient *client = client_connected(peer);
        Tally quit = {0}, others = {0};

        request(client, YC_QMP_IN_BAND, "quit", 0, &quit);
        fake_peer_go(peer);
        for (int n = 0; n < 20; n++) {
            request(client, YC_QMP_OOB, "x", 0, &others);
        }
        wait_tally(&quit.ok, 1);
        wait_tally(&others.closed, 20);
        end(peer, client);
    }
}

static void play_gone(FakePeer *peer, void *opaque)
{
    fake_negotiate(peer, FAKE_GREETING);
    fake_wait(peer);
}

/* Sent, waiting here, and asked for afterwards: all hear of the end. */
static void test_lost(void)
{
    FakePeer *peer = fake_peer_new(play_gone, NULL);
    YcQmpClient *client = client_connected(peer);
    Tally tally = {0};
    GError *err = NULL;

    for (int i = 0; i < 20; i++) {
        request(client, YC_QMP_IN_BAND, "in", 0, &tally);
        request(client, YC_QMP_OOB, "oob", 0, &tally);
    }
    fake_peer_go(peer);
    wait_tally(&tally.closed, 40);
    g_assert_cmpint(yc_qmp_client_state(client), ==, YC_QMP_DISCONNECTED);
    g_assert_false(
        yc_qmp_client_execute(client, YC_QMP_OOB, "x", NULL, 0, NULL, &err));
    expect_error(err, YC_ERROR_CLOSED, "the client is disconnected: ");
    end(peer, client);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/lanes/in-band-limit", test_in_band_limit);
    g_test_add_func("/client/lanes/no-limit-on-yankd", test_no_limit_on_yankd);
    g_test_add_func("/client/lanes/deadlines", test_deadlines);
    g_test_add_func("/client/lanes/unknown-ids", test_unknown_ids);
    g_test_add_func("/client/lanes/stopped", test_stopped);
    g_test_add_func("/client/lanes/fill", test_fill);
    g_test_add_func("/client/lanes/owes", test_owes);
    g_test_add_func("/client/lanes/last-words", test_last_words);
    g_test_add_func("/client/lanes/lost", test_lost);
    return g_test_run();
}
