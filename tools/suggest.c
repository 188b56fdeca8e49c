/*
 * The word that somebody may have meant who typed another one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "suggest.h"

#define MAX_ERRORS 2
/* Longer words are never compared: the time grows with their lengths. */
#define MAX_WORD 64

/*
 * Characters to insert, delete, replace, or swap with their neighbours, to
 * make @one of @other: the table of all beginnings, of which three rows are
 * kept.
 */
static int distance(const char *one, const char *other)
{
    int rows[3][MAX_WORD + 1];
    int *before = rows[0], *last = rows[1], *now = rows[2];
    int n = strlen(other);

    for (int j = 0; j <= n; j++) {
        now[j] = j;
    }
    for (int i = 1; one[i - 1]; i++) {
        int *spare = before;

        before = last;
        last = now;
        now = spare;
        now[0] = i;
        for (int j = 1; j <= n; j++) {
            bool same = one[i - 1] == other[j - 1];

            now[j] = MIN(MIN(last[j], now[j - 1]) + 1, last[j - 1] + !same);
            if (i > 1 && j > 1 && one[i - 1] == other[j - 2] &&
                one[i - 2] == other[j - 1]) {
                now[j] = MIN(now[j], before[j - 2] + 1);
            }
        }
    }
    return now[n];
}

const char *suggest(const char *word, const char *const *known)
{
    /* A short word is near to all that are short. */
    int least = MIN(MAX_ERRORS, (int)strlen(word) / 2) + 1;
    const char *nearest = NULL;

    for (; *known; known++) {
        int errors;

        if (strlen(word) > MAX_WORD || strlen(*known) > MAX_WORD) {
            continue;
        }
        errors = word[0] && g_str_has_prefix(*known, word)
                     ? 0
                     : distance(word, *known);
        if (errors < least) {
            least = errors;
            nearest = *known;
        }
    }
    return nearest;
}
