/*
 * Adaptive busy polling: an I/O thread looks for events for a short while
 * before it sleeps, since going to sleep and waking up costs more than an
 * event that is about to come.  The while grows as long as events come soon
 * after the thread fell asleep, and drops to nothing when they take longer
 * than it may spin at all.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <time.h>
#include "iothread-internal.h"

#define SPIN_START_NS 4000
#define SPIN_GROW 2

G_STATIC_ASSERT(sizeof(GPollFD) == sizeof(struct pollfd));
G_STATIC_ASSERT(offsetof(GPollFD, events) == offsetof(struct pollfd, events));
G_STATIC_ASSERT(offsetof(GPollFD, revents) == offsetof(struct pollfd, revents));

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int poll_fds(GPollFD *fds, guint n_fds, int timeout_ms)
{
    return poll((struct pollfd *)fds, n_fds, timeout_ms);
}

static int poll_spin(GPollFD *fds, guint n_fds, int64_t until_ns)
{
    int ret;

    do {
        ret = poll_fds(fds, n_fds, 0);
    } while (ret == 0 && now_ns() < until_ns);
    return ret;
}

static void adapt(IOThreadPoll *p, int64_t max_ns, int64_t waited_ns)
{
    if (waited_ns <= p->spin_ns) {
        return;
    }
    if (waited_ns > max_ns) {
        p->spin_ns = 0;
        return;
    }
    p->spin_ns = p->spin_ns ? p->spin_ns * SPIN_GROW : SPIN_START_NS;
    p->spin_ns = MIN(p->spin_ns, max_ns);
}

int iothread_poll_wait(IOThreadPoll *p, GPollFD *fds, guint n_fds,
                       int timeout_ms)
{
    int64_t max_ns = iothread_poll_get_max_ns(p);
    int64_t start_ns;
    int ret = 0;

    if (max_ns == 0 || timeout_ms == 0) {
        return poll_fds(fds, n_fds, timeout_ms);
    }
    p->spin_ns = MIN(p->spin_ns, max_ns);
    start_ns = now_ns();
    if (p->spin_ns) {
        ret = poll_spin(fds, n_fds, start_ns + p->spin_ns);
    }
    /* A timer may fire late by the time spun: microseconds, as max_ns is. */
    if (ret == 0) {
        ret = poll_fds(fds, n_fds, timeout_ms);
    }
    adapt(p, max_ns, now_ns() - start_ns);
    return ret;
}

void iothread_poll_set_max_ns(IOThreadPoll *p, int64_t ns)
{
    __atomic_store_n(&p->max_ns, MAX(ns, 0), __ATOMIC_RELAXED);
}

int64_t iothread_poll_get_max_ns(IOThreadPoll *p)
{
    return __atomic_load_n(&p->max_ns, __ATOMIC_RELAXED);
}
