/*
 * The NBD server with its exports: requests, limits, and the ends of clients,
 * exports and server.
 *
 * Longer than most files, as every rule has a case of its own here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/socket.h>
#include "block/export/export-internal.h"
#include "block/export/nbd-client.h"
#include "block/export/nbd-server.h"
#include "qapi/qmp-event.h"
#include "test-nbd-server-block.h"
#include "test-nbd-server-client.h"

#define DISK_SIZE (16 * MiB)
#define DEADLINE_US (30 * G_USEC_PER_SEC)

typedef struct Fixture {
    char *dir;
    char *path;
    BlockNode *disk;  /* served as "disk" by export e0 */
    BlockNode *rom;   /* served as "rom" by export e1, read-only */
    GString *deleted; /* ids of BLOCK_EXPORT_DELETED, each with a blank */
} Fixture;

static void on_event(const char *name, json_object *data, void *opaque)
{
    Fixture *f = opaque;
    json_object *id;

    g_assert_cmpstr(name, ==, "BLOCK_EXPORT_DELETED");
    g_assert_true(json_object_object_get_ex(data, "id", &id));
    g_string_append_printf(f->deleted, "%s ", json_object_get_string(id));
}

static void add_export(const char *id, const char *node, bool writable)
{
    BlockExportOptions options = {
        .type = BLOCK_EXPORT_TYPE_NBD,
        .id = (char *)id,
        .node_name = (char *)node,
        .has_writable = true,
        .writable = writable,
    };

    g_assert_true(block_export_add(&options, &error_abort));
}

static void start_server(Fixture *f, uint32_t max_connections)
{
    SocketAddress addr = {
        .type = SOCKET_ADDRESS_TYPE_UNIX,
        .u.q_unix.path = f->path,
    };

    g_assert_true(nbd_server_start(&addr, max_connections, &error_abort));
    add_export("e0", "disk", true);
    add_export("e1", "rom", false);
}

static void setup(Fixture *f, gconstpointer opaque)
{
    f->dir = g_dir_make_tmp("nbd-server-XXXXXX", NULL);
    f->path = g_build_filename(f->dir, "sock", NULL);
    f->disk = test_node_new("disk", DISK_SIZE);
    f->rom = test_node_new("rom", DISK_SIZE);
    f->deleted = g_string_new(NULL);
    test_node_set_read_only(f->rom);
    qmp_event_set_emitter(on_event, f);
    start_server(f, GPOINTER_TO_UINT(opaque));
}

static void teardown(Fixture *f, gconstpointer opaque)
{
    nbd_server_stop();
    while (g_main_context_iteration(NULL, FALSE)) {
        /* What was posted while the main thread waited. */
    }
    qmp_event_set_emitter(NULL, NULL);
    test_node_free(f->disk);
    test_node_free(f->rom);
    iothread_default_cleanup();
    g_assert_no_errno(g_rmdir(f->dir));
    g_string_free(f->deleted, TRUE);
    g_free(f->path);
    g_free(f->dir);
}

static int connect_disk(Fixture *f)
{
    return client_connect_export(f->path, "disk", NULL, NULL);
}

static void expect_deleted(Fixture *f, const char *ids)
{
    gint64 deadline = g_get_monotonic_time() + DEADLINE_US;

    while (strcmp(f->deleted->str, ids)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_main_context_iteration(NULL, FALSE);
        g_thread_yield();
    }
}

/* Waits until the client's end has come through to the export. */
static void delete_unused(Fixture *f, const char *id)
{
    gint64 deadline = g_get_monotonic_time() + DEADLINE_US;

    while (!block_export_del(id, false, NULL)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_thread_yield();
    }
}

static void expect_pattern(const uint8_t *data, uint64_t offset, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        g_assert_cmphex(data[i], ==, test_node_pattern(offset + i));
    }
}

static void expect_last(BlockNode *node, BlockOp op, unsigned flags,
                        uint64_t offset, uint64_t bytes)
{
    TestLastRequest last = test_node_last(node);

    g_assert_cmpint(last.op, ==, op);
    g_assert_cmphex(last.flags, ==, flags);
    g_assert_cmpuint(last.offset, ==, offset);
    g_assert_cmpuint(last.bytes, ==, bytes);
}

/* ---- Requests. ---- */

