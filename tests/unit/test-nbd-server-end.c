/*
 * The NBD server: the ends of clients, of exports, and its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "test-nbd-server-client.h"
#include "test-nbd-server-fixture.h"

static void test_client_dies(NbdTest *f, gconstpointer opaque)
{
    enum {
        N = 30
    };
    g_autoptr(GByteArray) out = g_byte_array_new();
    int fd = nbd_test_connect(f);

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
    nbd_test_delete_unused(f, "e0");
    g_assert_cmpstr(f->deleted->str, ==, "e0 ");
    g_assert_cmpuint(test_node_users(f->disk), ==, 0);
}

/* Who only stops sending still gets his replies. */
static void test_client_half_closes(NbdTest *f, gconstpointer opaque)
{
    int fd = nbd_test_connect(f);
    uint8_t data[100];

    test_node_hold(f->disk);
    client_request(fd, 0, NBD_CMD_READ, 7, 50, 100, NULL);
    g_assert_no_errno(shutdown(fd, SHUT_WR));
    test_node_wait_held(f->disk, 1);
    test_node_unhold(f->disk);
    client_expect_reply(fd, 7, NBD_SUCCESS);
    client_recv(fd, data, 100);
    nbd_test_expect_pattern(data, 50, 100);
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

static void test_export_del(NbdTest *f, gconstpointer opaque)
{
    int fd = nbd_test_connect(f);
    BlockExportInfoList *list;

    expect_del_error("e7", false, "Export 'e7' is not found");
    expect_del_error("e0", false, "export 'e0' still in use");
    nbd_test_read(fd, 0, 10);

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
    nbd_test_add_export("e2", "disk", true);

    test_node_unhold(f->disk);
    nbd_test_expect_deleted(f, "e0 ");
    g_assert_cmpuint(test_node_users(f->disk), ==, 1);
    fd = nbd_test_connect(f);
    nbd_test_read(fd, 0, 10);
    close(fd);
}

static void test_export_del_unused(NbdTest *f, gconstpointer opaque)
{
    g_assert_true(block_export_del("e1", false, &error_abort));
    g_assert_cmpstr(f->deleted->str, ==, "e1 ");
    nbd_test_add_export("e1", "rom", false);
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

static void test_export_add_errors(NbdTest *f, gconstpointer opaque)
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
static void test_stop(NbdTest *f, gconstpointer opaque)
{
    int negotiating = client_connect(f->path);
    uint8_t greeting[NBD_GREETING_SIZE];
    int idle = nbd_test_connect(f);
    int busy = nbd_test_connect(f);
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
    nbd_test_start_server(f, 0, NBD_HANDSHAKE_MS);
    idle = nbd_test_connect(f);
    nbd_test_read(idle, 0, 10);
    close(idle);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    nbd_test_add("end/client-dies", 0, test_client_dies);
    nbd_test_add("end/client-half-closes", 0, test_client_half_closes);
    nbd_test_add("end/export-del", 0, test_export_del);
    nbd_test_add("end/export-del-unused", 0, test_export_del_unused);
    nbd_test_add("end/export-add-errors", 0, test_export_add_errors);
    nbd_test_add("end/stop", 0, test_stop);
    return g_test_run();
}
