/*
 * A session: one client of QMP, from its greeting to its end.
 *
 * Everything happens on the session's thread, except for the replies to in-band
 * requests, which the main thread writes.  The session's thread is the monitor
 * thread, or the bulk thread while a message is long.  A session moves from one
 * thread to the other between two reads: the old thread drops it, and after
 * that only the new thread accesses it.  Functions that were posted to the old
 * thread are posted again to the new one.
 *
 * Without out-of-band execution a session runs one request at a time.  Its
 * requests are read ahead nevertheless, up to the limits of the queue, so that
 * a quit after a hung command is noticed.  With out-of-band execution, reading
 * never stops; a request that does not fit into the queue is dropped, and the
 * client is told so.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"
#include "qapi/qmp-reply.h"
#include "qemu/oob.h"
#include "qemu/shutdown.h"

struct MonSession {
    int refcount;   /* atomic */
    int mode;       /* MonMode; atomic, written by the monitor thread */
    IOThread *home; /* the session's thread; atomic, written by it */
    uint64_t number;
    char *chardev;
    bool pretty;
    MonOutput output;
    MonSessionDispatch dispatch;

    /* Members of the session's thread. */
    QIOChannel *ioc;    /* NULL after the end of the session */
    FdWatch *in_watch;  /* NULL while the session moves, and after its end */
    FdWatch *out_watch; /* set while the socket accepts no data */
    JSONFramer *framer;
    bool paused; /* the queue was full; reads again when it is empty */
    bool eof;    /* end of input: end after the last reply */
    unsigned late_replies; /* out-of-band requests with a deferred reply */
    bool quit;             /* the current request asks the process to end */
    MonSessionEndFn *ended;
    void *opaque;
};

/* Each thread reads from all its sessions into a buffer of its own. */
static char monitor_buf[16 * KiB];
static char bulk_buf[64 * KiB];

/* Members of the monitor thread. */
static uint64_t last_number;
static bool closing; /* sessions no longer move to the bulk thread */

static __thread MonSession *current_session;

/* An out-of-band request whose handler returns before the reply is sent. */
struct QmpReply {
    MonSession *session; /* a reference */
    MonRequest *req;
    GString *text; /* text of the handler's return value */
    Error *err;    /* the final error, or NULL */
};

/* The reply that the current handler has taken, or NULL. */
static __thread QmpReply *taken_reply;

static void session_kicked(void *opaque);
static void session_service(MonSession *session, bool writable);
static void session_end(MonSession *session);

MonSession *mon_session_ref(MonSession *session)
{
    __atomic_fetch_add(&session->refcount, 1, __ATOMIC_RELAXED);
    return session;
}

void mon_session_unref(MonSession *session)
{
    if (__atomic_sub_fetch(&session->refcount, 1, __ATOMIC_ACQ_REL) == 0) {
        mon_output_destroy(&session->output);
        g_free(session->chardev);
        g_free(session);
    }
}

MonSession *mon_session_current(void)
{
    return current_session;
}

static MonMode session_mode(const MonSession *session)
{
    return __atomic_load_n(&session->mode, __ATOMIC_RELAXED);
}

void mon_session_negotiated(MonSession *session, bool oob)
{
    __atomic_store_n(&session->mode,
                     oob ? MON_MODE_COMMAND_OOB : MON_MODE_COMMAND,
                     __ATOMIC_RELAXED);
}

static IOThread *session_home(const MonSession *session)
{
    return __atomic_load_n(&session->home, __ATOMIC_ACQUIRE);
}

/*
 * Every function posted to the session's thread calls this first.  If the
 * session has moved meanwhile, posts the call to the new thread and returns
 * false.
 */
static bool session_is_here(const MonSession *session, IOThreadFn *fn,
                            void *opaque)
{
    IOThread *home = session_home(session);

    if (home == iothread_current()) {
        return true;
    }
    iothread_post(home, fn, opaque);
    return false;
}

/* Makes the session's thread handle the output. */
static void session_kick(void *opaque)
{
    MonSession *session = opaque;

    iothread_post(session_home(session), session_kicked,
                  mon_session_ref(session));
}

static void session_writable(GIOCondition condition, void *opaque)
{
    session_service(opaque, true);
}

