/*
 * What the files of the domain half of the library share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_DOMAIN_INTERNAL_H
#define CLIENT_DOMAIN_INTERNAL_H

#include "client/job.h"
#include "client-internal.h"
#include "lock.h"

#define YC_WAIT_LIMIT_MS 30000

/* Where the holder of a job is, while the domain's lock is free. */
typedef enum YcAway {
    YC_AWAY_NOT,
    YC_AWAY_MONITOR,
    YC_AWAY_AGENT,
    YC_AWAY_REMOTE,
} YcAway;

/* A job that runs, or the place for one. */
typedef struct YcJobState {
    bool held;
    bool nested;
    pid_t thread;
    char *what;
    int64_t since;
    unsigned life;       /* that of the domain in which it began */
    unsigned connection; /* and that of the monitor; ahead of the life */
    YcAway away;
    char *command; /* NULL unless away */
    int64_t command_since;
} YcJobState;

typedef enum YcJobSort {
    YC_SORT_NORMAL,
    YC_SORT_NESTED,
    YC_SORT_AGENT,
    YC_SORT_ASYNC,
} YcJobSort;

typedef struct YcJobRequest {
    YcJobSort sort;
    YcJob kind;    /* normal only */
    unsigned mask; /* asynchronous only */
    const char *what;
} YcJobRequest;

/* All of it under the domain's lock. */
typedef struct YcJobs {
    YcJobState slots[YC_SLOT__MAX];
    unsigned async_mask;
    GQueue waiters; /* of YcJobWaiter, first come first */
} YcJobs;

/* The in-band ping, of which there is one on its way at most. */
typedef struct YcPingState {
    QemuMutex lock; /* fast, innermost: guards what follows */
    QemuCond answered;
    int64_t sent; /* when the one on its way was; 0: there is none */
    uint64_t number;
    uint64_t n_answered; /* @number of the latest that was */
    int64_t took_us;     /* and how it ended: */
    GError *error;       /* NULL: well */
} YcPingState;

struct YcDomain {
    int refs;        /* atomic; of users: 0 closes it */
    int memory_refs; /* atomic; those and callbacks' */
    char *name;
    YcQmpClient *monitor;
    YcQmpClient *lane; /* may be the same */
    YcAgentClient *agent;

    /* Atomic. */
    int wait_limit_ms;
    unsigned max_waiters;

    YcLock lock; /* guards what follows */
    QemuCond changed;
    bool alive;
    bool closed;
    unsigned life;   /* counts the connections of the monitor */
    unsigned n_lost; /* and the ends of those, and of attempts */
    char *reason;    /* why it is not alive; NULL: never was */
    GError *down;    /* of the monitor's client, the latest; or NULL */
    YcJobs jobs;
    const char *run_state;
    char *migration;
    int64_t stalled_since; /* -1: it is not */
    uint64_t n_events;
    GPtrArray *monitor_chardevs; /* of strings: ids that users added */

    bool told_alive; /* event thread only */
    YcPingState ping;

    QemuMutex handlers_lock; /* fast, innermost: guards what follows */
    GPtrArray *handlers;
    guint last_handler;
};

/* From now to @deadline in milliseconds, 1 at least. */
int yc_ms_until(int64_t deadline);

/* Not a user's reference: keeps the memory, not the domain. */
YcDomain *yc_domain_hold(YcDomain *dom);
void yc_domain_unhold(YcDomain *dom);
/* A user's reference, or false when there is none any more. */
bool yc_domain_try_ref(YcDomain *dom);

/* Says MISUSE on the event thread, which would wait for itself. */
bool yc_domain_check_no_callback(YcDomain *dom, const char *call,
                                 GError **errp);

/*
 * Locked from here on.
 */
/* Says MISUSE unless this thread holds the lock. */
bool yc_domain_check_locked(YcDomain *dom, const char *call, GError **errp);
/* The connection is there, or is lost: ends all waits for jobs. */
void yc_domain_found(YcDomain *dom);
void yc_domain_lost(YcDomain *dom, const char *reason);
void yc_domain_set_gone(YcDomain *dom, GError **errp);

/* Ends every wait for a job: the domain is lost. */
void yc_jobs_lose_waiters(YcJobs *jobs);
/* The job that @req has to wait for; NULL: none. */
YcJobState *yc_jobs_blocker(YcJobs *jobs, const YcJobRequest *req);
/* The innermost job that this thread holds in @dom; NULL: none. */
YcJobState *yc_jobs_mine(YcJobs *jobs);
/* Whether this thread holds the job in @slot. */
bool yc_job_is_mine(const YcJobState *job);
void yc_job_state_clear(YcJobState *job);

/* Why @req was not granted: after @limit_ms, or without waiting at all. */
void yc_job_error_busy(YcDomain *dom, const YcJobRequest *req, int limit_ms,
                       GError **errp);
void yc_job_error_queue_full(YcDomain *dom, const YcJobRequest *req,
                             GError **errp);

/*
 * Event thread, not locked.
 */
void yc_handlers_run_event(YcDomain *dom, const char *name, json_object *event);
void yc_handlers_run_state(YcDomain *dom, bool alive, const GError *why);
/* Any thread. */
void yc_handlers_remove_all(YcDomain *dom);

/* Functions of the monitor's client; @data is the domain. */
void yc_domain_on_event(const char *name, json_object *event, void *data);
void yc_domain_on_state(YcQmpState state, const GError *why, void *data);

/* The clock by which messages tell ages, in microseconds; tests replace it. */
extern int64_t (*yc_age_clock)(void);

#endif
