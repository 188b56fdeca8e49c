/*
 * The only session of a monitor on a device other than a socket.  Main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHAR_SESSION_H
#define CHAR_SESSION_H

#include "char-fd.h"
#include "qemu/aside.h"

typedef struct CharSession {
    int far_fd;                 /* the device's end of a socket pair, or -1 */
    AsideCall *reader, *writer; /* side threads for the I/O of files */
    QIOChannel *ioc;            /* NULL once the session has begun */
    ChardevSessionFn *fn;
    void *opaque;
} CharSession;

/*
 * Begins a session on @iothread that reads from @in and writes to @out, by
 * duplicates of their descriptors.  The monitor's thread does no I/O of files:
 * side threads do it, over a socket pair.  A session with @in NULL receives
 * nothing.  The output of a session with @out NULL arrives at @session->far_fd,
 * which is non-blocking.  Returns false with errp set on failure.
 */
bool char_session_begin(CharSession *session, Chardev *chr, const CharFd *in,
                        const CharFd *out, IOThread *iothread,
                        ChardevSessionFn *fn, void *opaque, Error **errp);

/*
 * Ends the side threads after they have written the session's output; waits for
 * up to ASIDE_TIMEOUT_MS.  A @session of all zeroes is allowed.
 */
void char_session_end(CharSession *session);

#endif
