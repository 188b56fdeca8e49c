/*
 * The client library before servers that do anything at any time, used by many
 * threads that do so as well: every request is answered exactly once, and
 * nothing is left.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-peer.h"
#include "client/job.h"
#include "client/ping.h"
#include "qemu/thread.h"

#define N_PEERS 3
#define N_THREADS 4
#define N_STEPS 1000
#define SHORT_MS 3

static FakePeer *peers[N_PEERS];
static YcQmpClient *clients[N_PEERS];
static YcDomain *domains[N_PEERS];
/* Atomic. */
static int n_asked, n_answered, n_good, n_freed;

/* Of the server's thread. */
static bool one_in(GRand *rand, int n)
{
    return g_rand_int_range(rand, 0, n) == 0;
}

static void send_events(FakePeer *peer)
{
    for (int i = 0; i < 100; i++) {
        fake_send(peer, "{\"event\": \"STOP\"}\r\n");
    }
}

/* False: closes the connection. */
static bool answer_somehow(FakePeer *peer, GRand *rand, json_object *req)
{
    g_autofree char *foretold = g_strdup_printf(
        "{\"return\": {}, \"id\": %d}\r\n", atoi(fake_member(req, "id")) + 1);

    switch (g_rand_int_range(rand, 0, 40)) {
    case 0:
        return false;
    case 1: /* never answered */
        break;
    case 2:
        fake_send(peer, foretold);
        break;
    case 3:
        fake_answer(peer, req, "{}");
        fake_answer(peer, req, "[]");
        break;
    case 4:
        send_events(peer);
        fake_answer_error(peer, req, "GenericError", "no");
        break;
    case 5:
        fake_send(peer, "{\"return\": {}, \"id\": \"x\"}\r\n");
        break;
    case 6:
        fake_send(peer, "{\"error\"");
        break;
    default:
        fake_answer(peer, req, "{}");
        break;
    }
    return true;
}

static void play_anything(FakePeer *peer, void *opaque)
{
    GRand *rand = opaque;
    json_object *req;
    bool goes_on = true;

    if (one_in(rand, 8)) {
        fake_send(peer, "{\"QMP\": {\"vers");
    } else if (!one_in(rand, 8)) {
        fake_send(peer, FAKE_GREETING);
    }
    while (goes_on && (req = fake_request(peer))) {
        goes_on = answer_somehow(peer, rand, req);
        json_object_put(req);
    }
}

static void count_free(void *client)
{
    g_atomic_int_inc(&n_freed);
    yc_qmp_client_unref(client);
}

static void take_answer(json_object *result, const GError *err, void *data)
{
    YcQmpClient *client = data;
    int n = g_atomic_int_add(&n_answered, 1);

    json_object_put(result);
    g_atomic_int_add(&n_good, !err);
    /* A callback may call anything. */
    if (n % 64 == 0) {
        yc_qmp_client_disconnect(client);
    } else if (yc_qmp_client_state(client) == YC_QMP_DISCONNECTED) {
        yc_qmp_client_connect_async(client, SHORT_MS, NULL, NULL, NULL);
    }
}

static void ask(YcQmpClient *client, YcQmpLane lane)
{
    g_atomic_int_inc(&n_asked);
    yc_qmp_client_execute_async(client, lane, "x", NULL, SHORT_MS, take_answer,
                                yc_qmp_client_ref(client), count_free);
}

static void do_to_client(YcQmpClient *client, GRand *rand)
{
    YcQmpLane lane = one_in(rand, 2) ? YC_QMP_OOB : YC_QMP_IN_BAND;

    switch (g_rand_int_range(rand, 0, 30)) {
    case 0:
        yc_qmp_client_disconnect(client);
        break;
    case 1:
    case 2:
        yc_qmp_client_connect_async(client, 10 * SHORT_MS, NULL, NULL, NULL);
        break;
    case 3:
        yc_qmp_client_connect(client, 10 * SHORT_MS, NULL);
        break;
    case 4:
    case 5:
        yc_qmp_client_execute(client, lane, "x", NULL, SHORT_MS, NULL, NULL);
        break;
    default:
        ask(client, lane);
        break;
    }
}

