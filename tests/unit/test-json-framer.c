/*
 * JSON framer: what a stream of bytes is cut into, however it is fed.
 *
 * Each case is a text and what comes of it: values as they are written back,
 * errors as "!" and their message, each ended by a line feed.  Errors and
 * the places where reading goes on are stock QEMU's, measured.
 *
 * Longer than most files, as every rule has a case of its own here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/json.h"

#define EXPECTING "!JSON parse error, expecting value\n"
#define IN_DICT "!JSON parse error, expected separator in dict\n"
#define IN_LIST "!JSON parse error, expected separator in list\n"
#define NO_COLON "!JSON parse error, missing : in object pair\n"
#define NO_KEY "!JSON parse error, key is not a string in object\n"
#define ESCAPE "!JSON parse error, invalid escape sequence in string\n"
#define UTF8 "!JSON parse error, invalid UTF-8 sequence in string\n"
#define EARLY "!JSON parse error, premature EOI\n"
#define STRAY(text) "!JSON parse error, stray '" text "'\n"
#define KEYWORD(text) "!JSON parse error, invalid keyword '" text "'\n"
#define UNICODE(text)                                                          \
    "!JSON parse error, " text " is not a valid Unicode character\n"
#define TOO_LARGE(text) "!JSON parse error, number " text " is too large\n"

typedef struct Case {
    const char *text;
    const char *expect;
} Case;

static void take(json_object *value, Error *err, void *opaque)
{
    GString *out = opaque;

    if (err) {
        g_assert_null(value);
        g_string_append_printf(out, "!%s", error_get_pretty(err));
        error_free(err);
    } else {
        json_write(out, value, false);
        json_object_put(value);
    }
    g_string_append_c(out, '\n');
}

/* Feeds @text cut at @cut and, after that, every @step bytes. */
static char *frame_cut(const char *text, size_t len, size_t cut, size_t step)
{
    GString *out = g_string_new(NULL);
    g_autoptr(JSONFramer) framer = json_framer_new(take, out);

    json_framer_feed(framer, text, MIN(cut, len));
    while (cut < len) {
        size_t n = MIN(step, len - cut);
        g_autofree char *piece = g_memdup2(text + cut, n);

        json_framer_feed(framer, piece, n);
        cut += n;
    }
    json_framer_flush(framer);
    return g_string_free(out, FALSE);
}

static char *frame(const char *text, size_t len)
{
    return frame_cut(text, len, len, len);
}

static void check(const char *text, size_t len, const char *expect)
{
    for (size_t cut = 0; cut <= len; cut++) {
        g_autofree char *got = frame_cut(text, len, cut, len);

        g_assert_cmpstr(got, ==, expect);
    }
    for (size_t step = 1; step <= MIN(len, 3); step++) {
        g_autofree char *got = frame_cut(text, len, 0, step);

        g_assert_cmpstr(got, ==, expect);
    }
}

static void check_cases(const Case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        check(cases[i].text, strlen(cases[i].text), cases[i].expect);
    }
}

#define CHECK_CASES(cases) check_cases(cases, G_N_ELEMENTS(cases))

static void test_values(void)
{
    static const Case cases[] = {
        {"", ""},
        {" \t\r\n ", ""},
        {"{}", "{}\n"},
        {"[]", "[]\n"},
        {"null", "null\n"},
        {"true false", "true\nfalse\n"},
        {"{\"a\":[1,{\"b\":null}],\"c\":{}}",
         "{\"a\": [1, {\"b\": null}], \"c\": {}}\n"},
        {"{'a':'b'}", "{\"a\": \"b\"}\n"},
        {"'\"' \"'\"", "\"\\\"\"\n\"'\"\n"},
        {" { \"a\" :\n1 ,\t\"b\"\r:2 } ", "{\"a\": 1, \"b\": 2}\n"},
        {"\"{[}]:,\" '{[}]:,'", "\"{[}]:,\"\n\"{[}]:,\"\n"},
    };

    CHECK_CASES(cases);
}