static void session_watch_output(MonSession *session, bool blocked)
{
    if (!blocked) {
        g_clear_pointer(&session->out_watch, fd_watch_free);
    } else if (!session->out_watch) {
        session->out_watch = fd_watch_new(
            iothread_get_g_main_context(iothread_current()),
            qio_channel_get_write_fd(session->ioc), session_writable, session);
        fd_watch_set_events(session->out_watch, G_IO_OUT);
    }
}

/* After the end of its input: whether there is anything left to do. */
static bool session_is_done(MonSession *session)
{
    return session->eof && !session->late_replies &&
           !mon_dispatcher_notify_idle(session) &&
           mon_output_unread(&session->output) == 0;
}

/*
 * A client that does not read is cut off.  One that has gone is not done with
 * before its input is, unless it negotiated out-of-band execution: "send a
 * command and leave" works as it always has.
 */
static bool session_is_over(MonSession *session, MonOutputState state)
{
    return state == MON_OUTPUT_OVERFLOW ||
           (state == MON_OUTPUT_GONE && mon_session_has_oob(session)) ||
           session_is_done(session);
}

/* Writes what can be written. */
static void session_service(MonSession *session, bool writable)
{
    MonOutputState state = mon_output_service(&session->output, writable);

    session_watch_output(session, state == MON_OUTPUT_BLOCKED);
    if (session_is_over(session, state)) {
        session_end(session);
    }
}

/* Consumes a reference. */
static void session_kicked(void *opaque)
{
    MonSession *session = opaque;

    if (!session_is_here(session, session_kicked, session)) {
        return;
    }
    if (session->ioc) {
        session_service(session, false);
    }
    mon_session_unref(session);
}

/*
 * A quit that a client sent is carried out even when the client has left
 * before its turn came.
 */
static void session_forget_requests(MonSession *session)
{
    if (mon_dispatcher_forget(session)) {
        shutdown_request(SHUTDOWN_CAUSE_HOST_QMP_QUIT);
    }
}

static void session_free_input(MonSession *session)
{
    g_clear_pointer(&session->in_watch, fd_watch_free);
    g_clear_pointer(&session->out_watch, fd_watch_free);
    g_clear_pointer(&session->framer, json_framer_free);
    g_clear_pointer(&session->ioc, qio_channel_unref);
}

/* Calls the end function.  Consumes a reference. */
static void session_tell_end(void *opaque)
{
    MonSession *session = opaque;

    session->ended(session->opaque);
    mon_session_unref(session);
}

/* Must not be called from the framer's callback, which it frees. */
static void session_end(MonSession *session)
{
    if (!session->ioc) {
        return;
    }
    mon_session_ref(session);
    session_forget_requests(session);
    session_free_input(session);
    mon_output_close(&session->output);
    mon_sessions_remove(session);
    if (session->ended) {
        iothread_post(monitor_iothread(), session_tell_end,
                      mon_session_ref(session));
    }
    mon_session_unref(session);
}

/* Stores the request and the handler's text in taken_reply until it is sent. */
static void keep_reply(MonRequest *req, GString *text)
{
    QmpReply *reply = g_steal_pointer(&taken_reply);

    reply->req = req;
    reply->text = text;
    reply->session->late_replies++;
}

/* Runs @req, which it consumes, on this thread and appends the reply. */
static void session_run(MonSession *session, MonRequest *req)
{
    bool negotiating = session_mode(session) == MON_MODE_NEGOTIATION;
    GString *reply;

    current_session = session;
    oob_section_enter(req->name ? req->name : "QMP request");
    reply = mon_request_run(req, session->pretty);
    oob_section_leave();
    current_session = NULL;

    if (taken_reply) {
        keep_reply(req, reply);
        return;
    }
    mon_output_append(&session->output, reply);
    if (negotiating && session_mode(session) != MON_MODE_NEGOTIATION) {
        mon_output_enable_events(&session->output);
    }
    mon_request_free(req);
    if (session->quit) {
        session->quit = false;
        shutdown_request(SHUTDOWN_CAUSE_HOST_QMP_QUIT);
    }
}

void mon_session_quit(MonSession *session)
{
    session->quit = true;
}

static QmpReply *take_reply(void)
{
    if (!current_session) {
        return NULL;
    }
    g_assert(!taken_reply);
    taken_reply = g_new0(QmpReply, 1);
    taken_reply->session = mon_session_ref(current_session);
    return taken_reply;
}

