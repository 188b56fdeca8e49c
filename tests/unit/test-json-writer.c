/*
 * JSON writer: QMP's layout and escapes, and reading back what it wrote.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <math.h>
#include "qapi/error.h"
#include "qobject/json.h"

static void check(json_object *value, const char *expect)
{
    g_autofree char *got = json_to_string(value, false);

    g_assert_cmpstr(got, ==, expect);
    json_object_put(value);
}

static void test_scalars(void)
{
    check(NULL, "null");
    check(json_object_new_boolean(true), "true");
    check(json_object_new_boolean(false), "false");
    check(json_object_new_int64(0), "0");
    check(json_object_new_int64(INT64_MIN), "-9223372036854775808");
    check(json_object_new_int64(INT64_MAX), "9223372036854775807");
    check(json_object_new_uint64(UINT64_MAX), "18446744073709551615");
    check(json_object_new_uint64(INT64_MAX), "9223372036854775807");
    check(json_object_new_double(1.0), "1");
    check(json_object_new_double(0.1), "0.10000000000000001");
    check(json_object_new_double(-1e300), "-1.0000000000000001e+300");
    check(json_object_new_double(NAN), "null");
    check(json_object_new_double(INFINITY), "null");
}

static void test_strings(void)
{
    check(json_object_new_string(""), "\"\"");
    check(json_object_new_string("a/b<>&'"), "\"a/b<>&'\"");
    check(json_object_new_string("\"\\\b\f\n\r\t"),
          "\"\\\"\\\\\\b\\f\\n\\r\\t\"");
    check(json_object_new_string("\x01\x1f\x7f"), "\"\\u0001\\u001F\\u007F\"");
    check(json_object_new_string("\xc3\xa4\xe2\x82\xac"), "\"\\u00E4\\u20AC\"");
    check(json_object_new_string("\xf0\x9f\x98\x80!"), "\"\\uD83D\\uDE00!\"");
    check(json_object_new_string("\xc0\x80"), "\"\\u0000\"");
    check(json_object_new_string_len("a\0b", 3), "\"a\\u0000b\"");
}

/* As many replacements as stock QEMU writes. */
static void test_invalid_utf8(void)
{
    check(json_object_new_string("a\xe2\x82z"), "\"a\\uFFFDz\"");
    check(json_object_new_string("\xe2\x82"), "\"\\uFFFD\"");
    check(json_object_new_string("\x80\x80"), "\"\\uFFFD\\uFFFD\"");
    check(json_object_new_string("\xff\xfe"), "\"\\uFFFD\\uFFFD\"");
    check(json_object_new_string("\xed\xa0\x80"), "\"\\uFFFD\"");
    check(json_object_new_string("\xef\xbf\xbf"), "\"\\uFFFD\"");
    check(json_object_new_string("\xf0\x80\x80\x80z"), "\"\\uFFFDz\"");
    check(json_object_new_string("\xe2\xffz"), "\"\\uFFFD\\uFFFDz\"");
    check(json_object_new_string("\xe2\xe2\x82\xac"), "\"\\uFFFD\\u20AC\"");
    check(json_object_new_string("\xf8\x88\x80\x80\x80z"), "\"\\uFFFDz\"");
    check(json_object_new_string("\xc3"), "\"\\uFFFD\"");
    check(json_object_new_string("\xf4\x90\x80\x80z"), "\"\\uFFFDz\"");
    check(json_object_new_string("\xc1\x81z"), "\"\\uFFFDz\"");
}

static json_object *parse(const char *text)
{
    return json_parse(text, &error_abort);
}

static void test_containers(void)
{
    check(json_object_new_object(), "{}");
    check(json_object_new_array(), "[]");
    check(parse("{'a':1,'b':[1,2]}"), "{\"a\": 1, \"b\": [1, 2]}");
    check(parse("{'z':{},'a':[[],null],'m':true}"),
          "{\"z\": {}, \"a\": [[], null], \"m\": true}");
    check(parse("{'\\u00e4\\n':0}"), "{\"\\u00E4\\n\": 0}");
}

static void test_pretty(void)
{
    g_autoptr(json_object) value = parse("{'a':{},'b':[1,{'c':[]}]}");
    g_autofree char *got = json_to_string(value, true);

    g_assert_cmpstr(got, ==,
                    "{\n"
                    "    \"a\": {\n"
                    "    },\n"
                    "    \"b\": [\n"
                    "        1,\n"
                    "        {\n"
                    "            \"c\": [\n"
                    "            ]\n"
                    "        }\n"
                    "    ]\n"
                    "}");
}

static void test_appends(void)
{
    g_autoptr(json_object) value = parse("[1]");
    GString *out = g_string_new("x");

    json_write(out, value, false);
    json_write(out, value, false);
    g_assert_cmpstr(out->str, ==, "x[1][1]");
    g_string_free(out, TRUE);
}

static bool is_character(gunichar c)
{
    return g_unichar_validate(c) && (c & 0xfffe) != 0xfffe &&
           (c < 0xfdd0 || c > 0xfdef);
}

static void check_round_trip(const char *utf8)
{
    g_autoptr(json_object) written = json_object_new_string(utf8);
    g_autofree char *text = json_to_string(written, false);
    g_autoptr(json_object) read = parse(text);

    g_assert_cmpstr(json_object_get_string(read), ==, utf8);
}

/* Every character there is, but in steps where there are very many. */
static void test_round_trip(void)
{
    for (gunichar c = 1; c <= 0x10ffff; c += c < 0x11000 ? 1 : 61) {
        char utf8[8] = {0};

        if (is_character(c)) {
            g_unichar_to_utf8(c, utf8);
            check_round_trip(utf8);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json-writer/scalars", test_scalars);
    g_test_add_func("/json-writer/strings", test_strings);
    g_test_add_func("/json-writer/invalid-utf8", test_invalid_utf8);
    g_test_add_func("/json-writer/containers", test_containers);
    g_test_add_func("/json-writer/pretty", test_pretty);
    g_test_add_func("/json-writer/appends", test_appends);
    g_test_add_func("/json-writer/round-trip", test_round_trip);
    return g_test_run();
}
