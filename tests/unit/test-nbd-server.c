/*
 * The NBD server: requests and their replies.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "test-nbd-server-client.h"
#include "test-nbd-server-fixture.h"

static void expect_last(BlockNode *node, BlockOp op, unsigned flags,
                        uint64_t offset, uint64_t bytes)
{
    TestLastRequest last = test_node_last(node);

    g_assert_cmpint(last.op, ==, op);
    g_assert_cmphex(last.flags, ==, flags);
    g_assert_cmpuint(last.offset, ==, offset);
    g_assert_cmpuint(last.bytes, ==, bytes);
}

static void test_commands(NbdTest *f, gconstpointer opaque)
{
    static const struct {
        uint16_t flags;
        uint16_t type;
        BlockOp op;
        unsigned block_flags;
    } commands[] = {
        {0, NBD_CMD_FLUSH, BLOCK_OP_FLUSH, 0},
        {0, NBD_CMD_TRIM, BLOCK_OP_DISCARD, 0},
        {NBD_CMD_FLAG_FUA, NBD_CMD_TRIM, BLOCK_OP_DISCARD, BLOCK_REQ_FUA},
        {0, NBD_CMD_WRITE_ZEROES, BLOCK_OP_WRITE_ZEROES, BLOCK_REQ_MAY_UNMAP},
        {NBD_CMD_FLAG_NO_HOLE, NBD_CMD_WRITE_ZEROES, BLOCK_OP_WRITE_ZEROES, 0},
        {NBD_CMD_FLAG_FAST_ZERO | NBD_CMD_FLAG_FUA, NBD_CMD_WRITE_ZEROES,
         BLOCK_OP_WRITE_ZEROES,
         BLOCK_REQ_MAY_UNMAP | BLOCK_REQ_NO_FALLBACK | BLOCK_REQ_FUA},
    };
    int fd = nbd_test_connect(f);

    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        bool flush = commands[i].op == BLOCK_OP_FLUSH;

        client_request(fd, commands[i].flags, commands[i].type, i,
                       flush ? 0 : 8192, flush ? 0 : 1 * MiB, NULL);
        client_expect_reply(fd, i, NBD_SUCCESS);
        expect_last(f->disk, commands[i].op, commands[i].block_flags,
                    flush ? 0 : 8192, flush ? 0 : 1 * MiB);
    }
    close(fd);
}

static void test_read_write(NbdTest *f, gconstpointer opaque)
{
    static const uint32_t sizes[] = {1,      512,     4096,     4097,
                                     65536,  262144,  262145,   1048576,
                                     200000, 1048577, DISK_SIZE};
    int fd = nbd_test_connect(f);

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        nbd_test_read(fd, DISK_SIZE - sizes[i], sizes[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        nbd_test_write(fd, i & 1 ? NBD_CMD_FLAG_FUA : 0, 0, sizes[i]);
    }
    client_request(fd, NBD_CMD_FLAG_FUA, NBD_CMD_WRITE, 3, 5, 1, "x");
    client_expect_reply(fd, 3, NBD_SUCCESS);
    expect_last(f->disk, BLOCK_OP_WRITE, BLOCK_REQ_FUA, 5, 1);
    close(fd);
}

static void test_refused(NbdTest *f, gconstpointer opaque)
{
    static const struct {
        const char *export;
        uint16_t flags;
        uint16_t type;
        uint64_t offset;
        uint32_t len;
        uint32_t error;
    } requests[] = {
        /* Outside of the disk. */
        {"disk", 0, NBD_CMD_READ, DISK_SIZE, 1, NBD_EINVAL},
        {"disk", 0, NBD_CMD_READ, DISK_SIZE - 1, 2, NBD_EINVAL},
        {"disk", 0, NBD_CMD_READ, UINT64_MAX, 2, NBD_EINVAL},
        {"disk", 0, NBD_CMD_WRITE, DISK_SIZE - 1, 2, NBD_ENOSPC},
        {"disk", 0, NBD_CMD_WRITE, UINT64_MAX, 2, NBD_ENOSPC},
        {"disk", 0, NBD_CMD_WRITE_ZEROES, DISK_SIZE, 1, NBD_ENOSPC},
        {"disk", 0, NBD_CMD_TRIM, DISK_SIZE, 1, NBD_EINVAL},
        /* Nothing to do, but nothing wrong either. */
        {"disk", 0, NBD_CMD_READ, DISK_SIZE, 0, NBD_SUCCESS},
        {"disk", 0, NBD_CMD_WRITE, DISK_SIZE, 0, NBD_SUCCESS},
        {"disk", 0, NBD_CMD_TRIM, 0, 0, NBD_SUCCESS},
        /* Too much at once. */
        {"disk", 0, NBD_CMD_READ, 0, 32 * MiB + 1, NBD_EINVAL},
        {"disk", 0, NBD_CMD_READ, 0, UINT32_MAX, NBD_EINVAL},
        /* Unknown commands and flags. */
        {"disk", 0, 5, 0, 4096, NBD_EINVAL},
        {"disk", 0, 7, 0, 4096, NBD_EINVAL},
        {"disk", 0, 0xffff, 0, 4096, NBD_EINVAL},
        {"disk", 1 << 2, NBD_CMD_READ, 0, 512, NBD_EINVAL},
        {"disk", 1 << 15, NBD_CMD_WRITE, 0, 300000, NBD_EINVAL},
        {"disk", NBD_CMD_FLAG_NO_HOLE, NBD_CMD_WRITE, 0, 512, NBD_EINVAL},
        {"disk", NBD_CMD_FLAG_FAST_ZERO, NBD_CMD_TRIM, 0, 512, NBD_EINVAL},
        /* Read-only. */
        {"rom", 0, NBD_CMD_WRITE, 0, 512, NBD_EPERM},
        {"rom", 0, NBD_CMD_WRITE, 0, 5000000, NBD_EPERM},
        {"rom", 0, NBD_CMD_TRIM, 0, 512, NBD_EPERM},
        {"rom", 0, NBD_CMD_WRITE_ZEROES, 0, 512, NBD_EPERM},
    };
    g_autofree uint8_t *junk = g_malloc(5000000);

    memset(junk, 0x25, 5000000);
    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
        int fd = client_connect_export(f->path, requests[i].export, NULL, NULL);

        client_request(fd, requests[i].flags, requests[i].type, i,
                       requests[i].offset, requests[i].len,
                       requests[i].type == NBD_CMD_WRITE ? junk : NULL);
        client_expect_reply(fd, i, requests[i].error);
        nbd_test_read(fd, 4000, 3000);
        close(fd);
    }
}

