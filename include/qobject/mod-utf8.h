/*
 * Modified UTF-8: UTF-8 in which a NUL character is the two bytes C0 80, so
 * that a NUL-terminated string holds any text.
 *
 * Surrogates, noncharacters (U+FDD0 to U+FDEF and the last two of each plane)
 * and overlong forms are invalid, as QEMU has it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOBJECT_MOD_UTF8_H
#define QOBJECT_MOD_UTF8_H

/*
 * Returns the character that @s starts with, or -1 when it starts with none;
 * *@used is how many of its @len (at least 1) bytes were looked at.
 */
int mod_utf8_decode(const char *s, size_t len, size_t *used);

/* Appends @c to @out; false when there is no such character. */
bool mod_utf8_append(GString *out, int c);

#endif
