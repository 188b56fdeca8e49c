/*
 * What yankctl prints, and the requests that people type.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "tools/exit-code.h"
#include "tools/json.h"
#include "tools/migration-progress.h"
#include "tools/output.h"
#include "tools/qmp-text.h"
#include "tools/suggest.h"

static void check_safe(const char *text, const char *expected)
{
    g_autofree char *safe = output_safe(text);

    g_assert_cmpstr(safe, ==, expected);
}

static void test_safe(void)
{
    check_safe("", "");
    check_safe("plain, {\"json\"} \\ 100 %", "plain, {\"json\"} \\ 100 %");
    check_safe("\303\244 \342\202\254 \360\237\231\202",
               "\303\244 \342\202\254 \360\237\231\202");
    check_safe("a\033[31mb\r\n\tc\177", "a\\x1b[31mb\\x0d\\x0a\\x09c\\x7f");
    /* A control character of two bytes, and text from right to left. */
    check_safe("\302\233x\342\200\256y", "\\xc2\\x9bx\\xe2\\x80\\xaey");
    check_safe("\377 \303", "\\xff \\xc3");
}

static void check_duration(gint64 us, const char *expected)
{
    g_autofree char *text = output_duration(us);

    g_assert_cmpstr(text, ==, expected);
}

static void test_numbers(void)
{
    static const struct {
        double bytes;
        const char *text;
    } sizes[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536 << 10, "1.5 MiB"},
        {200.0 * (1 << 30), "200 GiB"},
    };

    check_duration(0, "0 ms");
    check_duration(120, "0.12 ms");
    check_duration(45 * 1000, "45 ms");
    check_duration(1500 * 1000, "1.5 s");
    check_duration(12 * 1000 * 1000, "12 s");
    check_duration(G_GINT64_CONSTANT(3600) * 1000 * 1000, "60 min");
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *text = output_bytes(sizes[i].bytes);

        g_assert_cmpstr(text, ==, sizes[i].text);
    }
}

static void check_request(const char *text, const char *command,
                          const char *arguments, bool oob)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(QmpText) request = qmp_text_parse(text, &err);

    g_assert_no_error(err);
    g_assert_cmpstr(request->command, ==, command);
    g_assert_cmpint(request->oob, ==, oob);
    g_assert_cmpstr(request->arguments
                        ? json_object_to_json_string_ext(request->arguments,
                                                         JSON_C_TO_STRING_PLAIN)
                        : NULL,
                    ==, arguments);
}

static void test_requests(void)
{
    check_request("query-status", "query-status", NULL, false);
    check_request("  stop \n", "stop", NULL, false);
    check_request("{\"execute\": \"stop\", \"id\": 7}", "stop", NULL, false);
    check_request("{\"exec-oob\": \"yank\", \"arguments\": {\"a\": [ ]}}",
                  "yank", "{\"a\":[]}", true);
    check_request("x {\"a\": {\"b\": 1}}", "x", "{\"a\":{\"b\":1}}", false);
    check_request(
        "x a=1 b=true c=text d.e=2 d.f=null d.g=[1, {\"h\": \"i j\"}]", "x",
        "{\"a\":1,\"b\":true,\"c\":\"text\",\"d\":{\"e\":2,"
        "\"f\":null,\"g\":[1,{\"h\":\"i j\"}]}}",
        false);
    check_request("x a=\"b c\\\" d\" e=", "x",
                  "{\"a\":\"b c\\\" d\",\"e\":\"\"}", false);
    check_request("x a=1=2 b=/dev/null c=1.5x", "x",
                  "{\"a\":\"1=2\",\"b\":\"\\/dev\\/null\",\"c\":\"1.5x\"}",
                  false);
}

static void test_bad_requests(void)
{
    static const char *const bad[] = {
        "",
        " \t\n",
        "{",
        "{}",
        "{\"execute\": 1}",
        "{\"execute\": \"a\", \"exec-oob\": \"b\"}",
        "{\"execute\": \"a\", \"arguments\": 3}",
        "{\"execute\": \"a\", \"what\": 3}",
        "x y",
        "x =y",
        "x {\"a\": }",
        "x {} {}",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) err = NULL;

        g_assert_null(qmp_text_parse(bad[i], &err));
        g_assert_error(err, EXIT_ERROR, EXIT_USAGE);
    }
}