static void test_no_separator(void)
{
    static const Case cases[] = {
        {"{}{}[]{}", "{}\n{}\n[]\n{}\n"},
        {"1{}", "1\n{}\n"},
        {"\"a\"'b'\"c\"", "\"a\"\n\"b\"\n\"c\"\n"},
        {"1-2", "1\n-2\n"},
        {"1true", "1\ntrue\n"},
        {"[1][2]3", "[1]\n[2]\n3\n"},
    };

    CHECK_CASES(cases);
}

static void test_numbers(void)
{
    static const Case cases[] = {
        {"[0,-0,10,-7]", "[0, 0, 10, -7]\n"},
        {"[9223372036854775807,-9223372036854775808]",
         "[9223372036854775807, -9223372036854775808]\n"},
        {"[9223372036854775808,18446744073709551615]",
         "[9223372036854775808, 18446744073709551615]\n"},
        {"[18446744073709551616,-9223372036854775809]",
         "[1.8446744073709552e+19, -9.2233720368547758e+18]\n"},
        {"[0.5,1e5,1E+2,1e-2,0e1,-0.0,0.1]",
         "[0.5, 100000, 100, 0.01, 0, -0, 0.10000000000000001]\n"},
        {"1e999 1", TOO_LARGE("1e999") "1\n"},
        {"[-1e999] 1", TOO_LARGE("-1e999") "1\n"},
        {"01\n1", STRAY("01") "1\n"},
        {"-01\n1", STRAY("-01") "1\n"},
        {"--1\n1", STRAY("--") "1\n"},
        {"+1\n1", STRAY("+") "1\n"},
        {".5\n1", STRAY(".") "1\n"},
        {"[1.]\n1", STRAY("1.]") "1\n"},
        {"[1e]\n1", STRAY("1e]") "1\n"},
        {"[1e+]\n1", STRAY("1e+]") "1\n"},
        {"[-]\n1", STRAY("-]") "1\n"},
        {"1.5.5\n1", "1.5\n" STRAY(".") "1\n"},
        {"0x10\n1", "0\n" KEYWORD("x") "10\n1\n"},
    };

    CHECK_CASES(cases);
}

static void test_big_numbers(void)
{
    g_autofree char *digits = g_strnfill(400, '9');
    g_autofree char *got = frame(digits, 400);

    g_assert_cmpstr(got, ==,
                    TOO_LARGE("9999999999999999999999999999999999999999..."));
}

static void test_keywords(void)
{
    static const Case cases[] = {
        {"nul\n1", KEYWORD("nul") "1\n"},
        {"[nulltrue]1", KEYWORD("nulltrue") "1\n"},
        {"{\"a\":nil}1", KEYWORD("nil") "1\n"},
        {"{nil:1}1", KEYWORD("nil") "1\n"},
        {"True\n1", STRAY("T") "1\n"},
        {"[NaN]1", STRAY("N") EXPECTING "1\n"},
        {"[-Infinity]1", STRAY("-I") EXPECTING "1\n"},
    };

    CHECK_CASES(cases);
}

