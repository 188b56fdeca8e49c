/*
 * An NBD server with two exports, for its tests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "qapi/qmp-event.h"
#include "qobject/json.h"
#include "test-nbd-server-client.h"
#include "test-nbd-server-fixture.h"

#define DEADLINE_US (30 * G_USEC_PER_SEC)

static void on_event(const char *name, const char *data, void *opaque)
{
    g_autoptr(json_object) object = json_parse(data, &error_abort);
    NbdTest *f = opaque;
    json_object *id;

    g_assert_cmpstr(name, ==, "BLOCK_EXPORT_DELETED");
    g_assert_true(json_object_object_get_ex(object, "id", &id));
    g_string_append_printf(f->deleted, "%s ", json_object_get_string(id));
}

void nbd_test_add_export(const char *id, const char *node, bool writable)
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

void nbd_test_start_server(NbdTest *f, uint32_t max_connections,
                           int64_t handshake_ms)
{
    SocketAddress addr = {
        .type = SOCKET_ADDRESS_TYPE_UNIX,
        .u.q_unix.path = f->path,
    };

    g_assert_true(
        nbd_server_start(&addr, max_connections, handshake_ms, &error_abort));
    nbd_test_add_export("e0", "disk", true);
    nbd_test_add_export("e1", "rom", false);
}

static void setup(NbdTest *f, gconstpointer opaque)
{
    f->dir = g_dir_make_tmp("nbd-server-XXXXXX", NULL);
    f->path = g_build_filename(f->dir, "sock", NULL);
    f->disk = test_node_new("disk", DISK_SIZE);
    f->rom = test_node_new("rom", DISK_SIZE);
    f->deleted = g_string_new(NULL);
    test_node_set_read_only(f->rom);
    qmp_event_set_emitter(on_event, f);
    nbd_test_start_server(f, GPOINTER_TO_UINT(opaque), NBD_HANDSHAKE_MS);
}

static void teardown(NbdTest *f, gconstpointer opaque)
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

int nbd_test_connect(NbdTest *f)
{
    return client_connect_export(f->path, "disk", NULL, NULL);
}

void nbd_test_expect_deleted(NbdTest *f, const char *ids)
{
    gint64 deadline = g_get_monotonic_time() + DEADLINE_US;

    while (strcmp(f->deleted->str, ids)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_main_context_iteration(NULL, FALSE);
        g_thread_yield();
    }
}

void nbd_test_delete_unused(NbdTest *f, const char *id)
{
    gint64 deadline = g_get_monotonic_time() + DEADLINE_US;

    while (!block_export_del(id, false, NULL)) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_thread_yield();
    }
}

void nbd_test_expect_pattern(const uint8_t *data, uint64_t offset, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        g_assert_cmphex(data[i], ==, test_node_pattern(offset + i));
    }
}

void nbd_test_read(int fd, uint64_t offset, uint32_t len)
{
    g_autofree uint8_t *data = g_malloc(len);

    client_request(fd, 0, NBD_CMD_READ, offset, offset, len, NULL);
    client_expect_reply(fd, offset, NBD_SUCCESS);
    client_recv(fd, data, len);
    nbd_test_expect_pattern(data, offset, len);
}

void nbd_test_write(int fd, uint16_t flags, uint64_t offset, uint32_t len)
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

void nbd_test_add(const char *name, unsigned max_connections,
                  void (*fn)(NbdTest *f, gconstpointer opaque))
{
    g_autofree char *path = g_strdup_printf("/nbd-server/%s", name);

    g_test_add(path, NbdTest, GUINT_TO_POINTER(max_connections), setup, fn,
               teardown);
}
