/*
 * The source of a migration: what its files offer each other.
 *
 * Threads: the coordinator ("migration") goes from setup to the end; senders
 * ("mig-send-N") read volumes and send their content, each on a channel; the
 * reader ("mig-reply") takes what the destination says.  They end by
 * themselves once the link is cut.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_SOURCE_H
#define MIGRATION_SOURCE_H

#include "channel.h"
#include "io/channel-tls.h"
#include "limiter.h"
#include "options.h"
#include "qemu/activity.h"
#include "volume.h"

typedef struct Source Source;

/* What the senders are to do; each command is carried out once by each. */
typedef enum SourceWork {
    SOURCE_WORK_NONE,
    SOURCE_WORK_PASS,       /* send what is dirty, then the end of the pass */
    SOURCE_WORK_FINAL_PASS, /* the same without limit of the bandwidth */
    SOURCE_WORK_PUSH,       /* send what the destination lacks */
    SOURCE_WORK_STOP,       /* end the thread */
} SourceWork;

typedef struct SourceSender {
    Source *source;
    MigrationChannel *channel;
    unsigned index;  /* sends the stripes whose number is this modulo senders */
    SourceWork work; /* what it does */
    VolumeIO *io;
    Compressor *compressor; /* NULL: none */
    QemuThread thread;
    bool runs; /* the thread was started */
} SourceSender;

struct Source {
    /* Constant. */
    uint8_t session[STREAM_ID_SIZE];
    MigrationParameters *params;
    bool multifd;
    bool confirm;
    bool pause_before_switchover;
    QCryptoTLSCreds *creds; /* NULL: no TLS */
    VolumeSet *set;
    Activity *activity;
    QemuThread thread;

    /* The coordinator's; constant while there are other threads. */
    /* replaced with the link while the coordinator is paused */
    SocketAddress *address;
    uint32_t attempt; /* number of the last attempt to connect */
    MigrationChannel *main;
    SourceSender *senders;
    unsigned n_senders;
    QemuThread reader;
    bool has_reader;
    VolumeIO *io;
    uint64_t pass; /* the last one begun; changed under migration_lock */

    /* migration_lock. */
    Link *link;
    bool cancelled;     /* migrate_cancel was there */
    bool gone;          /* GO may be out: the role is given up */
    bool served;        /* the destination has said so, over any link */
    bool is_postcopy;   /* some content was not there when it began to */
    bool want_postcopy; /* migrate-start-postcopy was there */
    bool want_continue; /* migrate-continue was there */
    bool shutting_down; /* the process ends */
    bool resuming;      /* the link is new; the coordinator uses it next */
    SourceWork work;
    uint64_t work_number; /* counts commands */
    unsigned work_done;   /* senders that have carried it out */
    bool at_rest;         /* no request of a client is in flight */
    /* What the destination said over this link. */
    bool accepted;
    bool acked;
    uint64_t acked_pass;
    bool ready;
    bool complete;
    bool lacks_known;
    GQueue fetches; /* of Section */

    Limiter limiter; /* see limiter.h */
};

/* What is to be sent: a range of a volume, and its bytes. */
typedef struct SourceContent {
    Volume *volume;
    uint64_t offset;
    uint64_t bytes;
    const uint8_t *buf;
    uint64_t sent; /* bytes that have gone over the link for that */
} SourceContent;

/* ---- source.c ---- */

/*
 * Waits until @ready(s) holds; false when the link was cut before.  It may be
 * cut when this is true.
 */
bool source_wait(Source *s, bool (*ready)(Source *s), Error **errp);
/*
 * A channel failed with @err.  The destination may be about to say why: it
 * gets a moment for that before the link is cut.
 */
void source_channel_failed(Source *s, Error *err);
/* Sends on the main channel; failures cut the link. */
bool source_send(Source *s, Section *section, const void *payload,
                 Error **errp);
bool source_send_type(Source *s, SectionType type, uint64_t offset,
                      Error **errp);

/* The coordinator; @opaque is the Source. */
void *source_thread(void *opaque);

/* ---- source-control.c ---- */

/* There is nothing to yank any more. */
void source_forget_yank(Source *s);
/* Frees the source if it has ended.  Main thread. */
void source_reap(void);

/* ---- source-connect.c ---- */

/*
 * Opens the channels to s->address and says hello.  Blocks until that is done
 * or the link is cut.
 */
bool source_connect(Source *s, bool resume, Error **errp);
/* Closes the channels; no other thread uses them. */
void source_disconnect(Source *s);

/* ---- source-setup.c ---- */

/* Sends what volumes there are and waits until they are accepted. */
bool source_compare_volumes(Source *s, Error **errp);
/*
 * Makes everything dirty, tracks writes from now on, and sends the ranges
 * that read as zeroes and have no storage.
 */
bool source_start_tracking(Source *s, Error **errp);
void source_stop_tracking(Source *s);

/* ---- source-reply.c ---- */

bool source_start_reader(Source *s, Error **errp);
/* The link must be cut. */
void source_join_reader(Source *s);

/* ---- source-send.c ---- */

/*
 * Starts the senders.  On failure some may run; source_join_senders() ends
 * them. Returns false with errp set in that case.
 */
bool source_start_senders(Source *s, Error **errp);
/* Gives all senders a command; waits for those before. */
void source_command(Source *s, SourceWork work);
/* Whether all senders have carried out the last command; migration_lock. */
bool source_work_is_done(Source *s);
/* Ends the threads; either idle or the link is cut. */
void source_join_senders(Source *s);
/* ---- source-content.c ---- */

/*
 * Sends @content, zeroes as such, and counts it, also in its @sent.
 * @compressor may be NULL.
 * Without one the bytes may change meanwhile; then they are sent once more
 * later, and the destination bears with a checksum that does not fit.
 */
bool source_send_content(Source *s, MigrationChannel *channel,
                         Compressor *compressor, SourceContent *content,
                         Error **errp);

/* ---- source-switch.c ---- */

/* From the first pass until the destination serves. */
bool source_run_precopy(Source *s, Error **errp);
/* The last steps of that: says go, and waits for its word that it serves. */
bool source_go(Source *s, Error **errp);

/* ---- source-postcopy.c ---- */

/* Tells the destination what it will lack. */
bool source_send_missing(Source *s, Error **errp);
/* Sends what the destination asks for, and the rest, until it has all. */
bool source_run_postcopy(Source *s, Error **errp);
/* Over a new link: finds out how far the destination is, and goes on. */
bool source_resume(Source *s, Error **errp);

#endif