/* Locked, with an asynchronous job. */
static void work_in_job(YcDomain *dom)
{
    GError *err = NULL;

    yc_domain_command(dom, "x", NULL, SHORT_MS, NULL, &err);
    g_clear_error(&err);
    if (yc_domain_enter_remote(dom, "elsewhere", NULL)) {
        yc_domain_exit_remote(dom, NULL);
    }
}

static void do_under_job(YcDomain *dom, GRand *rand)
{
    YcJob kind = g_rand_int_range(rand, 0, YC_JOB__MAX);

    yc_domain_lock(dom);
    if (one_in(rand, 3)) {
        if (yc_domain_begin_async_job(dom, "long", YC_JOB_MASK_DEFAULT,
                                      SHORT_MS, NULL)) {
            work_in_job(dom);
            g_assert_true(yc_domain_end_async_job(dom, NULL));
        }
    } else if (yc_domain_begin_job(dom, kind, "short", SHORT_MS, NULL)) {
        yc_domain_command(dom, "x", NULL, SHORT_MS, NULL, NULL);
        g_assert_true(yc_domain_end_job(dom, NULL));
    }
    yc_domain_unlock(dom);
}

static void look_at(YcDomain *dom, const char *name, json_object *event,
                    void *data)
{
    g_auto(YcDomainStatus) status = {0};

    yc_domain_get_status(dom, &status);
    g_assert_cmpint(status.n_events, >, 0);
}

static void do_to_domain(YcDomain *dom, GRand *rand)
{
    gint64 us;

    switch (g_rand_int_range(rand, 0, 8)) {
    case 0:
        yc_domain_oob(dom, "x", NULL, SHORT_MS, NULL, NULL);
        break;
    case 1:
        yc_domain_ping(dom, YC_PING_IN_BAND, SHORT_MS, &us, NULL);
        break;
    case 2:
        yc_domain_remove_handler(
            dom, yc_domain_add_handler(dom, look_at, NULL, NULL, NULL));
        break;
    case 3:
        yc_domain_connect(dom, 10 * SHORT_MS, NULL);
        break;
    default:
        do_under_job(dom, rand);
        break;
    }
}

static void *worker(void *opaque)
{
    GRand *rand = opaque;

    for (int i = 0; i < N_STEPS; i++) {
        int n = g_rand_int_range(rand, 0, N_PEERS);

        if (one_in(rand, 2)) {
            do_to_client(clients[n], rand);
        } else {
            do_to_domain(domains[n], rand);
        }
    }
    g_rand_free(rand);
    return NULL;
}

static void test_chaos(void)
{
    GRand *server_rands[N_PEERS];
    QemuThread threads[N_THREADS];

    for (int i = 0; i < N_PEERS; i++) {
        server_rands[i] = g_rand_new_with_seed(g_test_rand_int());
        peers[i] = fake_peer_new(play_anything, server_rands[i]);
        clients[i] = yc_qmp_client_new(fake_peer_address(peers[i]), NULL);
        if (i) {
            yc_qmp_client_set_reconnect(clients[i], 1, SHORT_MS);
        }
        domains[i] = yc_domain_new("vm", clients[i], NULL, NULL);
        yc_domain_add_handler(domains[i], look_at, NULL, NULL, NULL);
        yc_qmp_client_connect_async(clients[i], SHORT_MS, NULL, NULL, NULL);
    }
    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_create(&threads[i], "worker", worker,
                           g_rand_new_with_seed(g_test_rand_int()), true);
    }
    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_join(&threads[i]);
    }
    for (int i = 0; i < N_PEERS; i++) {
        /* With requests on their way. */
        ask(clients[i], YC_QMP_IN_BAND);
        yc_domain_unref(domains[i]);
        yc_qmp_client_unref(clients[i]);
    }
    expect_nothing_left();
    g_assert_cmpint(n_answered, ==, n_asked);
    g_assert_cmpint(n_freed, ==, n_asked);
    g_assert_cmpint(n_good, >, 0);
    g_test_message("%d of %d requests came to a good end", n_good, n_asked);
    for (int i = 0; i < N_PEERS; i++) {
        fake_peer_free(peers[i]);
        g_rand_free(server_rands[i]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/chaos", test_chaos);
    return g_test_run();
}
