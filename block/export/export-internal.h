/*
 * Between the files of block/export/: what QMP does to exports.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_EXPORT_EXPORT_INTERNAL_H
#define BLOCK_EXPORT_EXPORT_INTERNAL_H

#include "block/export.h"
#include "qapi/error.h"

/*
 * Ends an export; with @hard its clients are disconnected, else it must not
 * have any.  It may live on until its requests are done.  Main thread; does
 * not wait.
 */
bool block_export_del(const char *id, bool hard, Error **errp);

/* The list of exports, newest first; the caller frees it.  Main thread. */
BlockExportInfoList *block_export_query(void);

#endif
