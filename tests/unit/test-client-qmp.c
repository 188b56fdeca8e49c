/*
 * QMP client: connecting, and requests in both lanes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/resource.h>
#include "client-fake-peer.h"
#include "client/agent-client.h"
#include "qemu/thread.h"

static YcQmpClient *client_connected(FakePeer *peer)
{
    YcQmpClient *client = yc_qmp_client_new(fake_peer_address(peer), NULL);
    GError *err = NULL;
    bool ok = yc_qmp_client_connect(client, FAKE_DEADLINE_MS, &err);

    g_assert_no_error(err);
    g_assert_true(ok);
    return client;
}

/* Nothing is left. */
static void end(FakePeer *peer)
{
    expect_nothing_left();
    fake_peer_free(peer);
}

static void play_echo(FakePeer *peer, void *opaque)
{
    fake_negotiate(peer, opaque ? opaque : FAKE_GREETING);
    fake_echo(peer);
}

static void test_connect(void)
{
    FakePeer *peer = fake_peer_new(play_echo, NULL);
    YcQmpClient *client = client_connected(peer);
    g_autofree char *package = yc_qmp_client_package(client);
    int major, minor, micro;

    yc_qmp_client_version(client, &major, &minor, &micro);
    g_assert_cmpint(major, ==, 7);
    g_assert_cmpint(minor, ==, 2);
    g_assert_cmpint(micro, ==, 3);
    g_assert_cmpstr(package, ==, "fake");
    g_assert_true(yc_qmp_client_has_oob(client));
    g_assert_false(yc_qmp_client_is_yankd(client));
    g_assert_cmpint(yc_qmp_client_state(client), ==, YC_QMP_READY);
    g_assert_cmpstr(yc_qmp_client_address(client), ==, fake_peer_address(peer));
    yc_qmp_client_unref(client);
    end(peer);
}

static void test_yankd(void)
{
    FakePeer *peer = fake_peer_new(play_echo, FAKE_GREETING_YANKD);
    YcQmpClient *client = client_connected(peer);

    g_assert_true(yc_qmp_client_is_yankd(client));
    g_assert_true(yc_qmp_client_has_oob(client));
    yc_qmp_client_unref(client);
    end(peer);
}

static void play_no_oob(FakePeer *peer, void *opaque)
{
    g_autofree char *line = NULL;

    fake_send(peer, FAKE_GREETING_NO_OOB);
    line = fake_line(peer);
    g_assert_null(strstr(line, "enable"));
    fake_send(peer, "{\"return\": {}, \"id\": 1}\r\n");
    fake_echo(peer);
}

static void test_no_oob(void)
{
    FakePeer *peer = fake_peer_new(play_no_oob, NULL);
    YcQmpClient *client = client_connected(peer);
    GError *err = NULL;

    g_assert_false(yc_qmp_client_has_oob(client));
    g_assert_false(
        yc_qmp_client_execute(client, YC_QMP_OOB, "yank", NULL, 0, NULL, &err));
    expect_error(err, YC_ERROR_NO_OOB, fake_peer_address(peer));
    g_assert_true(yc_qmp_client_execute(client, YC_QMP_IN_BAND, "x", NULL, 0,
                                        NULL, NULL));
    yc_qmp_client_unref(client);
    end(peer);
}

static void execute_both(YcQmpClient *client, YcQmpLane lane)
{
    g_autoptr(json_object) arguments = json_parse(
        "{\"text\": \"\\u00fc \\\"q\\\"\", \"n\": [1, null]}", &error_abort);
    g_autofree char *want = json_to_string(arguments, false);
    json_object *result = NULL;
    g_autofree char *got = NULL;

    g_assert_true(yc_qmp_client_execute(client, lane, "echo", arguments, 0,
                                        &result, NULL));
    got = json_to_string(result, false);
    g_assert_cmpstr(got, ==, want);
    json_object_put(result);
    g_assert_true(
        yc_qmp_client_execute(client, lane, "echo", NULL, 0, NULL, NULL));
}

