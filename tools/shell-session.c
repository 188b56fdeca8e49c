/*
 * The shell's requests: on threads of their own, so that one that hangs keeps
 * nobody from the next, least of all from an out-of-band one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include "json.h"
#include "shell-session.h"

#define OOB_THREADS 8
#define LAST_MOMENT_US (G_USEC_PER_SEC / 2)

typedef struct Work {
    QmpText *request;
    ShellKind kind;
    gint64 start; /* when the user asked */
} Work;

struct ShellSession {
    Lane *lane;
    bool force;
    GThreadPool *in_band; /* one thread */
    GThreadPool *oob;
    int fd; /* eventfd: one for each item */
    /* Guards the rest; taken alone. */
    GMutex lock;
    GCond changed;
    GQueue items; /* of ShellItem */
    unsigned n_under_way;
    unsigned n_asked; /* of these, what the user has asked for */
};

void shell_item_free(ShellItem *item)
{
    if (item) {
        g_free(item->command);
        json_object_put(item->result);
        g_clear_error(&item->error);
        g_free(item);
    }
}

static void push(ShellSession *session, ShellItem *item, unsigned n_done)
{
    g_mutex_lock(&session->lock);
    session->n_asked -= item->kind == SHELL_ANSWER ? n_done : 0;
    g_queue_push_tail(&session->items, item);
    session->n_under_way -= n_done;
    eventfd_write(session->fd, 1);
    g_cond_signal(&session->changed);
    g_mutex_unlock(&session->lock);
}

static void work_free(void *opaque)
{
    Work *work = opaque;

    qmp_text_free(work->request);
    g_free(work);
}

static void run(void *data, void *opaque)
{
    ShellSession *session = opaque;
    Work *work = data;
    ShellItem *item = g_new0(ShellItem, 1);

    item->kind = work->kind;
    item->command = g_strdup(work->request->command);
    item->result =
        session->force && !work->request->oob
            ? lane_execute_forced(session->lane, work->request->command,
                                  work->request->arguments, 0, &item->error)
            : lane_execute(session->lane, work->request->oob,
                           work->request->command, work->request->arguments, 0,
                           &item->error);
    item->us = g_get_monotonic_time() - work->start;
    push(session, item, 1);
    work_free(work);
}

static void note_event(Lane *lane, json_object *event, void *opaque)
{
    ShellItem *item = g_new0(ShellItem, 1);

    item->kind = event ? SHELL_EVENT : SHELL_LOST;
    item->result = event;
    push(opaque, item, 0);
}

ShellSession *shell_session_new(Lane *lane, bool force, GError **errp)
{
    g_autoptr(ShellSession) session = g_new0(ShellSession, 1);

    session->lane = lane;
    session->force = force;
    session->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    g_mutex_init(&session->lock);
    g_cond_init(&session->changed);
    g_queue_init(&session->items);
    session->in_band =
        g_thread_pool_new_full(run, session, work_free, 1, false, NULL);
    session->oob = g_thread_pool_new_full(run, session, work_free, OOB_THREADS,
                                          false, NULL);
    return lane_subscribe(lane, note_event, session, errp)
               ? g_steal_pointer(&session)
               : NULL;
}

/* What was just asked for is to be done; what hangs may do so for long. */
unsigned shell_session_leave(ShellSession *session)
{
    gint64 end = g_get_monotonic_time() + LAST_MOMENT_US;
    bool in_time = true;
    unsigned left;

    g_mutex_lock(&session->lock);
    while (session->n_under_way > 0 && in_time) {
        in_time = g_cond_wait_until(&session->changed, &session->lock, end);
    }
    left = session->n_asked;
    g_mutex_unlock(&session->lock);
    return left;
}

void shell_session_free(ShellSession *session)
{
    if (!session) {
        return;
    }
    lane_unsubscribe(session->lane);
    lane_hang_up(session->lane);
    g_thread_pool_free(session->in_band, true, true);
    g_thread_pool_free(session->oob, true, true);
    g_queue_clear_full(&session->items, (GDestroyNotify)shell_item_free);
    close(session->fd);
    g_mutex_clear(&session->lock);
    g_cond_clear(&session->changed);
    g_free(session);
}

static void submit(ShellSession *session, QmpText *request, ShellKind kind)
{
    Work *work = g_new0(Work, 1);

    work->request = request;
    work->kind = kind;
    work->start = g_get_monotonic_time();
    g_mutex_lock(&session->lock);
    session->n_under_way++;
    session->n_asked += kind == SHELL_ANSWER;
    g_mutex_unlock(&session->lock);
    g_thread_pool_push(request->oob ? session->oob : session->in_band, work,
                       NULL);
}

void shell_session_submit(ShellSession *session, QmpText *request)
{
    submit(session, request, SHELL_ANSWER);
}

void shell_session_ask_schema(ShellSession *session)
{
    submit(session, qmp_text_parse("query-qmp-schema", NULL), SHELL_SCHEMA);
}

int shell_session_fd(ShellSession *session)
{
    return session->fd;
}

/* Locked. */
static ShellItem *pop(ShellSession *session)
{
    ShellItem *item = g_queue_pop_head(&session->items);
    eventfd_t one;

    if (item) {
        eventfd_read(session->fd, &one);
    }
    return item;
}

ShellItem *shell_session_take(ShellSession *session)
{
    ShellItem *item;

    g_mutex_lock(&session->lock);
    item = pop(session);
    g_mutex_unlock(&session->lock);
    return item;
}

ShellItem *shell_session_wait(ShellSession *session)
{
    ShellItem *item;

    g_mutex_lock(&session->lock);
    while (!(item = pop(session)) && session->n_under_way > 0) {
        g_cond_wait(&session->changed, &session->lock);
    }
    g_mutex_unlock(&session->lock);
    return item;
}
