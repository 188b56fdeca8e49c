/*
 * QMP client: one connection to a QMP server, usable from any thread.
 *
 * Threads.  The library has two threads of its own, which all clients share:
 *  - the I/O thread reads, writes and keeps the deadlines.  It runs no code
 *    of the user and never waits for anybody;
 *  - the event thread runs every callback, of all clients, one at a time.  A
 *    client's events, answers and changes of state come in the order in which
 *    they happened.  A callback may call any function here but yc_cleanup();
 *    while it waits for something (a synchronous call, a lock that is held
 *    long), the callbacks of all clients wait with it.
 * An attempt to connect has a third one for as long as it resolves a name or
 * looks for the path of a unix socket, which may never return; it runs no code
 * of the user either.
 * Any function here may be called on any thread; those that may block say
 * so.  None is async-signal-safe, and no client survives a fork().
 *
 * Callbacks are triples: function, data, and a function that frees the data
 * (NULL is fine).  It is called exactly once, on the event thread, after the
 * last call of the function has returned, or instead of it.  No callback
 * ever runs before the call that it was given to has returned to its caller
 * or while one of the library's locks is held.
 *
 * Deadlines.  Every request has one, in milliseconds from now: from 1 up, or
 * YC_DEFAULT_TIMEOUT_MS, 30 s.  Nothing here waits for ever.
 *
 * JSON values are json-c's.  Their reference counts are not atomic: what is
 * handed to a callback or to a caller is his alone, to be freed by
 * json_object_put(), and the library has no reference left.  What a caller
 * hands in stays his and has been read when the call returns.  JSON null is
 * NULL.
 *
 * Locks.  The library holds its own only for a few instructions, takes one at
 * a time, and never while user code runs: they stand below every lock of the
 * user.  Do not hold a lock that a callback takes over a synchronous call.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef YANKCLIENT_QMP_CLIENT_H
#define YANKCLIENT_QMP_CLIENT_H

#include <json-c/json.h>
#include "error.h"

G_BEGIN_DECLS

#define YC_DEFAULT_TIMEOUT_MS 0

typedef struct YcQmpClient YcQmpClient;

/*
 *            connect()
 * DISCONNECTED ----> CONNECTING --> GREETING --> NEGOTIATING --> READY
 *    ^  ^                |             |              |            |
 *    |  +----------------+-------------+--------------+------------+
 *    |                            any failure
 *    |                   | with yc_qmp_client_set_reconnect()
 *    +-- disconnect() -- WAITING --> CONNECTING ...
 */
typedef enum YcQmpState {
    YC_QMP_DISCONNECTED,
    YC_QMP_CONNECTING,  /* resolves, connects, TLS handshake */
    YC_QMP_GREETING,    /* connected; no greeting yet */
    YC_QMP_NEGOTIATING, /* greeted; qmp_capabilities is not answered yet */
    YC_QMP_READY,       /* takes requests */
    YC_QMP_WAITING,     /* failed or lost; connects again after a pause */
} YcQmpState;

typedef enum YcQmpLane {
    /*
     * In-band: runs on the server's main loop, in order.
     *
     * A stock server that has nine unanswered stops reading, and then
     * out-of-band requests starve with it.  So at most seven are on the wire
     * to a server that is not yankd; the rest wait here.
     */
    YC_QMP_IN_BAND,
    /*
     * Out-of-band: runs at once, whatever the main loop does.  Never waits
     * for in-band requests, is never sent in-band instead.
     */
    YC_QMP_OOB,
} YcQmpLane;

/* "disconnected", "connecting", ...; a static string. */
const char *yc_qmp_state_name(YcQmpState state);

/*
 * An answer: @err is NULL and @result, now the callee's, is what the command
 * returned; or @err, which stays the library's, says what went wrong.
 */
typedef void YcQmpReplyFn(json_object *result, const GError *err, void *data);

/*
 * An event: @name belongs to @event; @event, now the callee's, is the whole
 * message ("event", "data", "timestamp").
 */
typedef void YcQmpEventFn(const char *name, json_object *event, void *data);

/*
 * The state is now @state.  @why, which stays the library's, says why on the
 * way to DISCONNECTED and WAITING (code YC_ERROR_CLOSED after
 * yc_qmp_client_disconnect()), and is NULL else.
 */
typedef void YcQmpStateFn(YcQmpState state, const GError *why, void *data);

/*
 * A client for the server at @address, not connected yet; NULL on error.
 * @address: "unix:PATH", a path with a slash in it, "tcp:HOST:PORT" or
 * "HOST:PORT" ("[::1]:4444" for IPv6).  Does not block.
 */
YcQmpClient *yc_qmp_client_new(const char *address, GError **errp);
YcQmpClient *yc_qmp_client_ref(YcQmpClient *client);
/*
 * The last one ends the connection as yc_qmp_client_disconnect() does, except
 * that events and changes of state are told no more; requests are answered
 * with YC_ERROR_CLOSED.  Does not block; NULL is fine.
 */
void yc_qmp_client_unref(YcQmpClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YcQmpClient, yc_qmp_client_unref)

/* As in messages: "unix:PATH" or "HOST:PORT"; belongs to @client. */
const char *yc_qmp_client_address(const YcQmpClient *client);

/*
 * Settings: before the first connect, on the thread that made the client; each
 * once at most.
 */
void yc_qmp_client_set_event_fn(YcQmpClient *client, YcQmpEventFn *fn,
                                void *data, GDestroyNotify free_data);