static void send_late_reply(void *opaque)
{
    QmpReply *reply = opaque;
    MonSession *session = reply->session;

    if (!session_is_here(session, send_late_reply, reply)) {
        return;
    }
    session->late_replies--;
    if (reply->err) {
        g_string_truncate(reply->text, 0);
        mon_message_error(reply->text, reply->err, reply->req->has_id,
                          reply->req->id, session->pretty);
    }
    mon_output_send(&session->output, reply->text);
    if (session->ioc) {
        session_service(session, false);
    }
    error_free(reply->err);
    mon_request_free(reply->req);
    mon_session_unref(session);
    g_free(reply);
}

static void post_late_reply(QmpReply *reply, Error *err)
{
    reply->err = err;
    iothread_post(session_home(reply->session), send_late_reply, reply);
}

void mon_session_init_replies(void)
{
    static const QmpReplyOps ops = {take_reply, post_late_reply};

    qmp_reply_init(&ops);
}

static void session_drop(MonSession *session, MonRequest *req)
{
    mon_event_command_dropped(session, req);
    error_free(req->err);
    req->err = NULL;
    error_setg(&req->err,
               "The in-band queue is full: it holds %d requests and %" PRId64
               " bytes at most",
               MON_QUEUE_MAX_REQUESTS, MON_QUEUE_MAX_BYTES);
    session_run(session, req);
}

static void session_submit(MonSession *session, MonRequest *req)
{
    bool bounded = session_mode(session) == MON_MODE_COMMAND_OOB;
    bool quit = mon_request_is_quit(req);

    if (!mon_dispatcher_submit(session, req, bounded)) {
        session_drop(session, req);
    } else if (quit) {
        /* The main loop may hang, and never come to it. */
        shutdown_announce();
    }
}

static void session_request(json_object *doc, Error *err, void *opaque)
{
    MonSession *session = opaque;
    MonMode mode = session_mode(session);
    MonRequest *req = mon_request_new(doc, err, mode);

    if (mode == MON_MODE_NEGOTIATION || req->oob) {
        session_run(session, req);
    } else {
        session_submit(session, req);
    }
}

/* Stops reading where one request at a time is the rule. */
static void session_check_pause(MonSession *session)
{
    session->paused = session_mode(session) != MON_MODE_COMMAND_OOB &&
                      mon_dispatcher_is_full(session) &&
                      mon_dispatcher_notify_idle(session);
    if (session->paused) {
        fd_watch_set_events(session->in_watch, 0);
    }
}

/*
 * A client may say all it has to say and shut its side: it is answered.  One
 * that has left altogether gets nothing run any more that it queued, where it
 * took part in queueing: what is queued behind a hang would else be run long
 * after everybody has forgotten it.
 */
static void session_eof(MonSession *session, bool hung_up)
{
    session->eof = true;
    g_clear_pointer(&session->in_watch, fd_watch_free);
    json_framer_flush(session->framer);
    mon_output_flush(&session->output);
    if ((hung_up && mon_session_has_oob(session)) || session_is_done(session)) {
        session_end(session);
    }
}

static void session_watch_input(MonSession *session);

/* Runs on the new thread after a move.  Consumes a reference. */
static void session_arrived(void *opaque)
{
    MonSession *session = opaque;

    if (!session_is_here(session, session_arrived, session)) {
        return;
    }
    /* A function posted earlier may have ended the session. */
    if (session->ioc) {
        session_watch_input(session);
        session_service(session, false);
    }
    mon_session_unref(session);
}

/* Moves the session to @home.  This thread must not access it afterwards. */
static void session_move(MonSession *session, IOThread *home)
{
    g_clear_pointer(&session->in_watch, fd_watch_free);
    g_clear_pointer(&session->out_watch, fd_watch_free);
    mon_session_ref(session);
    __atomic_store_n(&session->home, home, __ATOMIC_RELEASE);
    iothread_post(home, session_arrived, session);
}

static void session_find_home(MonSession *session)
{
    bool is_long = json_framer_pending(session->framer) > MON_LONG_MESSAGE;

    if (iothread_current() == monitor_iothread()) {
        if (is_long && !closing) {
            session_move(session, mon_bulk_iothread());
        }
    } else if (!is_long) {
        session_move(session, monitor_iothread());
    }
}

