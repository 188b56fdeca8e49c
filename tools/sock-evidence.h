/*
 * What the kernel tells of another process: its stream sockets, what their
 * peers have not read or answered, and what its main thread does.
 *
 * All of this reads /proc and asks sock_diag(7): nothing blocks on a peer, a
 * file system or the process itself.  Sockets are seen when the process is in
 * our network namespace and we may read its folder in /proc; its main thread
 * when we have ptrace rights over it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_SOCK_EVIDENCE_H
#define TOOLS_SOCK_EVIDENCE_H

#include <stdbool.h>
#include <glib.h>

/* A stream socket of the process: TCP, or a unix socket. */
typedef struct SockState {
    int fd;             /* in the process */
    guint64 inode;      /* names the socket on this host */
    guint64 peer_inode; /* of the peer's socket; 0: not on this host, or none */
    bool listens;
    /*
     * "unix:PATH" ("unix:" when it has no name), "ADDRESS:PORT" or
     * "[ADDRESS]:PORT".  @peer is NULL when it is not connected.
     */
    char *local;
    char *peer;
    /*
     * Bytes that the process has sent and the peer has not read; for a peer
     * on another host those that its kernel has not confirmed.  Of a unix
     * socket the kernel counts what they occupy in memory, which is more.
     */
    guint64 unread;
    /* TCP: time since data was last sent and received; -1: not known. */
    gint64 sent_ms;
    gint64 received_ms;
} SockState;

void sock_state_free(SockState *state);

/*
 * The stream sockets of process @pid, an array of SockState which frees them.
 * NULL when they cannot be seen; the error says why.
 */
GPtrArray *sock_evidence_sockets(int pid, GError **errp);

/*
 * What the main thread of process @pid does right now.
 * @waits: whether it sleeps until something happens to one of many (poll and
 * the like), a lock is free or a time has passed; else it runs, or waits for
 * one thing: a file, a FIFO, a disk
 * @what: in words, for messages; g_free() it
 * False when that cannot be seen; the error says why.
 */
bool sock_evidence_main_thread(int pid, bool *waits, char **what,
                               GError **errp);

#endif
