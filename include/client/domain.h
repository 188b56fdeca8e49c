/*
 * Domain: one managed process, reached by its QMP socket and perhaps by that
 * of a guest agent in it.
 *
 * A domain is reference-counted, and has a lock which guards its state and its
 * jobs.  The lock is never held over anything that sleeps: whoever waits, for
 * a job, a monitor, an agent or another domain, lets go of it meanwhile.  So
 * taking it never takes long, whatever hangs.
 *
 * A function here that is not marked "locked" is called without the domain's
 * lock held, and on any thread.  docs/devel/client-threads.rst has the rules
 * as a whole, with a recipe for each pattern.
 *
 * Mistakes of the caller (what is locked, unlocked, begun and ended by whom)
 * abort a debug build; in a release build they are YC_DOMAIN_ERROR_MISUSE, and
 * the call does nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef YANKCLIENT_DOMAIN_H
#define YANKCLIENT_DOMAIN_H

#include "agent-client.h"
#include "qmp-client.h"

G_BEGIN_DECLS

/* Beside YC_ERROR: what a domain, its jobs and a driver have to say. */
typedef enum YcDomainError {
    /* The wait for a job reached its limit; the message names the holder. */
    YC_DOMAIN_ERROR_BUSY,
    /* Too many wait for jobs already. */
    YC_DOMAIN_ERROR_QUEUE_FULL,
    /* There is no connection to the process, or it was lost meanwhile. */
    YC_DOMAIN_ERROR_GONE,
    /* The caller's mistake. */
    YC_DOMAIN_ERROR_MISUSE,
    /* The driver has a domain of that name. */
    YC_DOMAIN_ERROR_EXISTS,
    /* The driver has no domain of that name. */
    YC_DOMAIN_ERROR_NOT_FOUND,
    /* Not done because it would do harm; the message says what. */
    YC_DOMAIN_ERROR_REFUSED,
    /* The domain has no guest agent, or the server no such thing as yank. */
    YC_DOMAIN_ERROR_UNSUPPORTED,
} YcDomainError;

#define YC_DOMAIN_ERROR (yc_domain_error_quark())
GQuark yc_domain_error_quark(void);

typedef struct YcDomain YcDomain;

/*
 * A domain called @name, with one reference.  It takes references of its own
 * to the connections, none of which has been told to connect yet, nor has an
 * event or state function: the domain sets those.
 * @monitor: for commands and events; the domain lives while it is READY
 * @lane: for out-of-band requests; NULL: @monitor carries them, too
 * @agent: NULL when there is none
 * Does not block.
 */
YcDomain *yc_domain_new(const char *name, YcQmpClient *monitor,
                        YcQmpClient *lane, YcAgentClient *agent);
/* Any thread, locked or not. */
YcDomain *yc_domain_ref(YcDomain *dom);
/* Not locked; the last one closes the domain.  NULL is fine. */
void yc_domain_unref(YcDomain *dom);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YcDomain, yc_domain_unref)

/* Belongs to @dom.  Locked or not. */
const char *yc_domain_name(const YcDomain *dom);

/*
 * The lock.  No other domain's may be held, and nothing that sleeps may be
 * called under it.  Unlocking is false, with nothing done, when this thread
 * does not hold it.
 */
void yc_domain_lock(YcDomain *dom);
bool yc_domain_unlock(YcDomain *dom);
/* Locked: unlocks *@dom, drops the reference, and sets it to NULL. */
void yc_domain_release(YcDomain **dom);

/*
 * Connects the monitor, within @timeout_ms, and then lane and agent, each of
 * which may fail without harm: they are connected again by the next call.
 * Blocks; not in a callback.
 */
bool yc_domain_connect(YcDomain *dom, int timeout_ms, GError **errp);
/*
 * An attempt to connect to the monitor of @dom has ended: with the error @why,
 * or successfully if @why is NULL.  Called on the event thread.
 */
typedef void YcDomainConnectedFn(YcDomain *dom, const GError *why, void *data);
/*
 * Like yc_domain_connect(), without waiting.  @fn (may be NULL) is called once,
 * unless the domain is closed or connected already.  @free_data (may be NULL)
 * is called once in any case.  Any thread; does not wait for a peer.
 */
void yc_domain_connect_async(YcDomain *dom, int timeout_ms,
                             YcDomainConnectedFn *fn, void *data,
                             GDestroyNotify free_data);
/*
 * For good: ends the connections, and every wait for a job with an error that
 * gives @reason.  Jobs go on until their holders end them.  Does not block.
 */
void yc_domain_close(YcDomain *dom, const char *reason);

/*
 * Limits of the wait for a job: @ms from 1 up (30,000 unless set), and the
 * largest number of threads that wait (0, as it is unless set: any number).
 * For waits that begin later.  Locked or not.
 */
void yc_domain_set_wait_limit(YcDomain *dom, int ms);
void yc_domain_set_max_waiters(YcDomain *dom, unsigned n);

/* Locked: true while there is a connection; else GONE, and why. */
bool yc_domain_check_alive(YcDomain *dom, GError **errp);

/*
 * Why the latest attempt to connect to the monitor failed, or its connection
 * was lost, in the words and with the code of the client (YC_ERROR); NULL: it
 * is connected, or was never tried.  g_error_free() it.  Not locked.
 */
GError *yc_domain_why_down(YcDomain *dom);

/*
 * What the domain's events have told so far.
 */
typedef struct YcDomainStatus {
    bool alive;
    /* Why it is not, g_free() it; NULL while alive. */
    char *reason;
    /* "running", "paused", ... or NULL when no event has told yet. */
    const char *run_state;
    /* As of event MIGRATION, or NULL; g_free() it. */
    char *migration;
    /* For how long its main loop has been stalled, by its own word (yankd
     * only); -1: it is not. */
    gint64 main_loop_stalled_ms;
    guint64 n_events;
} YcDomainStatus;

void yc_domain_get_status(YcDomain *dom, YcDomainStatus *status);
void yc_domain_status_clear(YcDomainStatus *status);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(YcDomainStatus, yc_domain_status_clear)

/*
 * Events and changes of state, on the event thread, with no lock held and with
 * the status above as it is by then.  @event is the library's: not to be
 * changed, referenced or freed.  Either function may be NULL.
 */
typedef void YcDomainEventFn(YcDomain *dom, const char *name,
                             json_object *event, void *data);
/* @why: why it is not alive; NULL when it is. */
typedef void YcDomainStateFn(YcDomain *dom, bool alive, const GError *why,
                             void *data);

/* Returns an id for removal, never 0.  Locked or not. */
guint yc_domain_add_handler(YcDomain *dom, YcDomainEventFn *event_fn,
                            YcDomainStateFn *state_fn, void *data,
                            GDestroyNotify free_data);
/*
 * Does not wait for a call that is under way; @free_data is called once it
 * has returned, on that thread, or else right here.
 */
void yc_domain_remove_handler(YcDomain *dom, guint id);

/*
 * The out-of-band lane: sends @command at once, whatever job is held by whom,
 * and whatever hangs in-band.  Takes no job and waits for none.  Blocks until
 * the answer, at most @timeout_ms; never sends in-band instead.  @result may
 * be NULL; else the caller's, on success only.
 */
bool yc_domain_oob(YcDomain *dom, const char *command, json_object *arguments,
                   int timeout_ms, json_object **result, GError **errp);
/* The connection of the lane; belongs to @dom.  Locked or not. */
YcQmpClient *yc_domain_lane(YcDomain *dom);
/* Whether there is a guest agent to ask.  Locked or not. */
bool yc_domain_has_agent(YcDomain *dom);

G_END_DECLS

#endif