/* A hostile client is cut off, and another one does not notice. */
static void test_hostile(NbdTest *f, gconstpointer opaque)
{
    int good = nbd_test_connect(f);
    int fd = nbd_test_connect(f);
    g_autofree uint8_t *junk = g_malloc0(1 * MiB);

    client_send_maybe(fd, junk, 1 * MiB);
    client_expect_eof(fd);
    close(fd);
    nbd_test_read(good, 100, 1000);

    fd = nbd_test_connect(f);
    client_request(fd, 0, NBD_CMD_WRITE, 1, 0, 32 * MiB + 1, NULL);
    client_expect_eof(fd);
    close(fd);
    nbd_test_read(good, 200, 1000);
    close(good);
}

static void test_node_errors(NbdTest *f, gconstpointer opaque)
{
    static const struct {
        int ret;
        uint32_t error;
    } errors[] = {
        {-EPERM, NBD_EPERM},
        {-EROFS, NBD_EPERM},
        {-EIO, NBD_EIO},
        {-ENOMEM, NBD_ENOMEM},
        {-EINVAL, NBD_EINVAL},
        {-ENOSPC, NBD_ENOSPC},
        {-EOVERFLOW, NBD_EOVERFLOW},
        {-ENOTSUP, NBD_ENOTSUP},
        {-ESHUTDOWN, NBD_ESHUTDOWN},
        {-ECONNRESET, NBD_EIO},
    };
    int fd = nbd_test_connect(f);

    test_node_hold(f->disk);
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        client_request(fd, 0, NBD_CMD_READ, i, 0, 4096, NULL);
        test_node_wait_held(f->disk, 1);
        test_node_release(f->disk, 1, errors[i].ret);
        client_expect_reply(fd, i, errors[i].error);
    }
    close(fd);
}

/* Some requests of each kind, the disconnection last. */
static GByteArray *mixed_requests(void)
{
    GByteArray *out = g_byte_array_new();

    wire_request(out, 0, NBD_CMD_READ, 1, 1000, 10);
    wire_request(out, 0, NBD_CMD_WRITE, 2, 100, 5);
    wire_bytes(out, "hello", 5);
    wire_request(out, 0, NBD_CMD_WRITE, 3, DISK_SIZE, 7);
    wire_bytes(out, "refused", 7);
    wire_request(out, 0, NBD_CMD_FLUSH, 4, 0, 0);
    wire_request(out, 0, NBD_CMD_READ, 5, 100, 5);
    wire_request(out, 0, NBD_CMD_DISC, 6, 0, 0);
    return out;
}

static void expect_mixed_replies(int fd)
{
    uint8_t data[10];

    client_expect_reply(fd, 1, NBD_SUCCESS);
    client_recv(fd, data, 10);
    nbd_test_expect_pattern(data, 1000, 10);
    client_expect_reply(fd, 2, NBD_SUCCESS);
    client_expect_reply(fd, 3, NBD_ENOSPC);
    client_expect_reply(fd, 4, NBD_SUCCESS);
    client_expect_reply(fd, 5, NBD_SUCCESS);
    client_recv(fd, data, 5);
    g_assert_cmpmem(data, 5, "hello", 5);
    client_expect_eof(fd);
}

