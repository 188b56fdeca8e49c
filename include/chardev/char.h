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
 * Makes and opens a device.  Returns false with errp set on failure.  Blocks
 * while a socket with wait=on has no client, while the host name of a listening
 * socket is resolved, while a client socket without reconnect connects, and
 * while a file opens.  A yank of "chardev:@id" ends the wait with an error.
 */
bool chardev_add(const char *id, ChardevBackend *backend, Error **errp);
/* Closes it; fails when it is unknown or in use. */
bool chardev_remove(const char *id, Error **errp);
/* Closes what is left, monitors included, at exit; warns about nothing. */
void chardev_cleanup(void);

/* NULL with errp set when there is none. */
Chardev *chardev_find(const char *id, Error **errp);

/*
 * Writes all of @buf.  Blocks while the peer does not read or a file system
 * does not answer; a yank ends the wait with an error.  After such a yank data
 * for a file may still be written later.  Data is dropped when there is no
 * peer.
 */
bool chardev_write_all(Chardev *chr, const void *buf, size_t len, Error **errp);

/* A connection for a monitor; @ioc is the callee's.  Monitor's thread. */
typedef void ChardevSessionFn(QIOChannel *ioc, void *opaque);

/*
 * Makes @chr carry a monitor: each connection, including one that exists
 * already, is handed to @fn on @iothread, which must run until the device is
 * closed.  A client socket with reconnect connects again after the channel
 * given to @fn was closed and chardev_session_ended() was called.  A ring
 * buffer receives nothing; a null device has no session.  Returns false with
 * errp set when @chr is in use, or when no descriptor or no thread is left.
 */
bool chardev_attach_monitor(Chardev *chr, IOThread *iothread,
                            ChardevSessionFn *fn, void *opaque, Error **errp);
/* Monitor's thread: the session on @ioc is over. */
void chardev_session_ended(Chardev *chr);

#endif
