/*
 * The NBD server hands its exports over: clients get their last replies and
 * then the end, and nobody new is let in.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "qemu/bswap.h"
#include "qemu/oob.h"
#include "test-nbd-server-client.h"
#include "test-nbd-server-fixture.h"

static bool is_shutting_down(const char *id)
{
    BlockExportInfoList *list = block_export_query();
    int found = -1;

    for (BlockExportInfoList *l = list; l; l = l->next) {
        if (!strcmp(l->value->id, id)) {
            found = l->value->shutting_down;
        }
    }
    qapi_free_BlockExportInfoList(list);
    g_assert_cmpint(found, >=, 0);
    return found;
}

/* Nothing but the end, without a word before. */
static void expect_end(int fd)
{
    char byte;

    g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 0);
    close(fd);
}

static void test_idle(NbdTest *f, gconstpointer opaque)
{
    int fd = nbd_test_connect(f);
    int rom = client_connect_export(f->path, "rom", NULL, NULL);

    g_assert_false(is_shutting_down("e0"));
    oob_section_enter("test");
    block_export_hand_over();
    oob_section_leave();
    expect_end(fd);
    expect_end(rom);
    g_assert_true(is_shutting_down("e0"));
    g_assert_true(is_shutting_down("e1"));
    nbd_test_delete_unused(f, "e0");
    g_assert_true(block_export_del("e1", true, &error_abort));
    nbd_test_expect_deleted(f, "e0 e1 ");
}

/* What the node works on is answered, however long it takes. */
static void test_in_flight(NbdTest *f, gconstpointer opaque)
{
    int fd = nbd_test_connect(f);
    uint8_t data[100];

    test_node_hold(f->disk);
    client_request(fd, 0, NBD_CMD_READ, 1, 50, 100, NULL);
    test_node_wait_held(f->disk, 1);
    block_export_hand_over();
    block_export_hand_over(); /* once more does no harm */
    client_request(fd, 0, NBD_CMD_READ, 2, 0, 100, NULL);
    g_assert_cmpuint(test_node_held(f->disk), ==, 1);
    test_node_unhold(f->disk);
    client_expect_reply(fd, 1, NBD_SUCCESS);
    client_recv(fd, data, 100);
    nbd_test_expect_pattern(data, 50, 100);
    expect_end(fd);
}

/* What waits gets no reply, and will never be done. */
static void test_waiting(NbdTest *f, gconstpointer opaque)
{
    enum {
        N = 10
    };
    int fd = nbd_test_connect(f);

    test_node_make_wait(f->disk);
    for (uint64_t i = 0; i < N; i++) {
        client_request(fd, 0, NBD_CMD_WRITE, i, 512 * i, 5, "hello");
    }
    client_wait_read(fd);
    g_assert_cmpuint(test_node_waiting(f->disk), ==, N);
    block_export_hand_over();
    expect_end(fd);
    g_assert_cmpuint(test_node_waiting(f->disk), ==, 0);
    nbd_test_delete_unused(f, "e0");
}

/* Half of a write is no write. */
static void test_payload(NbdTest *f, gconstpointer opaque)
{
    g_autofree uint8_t *data = g_malloc0(100000);
    g_autoptr(GByteArray) out = g_byte_array_new();
    int fd = nbd_test_connect(f);

    wire_request(out, 0, NBD_CMD_WRITE, 1, 0, 100000);
    wire_bytes(out, data, 50000);
    client_send_wire(fd, out);
    client_wait_read(fd);
    block_export_hand_over();
    client_send_maybe(fd, data, 50000);
    expect_end(fd);
    g_assert_cmpuint(test_node_last(f->disk).bytes, ==, 0);
}

/* All replies that there are, though the client takes its time. */
static void test_slow_client(NbdTest *f, gconstpointer opaque)
{
    enum {
        N = 40,
        SIZE = 1024 * 1024
    };
    g_autofree uint8_t *data = g_malloc0(SIZE);
    int fd = nbd_test_connect(f);

    for (uint64_t i = 0; i < N; i++) {
        client_request(fd, 0, NBD_CMD_READ, i, i, SIZE, NULL);
    }
    client_wait_read(fd);
    block_export_hand_over();
    g_assert_cmpuint(test_node_held(f->disk), ==, 0); /* it has been heard */
    /* It talks on, which must not cost it what was said before. */
    client_request(fd, 0, NBD_CMD_WRITE, N, 0, SIZE, data);
    for (uint64_t i = 0; i < N; i++) {
        client_expect_reply(fd, i, NBD_SUCCESS);
        client_recv(fd, data, SIZE);
        nbd_test_expect_pattern(data, i, 1000);
        nbd_test_expect_pattern(data + SIZE - 1000, i + SIZE - 1000, 1000);
    }
    expect_end(fd);
    nbd_test_delete_unused(f, "e0");
}

/* ---- Who comes later. ---- */

static uint32_t option_reply(int fd)
{
    uint8_t head[NBD_OPTION_REPLY_SIZE];
    g_autofree uint8_t *data = NULL;

    client_recv(fd, head, sizeof(head));
    data = g_malloc(ldl_be_p(head + 16));
    client_recv(fd, data, ldl_be_p(head + 16));
    return ldl_be_p(head + 12);
}