static void test_execute(void)
{
    FakePeer *peer = fake_peer_new(play_echo, NULL);
    YcQmpClient *client = client_connected(peer);

    execute_both(client, YC_QMP_IN_BAND);
    execute_both(client, YC_QMP_OOB);
    yc_qmp_client_unref(client);
    end(peer);
}

static void play_lanes(FakePeer *peer, void *opaque)
{
    static const char *const want[][2] = {
        {"execute", "a"},
        {"exec-oob", "b"},
    };

    fake_negotiate(peer, FAKE_GREETING);
    for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
        g_autoptr(json_object) req = fake_request(peer);

        g_assert_cmpstr(fake_member(req, want[i][0]), ==, want[i][1]);
        g_assert_cmpint(json_object_object_length(req), ==, 2);
        fake_answer(peer, req, "null");
    }
}

/* What goes over the wire; and null is NULL. */
static void test_wire(void)
{
    FakePeer *peer = fake_peer_new(play_lanes, NULL);
    YcQmpClient *client = client_connected(peer);
    json_object *result = (json_object *)client;

    g_assert_true(yc_qmp_client_execute(client, YC_QMP_IN_BAND, "a", NULL, 0,
                                        &result, NULL));
    g_assert_null(result);
    g_assert_true(
        yc_qmp_client_execute(client, YC_QMP_OOB, "b", NULL, 0, &result, NULL));
    g_assert_null(result);
    yc_qmp_client_unref(client);
    end(peer);
}

static void play_errors(FakePeer *peer, void *opaque)
{
    json_object *req;

    fake_negotiate(peer, FAKE_GREETING);
    while ((req = fake_request(peer)) != NULL) {
        fake_answer_error(peer, req, fake_member(req, "execute"), "what it is");
        json_object_put(req);
    }
}

static void test_error_classes(void)
{
    static const struct {
        const char *name;
        YcError code;
        const char *known;
    } classes[] = {
        {"GenericError", YC_ERROR_QMP_GENERIC, "GenericError"},
        {"CommandNotFound", YC_ERROR_QMP_COMMAND_NOT_FOUND, "CommandNotFound"},
        {"DeviceNotActive", YC_ERROR_QMP_DEVICE_NOT_ACTIVE, "DeviceNotActive"},
        {"DeviceNotFound", YC_ERROR_QMP_DEVICE_NOT_FOUND, "DeviceNotFound"},
        {"KVMMissingCap", YC_ERROR_QMP_KVM_MISSING_CAP, "KVMMissingCap"},
        {"NewerError", YC_ERROR_QMP_GENERIC, "GenericError"},
    };
    FakePeer *peer = fake_peer_new(play_errors, NULL);
    YcQmpClient *client = client_connected(peer);

    for (size_t i = 0; i < G_N_ELEMENTS(classes); i++) {
        GError *err = NULL;

        g_assert_false(yc_qmp_client_execute(
            client, YC_QMP_IN_BAND, classes[i].name, NULL, 0, NULL, &err));
        g_assert_true(yc_error_is_answer(err));
        g_assert_cmpstr(yc_error_class(err), ==, classes[i].known);
        g_assert_cmpstr(err->message, ==, "what it is");
        expect_error(err, classes[i].code, "what it is");
    }
    g_assert_false(yc_error_is_answer(NULL));
    yc_qmp_client_unref(client);
    end(peer);
}

typedef struct Worker {
    QemuThread thread;
    YcQmpClient *client;
    int number;
} Worker;

static void *worker_run(void *opaque)
{
    Worker *worker = opaque;

    for (int i = 0; i < 200; i++) {
        g_autoptr(json_object) arguments = json_object_new_object();
        json_object *result = NULL, *value;

        json_object_object_add(arguments, "n",
                               json_object_new_int(worker->number * 1000 + i));
        g_assert_true(yc_qmp_client_execute(
            worker->client, i & 1 ? YC_QMP_OOB : YC_QMP_IN_BAND, "echo",
            arguments, 0, &result, NULL));
        g_assert_true(json_object_object_get_ex(result, "n", &value));
        g_assert_cmpint(json_object_get_int(value), ==,
                        worker->number * 1000 + i);
        json_object_put(result);
    }
    yc_qmp_client_unref(worker->client);
    return NULL;
}