static void test_commands(Fixture *f, gconstpointer opaque)
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
    int fd = connect_disk(f);

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

static void check_read(int fd, uint64_t offset, uint32_t len)
{
    g_autofree uint8_t *data = g_malloc(len);

    client_request(fd, 0, NBD_CMD_READ, offset, offset, len, NULL);
    client_expect_reply(fd, offset, NBD_SUCCESS);
    client_recv(fd, data, len);
    expect_pattern(data, offset, len);
}

static void check_write(int fd, uint16_t flags, uint64_t offset, uint32_t len)
{
    g_autofree uint8_t *data = g_malloc(len);
    g_autofree uint8_t *back = g_malloc(len);

    for (uint32_t i = 0; i < len; i++) {
        data[i] = ~test_node_pattern(offset + i);
    }
    client_request(fd, flags, NBD_CMD_WRITE, 1, offset, len, data);
    client_expect_reply(fd, 1, NBD_SUCCESS);
    client_request(fd, 0, NBD_CMD_READ, 2, offset, len, NULL);
    client_expect_reply(fd, 2, NBD_SUCCESS);
    client_recv(fd, back, len);
    g_assert_cmpmem(data, len, back, len);
}

static void test_read_write(Fixture *f, gconstpointer opaque)
{
    static const uint32_t sizes[] = {1,      512,     4096,     4097,
                                     65536,  262144,  262145,   1048576,
                                     200000, 1048577, DISK_SIZE};
    int fd = connect_disk(f);

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        check_read(fd, DISK_SIZE - sizes[i], sizes[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        check_write(fd, i & 1 ? NBD_CMD_FLAG_FUA : 0, 0, sizes[i]);
    }
    client_request(fd, NBD_CMD_FLAG_FUA, NBD_CMD_WRITE, 3, 5, 1, "x");
    client_expect_reply(fd, 3, NBD_SUCCESS);
    expect_last(f->disk, BLOCK_OP_WRITE, BLOCK_REQ_FUA, 5, 1);
    close(fd);
}

static void test_refused(Fixture *f, gconstpointer opaque)
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
        check_read(fd, 4000, 3000);
        close(fd);
    }
}

/* A hostile client is cut off, and another one does not notice. */
static void test_hostile(Fixture *f, gconstpointer opaque)
{
    int good = connect_disk(f);
    int fd = connect_disk(f);
    g_autofree uint8_t *junk = g_malloc0(1 * MiB);

    client_send_maybe(fd, junk, 1 * MiB);
    client_expect_eof(fd);
    close(fd);
    check_read(good, 100, 1000);

    fd = connect_disk(f);
    client_request(fd, 0, NBD_CMD_WRITE, 1, 0, 32 * MiB + 1, NULL);
    client_expect_eof(fd);
    close(fd);
    check_read(good, 200, 1000);
    close(good);
}

static void test_node_errors(Fixture *f, gconstpointer opaque)
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
    int fd = connect_disk(f);

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
    expect_pattern(data, 1000, 10);
    client_expect_reply(fd, 2, NBD_SUCCESS);
    client_expect_reply(fd, 3, NBD_ENOSPC);
    client_expect_reply(fd, 4, NBD_SUCCESS);
    client_expect_reply(fd, 5, NBD_SUCCESS);
    client_recv(fd, data, 5);
    g_assert_cmpmem(data, 5, "hello", 5);
    client_expect_eof(fd);
}

static void test_split(Fixture *f, gconstpointer opaque)
{
    g_autoptr(GByteArray) wire = mixed_requests();

    for (size_t i = 0; i <= wire->len; i++) {
        int fd = connect_disk(f);

        client_send(fd, wire->data, i);
        client_wait_read(fd);
        client_send_maybe(fd, wire->data + i, wire->len - i);
        expect_mixed_replies(fd);
        close(fd);
    }
}

static void test_byte_by_byte(Fixture *f, gconstpointer opaque)
{
    g_autoptr(GByteArray) wire = mixed_requests();
    int fd = connect_disk(f);

    for (size_t i = 0; i < wire->len; i++) {
        client_send(fd, wire->data + i, 1);
        client_wait_read(fd);
    }
    expect_mixed_replies(fd);
    close(fd);
}

/* Everything of the handshake and more in one write. */
static void test_eager_client(Fixture *f, gconstpointer opaque)
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

