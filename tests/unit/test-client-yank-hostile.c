/*
 * Yank by the client library before servers that answer nonsense, or nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-peer.h"
#include "client/yank.h"

static void part_answering(FakePeer *peer, void *text)
{
    json_object *req;

    fake_negotiate(peer, FAKE_GREETING);
    while ((req = fake_request(peer))) {
        if (text) {
            fake_answer(peer, req, text);
        }
        json_object_put(req);
    }
}

static void part_no_oob(FakePeer *peer, void *opaque)
{
    fake_negotiate(peer, FAKE_GREETING_NO_OOB);
    /* Not even one request comes, in whatever lane. */
    g_assert_null(fake_request(peer));
}

static YcDomain *domain_before(FakePeer *peer)
{
    g_autoptr(YcQmpClient) monitor =
        yc_qmp_client_new(fake_peer_address(peer), NULL);
    YcDomain *dom = yc_domain_new("vm1", monitor, NULL, NULL);

    g_assert_true(yc_domain_connect(dom, FAKE_DEADLINE_MS, NULL));
    return dom;
}

static void test_hostile(void)
{
    static const char *const lists[] = {
        "7",
        "{}",
        "[7]",
        "[{\"instance\": 7}]",
        "[{\"instance\": {\"type\": \"disk\"}}]",
    };
    static const char *const results[] = {
        "7",
        "{\"yanked\": 7}",
        "{\"yanked\": [7, {}, {\"name\": 7}, {\"name\": \"migration\"}]}",
        "{\"yanked\": [{\"name\": \"migration\", \"functions\": \"x\", "
        "\"cut\": {}}]}",
        "[]",
    };
    static const char *const names[] = {"migration", NULL};

    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_autoptr(FakePeer) peer =
            fake_peer_new(part_answering, (void *)lists[i]);
        g_autoptr(YcDomain) dom = domain_before(peer);
        GError *err = NULL;

        g_assert_null(yc_domain_query_yank(dom, FAKE_DEADLINE_MS, &err));
        expect_error(err, YC_ERROR_PROTOCOL, fake_peer_address(peer));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(results); i++) {
        g_autoptr(FakePeer) peer =
            fake_peer_new(part_answering, (void *)results[i]);
        g_autoptr(YcDomain) dom = domain_before(peer);
        g_autoptr(GPtrArray) yanked = NULL;

        g_assert_true(
            yc_domain_yank(dom, names, 0, FAKE_DEADLINE_MS, &yanked, NULL));
        g_assert_cmpint(yanked->len, ==, 1);
        g_assert_false(((YcYanked *)g_ptr_array_index(yanked, 0))->told);
    }
}

/* What it calls a type is no text for a terminal. */
static void test_escapes(void)
{
    g_autoptr(FakePeer) peer = fake_peer_new(
        part_answering, (void *)"[{\"instance\": {\"type\": \"\\u001b[2J\"}}]");
    g_autoptr(YcDomain) dom = domain_before(peer);
    GError *err = NULL;

    g_assert_null(yc_domain_query_yank(dom, FAKE_DEADLINE_MS, &err));
    expect_error(err, YC_ERROR_PROTOCOL, "unknown here: '\\x1b[2J'");
}

/* A status with members that are not what they should be. */
static void test_odd_status(void)
{
    g_autoptr(FakePeer) peer = fake_peer_new(
        part_answering,
        (void *)"[{\"instance\": {\"type\": \"migration\"}, \"functions\": "
                "\"x\", \"yanks\": -1, \"in-flight\": {}, \"idle-ms\": \"y\", "
                "\"phase\": 7, \"stalled\": 1}]");
    g_autoptr(YcDomain) dom = domain_before(peer);
    g_autoptr(GPtrArray) all =
        yc_domain_query_yank(dom, FAKE_DEADLINE_MS, NULL);
    YcInstance *instance = g_ptr_array_index(all, 0);

    g_assert_cmpint(instance->functions, ==, 0);
    g_assert_cmpint(instance->yanks, ==, 0);
    g_assert_cmpint(instance->in_flight, ==, 0);
    g_assert_cmpint(instance->idle_ms, ==, -1);
    g_assert_null(instance->phase);
    g_assert_null(instance->peer);
    g_assert_false(instance->stalled);
}

static void test_deadline(void)
{
    static const char *const names[] = {"migration", NULL};
    g_autoptr(FakePeer) peer = fake_peer_new(part_answering, NULL);
    g_autoptr(YcDomain) dom = domain_before(peer);
    GError *err = NULL;

    g_assert_null(yc_domain_query_yank(dom, 20, &err));
    expect_error(g_steal_pointer(&err), YC_ERROR_TIMEOUT, "20 ms");
    g_assert_false(yc_domain_yank(dom, names, 0, 20, NULL, &err));
    expect_error(err, YC_ERROR_TIMEOUT, "20 ms");
}

static void test_never_in_band(void)
{
    static const char *const names[] = {"migration", NULL};
    g_autoptr(FakePeer) peer = fake_peer_new(part_no_oob, NULL);
    g_autoptr(YcDomain) dom = domain_before(peer);
    GError *err = NULL;

    g_assert_null(yc_domain_query_yank(dom, FAKE_DEADLINE_MS, &err));
    expect_error(g_steal_pointer(&err), YC_ERROR_NO_OOB, "");
    g_assert_false(yc_domain_yank(dom, names, 0, FAKE_DEADLINE_MS, NULL, &err));
    expect_error(err, YC_ERROR_NO_OOB, "");
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/yank-hostile/nonsense", test_hostile);
    g_test_add_func("/client/yank-hostile/escapes", test_escapes);
    g_test_add_func("/client/yank-hostile/odd-status", test_odd_status);
    g_test_add_func("/client/yank-hostile/deadline", test_deadline);
    g_test_add_func("/client/yank-hostile/never-in-band", test_never_in_band);
    failed = g_test_run();
    expect_nothing_left();
    return failed;
}
