/*
 * Signals of a verb that handles some: until it is ready, they end it.
 *
 * While it connects, the main thread waits for others and not for signals, so
 * a thread does that which has nothing else to do.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <pthread.h>
#include "interrupt.h"

static sigset_t caught;
static pthread_t waiter;

static void *obey(void *opaque)
{
    int number;

    while (sigwait(&caught, &number) == 0) {
        /* With the action that it has, and the status that tells of it. */
        pthread_sigmask(SIG_UNBLOCK, &caught, NULL);
        raise(number);
        pthread_sigmask(SIG_BLOCK, &caught, NULL);
    }
    return NULL;
}

sigset_t interrupt_begin(const int *signals)
{
    sigemptyset(&caught);
    for (; *signals; signals++) {
        sigaddset(&caught, *signals);
    }
    pthread_sigmask(SIG_BLOCK, &caught, NULL);
    if (pthread_create(&waiter, NULL, obey, NULL) != 0) {
        abort();
    }
    return caught;
}

void interrupt_ready(void)
{
    pthread_cancel(waiter);
    pthread_join(waiter, NULL);
}
