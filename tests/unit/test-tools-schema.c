/*
 * Completion by a server's schema.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "tools/json.h"
#include "tools/schema.h"

static const char entities[] =
    "[{'name': 'add', 'meta-type': 'command', 'arg-type': '1'},"
    " {'name': 'also', 'meta-type': 'command', 'arg-type': '9',"
    "  'allow-oob': true},"
    " {'name': '1', 'meta-type': 'object', 'tag': 'driver', 'members': ["
    "   {'name': 'driver', 'type': '2'}, {'name': 'name', 'type': 'str'},"
    "   {'name': 'ro', 'type': 'bool'}, {'name': 'self', 'type': '1'}],"
    "  'variants': [{'case': 'nbd', 'type': '3'},"
    "               {'case': 'raw', 'type': '4'}]},"
    " {'name': '2', 'meta-type': 'enum', 'values': ['nbd', 'raw']},"
    " {'name': '3', 'meta-type': 'object', 'members': ["
    "   {'name': 'server', 'type': '5'}]},"
    " {'name': '4', 'meta-type': 'object', 'members': ["
    "   {'name': 'file', 'type': 'str'}]},"
    " {'name': '5', 'meta-type': 'object', 'members': ["
    "   {'name': 'type', 'type': '6'}], 'tag': 'type', 'variants': ["
    "   {'case': 'unix', 'type': '7'}]},"
    " {'name': '6', 'meta-type': 'enum', 'values': ['inet', 'unix']},"
    " {'name': '7', 'meta-type': 'object', 'members': ["
    "   {'name': 'path', 'type': 'str'}]}]";

static Schema *make_schema(const char *text)
{
    g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
    json_object *value = json_tokener_parse(json);

    g_assert_nonnull(value);
    return schema_new(value);
}

/* @words and @expected are separated by spaces. */
static void check(Schema *schema, const char *command, const char *words,
                  const char *word, const char *expected)
{
    g_auto(GStrv) before = g_strsplit(words, " ", -1);
    g_auto(GStrv) found =
        schema_arguments(schema, command, (const char *const *)before, word);
    g_autofree char *joined = g_strjoinv(" ", found);

    g_assert_cmpstr(joined, ==, expected);
}

static void test_commands(void)
{
    g_autoptr(Schema) schema = make_schema(entities);
    g_auto(GStrv) all = schema_commands(schema, "a", false);
    g_auto(GStrv) oob = schema_commands(schema, "", true);
    g_auto(GStrv) none = schema_commands(schema, "b", false);

    g_assert_cmpuint(g_strv_length(all), ==, 2);
    g_assert_cmpstr(all[0], ==, "add");
    g_assert_cmpuint(g_strv_length(oob), ==, 1);
    g_assert_cmpstr(oob[0], ==, "also");
    g_assert_cmpuint(g_strv_length(none), ==, 0);
}

static void test_arguments(void)
{
    g_autoptr(Schema) schema = make_schema(entities);

    check(schema, "add", "", "", "driver= name= ro= self.");
    check(schema, "add", "", "n", "name=");
    check(schema, "add", "", "driver=", "driver=nbd driver=raw");
    check(schema, "add", "", "ro=t", "ro=true");
    check(schema, "add", "", "name=", "");
    check(schema, "add", "", "frob=", "");
    check(schema, "frob", "", "", "");
    check(schema, "also", "", "", "");
}

static void test_variants(void)
{
    g_autoptr(Schema) schema = make_schema(entities);

    check(schema, "add", "driver=raw", "f", "file=");
    check(schema, "add", "driver=nbd", "s", "self. server.");
    check(schema, "add", "driver=nbd", "server.", "server.type=");
    check(schema, "add", "driver=raw", "server.", "");
    check(schema, "add", "driver=nbd", "server.type=u", "server.type=unix");
    check(schema, "add", "driver=nbd server.type=unix", "server.p",
          "server.path=");
    check(schema, "add", "", "self.self.driver=r", "self.self.driver=raw");
    check(schema, "add", "self.driver=raw", "self.fi", "self.file=");
}

/* A server may say anything. */
static void test_wrong(void)
{
    static const char *const wrong[] = {
        "{}",
        "[]",
        "7",
        "[null, 3, {}, {'name': 1}]",
        "[{'name': 'add', 'meta-type': 'command', 'arg-type': 'add'}]",
        "[{'name': 'add', 'meta-type': 'command', 'arg-type': '1'},"
        " {'name': '1', 'meta-type': 'object', 'members': [1, {}, null],"
        "  'tag': 'x', 'variants': 3}]",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(Schema) schema = make_schema(wrong[i]);
        g_auto(GStrv) commands = schema_commands(schema, "", false);

        check(schema, "add", "x=1", "", "");
        check(schema, "add", "x=1", "a.b=", "");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tools/schema/commands", test_commands);
    g_test_add_func("/tools/schema/arguments", test_arguments);
    g_test_add_func("/tools/schema/variants", test_variants);
    g_test_add_func("/tools/schema/wrong", test_wrong);
    return g_test_run();
}
