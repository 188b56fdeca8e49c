/*
 * Between the parts of the NBD client.
 *
 *   nbd.c             the driver: options, open, close, yank
 *   nbd-control.c     what other threads want: open, reconnect, close, yank
 *   nbd-connection.c  the phases of the connection, and what leads from one
 *                     to another
 *   nbd-socket.c      libnbd's handle and its socket in the event loop
 *   nbd-handshake.c   libnbd handles: set-up, what the server offers, errors
 *   nbd-flagless.c    the handshake with servers that libnbd refuses
 *   nbd-io.c          requests and their replies
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BLOCK_NBD_INTERNAL_H
#define BLOCK_NBD_INTERNAL_H

#include <libnbd.h>
#include "block/block_int.h"
#include "io/connect-task.h"
#include "qapi/error.h"
#include "qemu/activity.h"
#include "qemu/fd-watch.h"
#include "timer.h"

#define NS_PER_S UINT64_C(1000000000)

typedef enum NbdPhase {
    NBD_PHASE_CLOSED,  /* not open yet, or not any more */
    NBD_PHASE_CONNECT, /* resolves the address and connects */
    NBD_PHASE_HANDSHAKE,
    NBD_PHASE_TRANSMISSION,
    NBD_PHASE_RECONNECT_WAIT, /* the next attempt comes by a timer */
    NBD_PHASE_DISCONNECT,     /* says good-bye before it closes */
    NBD_PHASE_YANKED,         /* until blockdev-reconnect */
    NBD_PHASE_CLOSE_WAIT, /* waits for the server to close the old connection */
    NBD_PHASE__MAX,
} NbdPhase;

/* What the server offers. */
typedef struct NbdInfo {
    uint64_t size;
    bool read_only;
    bool fast_zero;
    BlockNodeCaps caps;
} NbdInfo;

/* State of the handshake in nbd-flagless.c. */
typedef struct NbdFlagless {
    bool on;     /* the server needs it, or needed it last time */
    bool asked;  /* the export was requested */
    size_t want; /* bytes expected; len of them are in buf */
    size_t len;
    char buf[160];
} NbdFlagless;

/* What the main thread waits for. */
typedef enum NbdOutcome {
    NBD_OUTCOME_NONE, /* nobody waits, or the I/O thread does not know yet */
    NBD_OUTCOME_PENDING,
    NBD_OUTCOME_CONNECTED,
    NBD_OUTCOME_FAILED,
} NbdOutcome;

/* How requests are treated without a connection. */
typedef enum NbdPatience {
    NBD_PATIENCE_FRESH,   /* the first request that waits starts the time */
    NBD_PATIENCE_WAITING, /* requests wait until the time is over */
    NBD_PATIENCE_LAST,    /* requests wait for one attempt */
    NBD_PATIENCE_SPENT,   /* the next request waits for one attempt */
} NbdPatience;

typedef struct NbdState {
    /* Constant. */
    BlockNode *node;
    SocketAddress *address;
    char *address_str;
    char *export_name;
    uint32_t reconnect_delay; /* seconds */
    uint32_t open_timeout;    /* seconds */
    Activity *activity;

    /*
     * Guards what follows, to the next line.  Fast; an I/O thread's and a
     * connect task's own lock may be taken under it, and it is taken under
     * the lock of a yank instance.
     */
    QemuMutex lock;
    QemuCond cond;  /* outcome, closed or n_attempts changed */
    NbdPhase phase; /* written by the I/O thread only */
    bool yanked;    /* the mark that sticks until blockdev-reconnect */
    unsigned n_yanks;
    unsigned n_forgiven; /* of these: came before blockdev-reconnect */
    QIOConnectTask *task;
    QIOChannel *ioc;
    IOThread *iothread; /* NULL while it moves */
    NbdOutcome outcome;
    Error *outcome_error;
    bool closed;
    uint64_t server_size; /* bytes; of the current or last connection */
    /* ---- */

    /* The main thread sets these before it posts a blockdev-reconnect. */
    uint32_t close_timeout; /* seconds */
    bool force;

    /* The I/O thread's. */
    struct nbd_handle *h;
    bool go_sent;    /* the export is asked for */
    Error *go_error; /* the server's answer, if it is none */
    NbdFlagless flagless;
    FdWatch *watch;
    unsigned direction; /* what the watch waits for, as libnbd says it */
    bool watch_stale;   /* it is set anew before the next poll */
    bool lost;          /* h is dead; handled before the next poll */
    char *lost_reason;  /* NULL: the server closed the connection */
    bool opening;       /* there was no connection yet */
    bool reviving;      /* a failure leads back to yanked */
    bool progress;      /* a reply came over this connection */
    unsigned backoff;   /* seconds until the next attempt */
    Error *last_error;  /* of the last attempt */
    char *refused;      /* why a returning server is refused, or NULL */
    bool has_info;
    NbdInfo info; /* of the first connection; constant from then on */
    ActivityRequest attempt; /* from connect to transmission */
    bool attempt_counts;     /* it counts as a request of the activity */
    int64_t attempt_us;      /* when the last attempt began, monotonic */
    int64_t retry_us;        /* in reconnect-wait: when the next one begins */
    BlockTimers *timers;
    BlockTimer *attempt_timer; /* time limit of the attempt */
    BlockTimer *retry_timer;
    BlockTimer *hold_timer;
    BlockTimer *open_timer;
    BlockTimer *close_timer;
    QIOChannel *old;    /* yanked, and not closed by the server, or NULL */
    FdWatch *old_watch; /* NULL: the state of old can change no more */

    /*
     * Acknowledged writes that need a flush; how many of them a flush has
     * covered.
     */
    uint64_t n_written, n_flushed;
    bool flush_owed; /* writes may be lost: the next flush fails */

    NbdPatience patience;
    BlockQueue waiting;      /* for a connection */
    BlockQueue done;         /* replies that libnbd has just received */
    BlockRequest *in_flight; /* newest first, linked both ways */
} NbdState;

