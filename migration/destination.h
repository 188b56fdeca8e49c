/*
 * The destination of a migration: what its files offer each other.
 *
 * Threads: the loop ("mig-listen") listens, accepts, reads the hello of each
 * new connection, and gathers those that belong
 * together; the coordinator ("migration") runs one session after another and
 * reads the main channel; receivers ("mig-recv-N") read the others; the
 * speaker ("mig-speak") says what I/O threads want said.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_DESTINATION_H
#define MIGRATION_DESTINATION_H

#include "channel.h"
#include "io/channel-tls.h"
#include "io/net-listener.h"
#include "link.h"
#include "qapi/qmp-reply.h"
#include "qemu/activity.h"
#include "qemu/aside.h"
#include "qemu/iothread.h"
#include "volume.h"

typedef struct Destination Destination;

/* The channels that a source has opened so far, for one session. */
typedef struct Assembly {
    StreamHello hello; /* of the first of them; its channel means nothing */
    Link *link;
    QIOChannel *channels[STREAM_MAX_CHANNELS + 1];
    unsigned n;
} Assembly;

/* One of the channels that bring content. */
typedef struct Receiver {
    Destination *destination;
    MigrationChannel *channel;
    VolumeIO *io;
    QemuThread thread;
    bool runs;     /* the thread was started */
    uint64_t pass; /* the last one that has ended; migration_lock */
} Receiver;

/* An attempt to start to listen; see destination-listen.c. */
typedef struct ListenAttempt {
    unsigned number;
    QmpReply *reply;      /* to the command that requested it, or NULL */
    AsideCall *call;      /* NULL if no side thread is needed */
    QIOConnectTask *task; /* takes a connected descriptor, or NULL */
    GSource *timer;       /* NULL: no time limit */
} ListenAttempt;

/* What is expected from the source. */
typedef enum DestinationPhase {
    PHASE_SETUP,   /* which volumes there are */
    PHASE_COPY,    /* content, while the source serves */
    PHASE_READY,   /* its word to go */
    PHASE_SERVING, /* the rest of the content */
    PHASE_DONE,    /* its goodbye */
} DestinationPhase;

/* Blocks of one volume that are not here yet; see destination-missing.c. */
typedef struct MissingBlocks MissingBlocks;

struct Destination {
    /* Of the session; the coordinator's, constant for other threads. */
    VolumeSet *set; /* main thread claims and releases it */
    void **maps;    /* of each volume, where its content lies in memory */
    /*
     * Of each volume, once not all is here.  The coordinator, and the main
     * thread when that has ended, changes it, with migration_lock held; other
     * threads read it with that lock, but for the session's from PHASE_READY
     * on: it stays as it is until they are joined.
     */
    MissingBlocks **missing;
    MigrationChannel *main;
    Receiver *receivers; /* the first is that of the main channel */
    unsigned n_receivers;
    bool multifd;   /* content comes on the others */
    bool forgotten; /* its volumes are released, or about to be */
    QemuThread speaker;
    bool has_speaker;
    Activity *activity;

    /* migration_lock. */
    uint8_t process[STREAM_ID_SIZE]; /* of the source */
    uint8_t session[STREAM_ID_SIZE];
    Link *link;             /* of the session that runs, or NULL */
    DestinationPhase phase; /* atomic: read without the lock */
    unsigned storing;       /* receivers that handle a section */
    bool ready_said;        /* the source may give up its role any time */
    bool served;            /* this process serves */
    bool is_postcopy;       /* and does not have everything yet */
    bool take_over;         /* migrate-continue was there */
    bool goodbye;           /* the source knows that all is here, or is not
                             * waited for */
    bool failure_said;      /* the source has been told why this ends */
    GQueue fetches;         /* of Section, for the speaker */
    bool all_here;          /* nothing is missing any more */
    Error *store_error;     /* what has come is not stored; for the speaker */

    /* Listening; guarded by migration_lock. */
    bool listens; /* it was told where, and is a yank instance */
    bool shutting_down;
    bool closed;           /* no more sessions */
    bool finished;         /* closed, and only this struct is left */
    unsigned listen_begun; /* number of attempts to listen */
    unsigned listen_done;
    /* address of the latest attempt while it runs, or NULL */
    char *listen_pending;
    char *listen_error;     /* of the last attempt that ended, or NULL */
    Link *hello_link;       /* of connections without a session yet */
    Assembly *assembly;     /* not all channels are there */
    Assembly *waiting;      /* all are there, for the coordinator */
    StreamHello last_hello; /* of the last one whose channels all came */
    QCryptoTLSCreds *creds;

    /*
     * The loop and its data.  Other threads may post to it until it is stopped;
     * after that the main thread frees it.
     */
    IOThread *loop;
    QIONetListener *listener;
    ListenAttempt *attempt; /* the current attempt, or NULL */
    GQueue greeters;        /* of Greeter, the oldest first */
    bool finding_creds;     /* the main thread is looking them up */

    QemuThread coordinator;
};