static void test_newcomers(NbdTest *f, gconstpointer opaque)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint8_t greeting[NBD_GREETING_SIZE];
    int fd = client_connect(f->path);

    wire_be32(out, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    client_send_wire(fd, out);
    client_recv(fd, greeting, sizeof(greeting));
    block_export_hand_over();

    wire_info_option(out, NBD_OPT_INFO, "disk", NULL, 0);
    wire_info_option(out, NBD_OPT_GO, "disk", NULL, 0);
    wire_info_option(out, NBD_OPT_GO, "none", NULL, 0);
    wire_option(out, NBD_OPT_LIST, NULL, 0);
    client_send_wire(fd, out);
    g_assert_cmphex(option_reply(fd), ==, NBD_REP_ERR_SHUTDOWN);
    g_assert_cmphex(option_reply(fd), ==, NBD_REP_ERR_SHUTDOWN);
    g_assert_cmphex(option_reply(fd), ==, NBD_REP_ERR_UNKNOWN);
    g_assert_cmphex(option_reply(fd), ==, NBD_REP_ACK);
    wire_option(out, NBD_OPT_EXPORT_NAME, "disk", 4);
    client_send_wire(fd, out);
    expect_end(fd);
}

/* Its clients would wait for ever. */
static void test_new_export_inactive(NbdTest *f, gconstpointer opaque)
{
    BlockExportOptions options = {
        .type = BLOCK_EXPORT_TYPE_NBD,
        .id = (char *)"e2",
        .node_name = (char *)"disk",
        .u.nbd.name = (char *)"other",
    };
    g_autoptr(Error) err = NULL;
    unsigned users;

    block_export_hand_over();
    test_role_set_active(false);
    users = test_node_users(f->disk);
    g_assert_false(block_export_add(&options, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Cannot export inactive node 'disk': it was migrated away "
                    "from here");
    g_assert_cmpuint(test_node_users(f->disk), ==, users);
    test_role_set_active(true);
}

/* What an active process exports from then on is served. */
static void test_new_export(NbdTest *f, gconstpointer opaque)
{
    int fd;

    block_export_hand_over();
    g_assert_true(block_export_del("e0", false, &error_abort));
    nbd_test_add_export("e2", "disk", true);
    fd = nbd_test_connect(f);
    nbd_test_read(fd, 0, 1000);
    close(fd);
}

/* ---- Ends. ---- */

/* A client that never hangs up keeps neither its export nor the server. */
static void test_clinging_client(NbdTest *f, gconstpointer opaque)
{
    int first = nbd_test_connect(f);
    int second = client_connect_export(f->path, "rom", NULL, NULL);

    test_node_make_wait(f->disk);
    client_request(first, 0, NBD_CMD_READ, 1, 0, 100, NULL);
    client_wait_read(first);
    block_export_hand_over();
    g_assert_false(block_export_del("e0", false, NULL));
    g_assert_true(block_export_del("e0", true, &error_abort));
    nbd_test_expect_deleted(f, "e0 ");
    nbd_server_stop();
    g_assert_cmpstr(f->deleted->str, ==, "e0 e1 ");
    close(first);
    close(second);
}

/* A client that nobody serves any more leaves nothing to be done later. */
static void test_hard_del_waiting(NbdTest *f, gconstpointer opaque)
{
    int fd = nbd_test_connect(f);

    test_node_make_wait(f->disk);
    client_request(fd, 0, NBD_CMD_WRITE, 1, 0, 5, "hello");
    client_wait_read(fd);
    g_assert_cmpuint(test_node_waiting(f->disk), ==, 1);
    g_assert_true(block_export_del("e0", true, &error_abort));
    nbd_test_expect_deleted(f, "e0 ");
    g_assert_cmpuint(test_node_waiting(f->disk), ==, 0);
    close(fd);
}

typedef struct Comer {
    const char *path;
    int stop; /* atomic */
} Comer;

static void *come_and_go(void *opaque)
{
    Comer *c = opaque;
    g_autoptr(GByteArray) out = g_byte_array_new();

    while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE)) {
        int fd = client_connect(c->path);

        wire_be32(out, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
        wire_option(out, NBD_OPT_EXPORT_NAME, "disk", 4);
        wire_request(out, 0, NBD_CMD_READ, 1, 0, 1000);
        client_send_maybe(fd, out->data, out->len);
        g_byte_array_set_size(out, 0);
        client_expect_eof(fd); /* by itself it would stay */
        close(fd);
    }
    return NULL;
}

/* Clients come in all phases while the export goes away and comes back. */
static void test_stress(NbdTest *f, gconstpointer opaque)
{
    IOThread *other = iothread_new("other");
    Comer comer = {.path = f->path};
    GThread *thread;

    g_assert_true(block_export_del("e0", true, &error_abort));
    g_assert_true(block_node_set_iothread(f->disk, other, &error_abort));
    thread = g_thread_new("comer", come_and_go, &comer);
    for (int i = 0; i < 80; i++) {
        nbd_test_add_export("e0", "disk", true);
        g_usleep(g_random_int_range(0, 500));
        block_export_hand_over();
        nbd_test_delete_unused(f, "e0");
    }
    __atomic_store_n(&comer.stop, 1, __ATOMIC_RELEASE);
    g_thread_join(thread);
    g_assert_true(
        block_node_set_iothread(f->disk, iothread_default(), &error_abort));
    iothread_unref(other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    nbd_test_add("hand-over/idle", 0, test_idle);
    nbd_test_add("hand-over/in-flight", 0, test_in_flight);
    nbd_test_add("hand-over/waiting", 0, test_waiting);
    nbd_test_add("hand-over/payload", 0, test_payload);
    nbd_test_add("hand-over/slow-client", 0, test_slow_client);
    nbd_test_add("hand-over/newcomers", 0, test_newcomers);
    nbd_test_add("hand-over/new-export-inactive", 0, test_new_export_inactive);
    nbd_test_add("hand-over/new-export", 0, test_new_export);
    nbd_test_add("hand-over/clinging-client", 0, test_clinging_client);
    nbd_test_add("hand-over/hard-del-waiting", 0, test_hard_del_waiting);
    nbd_test_add("hand-over/stress", 0, test_stress);
    return g_test_run();
}