static void session_readable(GIOCondition condition, void *opaque)
{
    MonSession *session = opaque;
    bool on_monitor = iothread_current() == monitor_iothread();
    char *buf = on_monitor ? monitor_buf : bulk_buf;
    ssize_t n;

    if (session->paused) {
        return;
    }
    n = qio_channel_read(session->ioc, buf,
                         on_monitor ? sizeof(monitor_buf) : sizeof(bulk_buf),
                         NULL);
    if (n == QIO_CHANNEL_ERR_BLOCK) {
        return;
    }
    if (n <= 0) {
        session_eof(session, n < 0 || (condition & (G_IO_HUP | G_IO_ERR)));
        return;
    }
    json_framer_feed(session->framer, buf, n);
    mon_output_flush(&session->output);
    session_check_pause(session);
    session_find_home(session);
}

static void session_idle(void *opaque)
{
    MonSession *session = opaque;

    if (!session_is_here(session, session_idle, session)) {
        return;
    }
    if (session->ioc && session->paused) {
        session->paused = false;
        if (session->in_watch) {
            fd_watch_set_events(session->in_watch, G_IO_IN);
        }
    }
    if (session->ioc && session_is_done(session)) {
        session_end(session);
    }
    mon_session_unref(session);
}

void mon_session_idle(MonSession *session)
{
    iothread_post(session_home(session), session_idle,
                  mon_session_ref(session));
}

void mon_session_reply(MonSession *session, GString *text)
{
    mon_output_send(&session->output, text);
}

static void session_greet(MonSession *session)
{
    GString *text = g_string_sized_new(256);

    mon_message_greeting(text, session->pretty);
    mon_output_send(&session->output, text);
}

static void session_watch_input(MonSession *session)
{
    session->in_watch = fd_watch_new_shared(
        iothread_get_g_main_context(iothread_current()),
        qio_channel_get_read_fd(session->ioc), session_readable, session);
    fd_watch_set_events(session->in_watch, session->paused ? 0 : G_IO_IN);
}

void mon_session_new(QIOChannel *ioc, const char *chardev, bool pretty,
                     MonSessionEndFn *ended, void *opaque)
{
    MonSession *session = g_new0(MonSession, 1);

    session->refcount = 1;
    session->home = monitor_iothread();
    session->number = ++last_number;
    session->mode = MON_MODE_NEGOTIATION;
    session->chardev = g_strdup(chardev);
    session->pretty = pretty;
    session->ioc = ioc;
    session->ended = ended;
    session->opaque = opaque;
    session->framer = json_framer_new(session_request, session);
    mon_output_init(&session->output, ioc, session_kick, session);
    mon_sessions_add(session);
    session_watch_input(session);
    session_greet(session);
    mon_session_unref(session);
}

static void detach_here(void *opaque)
{
    GPtrArray *sessions = opaque;

    for (guint i = 0; i < sessions->len; i++) {
        MonSession *session = g_ptr_array_index(sessions, i);

        if (session->home == iothread_current() && session->ioc) {
            mon_dispatcher_forget(session);
            session_free_input(session);
        }
    }
}

static void detach_first(void *opaque)
{
    GPtrArray **sessions = opaque;

    closing = true;
    *sessions = mon_sessions_steal();
    detach_here(*sessions);
}

/*
 * Visits the monitor thread twice: sessions may move back from the bulk thread
 * in between.
 */
GPtrArray *mon_sessions_detach_all(void)
{
    GPtrArray *sessions;

    iothread_run(monitor_iothread(), detach_first, &sessions);
    iothread_run(mon_bulk_iothread(), detach_here, sessions);
    iothread_run(monitor_iothread(), detach_here, sessions);
    return sessions;
}

void mon_sessions_init(void)
{
    closing = false;
}

MonSessionDispatch *mon_session_dispatch(MonSession *session)
{
    return &session->dispatch;
}

MonOutput *mon_session_output(MonSession *session)
{
    return &session->output;
}

bool mon_session_pretty(const MonSession *session)
{
    return session->pretty;
}

uint64_t mon_session_number(const MonSession *session)
{
    return session->number;
}

const char *mon_session_chardev(const MonSession *session)
{
    return session->chardev;
}

bool mon_session_has_oob(const MonSession *session)
{
    return session_mode(session) == MON_MODE_COMMAND_OOB;
}