static void test_pipelined(Fixture *f, gconstpointer opaque)
{
    enum {
        N = 1000,
        SIZE = 600
    };
    g_autoptr(GByteArray) out = g_byte_array_new();
    int fd = connect_disk(f);
    uint8_t data[SIZE];

    for (uint64_t i = 0; i < N; i++) {
        wire_request(out, 0, NBD_CMD_READ, i, i * SIZE, SIZE);
    }
    client_send_wire(fd, out);
    for (uint64_t i = 0; i < N; i++) {
        client_expect_reply(fd, i, NBD_SUCCESS);
        client_recv(fd, data, SIZE);
        expect_pattern(data, i * SIZE, SIZE);
    }
    close(fd);
}

/* Replies come as requests end, the last first here. */
static void test_out_of_order(Fixture *f, gconstpointer opaque)
{
    enum {
        N = 20
    };
    int fd = connect_disk(f);
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
        expect_pattern(data, i * 512, 512);
    }
    close(fd);
}

static void test_resized(Fixture *f, gconstpointer opaque)
{
    int old = connect_disk(f);
    uint64_t size;
    int new;

    test_node_set_size(f->disk, DISK_SIZE / 2);
    new = client_connect_export(f->path, "disk", &size, NULL);
    g_assert_cmpuint(size, ==, DISK_SIZE / 2);
    client_request(old, 0, NBD_CMD_READ, 1, DISK_SIZE - 1, 1, NULL);
    client_expect_reply(old, 1, NBD_EINVAL);

    test_node_set_size(f->disk, DISK_SIZE);
    check_read(old, DISK_SIZE - 1, 1);
    client_request(new, 0, NBD_CMD_READ, 2, DISK_SIZE - 1, 1, NULL);
    client_expect_reply(new, 2, NBD_EINVAL);
    close(old);
    close(new);
}

/* ---- Limits. ---- */

static void test_limit_requests(Fixture *f, gconstpointer opaque)
{
    enum {
        N = NBD_MAX_REQUESTS + 50
    };
    int fd = connect_disk(f);
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

static void test_limit_bytes(Fixture *f, gconstpointer opaque)
{
    enum {
        FIT = NBD_MAX_REQUEST_BYTES / DISK_SIZE
    };
    g_autofree uint8_t *data = g_malloc(DISK_SIZE);
    int fd = connect_disk(f);

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
    expect_pattern(data, 0, DISK_SIZE);
    close(fd);
}

/* Who does not take replies stops himself only, and goes on when he does. */
static void test_lazy_reader(Fixture *f, gconstpointer opaque)
{
    enum {
        N = 200,
        SIZE = 1024 * 1024
    };
    g_autofree uint8_t *data = g_malloc(SIZE);
    int lazy = connect_disk(f);
    int good = connect_disk(f);

    for (uint64_t i = 0; i < N; i++) {
        client_request(lazy, 0, NBD_CMD_READ, i, i, SIZE, NULL);
    }
    check_read(good, 12345, 54321);
    check_write(good, 0, 0, 12345);
    for (uint64_t i = 0; i < N; i++) {
        client_expect_reply(lazy, i, NBD_SUCCESS);
        client_recv(lazy, data, SIZE);
    }
    expect_pattern(data + SIZE / 2, N - 1 + SIZE / 2, SIZE / 2);
    close(lazy);
    close(good);
}

static void test_max_connections(Fixture *f, gconstpointer opaque)
{
    int first = connect_disk(f);
    int second = connect_disk(f);
    int third = client_connect(f->path);
    uint8_t greeting[NBD_GREETING_SIZE];

    check_read(first, 0, 10);
    check_read(second, 0, 10);
    g_assert_false(client_has_input(third));
    close(first);
    client_recv(third, greeting, sizeof(greeting));
    close(second);
    close(third);
}

static void test_negotiation_timeout(Fixture *f, gconstpointer opaque)
{
    int established = connect_disk(f);
    int silent, slow;

    nbd_client_set_handshake_timeout(50);
    silent = client_connect(f->path);
    slow = client_connect(f->path);
    client_send(slow, "\0\0\0\1IHAVEOPT", 12);
    client_expect_eof(silent);
    client_expect_eof(slow);
    check_read(established, 0, 10);
    nbd_client_set_handshake_timeout(NBD_HANDSHAKE_TIMEOUT_MS);
    close(silent);
    close(slow);
    close(established);
}

/* Many who never say anything keep nobody else out once their time is up. */
static void test_many_silent(Fixture *f, gconstpointer opaque)
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
    fd = connect_disk(f);
    check_read(fd, 0, 10);
    close(fd);
    for (int i = 0; i < N; i++) {
        close(fds[i]);
    }
}

