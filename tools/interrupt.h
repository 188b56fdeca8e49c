/*
 * Signals of a verb that handles some: until it is ready, they end it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_INTERRUPT_H
#define TOOLS_INTERRUPT_H

#include <signal.h>

/*
 * Blocks @signals (0-terminated) in this thread and in those that
 * it makes.  Each of them ends the process, as it would have, until
 * interrupt_ready(); then they wait for the caller.  Main thread, before
 * others are made; once.  Returns @signals as a set.
 */
sigset_t interrupt_begin(const int *signals);
/* Returns at once. */
void interrupt_ready(void);

#endif
