/*
 * Repair: the options of nodes, by what QEMU tells of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "tools/exit-code.h"
#include "tools/json.h"
#include "tools/repair-internal.h"

static json_object *value_of(const char *text)
{
    g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
    json_object *value = json_tokener_parse(json);

    g_assert_nonnull(value);
    return value;
}

/* The same members, in any order; takes @got. */
static void check_equal(json_object *got, const char *expected)
{
    g_autoptr(json_object) wanted = value_of(expected);

    if (!json_object_equal(got, wanted)) {
        g_error("got %s", json_object_to_json_string(got));
    }
    json_object_put(got);
}

static void check_name(const char *filename, const char *expected)
{
    g_autoptr(GError) err = NULL;
    json_object *options = repair_nbd_options(filename, &err);

    g_assert_no_error(err);
    check_equal(options, expected);
}

static void test_names(void)
{
    check_name("nbd+unix://?socket=/tmp/s",
               "{'driver': 'nbd', 'server': {'type': 'unix', 'path':"
               " '/tmp/s'}}");
    check_name("nbd+unix:///a%20b?socket=/tmp/%26%3dx",
               "{'driver': 'nbd', 'server': {'type': 'unix', 'path':"
               " '/tmp/&=x'}, 'export': 'a b'}");
    check_name("nbd://h:123/disk",
               "{'driver': 'nbd', 'server': {'type': 'inet', 'host': 'h',"
               " 'port': '123'}, 'export': 'disk'}");
    check_name("nbd://h",
               "{'driver': 'nbd', 'server': {'type': 'inet', 'host': 'h',"
               " 'port': '10809'}}");
    check_name("nbd://[::1]:1/x/y",
               "{'driver': 'nbd', 'server': {'type': 'inet', 'host': '::1',"
               " 'port': '1'}, 'export': 'x/y'}");
    check_name("json:{\"driver\": \"nbd\", \"server.type\": \"unix\","
               " \"server.path\": \"/s\", \"tls-creds\": \"t\"}",
               "{'driver': 'nbd', 'server': {'type': 'unix', 'path': '/s'},"
               " 'tls-creds': 't'}");
    check_name("json:{\"server\": {\"type\": \"unix\", \"path\": \"/s\"},"
               " \"driver\": \"nbd\"}",
               "{'driver': 'nbd', 'server': {'type': 'unix', 'path': '/s'}}");
}

static void test_bad_names(void)
{
    static const char *const bad[] = {
        "",       "/dev/sda",        "nbd+unix:///x", "nbd://", "http://h/x",
        "json:{", "nbd+unix://?s=x", "nbd://h:x/",    "::",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) err = NULL;

        g_assert_null(repair_nbd_options(bad[i], &err));
        g_assert_nonnull(err);
    }
}

static const char info_text[] =
    "{'node-name': 'disk', 'drv': 'nbd', 'ro': false, 'detect_zeroes':"
    " 'unmap', 'file': 'nbd+unix://?socket=/s', 'cache': {'direct': true,"
    " 'no-flush': false, 'writeback': true}}";
static const char told[] =
    "{'driver': 'nbd', 'server': {'type': 'unix', 'path': '/s'},"
    " 'read-only': false, 'detect-zeroes': 'unmap',"
    " 'cache': {'direct': true, 'no-flush': false}}";

static void check_options(const char *blockdev, const char *expected)
{
    g_autofree char *json = g_strdelimit(g_strdup(blockdev), "'", '"');
    const char *argv[] = {"qemu", "-blockdev", json, NULL};
    g_autoptr(json_object) info = value_of(info_text);
    g_autoptr(GError) err = NULL;
    g_autoptr(QemuCmdline) cmdline = qemu_cmdline_parse((char **)argv);
    json_object *options = repair_options(info, cmdline, &err);

    g_assert_no_error(err);
    check_equal(options, expected);
}

/* The command line is believed if it is about the same server. */
static void test_options(void)
{
    check_options("{'node-name': 'disk', 'driver': 'nbd', 'discard': 'unmap',"
                  " 'server': {'type': 'unix', 'path': '/s'}}",
                  "{'driver': 'nbd', 'discard': 'unmap',"
                  " 'server': {'type': 'unix', 'path': '/s'}}");
    check_options("{'node-name': 'disk', 'driver': 'nbd', 'discard': 'unmap',"
                  " 'server': {'type': 'unix', 'path': '/other'}}",
                  told);
    check_options("{'node-name': 'disk', 'driver': 'nbd', 'export': 'x',"
                  " 'server': {'type': 'unix', 'path': '/s'}}",
                  told);
    check_options("{'node-name': 'other', 'driver': 'nbd', 'discard': 'unmap',"
                  " 'server': {'type': 'unix', 'path': '/s'}}",
                  told);
    check_options("driver=nbd,node-name=disk", told);
    check_options("{'node-name': 'disk'", told);
}

static void test_other_drivers(void)
{
    g_autoptr(json_object) qcow2 =
        value_of("{'node-name': 'q', 'drv': 'qcow2', 'file': 'x'}");
    g_autoptr(json_object) nothing = value_of("{}");
    g_autoptr(GError) err = NULL;

    g_assert_null(repair_options(qcow2, NULL, &err));
    g_assert_error(err, EXIT_ERROR, EXIT_FAILED);
    g_clear_error(&err);
    g_assert_null(repair_options(nothing, NULL, &err));
    g_assert_error(err, EXIT_ERROR, EXIT_FAILED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tools/repair/names", test_names);
    g_test_add_func("/tools/repair/bad-names", test_bad_names);
    g_test_add_func("/tools/repair/options", test_options);
    g_test_add_func("/tools/repair/other-drivers", test_other_drivers);
    return g_test_run();
}
