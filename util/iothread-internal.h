/*
 * Between the parts of IOThread: its poll function.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef UTIL_IOTHREAD_INTERNAL_H
#define UTIL_IOTHREAD_INTERNAL_H

/* All zero is a good start: no busy polling. */
typedef struct IOThreadPoll {
    int64_t max_ns;  /* atomic; the user's limit */
    int64_t spin_ns; /* I/O thread only: how long it spins at the moment */
} IOThreadPoll;

/* poll(), which spins first as long as that pays.  On the I/O thread. */
int iothread_poll_wait(IOThreadPoll *p, GPollFD *fds, guint n_fds,
                       int timeout_ms);

/* Any thread. */
void iothread_poll_set_max_ns(IOThreadPoll *p, int64_t ns);
int64_t iothread_poll_get_max_ns(IOThreadPoll *p);

#endif
