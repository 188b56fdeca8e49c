/*
 * Internal interface of the monitor's files.
 *
 * The way of a request: session.c reads and frames it, and request.c checks it.
 * It then either runs at once on the session's thread (out-of-band commands,
 * and everything before the end of the negotiation), or waits in the queue of
 * its session (queue.c) for the main thread (dispatcher.c).  In both cases
 * request.c runs it, message.c writes the reply's text, and output.c sends it.
 *
 * The thread of a session is the monitor thread, or the bulk thread (bulk.c)
 * while a message of the session is long.
 *
 * Locks, all fast, in the order in which they are taken:
 *
 *   stall watch -> list of sessions -> output of a session, or dispatcher
 *
 * The last two are never held together.  Posting to the monitor thread and
 * waking a GMainContext are allowed under each of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MONITOR_INTERNAL_H
#define MONITOR_INTERNAL_H

#include <json-c/json.h>
#include "io/channel.h"
#include "monitor/monitor.h"
#include "qapi/qmp-command.h"
#include "qemu/fd-watch.h"
#include "qemu/lockable.h"
#include "qobject/json.h"

/* What a session's in-band queue holds at most. */
#define MON_QUEUE_MAX_REQUESTS 1024
#define MON_QUEUE_MAX_BYTES (4 * MiB)

/* A session whose client leaves more than this unread is closed. */
#define MON_OUTPUT_MAX_BYTES (16 * MiB)

/* The bulk thread handles messages longer than this, in bytes. */
#define MON_LONG_MESSAGE (16 * KiB)

typedef struct MonSession MonSession;

/* ---- bulk.c: the thread for long messages ---- */

bool mon_bulk_init(Error **errp);
/* Ends the thread.  Call after all sessions have ended. */
void mon_bulk_cleanup(void);
IOThread *mon_bulk_iothread(void);
/*
 * Notes that a message, or a piece of output, of @bytes was freed; returns
 * memory to the system when enough was freed.  Any thread, OOB-safe.
 */
void mon_bulk_freed(size_t bytes);

/* ---- message.c: the words on the wire; any thread, OOB-safe ---- */

/* All append a complete message with its line end to @out. */
void mon_message_greeting(GString *out, bool pretty);
/*
 * A reply is made in a GString of its own: the beginning, then the return value
 * as JSON text, then the end.  @id is echoed if @has_id is true, and remains
 * the caller's.
 */
void mon_message_begin_return(GString *out);
void mon_message_end_return(GString *out, bool has_id, json_object *id,
                            bool pretty);
void mon_message_error(GString *out, const Error *err, bool has_id,
                       json_object *id, bool pretty);
/* @data: JSON text on one line, or NULL. */
void mon_message_event(GString *out, const char *name, const char *data,
                       int64_t time_us, bool pretty);

/* ---- request.c: one request, checked and run ---- */

typedef struct MonRequest {
    GList link;       /* in its queue */
    size_t size;      /* bytes it counts for there */
    json_object *doc; /* owns id and args; NULL after a parse error */
    bool has_id;      /* id may be null, which json-c has no object for */
    json_object *id;
    json_object *args;
    const char *name;      /* as the client wrote it; NULL if it did not */
    const QmpCommand *cmd; /* NULL when err is set */
    Error *err;            /* why it cannot run; told in its turn */
    bool oob;              /* asks to run out-of-band */
} MonRequest;

typedef enum MonMode {
    MON_MODE_NEGOTIATION,
    MON_MODE_COMMAND,
    MON_MODE_COMMAND_OOB, /* out-of-band execution was negotiated */
} MonMode;

/*
 * What came in, @doc or @err (both consumed), as a request in @mode.  Never
 * fails: what is wrong with it is its reply.  Any thread, OOB-safe.
 */
MonRequest *mon_request_new(json_object *doc, Error *err, MonMode mode);
/*
 * Frees @req; on the monitor thread, leaves a long request to the bulk thread.
 */
void mon_request_free(MonRequest *req);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonRequest, mon_request_free)
/* True when it would end the process, were it to run. */
bool mon_request_is_quit(const MonRequest *req);
/*
 * Runs the request and returns the text of the reply, which the caller frees.
 * Main thread, or the session's thread.
 */
