/*
 * Fuzz target: any bytes, fed in any pieces, make the same values and errors;
 * values survive being written and read back.
 *
 * The first byte of the input says how the rest is cut.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "fuzz.h"
#include "qapi/error.h"
#include "qobject/json.h"

static char *read_and_write(const char *text)
{
    g_autoptr(json_object) value = json_parse(text, &error_abort);

    return json_to_string(value, false);
}

/* Written once more, since "-0", written for -0.0, is read as an integer. */
static void check_round_trip(const char *text)
{
    g_autofree char *second = read_and_write(text);
    g_autofree char *third = read_and_write(second);

    g_assert_cmpstr(second, ==, third);
}

static void take(json_object *value, Error *err, void *opaque)
{
    GString *out = opaque;

    if (err) {
        g_assert(!value);
        g_string_append(out, error_get_pretty(err));
        error_free(err);
    } else if (value) {
        g_autofree char *text = json_to_string(value, false);

        check_round_trip(text);
        g_string_append(out, text);
        json_object_put(value);
    }
    g_string_append_c(out, '\n');
}

static char *frame(const char *text, size_t len, size_t step)
{
    GString *out = g_string_new(NULL);
    g_autoptr(JSONFramer) framer = json_framer_new(take, out);

    for (size_t at = 0; at < len; at += step) {
        json_framer_feed(framer, text + at, MIN(step, len - at));
    }
    json_framer_flush(framer);
    return g_string_free(out, FALSE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *whole = NULL;
    g_autofree char *pieces = NULL;

    if (size < 2) {
        return 0;
    }
    whole = frame((const char *)data + 1, size - 1, size);
    pieces = frame((const char *)data + 1, size - 1, 1 + data[0] % 16);
    g_assert_cmpstr(whole, ==, pieces);
    return 0;
}

GByteArray *fuzz_seed(size_t n)
{
    static const char *const seeds[] = {
        "\0{\"execute\": \"qmp_capabilities\", \"id\": [1, -0.0, 1e3]}",
        "\1{'a': 'b\\u00e9\\ud834\\udd1e\\n', 'c': null}[true, false]\n",
        "\2[[[{\"x\": {}}], 18446744073709551615, -9223372036854775808]]",
        "\3{\"broken\": \x1b{\"next\": 1} \xff 7 \"text\"",
    };
    GByteArray *out;

    if (n >= G_N_ELEMENTS(seeds)) {
        return NULL;
    }
    out = g_byte_array_new();
    /* The first byte may be 0. */
    g_byte_array_append(out, (const uint8_t *)seeds[n],
                        1 + strlen(seeds[n] + 1));
    return out;
}
