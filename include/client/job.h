/*
 * Jobs: who may do what to a domain at the same time.
 *
 *  - A normal job is for one operation on the monitor.  One at a time.
 *  - An agent job is for one operation on the guest agent.  One at a time; it
 *    may run beside a normal job of another thread, but no thread may hold
 *    both, lest an agent that is silent blocks the monitor.
 *  - An asynchronous job is for what takes long.  One at a time.  It lets in
 *    the normal jobs of its mask; its own thread reaches the monitor by nested
 *    jobs, which take their turn among the normal ones.
 *
 * Waits are first come, first served among those that could run, end at a
 * deadline, and end at once when the domain is lost.
 *
 * Every function here is "locked": called with the domain's lock held by this
 * thread, which also holds a reference, and returns so.  Those that begin a
 * job and those that enter let go of the lock meanwhile: what was read before
 * must be read again.
 *
 * Waiting: @wait_ms from 1 up, or one of these.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef YANKCLIENT_JOB_H
#define YANKCLIENT_JOB_H

#include "domain.h"

G_BEGIN_DECLS

#define YC_WAIT_DEFAULT 0 /* the domain's limit */
#define YC_WAIT_NONE (-1) /* BUSY at once */

/* The kinds of normal jobs, for the masks of asynchronous ones. */
typedef enum YcJob {
    YC_JOB_QUERY,        /* changes nothing */
    YC_JOB_MODIFY,       /* changes something */
    YC_JOB_SUSPEND,      /* stops the guest */
    YC_JOB_MIGRATION_OP, /* steers the migration that runs */
    YC_JOB_ABORT,        /* ends an asynchronous job */
    YC_JOB_DESTROY,      /* ends the process */
    YC_JOB__MAX,
} YcJob;

#define YC_JOB_MASK(job) (1u << (job))
#define YC_JOB_MASK_NONE 0u
#define YC_JOB_MASK_DEFAULT                                                    \
    (YC_JOB_MASK(YC_JOB_QUERY) | YC_JOB_MASK(YC_JOB_ABORT) |                   \
     YC_JOB_MASK(YC_JOB_DESTROY))

/* "query", "modify", ...; a static string. */
const char *yc_job_name(YcJob job);

/*
 * Begin a job.  @what says in a few words what for ("blockdev-del"), for the
 * errors of those who wait for it.
 * Errors: BUSY, QUEUE_FULL, GONE, MISUSE.
 */
bool yc_domain_begin_job(YcDomain *dom, YcJob job, const char *what,
                         int wait_ms, GError **errp);
bool yc_domain_begin_agent_job(YcDomain *dom, const char *what, int wait_ms,
                               GError **errp);
/* @mask: the kinds of normal jobs that it lets in. */
bool yc_domain_begin_async_job(YcDomain *dom, const char *what, unsigned mask,
                               int wait_ms, GError **errp);
/* On the thread that holds the asynchronous job; not counted as a waiter. */
bool yc_domain_begin_nested_job(YcDomain *dom, const char *what, int wait_ms,
                                GError **errp);
/* On the thread that holds the asynchronous job. */
bool yc_domain_set_async_mask(YcDomain *dom, unsigned mask, GError **errp);

/*
 * End a job that this thread holds, also after the domain was lost.  false
 * for a mistake only (MISUSE).
 */
bool yc_domain_end_job(YcDomain *dom, GError **errp);
bool yc_domain_end_agent_job(YcDomain *dom, GError **errp);
bool yc_domain_end_async_job(YcDomain *dom, GError **errp);
bool yc_domain_end_nested_job(YcDomain *dom, GError **errp);

/*
 * Entering the monitor: takes the monitor for this thread, which must hold a
 * normal or nested job, and lets go of the domain's lock, until the exit does
 * the reverse.  Between the two, this thread may run commands, and must not
 * take the lock of any domain.
 *
 * The entry fails (NULL) when the domain is lost.  The exit always leaves;
 * it is false when the domain was lost meanwhile (GONE), and then the job has
 * nothing more to do than to end.
 *
 * @command: what is about to run, for the errors of those who wait
 * Returns: the connection, which is valid until the exit
 */
YcQmpClient *yc_domain_enter_monitor(YcDomain *dom, const char *command,
                                     GError **errp);
bool yc_domain_exit_monitor(YcDomain *dom, GError **errp);

/* The same with the agent, under an agent job; UNSUPPORTED without one. */
YcAgentClient *yc_domain_enter_agent(YcDomain *dom, const char *command,
                                     GError **errp);
bool yc_domain_exit_agent(YcDomain *dom, GError **errp);

/*
 * Entering remote: under a job of any sort, lets go of the lock for a call to
 * something else, which may be another domain.  The domain is kept in memory
 * by a reference; whether it still lives is checked at the exit.
 */
bool yc_domain_enter_remote(YcDomain *dom, const char *what, GError **errp);
bool yc_domain_exit_remote(YcDomain *dom, GError **errp);

/*
 * Enters the monitor, runs @command, and exits.  Under an asynchronous job it
 * does so within a nested one.  @timeout_ms is for the answer of the command.
 * @result may be NULL; else the caller's, on success only.
 */
bool yc_domain_command(YcDomain *dom, const char *command,
                       json_object *arguments, int timeout_ms,
                       json_object **result, GError **errp);
/* The same with the agent, under an agent job. */
bool yc_domain_agent_command(YcDomain *dom, const char *command,
                             json_object *arguments, int timeout_ms,
                             json_object **result, GError **errp);

/* The places for jobs; a nested job is in that of the normal ones. */
typedef enum YcJobSlot {
    YC_SLOT_NORMAL,
    YC_SLOT_AGENT,
    YC_SLOT_ASYNC,
    YC_SLOT__MAX,
} YcJobSlot;

typedef struct YcJobInfo {
    bool held;
    char *what; /* the rest is set when @held */
    bool nested;
    pid_t thread;
    gint64 age_ms;
    char *command;     /* where it is away to, or NULL */
    gint64 command_ms; /* for how long */
} YcJobInfo;

void yc_domain_get_job_info(YcDomain *dom, YcJobSlot slot, YcJobInfo *info);
void yc_job_info_clear(YcJobInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(YcJobInfo, yc_job_info_clear)
/* How many threads wait for a job. */
unsigned yc_domain_n_waiters(YcDomain *dom);

G_END_DECLS

#endif