GString *mon_request_run(MonRequest *req, bool pretty);

/* ---- queue.c: in-band requests of a session; its owner locks ---- */

typedef struct MonQueue {
    GQueue requests; /* of MonRequest, by their link */
    size_t bytes;
} MonQueue;

/* True when @size more bytes do not fit; an empty queue takes any request. */
bool mon_queue_is_full(const MonQueue *queue, size_t size);
void mon_queue_push(MonQueue *queue, MonRequest *req);
/* The oldest, or NULL; it is the caller's. */
MonRequest *mon_queue_pop(MonQueue *queue);
/* Moves all of @from to the end of @to. */
void mon_queue_move(MonQueue *to, MonQueue *from);
/* Frees what is queued; true when one of it would have run quit. */
bool mon_queue_clear(MonQueue *queue);

/* ---- output.c: the output of a session, and text that sessions share ---- */

/* Immutable text that several sessions may send.  Any thread. */
typedef struct MonText {
    int refcount; /* atomic */
    char *data;
    size_t len;
} MonText;

/* Consumes @text and returns the first reference. */
MonText *mon_text_new(GString *text);
void mon_text_unref(MonText *text);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonText, mon_text_unref)

/* ---- output.c: what a client has not read yet ---- */

typedef struct MonOutput {
    QIOChannel *ioc;  /* written and closed by one thread at a time */
    QemuMutex lock;   /* guards the members below; not held while writing */
    MonText *sending; /* the text being written, or NULL */
    size_t sent;      /* bytes of sending that were written */
    GQueue chunks;    /* of MonText, to be sent after sending */
    GString *buf;     /* small pieces, to be sent after the chunks */
    size_t unread;    /* bytes in sending, chunks and buf, not yet sent */
    bool writing;     /* a thread is writing */
    bool events;      /* the client wants events */
    bool blocked;     /* the socket accepts no data at present */
    bool broken;      /* the client is gone, or overflow is set */
    bool overflow;
    bool closed;
    bool kicked; /* @kick was called, mon_output_service() was not yet */
    /* makes the session's thread call mon_output_service() */
    void (*kick)(void *opaque);
    void *opaque;
} MonOutput;

typedef enum MonOutputState {
    MON_OUTPUT_IDLE,     /* all is written */
    MON_OUTPUT_BLOCKED,  /* wait for the socket, then service again */
    MON_OUTPUT_GONE,     /* the client is gone */
    MON_OUTPUT_OVERFLOW, /* the client does not read */
} MonOutputState;

/* @ioc: a reference is taken.  @kick: any thread, OOB-safe, under the lock. */
void mon_output_init(MonOutput *out, QIOChannel *ioc,
                     void (*kick)(void *opaque), void *opaque);
void mon_output_destroy(MonOutput *out);

/*
 * Appends @text, which it consumes.  The caller calls mon_output_flush() soon
 * after.  Any thread, OOB-safe.
 */
void mon_output_append(MonOutput *out, GString *text);
/*
 * Writes what the socket accepts, up to the limit of one turn; the session's
 * thread writes the rest.  Any thread, OOB-safe.
 */
void mon_output_flush(MonOutput *out);
/* Both at once. */
void mon_output_send(MonOutput *out, GString *text);

/* From here on the client gets events; before, they are dropped. */
void mon_output_enable_events(MonOutput *out);
/*
 * Appends an event and makes the session's thread write it.  Any thread,
 * OOB-safe.
 */
void mon_output_event(MonOutput *out, MonText *text);

/*
 * Writes output, after a kick or when the socket is @writable.  The session's
 * thread.
 */
MonOutputState mon_output_service(MonOutput *out, bool writable);
/* Waits until all is written or @deadline_us (monotonic).  Main; blocks. */
void mon_output_drain(MonOutput *out, int64_t deadline_us);
/* Closes the channel; what comes later is dropped. */
void mon_output_close(MonOutput *out);
/* Any thread, OOB-safe. */
size_t mon_output_unread(MonOutput *out);

/* ---- session.c: one client ---- */

/* The session is over; monitor thread, once. */
typedef void MonSessionEndFn(void *opaque);

/*
 * Serves QMP on @ioc (consumed).  @chardev: its name for queries.  @ended may
 * be NULL.  Monitor thread.
 */