static void test_strings(void)
{
    static const Case cases[] = {
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"\n"},
        {"\"\\'\" '\\''", "\"'\"\n\"'\"\n"},
        {"\"\\u00e4\\u20AC\"", "\"\\u00E4\\u20AC\"\n"},
        {"\"\\ud83d\\ude00\"", "\"\\uD83D\\uDE00\"\n"},
        {"\"\xf0\x9f\x98\x80\xc3\xa4\"", "\"\\uD83D\\uDE00\\u00E4\"\n"},
        {"\"a\x7f\"", "\"a\\u007F\"\n"},
        /* NUL is kept, and cuts nothing off. */
        {"{\"a\\u0000b\":\"c\\u0000d\"}", "{\"a\\u0000b\": \"c\\u0000d\"}\n"},
        {"\"\xc0\x80\"", "\"\\u0000\"\n"},
        {"\"\\x\"1", ESCAPE "1\n"},
        {"\"\\0\"1", ESCAPE "1\n"},
        {"\"\\\xc3\xa4\"1", ESCAPE "1\n"},
        {"\"\\u12\"1", UNICODE("\\u12") "1\n"},
        {"\"\\u12g4\"1", UNICODE("\\u12g4") "1\n"},
        {"\"\\u 041\"1", UNICODE("\\u 041") "1\n"},
        {"\"\\ud800\"1", UNICODE("\\ud800") "1\n"},
        {"\"\\ud800\\u0041\"1", UNICODE("\\ud800") "1\n"},
        {"\"\\uD83D\\uDE0\"1", UNICODE("\\uD83D") "1\n"},
        {"\"\\udc00\"1", UNICODE("\\udc00") "1\n"},
        {"\"\\uffff\"1", UNICODE("\\uffff") "1\n"},
        {"\"\\ufdd0\"1", UNICODE("\\ufdd0") "1\n"},
        {"\"\\ud83f\\udffe\"1", UNICODE("\\ud83f\\udffe") "1\n"},
    };

    CHECK_CASES(cases);
}

static void test_utf8(void)
{
    static const char *const invalid[] = {
        "\x80",
        "\xc1\x81",
        "\xe2\x82",
        "\xe0\x80\x80",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xef\xbf\xbf",
        "\xef\xb7\x90",
        "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xfc\x80\x80\x80\x80\x80",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(invalid); i++) {
        g_autofree char *text =
            g_strdup_printf("{\"a\":\"x%sy\"}{}", invalid[i]);

        check(text, strlen(text), UTF8 "{}\n");
    }
}

static void test_grammar(void)
{
    static const Case cases[] = {
        {"{\"a\" 1}{}", NO_COLON "{}\n"},
        {"{\"a\"}{}", NO_COLON "{}\n"},
        {"{\"a\":}{}", EXPECTING "{}\n"},
        {"{:1}{}", EXPECTING "{}\n"},
        {"{,}{}", EXPECTING "{}\n"},
        {"{1:2}{}", NO_KEY "{}\n"},
        {"{true:2}{}", NO_KEY "{}\n"},
        {"{{}}{}", NO_KEY "{}\n"},
        {"{[]:1}{}", NO_KEY "{}\n"},
        {"{\"a\":1,}{}", EXPECTING "{}\n"},
        {"{\"a\":1 \"b\":2}{}", IN_DICT "{}\n"},
        {"{\"a\":\"b\"c}{}", IN_DICT "{}\n"},
        {"[1,]{}", EXPECTING "{}\n"},
        {"[,1]{}", EXPECTING "{}\n"},
        {"[1 2]{}", IN_LIST "{}\n"},
        {"[1,null1]{}", IN_LIST "{}\n"},
        {"{\"a\":1,\"a\":2}{}", "!JSON parse error, duplicate key\n{}\n"},
        {"{]{}", EXPECTING "{}\n"},
        {"[}{}", EXPECTING "{}\n"},
        {"{\"a\":1]}{}", IN_DICT EXPECTING "{}\n"},
        {"{\"a\":[1}]}{}", IN_LIST EXPECTING "{}\n"},
        {"]}{}", EXPECTING EXPECTING "{}\n"},
        {"1,2:3", "1\n" EXPECTING "2\n" EXPECTING "3\n"},
        /* One error a value, the first. */
        {"[1 2 \"\\x\" nil]{}", IN_LIST "{}\n"},
    };

    CHECK_CASES(cases);
}

