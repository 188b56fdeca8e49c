/*
 * The service's side of the control socket: who may come in, and how many.
 *
 * The main thread's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_CONTROL_H
#define TOOLS_WATCH_CONTROL_H

#include "fleet.h"
#include "socket.h"

typedef struct WatchControl WatchControl;

/* Serves on @sock, which stays the caller's, on the default main context. */
WatchControl *watch_control_new(const WatchSocket *sock, Fleet *fleet);
/* Disconnects all clients and takes no more. */
void watch_control_close(WatchControl *control);
/* Waits for operations under way: an instant once the fleet is gone. */
void watch_control_free(WatchControl *control);

#endif
