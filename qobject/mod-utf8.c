/*
 * Modified UTF-8.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/mod-utf8.h"

#define MAX_BYTES 6 /* what a first byte can announce, valid or not */

static bool is_character(int c)
{
    bool surrogate = c >= 0xd800 && c <= 0xdfff;
    bool noncharacter = (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe;

    return c >= 0 && c <= 0x10ffff && !surrogate && !noncharacter;
}

/* How many bytes the first byte announces; 0 when it can be no first byte. */
static unsigned announced_len(unsigned char first)
{
    unsigned ones = 0;

    while (ones < 8 && (first & (0x80 >> ones))) {
        ones++;
    }
    return ones < 2 || ones > MAX_BYTES ? 0 : ones;
}

static int check_decoded(int c, unsigned n_bytes)
{
    /* The smallest character that needs so many bytes. */
    static const int smallest[MAX_BYTES + 1] = {
        [2] = 0x80, [3] = 0x800, [4] = 0x10000, [5] = 0x110000, [6] = 0x110000,
    };

    if (c == 0 && n_bytes == 2) {
        return 0;
    }
    return c >= smallest[n_bytes] && is_character(c) ? c : -1;
}

int mod_utf8_decode(const char *s, size_t len, size_t *used)
{
    unsigned char first = s[0];
    unsigned n_bytes = announced_len(first);
    int c;

    *used = 1;
    if (first < 0x80) {
        return first;
    }
    if (!n_bytes) {
        return -1;
    }
    c = first & (0x7f >> n_bytes);
    while (*used < n_bytes) {
        if (*used == len || (s[*used] & 0xc0) != 0x80) {
            return -1;
        }
        c = c << 6 | (s[(*used)++] & 0x3f);
    }
    return check_decoded(c, n_bytes);
}

bool mod_utf8_append(GString *out, int c)
{
    if (!is_character(c)) {
        return false;
    }
    if (c == 0) {
        g_string_append(out, "\xc0\x80");
    } else {
        g_string_append_unichar(out, c);
    }
    return true;
}