static void test_many_threads(void)
{
    FakePeer *peer = fake_peer_new(play_echo, NULL);
    YcQmpClient *client = client_connected(peer);
    Worker workers[8];

    for (int i = 0; i < 8; i++) {
        workers[i].client = yc_qmp_client_ref(client);
        workers[i].number = i;
        qemu_thread_create(&workers[i].thread, "worker", worker_run,
                           &workers[i], QEMU_THREAD_JOINABLE);
    }
    yc_qmp_client_unref(client);
    for (int i = 0; i < 8; i++) {
        qemu_thread_join(&workers[i].thread);
    }
    end(peer);
}

static void test_addresses(void)
{
    static const struct {
        const char *text;
        const char *shown; /* NULL: refused */
    } cases[] = {
        {"unix:/run/x", "unix:/run/x"},
        {"unix:x", "unix:x"},
        {"/run/x:1", "unix:/run/x:1"},
        {"./x", "unix:./x"},
        {"tcp:localhost:4444", "localhost:4444"},
        {"127.0.0.1:4444", "127.0.0.1:4444"},
        {"[::1]:4444", "[::1]:4444"},
        {"tcp:[::1]:4444", "[::1]:4444"},
        {"", NULL},
        {"x", NULL},
        {"unix:", NULL},
        {":4444", NULL},
        {"host:", NULL},
        {"::1:4444", NULL},
        {"[]:4444", NULL},
        {"tcp:4444", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GError *err = NULL;
        g_autoptr(YcQmpClient) client = yc_qmp_client_new(cases[i].text, &err);

        if (cases[i].shown) {
            g_assert_no_error(err);
            g_assert_cmpstr(yc_qmp_client_address(client), ==, cases[i].shown);
        } else {
            g_assert_null(client);
            expect_error(err, YC_ERROR_INVALID, cases[i].text);
        }
    }
    expect_nothing_left();
}

/* @n more descriptors may be opened. */
static void limit_fds(rlim_t n)
{
    struct rlimit limit;
    int next = dup(STDIN_FILENO);

    g_assert_cmpint(next, >=, 0);
    close(next);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = next + n;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

/* The threads need some; one of them, or both, do not come about. */
static void test_no_descriptors(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    for (rlim_t n = 0; n < 2; n++) {
        YcQmpClient *client;
        YcAgentClient *agent;
        GError *err = NULL;

        limit_fds(n);
        client = yc_qmp_client_new("/x", &err);
        g_assert_null(client);
        expect_error(g_steal_pointer(&err), YC_ERROR_CONNECT,
                     "Too many open files");
        agent = yc_agent_client_new("/x", &err);
        g_assert_null(agent);
        expect_error(g_steal_pointer(&err), YC_ERROR_CONNECT,
                     "Too many open files");
        setrlimit(RLIMIT_NOFILE, &limit);
        expect_nothing_left();
    }
    yc_qmp_client_unref(yc_qmp_client_new("/x", NULL));
    expect_nothing_left();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/qmp/connect", test_connect);
    g_test_add_func("/client/qmp/yankd", test_yankd);
    g_test_add_func("/client/qmp/no-oob", test_no_oob);
    g_test_add_func("/client/qmp/execute", test_execute);
    g_test_add_func("/client/qmp/wire", test_wire);
    g_test_add_func("/client/qmp/error-classes", test_error_classes);
    g_test_add_func("/client/qmp/many-threads", test_many_threads);
    g_test_add_func("/client/qmp/addresses", test_addresses);
    g_test_add_func("/client/qmp/no-descriptors", test_no_descriptors);
    return g_test_run();
}
