/*
 * Identifiers of objects, nodes and devices, as users give them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_ID_H
#define QEMU_ID_H

/*
 * True when @id is made of letters, digits, '-', '.' and '_' and starts with
 * a letter.  Any thread, OOB-safe.
 */
bool id_wellformed(const char *id);

#endif
