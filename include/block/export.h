/*
 * Block exports: nodes served to clients, by the NBD server.
 *
 * Main thread, but for what an export does on the I/O thread of its node.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_EXPORT_H
#define BLOCK_EXPORT_H

#include "qapi/error.h"
#include "qapi/qapi-types-block-export.h"

bool block_export_add(BlockExportOptions *options, Error **errp);
/*
 * Ends all exports, waiting for requests in flight; at exit.  Blocks on the
 * nodes' peers: a yank ends that.
 */
void block_export_close_all(void);
/*
 * Like block_export_close_all(), for commands.  Returns false with errp set
 * when requests that no yank can end take longer than BLOCK_WAIT_MS; the
 * exports of these requests then end later, by themselves.
 */
bool block_export_close_all_try(Error **errp);

/*
 * The data is served elsewhere now: each client's connection ends after the
 * last reply to it has left, and who connects later is sent away.  Requests
 * that are held get no reply.  While this process is inactive, no exports can
 * be added from then on.  Any thread, OOB-safe; goes on in the background.
 */
void block_export_hand_over(void);

/*
 * Lets the clients of a server that is started after this call wait in the
 * backlog until nbd_server_release().  Otherwise they would be refused while
 * the exports are still being added.
 */
void nbd_server_hold(void);
void nbd_server_release(void);
bool nbd_server_start_options(NbdServerOptions *options, Error **errp);
/* Ends the server with its exports, if it runs. */
void nbd_server_stop(void);
/* Like nbd_server_stop(), with the limits of block_export_close_all_try(). */
bool nbd_server_stop_try(Error **errp);

#endif
