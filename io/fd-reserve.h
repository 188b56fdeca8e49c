/*
 * Descriptors kept for monitors: when all others are taken, an operator's
 * client is accepted nevertheless.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_FD_RESERVE_H
#define IO_FD_RESERVE_H

/*
 * From now on there is to be a reserve; it is filled at once, as far as
 * possible.  It is closed by the last fd_reserve_disable(), one for each call
 * of this.  Any thread; do not block.
 */
void fd_reserve_enable(void);
void fd_reserve_disable(void);

/*
 * Fills the reserve up.  False when descriptors are too short for that: then
 * strangers are not to get any.  Any thread, OOB-safe.
 */
bool fd_reserve_fill(void);

/* Frees a descriptor for the caller to use; false when there is none. */
bool fd_reserve_use(void);

#endif
