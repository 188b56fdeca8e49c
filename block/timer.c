/*
 * Timers of a block node: a timerfd set to the earliest of a sorted list.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/timerfd.h>
#include <time.h>
#include "qemu/fd-watch.h"
#include "qemu/iothread.h"
#include "timer.h"

#define NS_PER_S UINT64_C(1000000000)

struct BlockTimer {
    uint64_t deadline_ns; /* CLOCK_MONOTONIC */
    BlockTimerFn *fn;
    void *opaque;
};

struct BlockTimers {
    GQueue list; /* of BlockTimer, earliest first */
    int fd;
    FdWatch *watch;    /* NULL while no I/O thread is bound */
    uint64_t armed_ns; /* what fd is set to; 0: it is not */
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void timers_arm(BlockTimers *timers)
{
    BlockTimer *first = g_queue_peek_head(&timers->list);
    uint64_t ns = first ? first->deadline_ns : 0;
    struct itimerspec spec = {
        .it_value = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S},
    };

    if (ns == timers->armed_ns) {
        return;
    }
    timerfd_settime(timers->fd, TFD_TIMER_ABSTIME, &spec, NULL);
    timers->armed_ns = ns;
}

static void timers_fired(GIOCondition condition, void *opaque)
{
    BlockTimers *timers = opaque;
    uint64_t now = now_ns();
    BlockTimer *timer;
    uint64_t expirations;

    if (read(timers->fd, &expirations, sizeof(expirations)) < 0) {
        return; /* it was set anew just now */
    }
    timers->armed_ns = 0;
    while ((timer = g_queue_peek_head(&timers->list)) &&
           timer->deadline_ns <= now) {
        g_queue_pop_head(&timers->list);
        timer->fn(timer->opaque);
        g_free(timer);
    }
    timers_arm(timers);
}

void block_timers_attach(BlockTimers *timers)
{
    GMainContext *context = iothread_get_g_main_context(iothread_current());

    if (!timers->watch) {
        timers->watch = fd_watch_new(context, timers->fd, timers_fired, timers);
        fd_watch_set_events(timers->watch, G_IO_IN);
    }
}

void block_timers_detach(BlockTimers *timers)
{
    g_clear_pointer(&timers->watch, fd_watch_free);
}

BlockTimers *block_timers_new(Error **errp)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    BlockTimers *timers;

    if (fd < 0) {
        error_setg_errno(errp, errno, "Unable to create a timer");
        return NULL;
    }
    timers = g_new0(BlockTimers, 1);
    g_queue_init(&timers->list);
    timers->fd = fd;
    return timers;
}

void block_timers_free(BlockTimers *timers)
{
    if (timers) {
        g_assert(!timers->watch);
        close(timers->fd);
        g_queue_clear_full(&timers->list, g_free);
        g_free(timers);
    }
}

BlockTimer *block_timer_start(BlockTimers *timers, uint64_t ns,
                              BlockTimerFn *fn, void *opaque)
{
    BlockTimer *timer = g_new0(BlockTimer, 1);
    GList *l = timers->list.tail;

    block_timers_attach(timers);
    timer->deadline_ns = now_ns() + MIN(ns, (uint64_t)INT64_MAX / 2);
    timer->fn = fn;
    timer->opaque = opaque;
    /* Most are the latest yet. */
    while (l && ((BlockTimer *)l->data)->deadline_ns > timer->deadline_ns) {
        l = l->prev;
    }
    g_queue_insert_after(&timers->list, l, timer);
    timers_arm(timers);
    return timer;
}

void block_timer_cancel(BlockTimers *timers, BlockTimer *timer)
{
    if (timer && g_queue_remove(&timers->list, timer)) {
        g_free(timer);
        timers_arm(timers);
    }
}