static void test_recovery(void)
{
    static const Case cases[] = {
        {"@@@ {}", STRAY("@") "{}\n"},
        {"# no comments\n{}", STRAY("#") "{}\n"},
        {"/* no */ [1]", STRAY("/") "[1]\n"},
        {"[1 // x\n]{}", STRAY("/") EXPECTING "{}\n"},
        {"@ \t abc\n{}", STRAY("@") "{}\n"},
        {"@\nabc {}", STRAY("@") KEYWORD("abc") "{}\n"},
        {"@\"abc\"\n{}", STRAY("@") "{}\n"},
        {"@\x01 abc\n{}", STRAY("@") STRAY("\x01") "{}\n"},
        {"@\x7f\xc3\xa4 abc\n{}", STRAY("@") "{}\n"},
        {"\xff{}", STRAY("\xff") "{}\n"},
        {"\xff\xff\xfe{}", STRAY("\xff") STRAY("\xff") STRAY("\xfe") "{}\n"},
        {"{\"a\":\xff{}", STRAY("\xff") "{}\n"},
        {"[[[[{\"a\":\x1b{}", STRAY("\x1b") "{}\n"},
        {"{\"a\":\"xyz\xff{}", STRAY("\"xyz\xff") "{}\n"},
        {"\"a\nb\"\n{}", STRAY("\"a\n") "{}\n"},
        {"\"a\tb\"\n{}", STRAY("\"a\t") "{}\n"},
        {"\"a\\\x01\"\n{}", STRAY("\"a\\\x01") "{}\n"},
        {"{\"a\":\"x\x01y\"}{}", STRAY("\"x\x01") EXPECTING "{}\n"},
        {"tru\xff{}", KEYWORD("tru") STRAY("\xff") "{}\n"},
        {"12\xff{}", "12\n" STRAY("\xff") "{}\n"},
        {"\xef\xbb\xbf{}", STRAY("\xef") "{}\n"},
        {"%d\n{}", STRAY("%") "{}\n"},
        {"{\"a\":@}\n{}", STRAY("@") EXPECTING "{}\n"},
        {"{\"a\":[}\xff{}", STRAY("\xff") "{}\n"},
    };

    CHECK_CASES(cases);
    check("\0{}", 3, STRAY("") "{}\n");
    check("[\"a\0\"]{}", 8, STRAY("\"a") EXPECTING "{}\n");
}

static void test_long_stray(void)
{
    g_autofree char *filler = g_strnfill(200, 'x');
    g_autofree char *shown = g_strnfill(79, 'x');
    g_autofree char *text = g_strdup_printf("\"%s\n{}", filler);
    g_autofree char *expect =
        g_strdup_printf("!JSON parse error, stray '\"%s...'\n{}\n", shown);
    g_autofree char *got = frame(text, strlen(text));

    g_assert_cmpstr(got, ==, expect);
}

static void test_flush(void)
{
    static const Case cases[] = {
        {"{\"a\":1", EARLY},   {"[", EARLY},           {"{} [1,", "{}\n" EARLY},
        {"\"a", STRAY("\"a")}, {"[\"a", STRAY("\"a")}, {"-", STRAY("-")},
        {"1.", STRAY("1.")},   {"12", "12\n"},         {"[nil", KEYWORD("nil")},
        {"@", STRAY("@")},
    };

    CHECK_CASES(cases);
}

static void test_flush_and_go_on(void)
{
    GString *out = g_string_new(NULL);
    g_autoptr(JSONFramer) framer = json_framer_new(take, out);

    json_framer_feed(framer, "[[1", 3);
    json_framer_flush(framer);
    json_framer_feed(framer, "@", 1);
    json_framer_flush(framer);
    json_framer_feed(framer, "null", 4);
    json_framer_flush(framer);
    json_framer_flush(framer);
    g_assert_cmpstr(out->str, ==, EARLY STRAY("@") "null\n");
    g_string_free(out, TRUE);
}

/* @depth brackets open and closed, then a good value. */
static char *frame_nested(size_t depth)
{
    g_autofree char *open = g_strnfill(depth, '[');
    g_autofree char *close = g_strnfill(depth, ']');
    g_autofree char *text = g_strconcat(open, close, "{}", NULL);

    return frame(text, strlen(text));
}

