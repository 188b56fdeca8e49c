/*
 * The one session of a monitor on a device that is no socket.  Main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHAR_SESSION_H
#define CHAR_SESSION_H

#include "char-fd.h"
#include "qemu/aside.h"

typedef struct CharSession {
    int far_fd; /* the device's end of a socket pair; -1: there is none */
    AsideCall *reader, *writer; /* side threads that do the I/O of files */
    QIOChannel *ioc;            /* until the session begins */
    ChardevSessionFn *fn;
    void *opaque;
} CharSession;

/*
 * Begins a session on @iothread that reads @in and writes @out (either may be
 * NULL) by duplicates of their descriptors.  The monitor's thread does no I/O
 * of files: side threads do that, over a socket pair.  Without @in nothing
 * ever comes; what is written without @out arrives at @session->far_fd, which
 * does not block.
 */
bool char_session_begin(CharSession *session, Chardev *chr, const CharFd *in,
                        const CharFd *out, IOThread *iothread,
                        ChardevSessionFn *fn, void *opaque, Error **errp);

/*
 * Ends the side threads, after what the session has written; waits for up to
 * ASIDE_TIMEOUT_MS.  A session that was never begun, all zeroes, is allowed.
 */
void char_session_end(CharSession *session);

#endif