void yc_qmp_client_set_state_fn(YcQmpClient *client, YcQmpStateFn *fn,
                                void *data, GDestroyNotify free_data);
/*
 * Speaks TLS, with the X.509 credentials in the folder @dir: ca-cert.pem and,
 * for servers that ask who we are, client-cert.pem and client-key.pem.  The
 * server must show a certificate of @hostname; NULL: of the host in the
 * client's address.  False, with nothing set, on error.  Reads files.
 */
bool yc_qmp_client_set_tls(YcQmpClient *client, const char *dir,
                           const char *hostname, GError **errp);
/*
 * The same with a key that both sides know: that of @username in the file
 * keys.psk in @dir; NULL: of "qemu".  Instead of yc_qmp_client_set_tls().
 */
bool yc_qmp_client_set_tls_psk(YcQmpClient *client, const char *dir,
                               const char *username, GError **errp);
/*
 * Connects again by itself whenever it failed to connect or lost the
 * connection, until yc_qmp_client_disconnect().  The first pause is
 * @first_ms, each next one twice as long, up to @max_ms; it starts anew once
 * a connection has lasted for @max_ms.  Off unless called; each from 1 up.
 */
void yc_qmp_client_set_reconnect(YcQmpClient *client, int first_ms, int max_ms);
/*
 * The largest message that the server may send, in bytes, to within 64 KiB; a
 * larger one ends the connection.  From 64 KiB to 64 MiB, which is also the
 * default.
 */
void yc_qmp_client_set_max_message(YcQmpClient *client, size_t bytes);

/*
 * Connects, reads the greeting and negotiates, with out-of-band when the
 * server offers it, all within @timeout_ms; with reconnection on, later
 * attempts have as long each.  Answers, with a NULL result, when the first
 * attempt has ended.  YC_ERROR_INVALID when an attempt is under way or has
 * succeeded; when it is waiting, the next attempt starts now.
 */
void yc_qmp_client_connect_async(YcQmpClient *client, int timeout_ms,
                                 YcQmpReplyFn *fn, void *data,
                                 GDestroyNotify free_data);
/* The same; blocks until READY (true) or failure. */
bool yc_qmp_client_connect(YcQmpClient *client, int timeout_ms, GError **errp);
/*
 * Ends the connection or the attempt, and reconnection; unanswered requests
 * get YC_ERROR_CLOSED.  What is not sent yet is never sent.  Later calls
 * of connect work.  Does not block: the state function tells when it is done.
 */
void yc_qmp_client_disconnect(YcQmpClient *client);

/*
 * Sends @command with @arguments (an object, or NULL) and answers by @fn.
 * Does not block.  Fails at once when the client is not READY: nothing is
 * kept for a later connection.
 *
 * When the deadline passes, the answer is YC_ERROR_TIMEOUT.  A request that
 * waited here until then is gone and will never be sent; one that was sent
 * may still run, and its late answer is dropped.
 */
void yc_qmp_client_execute_async(YcQmpClient *client, YcQmpLane lane,
                                 const char *command, json_object *arguments,
                                 int timeout_ms, YcQmpReplyFn *fn, void *data,
                                 GDestroyNotify free_data);
/*
 * The same; blocks until the answer, at most @timeout_ms.  @result, which may
 * be NULL, is set on success only and is then the caller's.
 */
bool yc_qmp_client_execute(YcQmpClient *client, YcQmpLane lane,
                           const char *command, json_object *arguments,
                           int timeout_ms, json_object **result, GError **errp);

YcQmpState yc_qmp_client_state(YcQmpClient *client);

/*
 * What is known of the server.  false, 0 and NULL until the client was READY
 * once; after that, of the latest connection.
 */
/* Out-of-band requests are possible. */
bool yc_qmp_client_has_oob(YcQmpClient *client);
/* The server is yankd, else it is stock QEMU or another. */
bool yc_qmp_client_is_yankd(YcQmpClient *client);
/* The version that the greeting tells; any pointer may be NULL. */
void yc_qmp_client_version(YcQmpClient *client, int *major, int *minor,
                           int *micro);
/* The package that the greeting tells, "yankd-0.1.0"; g_free() it. */
char *yc_qmp_client_package(YcQmpClient *client);

/*
 * The process that made the unix socket at the other end listen, which is the
 * server unless that was handed the socket; 0 when it cannot be told.  Known
 * from the moment a connection is made, also when no greeting comes.
 */
pid_t yc_qmp_client_peer_pid(YcQmpClient *client);

/* What has been dropped, counted since the client was made. */
typedef enum YcQmpDropped {
    YC_QMP_DROPPED_UNKNOWN_ID, /* answers to what nobody asked */
    YC_QMP_DROPPED_LATE,       /* answers after the deadline */
    YC_QMP_DROPPED_EVENT,      /* 4,096 or 16 MiB were not delivered yet */
} YcQmpDropped;
guint64 yc_qmp_client_dropped(YcQmpClient *client, YcQmpDropped what);

/*
 * Ends the two threads of the library, for programs that must leave nothing
 * behind (a test, a plug-in).  A thread that hangs in a name resolution or a
 * path look-up stays.  Blocks for at most @timeout_ms milliseconds until all
 * clients that were released are gone.  Returns false, and ends nothing, while
 * a client is still held.  No other call may run at the same time; later calls
 * start the threads again.  Must not be called in a callback.
 */
bool yc_cleanup(int timeout_ms);

G_END_DECLS

#endif