#define TOO_DEEP "!JSON nesting depth limit (1024) exceeded\n"

static void test_nesting(void)
{
    g_autofree char *deepest = frame_nested(1024);
    g_autofree char *too_deep = frame_nested(1025);
    g_autofree char *far_too_deep = frame_nested(1025 * 3);
    g_autofree char *open = g_strnfill(1025, '[');
    g_autofree char *unclosed = g_strconcat(open, "{}]", NULL);
    g_autofree char *after_unclosed = frame(unclosed, strlen(unclosed));

    g_assert_cmpuint(strlen(deepest), ==, 2 * 1024 + strlen("\n{}\n"));
    g_assert_cmpstr(too_deep, ==, TOO_DEEP "{}\n");
    g_assert_cmpstr(far_too_deep, ==, TOO_DEEP TOO_DEEP TOO_DEEP "{}\n");
    g_assert_cmpstr(after_unclosed, ==, TOO_DEEP "{}\n");
}

/* A stray byte ends the patience with closing brackets. */
static void test_nesting_resync(void)
{
    g_autofree char *open = g_strnfill(1025, '{');
    g_autofree char *text = g_strconcat(open, "\xff]", NULL);
    g_autofree char *got = frame(text, strlen(text));

    g_assert_cmpstr(got, ==, TOO_DEEP STRAY("\xff") EXPECTING);
}

/* A string in a list, @size bytes in all, then a good value. */
static char *frame_sized(size_t size, size_t step)
{
    char *text = g_malloc(size + 2);
    char *got;

    memset(text, 'x', size);
    memcpy(text, "[\"", 2);
    memcpy(text + size - 2, "\"]{}", 4);
    got = frame_cut(text, size + 2, 0, step);
    g_free(text);
    return got;
}

#define TOO_BIG "!JSON message size limit (64 MiB) exceeded\n"

static void test_size(void)
{
    g_autofree char *largest = frame_sized(JSON_MAX_MESSAGE, 64 * KiB);
    g_autofree char *large = frame_sized(JSON_MAX_MESSAGE + 1, 64 * KiB);
    g_autofree char *at_once = frame_sized(JSON_MAX_MESSAGE + 1, SIZE_MAX);
    g_autofree char *larger = frame_sized(JSON_MAX_MESSAGE * 5 / 4, 64 * KiB);

    g_assert_cmpuint(strlen(largest), ==, JSON_MAX_MESSAGE + strlen("\n{}\n"));
    g_assert_cmpstr(large, ==, TOO_BIG "{}\n");
    g_assert_cmpstr(at_once, ==, TOO_BIG "{}\n");
    g_assert_cmpstr(larger, ==, TOO_BIG "{}\n");
}

/* The bytes between values count for none of them. */
static void test_size_is_per_value(void)
{
    GString *out = g_string_new(NULL);
    g_autoptr(JSONFramer) framer = json_framer_new(take, out);
    g_autofree char *blank = g_strnfill(JSON_MAX_MESSAGE / 2, ' ');

    for (int i = 0; i < 3; i++) {
        json_framer_feed(framer, blank, JSON_MAX_MESSAGE / 2);
        json_framer_feed(framer, "[]", 2);
    }
    json_framer_feed(framer, "[", 1);
    for (int i = 0; i < 3; i++) {
        json_framer_feed(framer, blank, JSON_MAX_MESSAGE / 2);
    }
    json_framer_feed(framer, "]1 ", 3);
    g_assert_cmpstr(out->str, ==, "[]\n[]\n[]\n" TOO_BIG "1\n");
    g_string_free(out, TRUE);
}

static void test_tokens(void)
{
    const size_t n = 2 * MiB;
    GString *text = g_string_new("[");
    g_autofree char *got = NULL;

    for (size_t i = 0; i < n; i++) {
        g_string_append(text, "1,");
    }
    /* Whatever else is wrong with it, it is one error. */
    g_string_append(text, ",]][]");
    got = frame(text->str, text->len);
    g_assert_cmpstr(got, ==,
                    "!JSON token count limit (2097152) exceeded\n" EXPECTING
                    "[]\n");
    g_string_free(text, TRUE);
}

