/*
 * Enum names, and how a command line writes bools and sizes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/util.h"

struct QNull {
    char unused;
};

QNull *qnull(void)
{
    static QNull the_null;

    return &the_null;
}

const char *qapi_enum_lookup(const QEnumLookup *lookup, int val)
{
    return val >= 0 && val < lookup->size ? lookup->array[val] : "";
}

int qapi_enum_parse(const QEnumLookup *lookup, const char *buf, int def,
                    Error **errp)
{
    int i;

    if (!buf) {
        return def;
    }
    for (i = 0; i < lookup->size; i++) {
        if (strcmp(buf, lookup->array[i]) == 0) {
            return i;
        }
    }
    error_setg(errp, "invalid parameter value: %s", buf);
    return def;
}

bool qapi_bool_parse(const char *name, const char *value, bool *obj,
                     Error **errp)
{
    static const char *const on[] = {"on", "yes", "true", "y", NULL};
    static const char *const off[] = {"off", "no", "false", "n", NULL};

    if (g_strv_contains(on, value)) {
        *obj = true;
        return true;
    }
    if (g_strv_contains(off, value)) {
        *obj = false;
        return true;
    }
    error_setg(errp, "Parameter '%s' expects 'on' or 'off'", name);
    return false;
}

/* The power of two that a suffix stands for, -1 when it is none. */
static int suffix_shift(const char *suffix)
{
    static const char suffixes[] = "BKMGTPE";
    const char *found;

    if (!*suffix) {
        return 0;
    }
    found = strchr(suffixes, g_ascii_toupper(*suffix));
    if (!found || suffix[1]) {
        return -1;
    }
    return (found - suffixes) * 10;
}

/*
 * What the fraction from @text (a '.') to @end makes of a unit of 2^@shift
 * bytes; -1 when the unit is one byte, and the fraction not zero.
 */
static double fraction_bytes(const char *text, const char *end, int shift)
{
    double fraction = 0, place = 1;
    double bytes;

    for (text++; text < end; text++) {
        place /= 10;
        fraction += (*text - '0') * place;
    }
    bytes = fraction * (double)(UINT64_C(1) << shift);
    return shift == 0 && bytes > 0 ? -1 : bytes;
}

static bool size_parse(const char *text, uint64_t *obj)
{
    uint64_t whole, bytes;
    char *end;
    const char *suffix;
    double fraction = 0;
    int shift;

    if (!g_ascii_isdigit(*text)) {
        return false;
    }
    errno = 0;
    if (g_ascii_strncasecmp(text, "0x", 2) == 0) {
        *obj = strtoull(text, &end, 16);
        return errno == 0 && g_ascii_isxdigit(text[2]) && !*end;
    }
    whole = strtoull(text, &end, 10);
    suffix = end;
    if (*end == '.') {
        for (suffix = end + 1; g_ascii_isdigit(*suffix); suffix++) {
            ;
        }
    }
    shift = suffix_shift(suffix);
    if (errno || shift < 0 || whole > UINT64_MAX >> shift) {
        return false;
    }
    if (suffix > end) {
        fraction = fraction_bytes(end, suffix, shift);
    }
    bytes = whole << shift;
    if (fraction < 0 || UINT64_MAX - bytes < (uint64_t)fraction) {
        return false;
    }
    *obj = bytes + (uint64_t)fraction;
    return true;
}

bool qapi_size_parse(const char *name, const char *value, uint64_t *obj,
                     Error **errp)
{
    uint64_t size;

    if (!size_parse(value, &size)) {
        error_setg(errp,
                   "Parameter '%s' expects a size: a non-negative number "
                   "below 2^64 with an optional suffix k, M, G, T, P or E",
                   name);
        return false;
    }
    *obj = size;
    return true;
}