static void test_split(NbdTest *f, gconstpointer opaque)
{
    g_autoptr(GByteArray) wire = mixed_requests();

    for (size_t i = 0; i <= wire->len; i++) {
        int fd = nbd_test_connect(f);

        client_send(fd, wire->data, i);
        client_wait_read(fd);
        client_send_maybe(fd, wire->data + i, wire->len - i);
        expect_mixed_replies(fd);
        close(fd);
    }
}

static void test_byte_by_byte(NbdTest *f, gconstpointer opaque)
{
    g_autoptr(GByteArray) wire = mixed_requests();
    int fd = nbd_test_connect(f);

    for (size_t i = 0; i < wire->len; i++) {
        client_send(fd, wire->data + i, 1);
        client_wait_read(fd);
    }
    expect_mixed_replies(fd);
    close(fd);
}

/* Everything of the handshake and more in one write. */
static void test_eager_client(NbdTest *f, gconstpointer opaque)
{
    g_autoptr(GByteArray) requests = mixed_requests();
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint8_t handshake[NBD_GREETING_SIZE + 2 * NBD_OPTION_REPLY_SIZE + 12];
    int fd = client_connect(f->path);

    wire_be32(out, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    wire_info_option(out, NBD_OPT_GO, "disk", NULL, 0);
    wire_bytes(out, requests->data, requests->len);
    client_send_wire(fd, out);
    client_recv(fd, handshake, sizeof(handshake));
    expect_mixed_replies(fd);
    close(fd);
}

static void test_pipelined(NbdTest *f, gconstpointer opaque)
{
    enum {
        N = 1000,
        SIZE = 600
    };
    g_autoptr(GByteArray) out = g_byte_array_new();
    int fd = nbd_test_connect(f);
    uint8_t data[SIZE];

    for (uint64_t i = 0; i < N; i++) {
        wire_request(out, 0, NBD_CMD_READ, i, i * SIZE, SIZE);
    }
    client_send_wire(fd, out);
    for (uint64_t i = 0; i < N; i++) {
        client_expect_reply(fd, i, NBD_SUCCESS);
        client_recv(fd, data, SIZE);
        nbd_test_expect_pattern(data, i * SIZE, SIZE);
    }
    close(fd);
}

/* Replies come as requests end, the last first here. */
static void test_out_of_order(NbdTest *f, gconstpointer opaque)
{
    enum {
        N = 20
    };
    int fd = nbd_test_connect(f);
    uint8_t data[512];

    test_node_hold(f->disk);
    for (uint64_t i = 0; i < N; i++) {
        client_request(fd, 0, NBD_CMD_READ, i, i * 512, 512, NULL);
    }
    test_node_wait_held(f->disk, N);
    test_node_unhold(f->disk);
    for (uint64_t i = N; i-- > 0;) {
        client_expect_reply(fd, i, NBD_SUCCESS);
        client_recv(fd, data, 512);
        nbd_test_expect_pattern(data, i * 512, 512);
    }
    close(fd);
}

static void test_resized(NbdTest *f, gconstpointer opaque)
{
    int old = nbd_test_connect(f);
    uint64_t size;
    int new;

    test_node_set_size(f->disk, DISK_SIZE / 2);
    new = client_connect_export(f->path, "disk", &size, NULL);
    g_assert_cmpuint(size, ==, DISK_SIZE / 2);
    client_request(old, 0, NBD_CMD_READ, 1, DISK_SIZE - 1, 1, NULL);
    client_expect_reply(old, 1, NBD_EINVAL);

    test_node_set_size(f->disk, DISK_SIZE);
    nbd_test_read(old, DISK_SIZE - 1, 1);
    client_request(new, 0, NBD_CMD_READ, 2, DISK_SIZE - 1, 1, NULL);
    client_expect_reply(new, 2, NBD_EINVAL);
    close(old);
    close(new);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    nbd_test_add("request/commands", 0, test_commands);
    nbd_test_add("request/read-write", 0, test_read_write);
    nbd_test_add("request/refused", 0, test_refused);
    nbd_test_add("request/hostile", 0, test_hostile);
    nbd_test_add("request/node-errors", 0, test_node_errors);
    nbd_test_add("request/split", 0, test_split);
    nbd_test_add("request/byte-by-byte", 0, test_byte_by_byte);
    nbd_test_add("request/eager-client", 0, test_eager_client);
    nbd_test_add("request/pipelined", 0, test_pipelined);
    nbd_test_add("request/out-of-order", 0, test_out_of_order);
    nbd_test_add("request/resized", 0, test_resized);
    return g_test_run();
}
