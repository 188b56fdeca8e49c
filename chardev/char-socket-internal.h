/*
 * Socket devices, shared by their two sides: listening and connecting.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHAR_SOCKET_INTERNAL_H
#define CHAR_SOCKET_INTERNAL_H

#include "chardev-internal.h"
#include "io/connect-task.h"
#include "io/net-listener.h"
#include "io/socket-address.h"
#include "qemu/activity.h"
#include "qemu/fd-watch.h"
#include "qemu/thread.h"

typedef struct SocketChardev {
    Chardev parent;
    bool server;
    SocketAddress *addr;
    char *addr_text;
    int64_t reconnect_s; /* 0: never */
    Activity *activity;  /* NULL with a monitor */

    /* The main thread's, or with a monitor that of its context. */
    GMainContext *context;
    QIONetListener *listener;
    FdWatch *hangup_watch;
    GSource *reconnect_timer;
    ChardevSessionFn *fn; /* the monitor's */
    void *opaque;

    /*
     * Guards what a yank cuts.  Fast; taken under the lock of the yank
     * instance, and itself before those of channels and connect tasks.
     */
    QemuMutex lock;
    bool yanked; /* sticks until another peer is sought */
    QIOChannel *ioc;
    QIOConnectTask *task;
    int wait_fd; /* an eventfd that ends the waits of opening; -1: none */
    const char *wait_what; /* for what, with wait_fd */
    unsigned sessions;     /* of the monitor */
} SocketChardev;

/* What query-chardev says; main thread. */
char *char_socket_filename(Chardev *chr);

/* Context's thread: hands @ioc (consumed) to the monitor. */
void char_socket_start_session(SocketChardev *s, QIOChannel *ioc);

/* Context's thread: the peer is @ioc (consumed).  False when yanked. */
bool char_socket_connected(SocketChardev *s, QIOChannel *ioc, Error **errp);
/* Context's thread: there is no peer any more. */
void char_socket_disconnected(SocketChardev *s);

/* What the sides do about it; main thread or the context's. */
/*
 * Begins to listen.  A device that replaces another one with the same address
 * takes over its listener, so that clients can connect at any time; on failure
 * the old device gets the listener back.
 */
bool char_socket_server_open(SocketChardev *s, bool wait, Error **errp);
void char_socket_server_listen(SocketChardev *s);
void char_socket_server_wait_cut(SocketChardev *s); /* lock held */
void char_socket_server_close(SocketChardev *s);

bool char_socket_client_open(SocketChardev *s, Error **errp);
/* Connects in the background, now or after the delay to reconnect. */
void char_socket_client_connect(SocketChardev *s);
void char_socket_client_reconnect(SocketChardev *s);
void char_socket_client_cut(SocketChardev *s); /* lock held */
void char_socket_client_close(SocketChardev *s);

#endif