void mon_session_new(QIOChannel *ioc, const char *chardev, bool pretty,
                     MonSessionEndFn *ended, void *opaque);

/* Enables out-of-band handlers to reply later; see qapi/qmp-reply.h. */
void mon_session_init_replies(void);

MonSession *mon_session_ref(MonSession *session);
void mon_session_unref(MonSession *session);

/*
 * The session whose request this thread runs, or NULL.  The session's thread.
 */
MonSession *mon_session_current(void);
/* Ends the negotiation of mon_session_current(). */
void mon_session_negotiated(MonSession *session, bool oob);
/* Makes the process end after the reply to the current request was sent. */
void mon_session_quit(MonSession *session);

/*
 * Sends @text, which it consumes, as the reply to an in-band request.  Main
 * thread.
 */
void mon_session_reply(MonSession *session, GString *text);
bool mon_session_pretty(const MonSession *session);
/* The dispatcher has run all of the session's requests.  Any thread. */
void mon_session_idle(MonSession *session);

/*
 * Removes all sessions from the list and stops reading from them for ever. The
 * caller owns the references in the result.  Main thread; waits for the threads
 * of the sessions.
 */
GPtrArray *mon_sessions_detach_all(void);
/* Call before the first session begins. */
void mon_sessions_init(void);

/* The dispatcher's part of a session; under its lock. */
typedef struct MonSessionDispatch {
    MonQueue queue;
    bool scheduled;   /* in the round, or running */
    bool notify_idle; /* call mon_session_idle() once nothing is left */
} MonSessionDispatch;

MonSessionDispatch *mon_session_dispatch(MonSession *session);

/* For queries; any thread, OOB-safe. */
uint64_t mon_session_number(const MonSession *session);
const char *mon_session_chardev(const MonSession *session);
bool mon_session_has_oob(const MonSession *session);
MonOutput *mon_session_output(MonSession *session);

/* ---- session-list.c: all sessions; any thread, OOB-safe ---- */

/* The list holds a reference until the session is removed. */
void mon_sessions_add(MonSession *session);
/* False when it was not there (any more). */
bool mon_sessions_remove(MonSession *session);
/* Calls @fn for each, under the list's lock. */
void mon_sessions_foreach(void (*fn)(MonSession *session, void *opaque),
                          void *opaque);
/* Takes all out of the list; the references are the caller's. */
GPtrArray *mon_sessions_steal(void);

/* ---- dispatcher.c: in-band commands on the main thread ---- */

typedef struct MonRunning {
    const char *command; /* static; NULL when none runs */
    uint64_t session;
    int64_t since_us; /* monotonic */
} MonRunning;

void mon_dispatcher_init(GMainContext *context);
void mon_dispatcher_cleanup(void);

/*
 * Queues @req.  @bounded: returns false, with @req still the caller's, when
 * the queue is full.  Monitor thread.
 */
bool mon_dispatcher_submit(MonSession *session, MonRequest *req, bool bounded);
bool mon_dispatcher_is_full(MonSession *session);
/*
 * Has mon_session_idle() called when the session's last request was answered;
 * false, and nothing is called, when that is so already.
 */
bool mon_dispatcher_notify_idle(MonSession *session);
/* Drops what is queued; true when a quit was among it. */
bool mon_dispatcher_forget(MonSession *session);

/* Any thread, OOB-safe. */
void mon_dispatcher_queued(MonSession *session, size_t *requests,
                           size_t *bytes);
MonRunning mon_dispatcher_running(void);

/*
 * Has mon_stall_watch_pong() called on the main thread as soon as it comes
 * round: never while it runs a command.
 */
void mon_dispatcher_ping(void);

/* ---- event.c ---- */

void mon_events_init(void);
/* An event for one session only.  Monitor thread. */
void mon_event_command_dropped(MonSession *session, const MonRequest *req);

/* ---- stall-watch.c ---- */

void mon_stall_watch_init(IOThread *iothread);
void mon_stall_watch_cleanup(void);
/* The main loop came round; main thread. */
void mon_stall_watch_pong(void);
/* Milliseconds for which the main loop has been stalled, 0 when it is not. */
uint64_t mon_stall_watch_stalled_ms(void);

#endif