/* ---- Ends. ---- */

static void test_client_dies(Fixture *f, gconstpointer opaque)
{
    enum {
        N = 30
    };
    g_autoptr(GByteArray) out = g_byte_array_new();
    int fd = connect_disk(f);

    test_node_hold(f->disk);
    for (uint64_t i = 0; i < N; i++) {
        client_request(fd, 0, NBD_CMD_READ, i, 0, 4096, NULL);
    }
    /* In the middle of a payload. */
    wire_request(out, 0, NBD_CMD_WRITE, N, 0, 100000);
    wire_bytes(out, "begin", 5);
    client_send_wire(fd, out);
    test_node_wait_held(f->disk, N);
    close(fd);

    test_node_release(f->disk, N / 2, 0);
    test_node_release(f->disk, N / 2, -EIO);
    g_assert_cmpuint(test_node_held(f->disk), ==, 0);
    delete_unused(f, "e0");
    g_assert_cmpstr(f->deleted->str, ==, "e0 ");
    g_assert_cmpuint(test_node_users(f->disk), ==, 0);
}

/* Who only stops sending still gets his replies. */
static void test_client_half_closes(Fixture *f, gconstpointer opaque)
{
    int fd = connect_disk(f);
    uint8_t data[100];

    test_node_hold(f->disk);
    client_request(fd, 0, NBD_CMD_READ, 7, 50, 100, NULL);
    g_assert_no_errno(shutdown(fd, SHUT_WR));
    test_node_wait_held(f->disk, 1);
    test_node_unhold(f->disk);
    client_expect_reply(fd, 7, NBD_SUCCESS);
    client_recv(fd, data, 100);
    expect_pattern(data, 50, 100);
    client_expect_eof(fd);
    close(fd);
}