static void check_suggestion(const char *word, const char *expected)
{
    static const char *const known[] = {
        "list", "status", "yank", "watch", "raw", "libvirt-snippet", NULL};

    g_assert_cmpstr(suggest(word, known), ==, expected);
}

static void test_suggestions(void)
{
    g_autofree char *longest = g_strnfill(100000, 'x');

    check_suggestion("lst", "list");
    check_suggestion("yakn", "yank");
    check_suggestion("sttus", "status");
    check_suggestion("statsu", "status");
    check_suggestion("Watch", "watch");
    check_suggestion("libvirt", "libvirt-snippet");
    check_suggestion("r", "raw");
    check_suggestion("", NULL);
    check_suggestion("xy", NULL);
    check_suggestion("frob", NULL);
    check_suggestion("ststatus12", NULL);
    check_suggestion(longest, NULL);
}

/* The line of a terminal of @width columns, which it must not leave. */
static void check_line_still(int width, gint64 still_ms, bool unanswered,
                             const char *expected)
{
    MigrationProgress progress = {.status = (char *)"active",
                                  .percent = 50,
                                  .rate = 64.2 * 1024,
                                  .remaining_ms = 37 * 60 * 1000,
                                  .downtime_ms = 300,
                                  .still_ms = still_ms,
                                  .unanswered = unanswered};
    g_autofree char *text = migration_progress_text(&progress, width);

    g_assert_cmpstr(text, ==, expected);
    g_assert_cmpint(strlen(text), <=, width);
}

static void check_line(int width, const char *expected)
{
    check_line_still(width, 0, false, expected);
}

/* The rate and the time that was left are not told while nothing moves. */
static void test_progress_still(void)
{
    check_line_still(
        61, 12000, false,
        "[###########-----------]  50 % active, nothing moved for 12 s");
    check_line_still(52, 12000, true,
                     " 50 % active, no answer; nothing moved for 12 s");
    check_line_still(61, 500, true,
                     " 50 % active, 64.2 KiB/s, 37 min left, downtime 300 ms");
}

static void test_progress_lines(void)
{
#define WORDS " 50 % active, 64.2 KiB/s, 37 min left, downtime 300 ms"
    check_line(132, "[###############---------------] " WORDS);
    check_line(79, "[###########-----------] " WORDS);
    check_line(62, "[##---] " WORDS);
    check_line(61, WORDS);
    check_line(9, " 50 % act");
    check_line(0, "");
#undef WORDS
}

/* What a server may say, and no integer can hold. */
static void test_progress_of_liars(void)
{
    static const char *const lies[] = {
        "{\"status\": \"active\", \"ram\": {\"total\": 1e300, "
        "\"remaining\": -1e300, \"transferred\": 1e308, \"mbps\": 1e308}}",
        "{\"status\": \"completed\", \"total-time\": 9223372036854775807, "
        "\"downtime\": -9223372036854775807}",
        "{\"status\": 5, \"ram\": [], \"disk\": {\"total\": \"x\"}}",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_autoptr(json_object) info = json_tokener_parse(lies[i]);
        g_autoptr(json_object) json = NULL;
        g_auto(MigrationProgress) progress = {0};
        g_autofree char *text = NULL;

        migration_progress_read(&progress, info);
        text = migration_progress_text(&progress, 79);
        json = migration_progress_to_json(&progress);
        g_assert_cmpint(strlen(text), <=, 79);
        g_assert_cmpint(json_get_int(json, "bytes-per-second", -1), >=, 0);
        g_assert_cmpint(json_get_int(json, "transferred", -1), >=, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tools/text/safe", test_safe);
    g_test_add_func("/tools/text/numbers", test_numbers);
    g_test_add_func("/tools/text/requests", test_requests);
    g_test_add_func("/tools/text/bad-requests", test_bad_requests);
    g_test_add_func("/tools/text/suggestions", test_suggestions);
    g_test_add_func("/tools/text/progress-lines", test_progress_lines);
    g_test_add_func("/tools/text/progress-still", test_progress_still);
    g_test_add_func("/tools/text/progress-of-liars", test_progress_of_liars);
    return g_test_run();
}
