/*
 * Character devices.
 *
 * All functions are for the main thread.  A device that carries a monitor
 * hands its connections to the monitor's thread and is no yank instance any
 * more: nobody saws off the branch that a rescue sits on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHARDEV_CHAR_H
#define CHARDEV_CHAR_H

#include "io/channel.h"
#include "qapi/qapi-types-char.h"
#include "qemu/iothread.h"

typedef struct Chardev Chardev;

/*
 * Makes and opens a device.  Blocks on a socket with wait=on, while the name
 * that a socket is to listen at is resolved, while a client socket without
 * reconnect connects, or while a file opens; a yank of "chardev:@id" ends that
 * with an error.
 */
bool chardev_add(const char *id, ChardevBackend *backend, Error **errp);
/* Closes it; fails when it is unknown or in use. */
bool chardev_remove(const char *id, Error **errp);
/* Closes what is left, monitors included, at exit; warns about nothing. */
void chardev_cleanup(void);

/* NULL with errp set when there is none. */
Chardev *chardev_find(const char *id, Error **errp);

/*
 * Writes all of @buf.  Blocks while the peer does not read, or a file system
 * does not answer; a yank ends that with an error, although data for a file may
 * still be written later.  Without a peer the data is dropped, as on an unplugged
 * cable.
 */
bool chardev_write_all(Chardev *chr, const void *buf, size_t len, Error **errp);

/* A connection for a monitor; @ioc is the callee's.  Monitor's thread. */
typedef void ChardevSessionFn(QIOChannel *ioc, void *opaque);

/*
 * Makes @chr carry a monitor: each connection, the present ones included, is
 * handed to @fn on @iothread, which must run until the device is closed.  A
 * client socket with reconnect connects again when @fn's channel was closed
 * and chardev_session_ended() is called.  On a ring buffer nothing is ever
 * received, and on a null device there is no session at all.  Fails when @chr
 * is in use, or when there is no descriptor or thread left for it.
 */
bool chardev_attach_monitor(Chardev *chr, IOThread *iothread,
                            ChardevSessionFn *fn, void *opaque, Error **errp);
/* Monitor's thread: the session on @ioc is over. */
void chardev_session_ended(Chardev *chr);

#endif