/* ---- nbd-control.c; the main thread. ---- */

/* Connects for the first time; blocks until it is done or yanked. */
bool nbd_connection_open(NbdState *s, Error **errp);
/*
 * Connects again, or makes a pending attempt start at once.  Blocks like
 * nbd_connection_open().  After a yank it first waits for up to @close_timeout
 * seconds until the server has closed the old connection.  If the server does
 * not, the call fails, or connects nevertheless if @force is true.
 */
bool nbd_connection_reconnect(NbdState *s, uint32_t close_timeout, bool force,
                              Error **errp);
/* Says good-bye and closes; blocks likewise. */
void nbd_connection_close(NbdState *s);
/* Leaves and enters an I/O thread. */
void nbd_connection_detach(NbdState *s);
void nbd_connection_attach(NbdState *s);

/* The yank function; any thread, OOB-safe. */
void nbd_connection_yank(void *opaque);

/* ---- nbd-connection.c; the I/O thread: what happened, or is wanted. ---- */

/* Each takes the NbdState. */
void nbd_on_open(void *opaque);
void nbd_on_reconnect(void *opaque);
void nbd_on_close(void *opaque);
void nbd_on_detach(void *opaque);
void nbd_on_attach(void *opaque);
void nbd_on_yank(void *opaque);

/* The socket is ready (@condition, or 0 to look) during the handshake. */
void nbd_on_handshake(NbdState *s, GIOCondition condition);
/* The good-bye went on its way, or a part of it. */
void nbd_on_disconnect(NbdState *s);
/* The handle is dead. */
void nbd_on_lost(NbdState *s);
/* The server has closed the connection that was yanked. */
void nbd_on_old_closed(NbdState *s);
/* A request waits for a connection: starts an attempt if none runs. */
void nbd_on_request_waits(NbdState *s);
/* Requests are about to fail: makes a last attempt. */
void nbd_on_last_attempt(NbdState *s);

/* ---- nbd-socket.c; the I/O thread. ---- */

/* Watches the socket of s->h. */
void nbd_socket_watch(NbdState *s);
void nbd_socket_unwatch(NbdState *s);
/* Follows libnbd's wishes before the next poll. */
void nbd_socket_touch(NbdState *s);
/*
 * Notes that libnbd's handle is dead, for @reason (may be NULL).  Handled
 * before the next poll.
 */
void nbd_socket_lost(NbdState *s, const char *reason);
/* The same, now, if it did. */
void nbd_socket_settle(NbdState *s);
/* Closes everything; after this libnbd touches no buffer any more. */
void nbd_socket_drop(NbdState *s);
/*
 * Keeps the yanked connection, with its sending direction shut, as s->old until
 * the server has closed it.
 */
void nbd_socket_keep_old(NbdState *s);
/* Checks whether the server has closed s->old. */
void nbd_socket_check_old(NbdState *s);
/* Closes s->old. */
void nbd_socket_drop_old(NbdState *s);
void nbd_socket_watch_old(NbdState *s);

/* ---- nbd-handshake.c; the I/O thread. ---- */

/* Sets s->h up and begins the handshake on a duplicate of s->ioc. */
bool nbd_handshake_start(NbdState *s, Error **errp);
/*
 * Goes on with the handshake after a poll.  False when it failed; otherwise
 * *@ready says whether it is complete.
 */
bool nbd_handshake_step(NbdState *s, GIOCondition condition, bool *ready,
                        Error **errp);
/* Reads what the server offers, and checks it. */
bool nbd_handshake_info(const NbdState *s, NbdInfo *info, Error **errp);
/*
 * Returns true if the server still provides what the node, which has @size
 * bytes, offered with the server described by @before.
 */
bool nbd_handshake_same(const NbdInfo *before, uint64_t size,
                        const NbdInfo *now, Error **errp);
/* libnbd's text for the last failure, without the name of its function. */
const char *nbd_error_text(void);

/* ---- nbd-flagless.c; the I/O thread. ---- */

/* Like nbd_handshake_start() and nbd_handshake_step(), which call them. */
bool nbd_flagless_start(NbdState *s, Error **errp);
bool nbd_flagless_step(NbdState *s, bool *ready, Error **errp);

/* ---- nbd-io.c; the I/O thread. ---- */

void nbd_submit(BlockNode *node, BlockRequest *req);
/* The socket is ready for @condition. */
void nbd_io_ready(NbdState *s, GIOCondition condition);
/* The handle is closed: what was in flight waits to be sent again. */
void nbd_io_requeue(NbdState *s);
/* Sends what waited. */
void nbd_io_resend(NbdState *s);
/* Fails what waits. */
void nbd_io_fail_waiting(NbdState *s);
/*
 * The connection is lost, and the phase is about to change: requests in flight
 * wait for a new connection if the node's patience allows it.
 */
void nbd_io_lost(NbdState *s);
/* An attempt has failed: fails the requests that wait for one attempt only. */
void nbd_io_attempt_failed(NbdState *s);
/*
 * A connection exists: ends the time limit for requests that waited for one
 * attempt.
 */
void nbd_io_connected(NbdState *s);
/* Returns true if acknowledged writes are not covered by a flush. */
bool nbd_io_is_unflushed(const NbdState *s);
/* Resets patience to its initial state, in which no time runs. */
void nbd_io_reset_patience(NbdState *s);

#endif