static inline DestinationPhase destination_phase(const Destination *d)
{
    return __atomic_load_n(&d->phase, __ATOMIC_ACQUIRE);
}

static inline void destination_enter_phase(Destination *d,
                                           DestinationPhase phase)
{
    __atomic_store_n(&d->phase, phase, __ATOMIC_RELEASE);
}

/* ---- destination-control.c ---- */

/* The one there is, or NULL.  Main thread. */
Destination *destination_get(void);
/* @d can be asked things from now on; NULL: no more.  Main thread. */
void destination_publish(Destination *d);
/* From now on nothing new begins. */
void destination_begin_shutdown(Destination *d);
/*
 * Cuts all links there are: of greeters, of assemblies, of the session.  Any
 * thread, OOB-safe.
 */
void destination_cut_links(Destination *d, const char *reason);
/* There is nothing to yank any more. */
void destination_forget_yank(Destination *d);

/* ---- destination-listen.c ---- */

/*
 * Starts to listen at @address in place of the present address; if @setup is
 * true, sets the state to setup.  Returns the number of the attempt.  @reply,
 * which it consumes, gets the outcome; may be NULL.  Any thread, OOB-safe. Call
 * with destination_lock held.
 */
unsigned destination_begin_listening(Destination *d,
                                     const SocketAddress *address, bool setup,
                                     QmpReply *reply);
/*
 * Waits for the outcome of attempt @number, or of a later one.  A yank ends the
 * wait.  Returns false with errp set on failure.  Main thread; blocks.
 */
bool destination_await_listening(Destination *d, unsigned number, Error **errp);
/*
 * Makes the current attempt fail with the reason @why.  Returns its address,
 * which the caller frees with g_free(), or NULL without an attempt.  Any
 * thread, OOB-safe.  Call with migration_lock held.
 */
char *destination_give_up_listening(Destination *d, const char *why);
/*
 * Closes everything that belongs to the loop, for ever, but not the loop
 * itself. Blocks for a moment.
 */
void destination_stop_loop(Destination *d);

/* ---- destination-hello.c ---- */

/* Takes over @ioc and reads its hello.  Runs on the loop. */
void destination_greet(Destination *d, QIOChannel *ioc);
/* Closes all connections without a complete hello.  Runs on the loop. */
void destination_end_greeters(Destination *d);
/* NULL is fine. */
void assembly_free(Assembly *a);

/* ---- destination-session.c ---- */

/* Runs a session until it ends; @err is set unless all went well. */
bool destination_run_session(Destination *d, Assembly *a, Error **errp);
/* Goes on with the one that was interrupted. */
bool destination_resume_session(Destination *d, Assembly *a, Error **errp);
/* Ends its link and threads; tells the source of @err, if there is one. */
void destination_hang_up(Destination *d, const Error *err);
/*
 * Makes lasting what is stored: what the source has flushed for its clients
 * stays flushed.  Blocks on storage.
 */
bool destination_flush(Destination *d, Error **errp);
/* A receiver failed: tells the source why and ends the link. */
void destination_channel_failed(Destination *d, Error *err);

/* ---- destination-receive.c ---- */

/*
 * Sets up the receivers and starts a thread for each except the first.  On
 * failure some threads may run; destination_join_receivers() ends them.
 */
bool destination_start_receivers(Destination *d, Assembly *a, Error **errp);
/* The link must be cut. */
void destination_join_receivers(Destination *d);
/* DATA, ZERO or PASS_END that came on @receiver's channel. */
bool receiver_apply(Receiver *receiver, const Section *section, Error **errp);
/* Waits until all that came before the end of @pass is stored. */
bool destination_wait_pass(Destination *d, uint64_t pass, Error **errp);

/* ---- destination-missing.c ---- */

/*
 * Frees d->missing, if there is any, with its gates.  @close: what was missing
 * never comes, so that requests fail from now on.
 */
void destination_free_missing(Destination *d, bool close);

/* A range is not here yet; before this process serves. */
bool destination_note_missing(Destination *d, const Section *section,
                              Error **errp);
/* From now on requests wait for blocks that are missing. */
void destination_set_gates(Destination *d);
/*
 * Content of a range that may be missing: it is stored where it is, and
 * dropped where it is not.  @r has the content, and ends when it is stored.
 */
void destination_store_missing(Destination *d, VolumeRequest *r, Volume *volume,
                               BlockOp op, uint64_t offset, uint64_t bytes);
/* Over a new link, asks again for what requests wait for. */
void destination_ask_again(Destination *d);
/* Nothing waits any more: all is here. */
void destination_drop_gates(Destination *d);
/*
 * The process ends: requests for what is missing fail, those that wait and
 * those that come.  Any thread, OOB-safe.
 */
void destination_give_up_missing(Destination *d);

/* ---- destination-speak.c ---- */

/*
 * All is here: from now on these are nodes like any other, whether the source
 * hears of it or not.  Blocks on storage.
 */
bool destination_complete(Destination *d, Error **errp);
bool destination_start_speaker(Destination *d, Error **errp);
/* The link must be cut. */
void destination_join_speaker(Destination *d);

#endif
