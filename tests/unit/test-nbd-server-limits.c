/*
 * The NBD server: what one client may have, and who waits for it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
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

static void test_negotiation_timeout(NbdTest *f, gconstpointer opaque)
{
    int established = nbd_test_connect(f);
    int silent, slow;

    nbd_client_set_handshake_timeout(50);
    silent = client_connect(f->path);
    slow = client_connect(f->path);
    client_send(slow, "\0\0\0\1IHAVEOPT", 12);
    client_expect_eof(silent);
    client_expect_eof(slow);
    nbd_test_read(established, 0, 10);
    nbd_client_set_handshake_timeout(NBD_HANDSHAKE_TIMEOUT_MS);
    close(silent);
    close(slow);
    close(established);
}

/* Many who never say anything keep nobody else out once their time is up. */
static void test_many_silent(NbdTest *f, gconstpointer opaque)
{
    enum {
        N = NBD_MAX_NEGOTIATING + 20
    };
    int fds[N];
    int fd;

    nbd_client_set_handshake_timeout(50);
    for (int i = 0; i < N; i++) {
        fds[i] = client_connect(f->path);
    }
    nbd_client_set_handshake_timeout(NBD_HANDSHAKE_TIMEOUT_MS);
    fd = nbd_test_connect(f);
    nbd_test_read(fd, 0, 10);
    close(fd);
    for (int i = 0; i < N; i++) {
        close(fds[i]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    nbd_test_add("limit/requests", 0, test_limit_requests);
    nbd_test_add("limit/bytes", 0, test_limit_bytes);
    nbd_test_add("limit/lazy-reader", 0, test_lazy_reader);
    nbd_test_add("limit/max-connections", 2, test_max_connections);
    nbd_test_add("limit/negotiation-timeout", 0, test_negotiation_timeout);
    nbd_test_add("limit/many-silent", 0, test_many_silent);
    return g_test_run();
}
