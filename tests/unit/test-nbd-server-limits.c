/*
 * The NBD server: what one client may have, and who waits for it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "block/export/nbd-budget.h"
#include "block/export/nbd-client.h"
#include "test-nbd-server-client.h"
#include "test-nbd-server-fixture.h"

static void test_limit_requests(NbdTest *f, gconstpointer opaque)
{
    enum {
        N = NBD_MAX_REQUESTS + 50
    };
    int fd = nbd_test_connect(f);
    uint8_t byte;

    test_node_hold(f->disk);
    for (uint64_t i = 0; i < N; i++) {
        client_request(fd, 0, NBD_CMD_READ, i, i, 1, NULL);
    }
    test_node_wait_held(f->disk, NBD_MAX_REQUESTS);
    g_assert_cmpuint(test_node_held(f->disk), ==, NBD_MAX_REQUESTS);
    /* One comes back, one goes on. */
    test_node_release(f->disk, 1, 0);
    client_expect_reply(fd, NBD_MAX_REQUESTS - 1, NBD_SUCCESS);
    client_recv(fd, &byte, 1);
    test_node_wait_held(f->disk, NBD_MAX_REQUESTS);
    g_assert_cmpuint(test_node_held(f->disk), ==, NBD_MAX_REQUESTS);

    test_node_unhold(f->disk);
    for (uint64_t i = 1; i < N; i++) {
        uint32_t error;

        client_reply(fd, &error);
        g_assert_cmpuint(error, ==, NBD_SUCCESS);
        client_recv(fd, &byte, 1);
    }
    close(fd);
}

static void test_limit_bytes(NbdTest *f, gconstpointer opaque)
{
    enum {
        FIT = NBD_MAX_REQUEST_BYTES / DISK_SIZE
    };
    g_autofree uint8_t *data = g_malloc(DISK_SIZE);
    int fd = nbd_test_connect(f);

    test_node_hold(f->disk);
    for (uint64_t i = 0; i < FIT + 2; i++) {
        client_request(fd, 0, NBD_CMD_READ, i, 0, DISK_SIZE, NULL);
    }
    test_node_wait_held(f->disk, FIT);
    g_assert_cmpuint(test_node_held(f->disk), ==, FIT);
    test_node_unhold(f->disk);
    for (uint64_t i = 0; i < FIT + 2; i++) {
        uint32_t error;

        client_reply(fd, &error);
        g_assert_cmpuint(error, ==, NBD_SUCCESS);
        client_recv(fd, data, DISK_SIZE);
    }
    nbd_test_expect_pattern(data, 0, DISK_SIZE);
    close(fd);
}

/* Who does not take replies stops himself only, and goes on when he does. */
static void test_lazy_reader(NbdTest *f, gconstpointer opaque)
{
    enum {
        N = 200,
        SIZE = 1024 * 1024
    };
    g_autofree uint8_t *data = g_malloc(SIZE);
    int lazy = nbd_test_connect(f);
    int good = nbd_test_connect(f);

    for (uint64_t i = 0; i < N; i++) {
        client_request(lazy, 0, NBD_CMD_READ, i, i, SIZE, NULL);
    }
    nbd_test_read(good, 12345, 54321);
    nbd_test_write(good, 0, 0, 12345);
    for (uint64_t i = 0; i < N; i++) {
        client_expect_reply(lazy, i, NBD_SUCCESS);
        client_recv(lazy, data, SIZE);
    }
    nbd_test_expect_pattern(data + SIZE / 2, N - 1 + SIZE / 2, SIZE / 2);
    close(lazy);
    close(good);
}

/*
 * Many clients that do not read their replies share the memory with one that
 * does.  When they continue they get their replies: also a reply that was sent
 * in part, and with data that was written meanwhile.
 */