static void expect_del_error(const char *id, bool hard, const char *msg)
{
    Error *err = NULL;

    g_assert_false(block_export_del(id, hard, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, msg);
    error_free(err);
}

static void test_export_del(Fixture *f, gconstpointer opaque)
{
    int fd = connect_disk(f);
    BlockExportInfoList *list;

    expect_del_error("e7", false, "Export 'e7' is not found");
    expect_del_error("e0", false, "export 'e0' still in use");
    check_read(fd, 0, 10);

    test_node_hold(f->disk);
    client_request(fd, 0, NBD_CMD_READ, 1, 0, 4096, NULL);
    test_node_wait_held(f->disk, 1);
    g_assert_true(block_export_del("e0", true, &error_abort));
    client_expect_eof(fd);
    close(fd);
    expect_del_error("e0", true, "Export 'e0' is already shutting down");

    /* Its request keeps it, and its name is free meanwhile. */
    list = block_export_query();
    g_assert_cmpstr(list->value->id, ==, "e1");
    g_assert_false(list->value->shutting_down);
    g_assert_cmpstr(list->next->value->id, ==, "e0");
    g_assert_true(list->next->value->shutting_down);
    qapi_free_BlockExportInfoList(list);
    g_assert_cmpuint(test_node_users(f->disk), ==, 1);
    add_export("e2", "disk", true);

    test_node_unhold(f->disk);
    expect_deleted(f, "e0 ");
    g_assert_cmpuint(test_node_users(f->disk), ==, 1);
    fd = connect_disk(f);
    check_read(fd, 0, 10);
    close(fd);
}

static void test_export_del_unused(Fixture *f, gconstpointer opaque)
{
    g_assert_true(block_export_del("e1", false, &error_abort));
    g_assert_cmpstr(f->deleted->str, ==, "e1 ");
    add_export("e1", "rom", false);
    g_assert_true(block_export_del("e1", true, &error_abort));
    g_assert_cmpstr(f->deleted->str, ==, "e1 e1 ");
}

static void expect_add_error(const char *id, const char *node, bool writable,
                             const char *name, const char *msg)
{
    BlockExportOptions options = {
        .type = BLOCK_EXPORT_TYPE_NBD,
        .id = (char *)id,
        .node_name = (char *)node,
        .writable = writable,
        .u.nbd.name = (char *)name,
    };
    Error *err = NULL;

    g_assert_false(block_export_add(&options, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, msg);
    error_free(err);
}

static void test_export_add_errors(Fixture *f, gconstpointer opaque)
{
    g_autofree char *longest = g_strnfill(NBD_MAX_STRING + 1, 'n');
    g_autofree char *too_long =
        g_strdup_printf("export name '%s' too long", longest);

    expect_add_error("", "disk", true, NULL, "Invalid block export id");
    expect_add_error("1x", "disk", true, NULL, "Invalid block export id");
    expect_add_error("e0", "disk", true, NULL,
                     "Block export id 'e0' is already in use");
    expect_add_error("e2", "dusk", true, NULL,
                     "Cannot find device='' nor node-name='dusk'");
    expect_add_error("e2", "rom", true, "r",
                     "Cannot export read-only node as writable");
    expect_add_error("e2", "disk", true, NULL,
                     "NBD server already has export named 'disk'");
    expect_add_error("e2", "disk", true, longest, too_long);
    g_assert_cmpuint(test_node_users(f->disk), ==, 1);
    g_assert_cmpuint(test_node_users(f->rom), ==, 1);

    nbd_server_stop();
    g_assert_cmpstr(f->deleted->str, ==, "e1 e0 ");
    expect_add_error("e0", "disk", true, NULL, "NBD server not running");
}

static void *release_later(void *opaque)
{
    BlockNode *disk = opaque;

    test_node_unhold(disk);
    return NULL;
}

/* The server ends with its exports, which wait for their requests. */
static void test_stop(Fixture *f, gconstpointer opaque)
{
    int negotiating = client_connect(f->path);
    uint8_t greeting[NBD_GREETING_SIZE];
    int idle = connect_disk(f);
    int busy = connect_disk(f);
    GThread *thread;

    client_recv(negotiating, greeting, sizeof(greeting));
    test_node_hold(f->disk);
    client_request(busy, 0, NBD_CMD_READ, 1, 0, 4096, NULL);
    test_node_wait_held(f->disk, 1);
    thread = g_thread_new("release", release_later, f->disk);
    nbd_server_stop();
    g_thread_join(thread);
    g_assert_cmpstr(f->deleted->str, ==, "e1 e0 ");
    g_assert_false(nbd_server_is_running());
    client_expect_eof(negotiating);
    client_expect_eof(idle);
    client_expect_eof(busy);
    close(negotiating);
    close(idle);
    close(busy);

    f->deleted = g_string_truncate(f->deleted, 0);
    start_server(f, 0);
    idle = connect_disk(f);
    check_read(idle, 0, 10);
    close(idle);
}

static void add(const char *name, unsigned max_connections,
                void (*fn)(Fixture *f, gconstpointer opaque))
{
    g_autofree char *path = g_strdup_printf("/nbd-server/%s", name);

    g_test_add(path, Fixture, GUINT_TO_POINTER(max_connections), setup, fn,
               teardown);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("request/commands", 0, test_commands);
    add("request/read-write", 0, test_read_write);
    add("request/refused", 0, test_refused);
    add("request/hostile", 0, test_hostile);
    add("request/node-errors", 0, test_node_errors);
    add("request/split", 0, test_split);
    add("request/byte-by-byte", 0, test_byte_by_byte);
    add("request/eager-client", 0, test_eager_client);
    add("request/pipelined", 0, test_pipelined);
    add("request/out-of-order", 0, test_out_of_order);
    add("request/resized", 0, test_resized);
    add("limit/requests", 0, test_limit_requests);
    add("limit/bytes", 0, test_limit_bytes);
    add("limit/lazy-reader", 0, test_lazy_reader);
    add("limit/max-connections", 2, test_max_connections);
    add("limit/negotiation-timeout", 0, test_negotiation_timeout);
    add("limit/many-silent", 0, test_many_silent);
    add("end/client-dies", 0, test_client_dies);
    add("end/client-half-closes", 0, test_client_half_closes);
    add("end/export-del", 0, test_export_del);
    add("end/export-del-unused", 0, test_export_del_unused);
    add("end/export-add-errors", 0, test_export_add_errors);
    add("end/stop", 0, test_stop);
    return g_test_run();
}
