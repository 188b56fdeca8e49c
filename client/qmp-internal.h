/*
 * Between the files of the QMP client.
 *
 * A client lives on the I/O thread: what other threads want of it is posted
 * there, and what it has to tell is posted on to the event thread.  Both keep
 * the order, so the last unref, which takes the same way, finds nothing
 * behind it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_QMP_INTERNAL_H
#define CLIENT_QMP_INTERNAL_H

#include "client/qmp-client.h"
#include "qemu/lockable.h"
#include "stream.h"

/* What a server that starves takes in-band, unanswered, from us. */
#define YC_QMP_MAX_IN_BAND 7
/* A greeting is a few hundred bytes. */
#define YC_QMP_MAX_GREETING (64 * KiB)
/* Events that wait for the event thread: that many, of so much text. */
#define YC_QMP_MAX_EVENTS 4096
#define YC_QMP_MAX_EVENT_BYTES (16 * MiB)
/* Past so many on the wire, those whose deadline has passed are forgotten. */
#define YC_QMP_MAX_REMEMBERED 8192
#define YC_QMP_N_DROPPED (YC_QMP_DROPPED_EVENT + 1)

/* What any thread may ask. */
typedef struct YcQmpKnown {
    YcQmpState state;
    bool oob;
    bool yankd;
    int major, minor, micro;
    char *package;
    pid_t peer_pid;
    unsigned n_ready; /* how many connections have come to READY */
} YcQmpKnown;

/* A request on the wire. */
typedef struct YcQmpSent {
    YcRequest *req; /* NULL: its deadline has passed */
    char *command;
    bool oob;
    int64_t time;
} YcQmpSent;

struct YcQmpClient {
    int users; /* atomic */

    /* Never changed after the first connect. */
    SocketAddress *addr;
    char *addr_text;
    YcStreamTLS tls;
    YcCallback event; /* the event thread's */
    YcCallback state_changed;
    int first_pause_ms; /* 0: does not reconnect */
    int max_pause_ms;
    size_t max_message;

    /* Guards known.  Fast; nothing is taken under it. */
    QemuMutex lock;
    YcQmpKnown known;

    guint64 dropped[YC_QMP_N_DROPPED]; /* atomic */
    int n_undelivered;                 /* events; atomic */
    size_t undelivered_bytes;          /* the same */

    int64_t last_id; /* atomic */

    /* The rest is the I/O thread's. */
    YcQmpState state;
    YcStream *stream;   /* while connected or connecting */
    JSONFramer *framer; /* the same */
    size_t n_partial;   /* bytes since the last whole message */
    size_t n_message;   /* bytes of the message at hand, roughly */
    GError *broken;     /* set inside the framer: why the stream must end */

    YcRequest *connecting;    /* who waits for the first attempt, or NULL */
    int attempt_ms;           /* how long each attempt has */
    int64_t attempt_deadline; /* 0: no attempt is under way */
    YcTimer *retry;
    int pause_ms;
    int64_t ready_since;
    GError *why; /* why it is not connected, or NULL */

    bool oob;            /* as known */
    bool yankd;          /* as known */
    YcQmpKnown greeting; /* what this connection's says */
    int64_t negotiation_id;

    GQueue oob_queue;     /* of YcRequest, not sent yet */
    GQueue in_band_queue; /* the same */
    GHashTable *sent;     /* id -> YcQmpSent */
    unsigned n_in_band;   /* in-band ones among them */
    int64_t sending_id;   /* the one that the stream may still be sending */
    YcTimer *deadlines;
};

/* qmp-connect.c; I/O thread. */
void yc_qmp_set_state(YcQmpClient *client, YcQmpState state, const GError *why);
/* Ends the connection or attempt, by @why, which it takes. */
void yc_qmp_fail(YcQmpClient *client, GError *why);
/* Negotiation is done. */
void yc_qmp_ready(YcQmpClient *client);
/* For good: nothing comes any more. */
void yc_qmp_end(YcQmpClient *client);
/* The attempt's deadline has passed. */
void yc_qmp_attempt_expired(YcQmpClient *client);

/* qmp-receive.c; I/O thread: what the server sent. */
void yc_qmp_received(const char *buf, size_t len, void *opaque);
void yc_qmp_message(json_object *value, Error *err, void *opaque);

/* qmp-request.c; I/O thread. */
/* Sends what may be sent now. */
void yc_qmp_send(void *opaque);
/* Sends the negotiation. */
void yc_qmp_negotiate(YcQmpClient *client, bool oob);
/* The answer to @id: takes @result or @err. */
void yc_qmp_answered(YcQmpClient *client, int64_t id, json_object *result,
                     GError *err);
/* All requests, sent or not, end because of @why. */
void yc_qmp_fail_requests(YcQmpClient *client, const GError *why);
void yc_qmp_deadlines_passed(void *opaque);
void yc_qmp_sent_free(gpointer opaque);

/* qmp-deliver.c; I/O thread, but what is named otherwise. */
/* Takes @event, which was @bytes of text. */
void yc_qmp_deliver_event(YcQmpClient *client, json_object *event,
                          size_t bytes);
void yc_qmp_deliver_state(YcQmpClient *client, YcQmpState state,
                          const GError *why);
/* Lets the event thread free @client, behind all that it was sent. */
void yc_qmp_deliver_end(YcQmpClient *client);
/* Any thread. */
void yc_qmp_count_dropped(YcQmpClient *client, YcQmpDropped what);

/* qmp-client.c; any thread. */
bool yc_qmp_has_users(YcQmpClient *client);
void yc_qmp_free(YcQmpClient *client);

#endif