static void test_budget(NbdTest *f, gconstpointer opaque)
{
    enum {
        LAZY = 20,
        N = 8,
        SIZE = 1024 * 1024
    };
    const uint64_t limit = 8 * MiB;
    g_autofree uint8_t *data = g_malloc(SIZE);
    int lazy[LAZY], good;
    uint32_t half = SIZE / 2;

    nbd_budget_set_limit(limit);
    for (int i = 0; i < LAZY; i++) {
        lazy[i] = nbd_test_connect(f);
        for (uint64_t n = 0; n < N; n++) {
            client_request(lazy[i], 0, NBD_CMD_READ, n, n * SIZE, SIZE, NULL);
        }
    }
    good = nbd_test_connect(f);
    for (int i = 0; i < 50; i++) {
        nbd_test_read(good, i, SIZE);
        g_assert_cmpuint(nbd_budget_used(), <=, limit + limit / 8);
    }
    client_expect_reply(lazy[0], 0, NBD_SUCCESS);
    client_recv(lazy[0], data, half);
    nbd_test_expect_pattern(data, 0, half);
    nbd_test_read(good, 0, SIZE);
    /* Change the content of the last blocks. */
    nbd_test_write(good, 0, (N - 1) * SIZE, 4096);
    client_recv(lazy[0], data + half, SIZE - half);
    nbd_test_expect_pattern(data + half, half, SIZE - half);
    for (int i = 0; i < LAZY; i++) {
        for (uint64_t n = i ? 0 : 1; n < N; n++) {
            client_expect_reply(lazy[i], n, NBD_SUCCESS);
            client_recv(lazy[i], data, SIZE);
            nbd_test_expect_pattern(data + 4096, n * SIZE + 4096, SIZE - 4096);
        }
        close(lazy[i]);
    }
    close(good);
    nbd_test_delete_unused(f, "e0");
    g_assert_cmpuint(nbd_budget_used(), ==, 0);
    nbd_budget_set_limit(NBD_REPLY_BUDGET);
}

/* Parked replies are freed with the client, or before their data is read. */
static void test_budget_end(NbdTest *f, gconstpointer opaque)
{
    enum {
        LAZY = 8,
        SIZE = 1024 * 1024
    };
    g_autofree uint8_t *data = g_malloc(SIZE);
    int lazy[LAZY], good;
    uint32_t error;

    nbd_budget_set_limit(8 * MiB);
    for (int i = 0; i < LAZY; i++) {
        lazy[i] = nbd_test_connect(f);
        for (uint64_t n = 0; n < 4; n++) {
            client_request(lazy[i], 0, NBD_CMD_READ, n, 0, SIZE, NULL);
        }
    }
    good = nbd_test_connect(f);
    while (nbd_budget_used() > 2 * MiB) {
        nbd_test_read(good, 0, 4096);
    }
    /* Disconnect it while its data is being read again, and before. */
    test_node_hold(f->disk);
    for (int i = 0; i < LAZY / 2; i++) {
        client_reply(lazy[i], &error);
        while (recv(lazy[i], data, SIZE, MSG_DONTWAIT) > 0) {
            /* Make room in the socket. */
        }
    }
    test_node_wait_held(f->disk, 1);
    for (int i = 0; i < LAZY; i += 2) {
        close(lazy[i]);
    }
    test_node_release(f->disk, UINT_MAX, -EIO);
    test_node_unhold(f->disk);
    nbd_test_read(good, 0, 4096);
    g_assert_true(block_export_del("e0", true, &error_abort));
    nbd_test_expect_deleted(f, "e0 ");
    g_assert_cmpuint(nbd_budget_used(), ==, 0);
    for (int i = 1; i < LAZY; i += 2) {
        close(lazy[i]);
    }
    close(good);
    nbd_budget_set_limit(NBD_REPLY_BUDGET);
}

static void test_max_connections(NbdTest *f, gconstpointer opaque)
{
    int first = nbd_test_connect(f);
    int second = nbd_test_connect(f);
    int third = client_connect(f->path);
    uint8_t greeting[NBD_GREETING_SIZE];

    nbd_test_read(first, 0, 10);
    nbd_test_read(second, 0, 10);
    g_assert_false(client_has_input(third));
    close(first);
    client_recv(third, greeting, sizeof(greeting));
    close(second);
    close(third);
}

