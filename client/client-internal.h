/*
 * What the files of the client library share: its threads, errors, addresses,
 * requests and timers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include "client/qmp-client.h"
#include "io/socket-address.h"
#include "qemu/iothread.h"
#include "qobject/json.h"

/*
 * Threads.
 */

/*
 * For as long as a client lives: the two threads run.  False, with none, when
 * the system refuses what they need.  Any thread.
 */
bool yc_threads_hold(GError **errp);
/* On the event thread, as the client's last act. */
void yc_threads_release(void);

/* While somebody holds the threads.  Any thread. */
IOThread *yc_io_thread(void);
IOThread *yc_event_thread(void);

/*
 * Timer of the I/O thread; all its functions run there.
 */
typedef struct YcTimer YcTimer;

YcTimer *yc_timer_new(IOThreadFn *fn, void *opaque);
void yc_timer_free(YcTimer *timer);
/* Fires once at @time (g_get_monotonic_time()); -1 stops it. */
void yc_timer_set(YcTimer *timer, int64_t time);
/* The same, unless it fires earlier already. */
void yc_timer_set_earlier(YcTimer *timer, int64_t time);

/*
 * When what is asked for now is due; a @timeout_ms that is none becomes the
 * default.
 */
int64_t yc_deadline(int *timeout_ms);

/*
 * Errors.
 */

/*
 * @text in valid UTF-8, with its control characters and what else is no text
 * as \xNN: for what peers say.  g_free() it.
 */
char *yc_printable(const char *text);
/* Sets @errp from @err, which it frees; the message stays. */
void yc_error_take(GError **errp, YcError code, Error *err);
/* What the error member of an answer says; PROTOCOL when it is malformed. */
GError *yc_error_from_answer(const char *peer, json_object *error);

/*
 * Which connection @client has: the first that takes requests is 1, the next
 * one 2; 0 while there is none.  Any thread; ahead of the state function.
 */
unsigned yc_qmp_client_connection(YcQmpClient *client);

/*
 * Addresses.
 */

/* As in yc_qmp_client_new(); qapi_free_SocketAddress() it. */
SocketAddress *yc_address_parse(const char *text, GError **errp);

/*
 * Callbacks: a function with its data.
 */
typedef struct YcCallback {
    void (*fn)(void); /* of the type that its user knows; NULL: none */
    void *data;
    GDestroyNotify free_data;
} YcCallback;

/* Event thread. */
void yc_callback_clear(YcCallback *callback);

/*
 * Requests: something that is answered exactly once.  Made on any thread,
 * then the I/O thread's until it is answered.
 */
typedef struct YcRequest {
    int64_t id;
    char *command; /* for messages; NULL for a connect */
    bool oob;
    GString *text; /* for the wire; NULL once it is sent */
    int timeout_ms;
    int64_t deadline;
    struct YcWaiter *waiter; /* who waits for it, or NULL: */
    YcCallback reply;        /* a YcQmpReplyFn */
} YcRequest;

/* @command: NULL for a request that is not sent anywhere. */
YcRequest *yc_request_new(const char *command, int timeout_ms);
void yc_request_set_reply(YcRequest *req, YcQmpReplyFn *fn, void *data,
                          GDestroyNotify free_data);
/* Answers @req and frees it: with @result, or with @err; takes both. */
void yc_request_finish(YcRequest *req, json_object *result, GError *err);
/* The same when the connection ended first, because of @why. */
void yc_request_lost(YcRequest *req, const GError *why);

/*
 * The synchronous form: yc_request_expect() before the request is handed to
 * the I/O thread, then yc_waiter_wait(), which blocks and frees @waiter.
 */
typedef struct YcWaiter YcWaiter;

YcWaiter *yc_request_expect(YcRequest *req);
bool yc_waiter_wait(YcWaiter *waiter, json_object **result, GError **errp);

/*
 * Messages.
 */

/*
 * Appends {"NAME": "COMMAND", "arguments": ARGUMENTS, "id": ID} and a new
 * line to @out; arguments may be NULL, @id 0 is left out.
 */
void yc_message_append(GString *out, const char *name, const char *command,
                       json_object *arguments, int64_t id);
/* The beginning of @value as text, for messages; g_free() it. */
char *yc_message_excerpt(json_object *value);
/*
 * The member @name of @object, when that is an object and it is of @type;
 * else NULL.  Belongs to @object.
 */
json_object *yc_message_member(json_object *object, const char *name,
                               json_type type);

#endif
