/*
 * NBD exports: nodes under a name, and the clients that use them.
 *
 * The main thread makes and closes them; the thread that negotiates looks
 * them up; their clients live on the I/O thread of the node.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_EXPORT_NBD_EXPORT_H
#define BLOCK_EXPORT_NBD_EXPORT_H

#include "qapi/error.h"
#include "block/block.h"
#include "nbd-proto.h"
#include "qapi/qapi-types-block-export.h"

typedef struct NbdClient NbdClient;
typedef struct NbdExport NbdExport;

/* An export that was closed is gone now.  Any thread, under a fast lock. */
typedef void NbdExportGoneFn(void);

struct NbdExport {
    /* Fixed. */
    char *name;
    char *description; /* may be NULL */
    BlockNode *node;
    IOThread *iothread;
    uint16_t flags; /* NBD_FLAG_* */
    bool writethrough;
    uint32_t min_block; /* bytes, powers of two */
    uint32_t preferred_block;
    uint32_t max_block;
    NbdExportGoneFn *gone;

    /* Guarded by the lock in nbd-export.c. */
    unsigned n_clients; /* attached, on whichever thread they are */
    bool closing;       /* no new ones, and those there are have to go */
    bool handed_over;   /* the same, but they get the last of their replies */

    GQueue clients; /* I/O thread of the export: those in transmission */
};

/* What a client is told about an export. */
typedef struct NbdExportInfo {
    uint64_t size;
    uint16_t flags;
    uint32_t min_block;
    uint32_t preferred_block;
    uint32_t max_block;
    char *description; /* may be NULL */
    bool handed_over;  /* there is none, as it is served elsewhere now */
} NbdExportInfo;

/* Main thread.  @node must be in use for as long as the export is there. */
NbdExport *nbd_export_new(const BlockExportOptions *options, BlockNode *node,
                          NbdExportGoneFn *gone, Error **errp);
/*
 * Takes the export off the list and disconnects its clients.  True when it is
 * gone; false when @gone will tell, once the last client is gone with its last
 * request.  Main thread; does not wait.
 */
bool nbd_export_close(NbdExport *exp);
/*
 * Waits for that until @deadline_us (monotonic clock), or without a limit if
 * @deadline_us is negative.  Returns false when the time is over.  Main thread;
 * blocks.
 */
bool nbd_export_wait_gone(NbdExport *exp, int64_t deadline_us);
/* After it is gone.  Main thread. */
void nbd_export_free(NbdExport *exp);
/* Main thread. */
bool nbd_export_has_clients(NbdExport *exp);

/* Calls @fn for each that is served, under a fast lock.  Any thread. */
void nbd_export_foreach(void (*fn)(const NbdExport *exp, void *opaque),
                        void *opaque);
/* Tells about the export called @name; false when there is none. */
bool nbd_export_get_info(const char *name, NbdExportInfo *info);
/* The same, and counts a client in; NULL when there is none.  Any thread. */
NbdExport *nbd_export_attach(const char *name, NbdExportInfo *info);
/* Counts it out; @exp may be gone then.  Any thread. */
void nbd_export_detach(NbdExport *exp);
/* Whether its clients have to go.  Any thread. */
bool nbd_export_is_closing(NbdExport *exp);

/*
 * Lets the clients of all exports go, and no new ones come.  Any thread,
 * OOB-safe; does not wait.
 */
void nbd_export_hand_over_all(void);
/* Any thread. */
bool nbd_export_is_handed_over(NbdExport *exp);

void nbd_export_info_clear(NbdExportInfo *info);

#endif
