/*
 * A reserve of descriptors for monitors: an operator's client is accepted even
 * when the process has used all other descriptors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_FD_RESERVE_H
#define IO_FD_RESERVE_H

/*
 * Enables the reserve and fills it as far as possible.  The last
 * fd_reserve_disable(), one for each call of this function, closes the reserve.
 * Any thread; does not block.
 */
void fd_reserve_enable(void);
void fd_reserve_disable(void);

/*
 * Fills the reserve.  Returns false when the process has too few descriptors
 * for that; clients other than operators must not be accepted then.  Any
 * thread, OOB-safe.
 */
bool fd_reserve_fill(void);

/*
 * Closes one descriptor of the reserve, so that the caller can open another.
 * Returns false if the reserve is empty.  Any thread, OOB-safe.
 */
bool fd_reserve_use(void);

#endif
