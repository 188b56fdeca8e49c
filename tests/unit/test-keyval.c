/*
 * Tests of key=value options.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/json.h"
#include "qobject/keyval.h"

static void check_good(const char *params, const char *implied,
                       const char *expected)
{
    g_autoptr(Error) err = NULL;
    g_autoptr(json_object) obj = keyval_parse(params, implied, NULL, &err);
    g_autofree char *text = NULL;

    g_assert_null(err);
    g_assert_nonnull(obj);
    text = json_to_string(obj, false);
    g_assert_cmpstr(text, ==, expected);
}

static void check_bad(const char *params, const char *implied,
                      const char *message)
{
    g_autoptr(Error) err = NULL;

    g_assert_null(keyval_parse(params, implied, NULL, &err));
    g_assert_nonnull(err);
    g_assert_cmpstr(error_get_pretty(err), ==, message);
}

static void test_flat(void)
{
    check_good("", NULL, "{}");
    check_good("", "driver", "{}");
    check_good("a=1", NULL, "{\"a\": \"1\"}");
    check_good("a=1,", NULL, "{\"a\": \"1\"}");
    check_good("a=1,a=2", NULL, "{\"a\": \"2\"}");
    check_good("a=,b=x=y", NULL, "{\"a\": \"\", \"b\": \"x=y\"}");
    check_good("a=x,,y,,,b=1", NULL, "{\"a\": \"x,y,\", \"b\": \"1\"}");
    check_good("__org.x-y_z=1", NULL, "{\"__org\": {\"x-y_z\": \"1\"}}");
}

static void test_implied(void)
{
    check_good("nbd,a=1", "driver", "{\"driver\": \"nbd\", \"a\": \"1\"}");
    check_good("driver=nbd", "driver", "{\"driver\": \"nbd\"}");
    check_bad("nbd", NULL, "Expected '=' after parameter 'nbd'");
    check_bad("a=1,nbd", "driver", "Expected '=' after parameter 'nbd'");
    check_bad("nbd,,x", "driver", "Invalid parameter ''");
}

static void test_nested(void)
{
    check_good("s.type=unix,s.path=/x", NULL,
               "{\"s\": {\"type\": \"unix\", \"path\": \"/x\"}}");
    check_good("a.b.c=1", NULL, "{\"a\": {\"b\": {\"c\": \"1\"}}}");
    check_bad("a.b=1,a=2", NULL, "Parameters 'a.*' used inconsistently");
    check_bad("a=2,a.b=1", NULL, "Parameters 'a.*' used inconsistently");
    check_bad("a.b=2,a.b.c=1", NULL, "Parameters 'a.b.*' used inconsistently");
}

static void test_lists(void)
{
    check_good("a.0=x,a.1=y", NULL, "{\"a\": [\"x\", \"y\"]}");
    check_good("a.1=y,a.0=x", NULL, "{\"a\": [\"x\", \"y\"]}");
    check_good("a.0.b=1,a.1.c.0=2", NULL,
               "{\"a\": [{\"b\": \"1\"}, {\"c\": [\"2\"]}]}");
    check_bad("a.0=x,a.2=y", NULL, "Parameter 'a.1' missing");
    check_bad("a.1=x", NULL, "Parameter 'a.0' missing");
    check_bad("b.c.99999999999999999999=x", NULL, "Parameter 'b.c.0' missing");
    check_bad("a.0=x,a.b=y", NULL, "Parameters 'a.*' used inconsistently");
}

static void test_bad_keys(void)
{
    g_autofree char *longest = g_strnfill(127, 'x');
    g_autofree char *too_long = g_strnfill(128, 'x');
    g_autofree char *good = g_strdup_printf("%s=1", longest);
    g_autofree char *bad = g_strdup_printf("%s=1", too_long);
    g_autofree char *message =
        g_strdup_printf("Parameter '%s' is too long", too_long);
    g_autofree char *expected = g_strdup_printf("{\"%s\": \"1\"}", longest);

    check_bad("=1", NULL, "Invalid parameter ''");
    check_bad("0=1", NULL, "Invalid parameter '0'");
    check_bad(".a=1", NULL, "Invalid parameter '.a'");
    check_bad("a..b=1", NULL, "Invalid parameter 'a..b'");
    check_bad("a.=1", NULL, "Invalid parameter 'a.'");
    check_bad("a.0x=1", NULL, "Invalid parameter 'a.0x'");
    check_bad("!a=1", NULL, "Invalid parameter '!a'");
    check_good(good, NULL, expected);
    check_bad(bad, NULL, message);
}

static void test_deep(void)
{
    g_autoptr(GString) params = g_string_new("a");
    g_autoptr(Error) err = NULL;
    int i;

    for (i = 0; i < JSON_MAX_NESTING; i++) {
        g_string_append(params, ".a");
    }
    g_string_append(params, "=1");
    g_assert_null(keyval_parse(params->str, NULL, NULL, &err));
    g_assert_true(
        g_str_has_suffix(error_get_pretty(err), "has too many parts"));
}

static void test_help(void)
{
    bool help = false;
    g_autoptr(json_object) none = keyval_parse("a=1", "k", &help, NULL);
    g_autoptr(json_object) first = NULL;
    g_autoptr(json_object) later = NULL;

    g_assert_nonnull(none);
    g_assert_false(help);
    first = keyval_parse("help", "k", &help, NULL);
    g_assert_true(help);
    g_assert_cmpint(json_object_object_length(first), ==, 0);
    help = false;
    later = keyval_parse("iothread,?", "k", &help, NULL);
    g_assert_true(help);
    g_assert_cmpint(json_object_object_length(later), ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keyval/flat", test_flat);
    g_test_add_func("/keyval/implied", test_implied);
    g_test_add_func("/keyval/nested", test_nested);
    g_test_add_func("/keyval/lists", test_lists);
    g_test_add_func("/keyval/bad-keys", test_bad_keys);
    g_test_add_func("/keyval/deep", test_deep);
    g_test_add_func("/keyval/help", test_help);
    return g_test_run();
}
