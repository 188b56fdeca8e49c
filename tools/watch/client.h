/*
 * A client of the control socket: its requests, their answers, its events.
 *
 * Belongs to the main thread, which reads; operations run on threads of a
 * pool, and events come from yet another.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_CLIENT_H
#define TOOLS_WATCH_CLIENT_H

#include "fleet.h"

typedef struct WatchClient WatchClient;

typedef void WatchClientEndFn(WatchClient *client, void *data);

/*
 * Greets, and serves the client at the other end of @fd, which it takes, until
 * it goes or breaks the protocol; then @end_fn is called, once, on the main
 * thread, and is to let go.
 * @uid: the client's user
 * @pool: runs watch_client_work()
 */
WatchClient *watch_client_new(int fd, unsigned uid, Fleet *fleet,
                              GThreadPool *pool, WatchClientEndFn *end_fn,
                              void *data);
/*
 * Since when it has asked for nothing, a monotonic time; 0: an operation of it
 * is under way, or it waits for events.
 */
gint64 watch_client_idle_since(const WatchClient *client);
/* Says @why and disconnects; its end is told as any other. */
void watch_client_dismiss(WatchClient *client, const char *why);
/* Disconnects; operations under way come to their end by themselves. */
void watch_client_close(WatchClient *client);

/* A pool's function: runs an operation. */
void watch_client_work(void *task, void *data);

#endif