/* Restarts the server with this time limit for handshakes. */
static void restart(NbdTest *f, uint32_t max_connections, int64_t handshake_ms)
{
    nbd_server_stop();
    nbd_test_expect_deleted(f, "e1 e0 ");
    nbd_test_start_server(f, max_connections, handshake_ms);
}

static void test_negotiation_timeout(NbdTest *f, gconstpointer opaque)
{
    int established, silent, slow;

    restart(f, 0, 3000);
    established = nbd_test_connect(f);
    silent = client_connect(f->path);
    slow = client_connect(f->path);
    client_send(slow, "\0\0\0\1IHAVEOPT", 12);
    client_expect_eof(silent);
    client_expect_eof(slow);
    nbd_test_read(established, 0, 10);
    close(silent);
    close(slow);
    close(established);
}

/* Silent clients keep no other client out, even without a time limit. */
static void test_many_silent(NbdTest *f, gconstpointer opaque)
{
    enum {
        N = NBD_MAX_NEGOTIATING + 20
    };
    int fds[N];
    int fd;

    restart(f, 0, 0);
    for (int i = 0; i < N; i++) {
        fds[i] = client_connect(f->path);
    }
    fd = nbd_test_connect(f);
    nbd_test_read(fd, 0, 10);
    /* The oldest client was disconnected, the newest was not. */
    client_expect_eof(fds[0]);
    client_send(fds[N - 1], "\0\0\0\1", 4);
    close(fd);
    for (int i = 0; i < N; i++) {
        close(fds[i]);
    }
}

/* Nor if only one client may connect. */
static void test_silent_at_limit(NbdTest *f, gconstpointer opaque)
{
    int silent, fd;

    restart(f, 1, 0);
    silent = client_connect(f->path);
    fd = nbd_test_connect(f);
    nbd_test_read(fd, 0, 10);
    client_expect_eof(silent);
    close(silent);
    close(fd);
}

static uint16_t flags_of(NbdTest *f, uint32_t max_connections)
{
    uint16_t flags;

    restart(f, max_connections, NBD_HANDSHAKE_MS);
    close(client_connect_export(f->path, "disk", NULL, &flags));
    return flags;
}

/* Clients that may open several connections are told so. */
static void test_multi_conn(NbdTest *f, gconstpointer opaque)
{
    g_assert_cmphex(flags_of(f, 0) & NBD_FLAG_CAN_MULTI_CONN, !=, 0);
    g_string_truncate(f->deleted, 0);
    g_assert_cmphex(flags_of(f, 1) & NBD_FLAG_CAN_MULTI_CONN, ==, 0);
    g_string_truncate(f->deleted, 0);
    g_assert_cmphex(flags_of(f, 2) & NBD_FLAG_CAN_MULTI_CONN, !=, 0);
}

/* Clients that connect while exports are added wait until that is done. */
static void test_hold(NbdTest *f, gconstpointer opaque)
{
    uint8_t greeting[NBD_GREETING_SIZE];
    int early, fd;

    nbd_server_hold();
    restart(f, 0, NBD_HANDSHAKE_MS);
    early = client_connect(f->path);
    g_assert_false(client_has_input(early));
    nbd_server_release();
    client_recv(early, greeting, sizeof(greeting));
    fd = nbd_test_connect(f);
    nbd_test_read(fd, 0, 10);
    close(fd);
    close(early);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    nbd_test_add("limit/requests", 0, test_limit_requests);
    nbd_test_add("limit/bytes", 0, test_limit_bytes);
    nbd_test_add("limit/lazy-reader", 0, test_lazy_reader);
    nbd_test_add("limit/budget", 0, test_budget);
    nbd_test_add("limit/budget-end", 0, test_budget_end);
    nbd_test_add("limit/max-connections", 2, test_max_connections);
    nbd_test_add("limit/negotiation-timeout", 0, test_negotiation_timeout);
    nbd_test_add("limit/many-silent", 0, test_many_silent);
    nbd_test_add("limit/silent-at-limit", 0, test_silent_at_limit);
    nbd_test_add("limit/multi-conn", 0, test_multi_conn);
    nbd_test_add("limit/hold", 0, test_hold);
    return g_test_run();
}