static void test_discard_ends_at_stray(void)
{
    GString *out = g_string_new(NULL);
    g_autoptr(JSONFramer) framer = json_framer_new(take, out);
    g_autofree char *filler = g_strnfill(JSON_MAX_MESSAGE, 'x');

    json_framer_feed(framer, "[\"", 2);
    json_framer_feed(framer, filler, JSON_MAX_MESSAGE);
    json_framer_feed(framer, filler, JSON_MAX_MESSAGE);
    json_framer_feed(framer, "\xff{}", 3);
    g_assert_cmpstr(out->str, ==, TOO_BIG STRAY("\xff") "{}\n");
    g_string_free(out, TRUE);
}

static void test_parse(void)
{
    static const struct {
        const char *text;
        const char *error; /* NULL: it is good */
    } cases[] = {
        {"{\"a\":1}", NULL},
        {" 'a' ", NULL},
        {"12", NULL},
        {"", "Expecting a JSON value"},
        {"  ", "Expecting a JSON value"},
        {"null", "Expecting a JSON value other than null"},
        {"{} {}", "Expecting at most one JSON value"},
        {"{} x", "Expecting at most one JSON value"},
        {"{}}", "Expecting at most one JSON value"},
        {"null 1", "Expecting at most one JSON value"},
        {"{\"a\":1", "JSON parse error, premature EOI"},
        {"{\"a\":01}", "JSON parse error, stray '01'"},
        {"[1,]", "JSON parse error, expecting value"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Error) err = NULL;
        g_autoptr(json_object) value = json_parse(cases[i].text, &err);

        if (cases[i].error) {
            g_assert_null(value);
            g_assert_cmpstr(error_get_pretty(err), ==, cases[i].error);
            g_assert_null(json_parse(cases[i].text, NULL));
        } else {
            g_assert_nonnull(value);
            g_assert_null(err);
        }
    }
}

/* In the middle of everything, and freed without a leak. */
static void test_free_unfinished(void)
{
    static const char *const texts[] = {
        "{\"a\":[{\"b\":\"c",
        "{\"a\"",
        "{\"a\":1,\"b\":",
        "[1 2",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(JSONFramer) framer = json_framer_new(take, NULL);

        json_framer_feed(framer, texts[i], strlen(texts[i]));
    }
    json_framer_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json-framer/values", test_values);
    g_test_add_func("/json-framer/no-separator", test_no_separator);
    g_test_add_func("/json-framer/numbers", test_numbers);
    g_test_add_func("/json-framer/big-numbers", test_big_numbers);
    g_test_add_func("/json-framer/keywords", test_keywords);
    g_test_add_func("/json-framer/strings", test_strings);
    g_test_add_func("/json-framer/utf8", test_utf8);
    g_test_add_func("/json-framer/grammar", test_grammar);
    g_test_add_func("/json-framer/recovery", test_recovery);
    g_test_add_func("/json-framer/long-stray", test_long_stray);
    g_test_add_func("/json-framer/flush", test_flush);
    g_test_add_func("/json-framer/flush-and-go-on", test_flush_and_go_on);
    g_test_add_func("/json-framer/nesting", test_nesting);
    g_test_add_func("/json-framer/nesting-resync", test_nesting_resync);
    g_test_add_func("/json-framer/size", test_size);
    g_test_add_func("/json-framer/size-is-per-value", test_size_is_per_value);
    g_test_add_func("/json-framer/tokens", test_tokens);
    g_test_add_func("/json-framer/discard-ends-at-stray",
                    test_discard_ends_at_stray);
    g_test_add_func("/json-framer/parse", test_parse);
    g_test_add_func("/json-framer/free-unfinished", test_free_unfinished);
    return g_test_run();
}
