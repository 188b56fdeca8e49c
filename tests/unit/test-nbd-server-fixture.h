/*
 * An NBD server with two exports, for its tests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TEST_NBD_SERVER_FIXTURE_H
#define TEST_NBD_SERVER_FIXTURE_H

#include "block/export/export-internal.h"
#include "block/export/nbd-proto.h"
#include "block/export/nbd-server.h"
#include "test-nbd-server-block.h"

#define DISK_SIZE (16 * MiB)

typedef struct NbdTest {
    char *dir;
    char *path;
    BlockNode *disk;  /* served as "disk" by export e0 */
    BlockNode *rom;   /* served as "rom" by export e1, read-only */
    GString *deleted; /* ids of BLOCK_EXPORT_DELETED, each with a blank */
} NbdTest;

/* A test "/nbd-server/@name"; @max_connections of the server, or 0. */
void nbd_test_add(const char *name, unsigned max_connections,
                  void (*fn)(NbdTest *f, gconstpointer opaque));

void nbd_test_start_server(NbdTest *f, uint32_t max_connections,
                           int64_t handshake_ms);
void nbd_test_add_export(const char *id, const char *node, bool writable);
/* Runs the main loop until these have been deleted. */
void nbd_test_expect_deleted(NbdTest *f, const char *ids);
/* Waits until the client's end has come through to the export. */
void nbd_test_delete_unused(NbdTest *f, const char *id);

/* In transmission with "disk". */
int nbd_test_connect(NbdTest *f);
/* Reads, and finds the pattern. */
void nbd_test_read(int fd, uint64_t offset, uint32_t len);
/* Writes something else, and reads it back. */
void nbd_test_write(int fd, uint16_t flags, uint64_t offset, uint32_t len);
void nbd_test_expect_pattern(const uint8_t *data, uint64_t offset, size_t len);

#endif
