/*
 * The word that somebody may have meant who typed another one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_SUGGEST_H
#define TOOLS_SUGGEST_H

/*
 * The one of @known (NULL-terminated) that @word begins, or that is no more
 * than two typing errors away from it; NULL when none is near.
 */
const char *suggest(const char *word, const char *const *known);

#endif
