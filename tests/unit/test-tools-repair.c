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

static const char nbd_info[] =
    "{'node-name': 'disk', 'drv': 'nbd', 'ro': false, 'detect_zeroes':"
    " 'off', 'file': 'nbd+unix://?socket=/s', 'cache': {'direct': true,"
    " 'no-flush': false, 'writeback': true}}";
static const char raw_info[] =
    "{'node-name': 'top', 'drv': 'raw', 'ro': false, 'detect_zeroes':"
    " 'unmap', 'file': 'json:{\"offset\": 512, \"driver\": \"raw\","
    " \"size\": \"1024\", \"file\": {\"driver\": \"nbd\"}}',"
    " 'cache': {'direct': false, 'no-flush': false, 'writeback': true}}";
static const char nbd_typed[] =
    "{'driver': 'nbd', 'server': {'type': 'unix', 'path': '/s'},"
    " 'cache': {'direct': true}, 'reconnect-delay': 5, 'tls-creds': 't'}";

/* QEMU's JSON in its file name has quotes of its own. */
static json_object *info_of(const char *text)
{
    g_autofree char *escaped = NULL;
    g_auto(GStrv) parts = g_strsplit(text, "\"", -1);

    escaped = g_strjoinv("\\\"", parts);
    return value_of(escaped);
}

/* One -blockdev, as it is on the command line with ' for ". */
static json_object *options_by(const char *info_text, const char *blockdev,
                               const char *name, GError **errp)
{
    g_autofree char *text = g_strdelimit(g_strdup(blockdev), "'", '"');
    const char *argv[] = {"qemu", "-blockdev", text, NULL};
    g_autoptr(QemuCmdline) cmdline = qemu_cmdline_parse((char **)argv);
    g_autoptr(json_object) info = info_of(info_text);
    RepairSource source = {.given = qemu_cmdline_node(cmdline, name)};

    return repair_options(info, &source, errp);
}

static void check_options(const char *info_text, const char *blockdev,
                          const char *name, const char *expected)
{
    g_autoptr(GError) err = NULL;
    json_object *options = options_by(info_text, blockdev, name, &err);

    g_assert_no_error(err);
    check_equal(options, expected);
}

static void check_refused(const char *info_text, const char *blockdev,
                          const char *name, const char *option)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *quoted = g_strdup_printf("'%s'", option);

    g_assert_null(options_by(info_text, blockdev, name, &err));
    g_assert_error(err, EXIT_ERROR, EXIT_REFUSED);
    if (!strstr(err->message, quoted)) {
        g_error("'%s' does not name %s", err->message, quoted);
    }
}

/* JSON and key=value alike, and as a part of another node. */
static void test_options(void)
{
    check_options(nbd_info,
                  "{'node-name': 'disk', 'driver': 'nbd', 'cache': {'direct':"
                  " true}, 'server': {'type': 'unix', 'path': '/s'},"
                  " 'reconnect-delay': 5, 'tls-creds': 't'}",
                  "disk", nbd_typed);
    check_options(nbd_info,
                  "nbd,node-name=disk,cache.direct=on,server.type=unix,"
                  "server.path=/s,reconnect-delay=5,tls-creds=t",
                  "disk", nbd_typed);
    check_options(nbd_info,
                  "driver=nbd,node-name=disk,cache.direct=on,server.type=unix,"
                  "server.path=/s,server.keep-alive=off,export=",
                  "disk",
                  "{'driver': 'nbd', 'server': {'type': 'unix', 'path': '/s',"
                  " 'keep-alive': false}, 'cache': {'direct': true}, 'export':"
                  " ''}");
    check_options(raw_info,
                  "raw,node-name=top,file=disk,offset=0x200,size=1024,"
                  "detect-zeroes=unmap,discard=unmap",
                  "top",
                  "{'driver': 'raw', 'offset': 512, 'size': 1024,"
                  " 'detect-zeroes': 'unmap', 'discard': 'unmap'}");
}

static void test_refused(void)
{
    static const char server[] =
        "nbd,node-name=disk,server.type=unix,server.path=/s,cache.direct=on";
    g_autofree char *odd = g_strconcat(server, ",new-option=1", NULL);
    g_autofree char *bad = g_strconcat(server, ",reconnect-delay=soon", NULL);
    g_autofree char *read_only = g_strconcat(server, ",read-only=on", NULL);

    /* Not given, or not on this node. */
    check_refused(nbd_info, server, "other", "tls-creds");
    check_refused(nbd_info, server, "other", "discard");
    /* What cannot be read. */
    check_refused(nbd_info, odd, "disk", "new-option");
    check_refused(nbd_info, bad, "disk", "reconnect-delay");
    /* Another node of that name. */
    check_refused(nbd_info, read_only, "disk", "read-only");
    check_refused(nbd_info,
                  "nbd,node-name=disk,server.type=unix,server.path=/s", "disk",
                  "cache.direct");
    check_refused(nbd_info,
                  "nbd,node-name=disk,server.type=unix,server.path=/t,"
                  "cache.direct=on",
                  "disk", "server");
    check_refused(nbd_info,
                  "nbd,node-name=disk,server.type=unix,server.path=/s,"
                  "export=x,cache.direct=on",
                  "disk", "server");
    check_refused(nbd_info, "raw,node-name=disk,file=x", "disk", "driver");
    check_refused(raw_info,
                  "raw,node-name=top,file=disk,size=1024,detect-zeroes=unmap,"
                  "discard=unmap",
                  "top", "offset");
    check_refused(raw_info,
                  "raw,node-name=top,file=disk,offset=512,detect-zeroes=unmap,"
                  "discard=unmap",
                  "top", "size");
    check_refused(raw_info, "raw,node-name=top,file=disk,offset=512,size=1024",
                  "top", "detect-zeroes");
}

/* What QEMU tells is enough here: it takes detect-zeroes=unmap only so. */
static void test_told(void)
{
    check_options(raw_info, "x,node-name=x", "top",
                  "{'driver': 'raw', 'offset': 512, 'size': 1024, 'discard':"
                  " 'unmap', 'detect-zeroes': 'unmap', 'read-only': false,"
                  " 'cache': {'direct': false, 'no-flush': false}}");
}

static void test_other_drivers(void)
{
    static const RepairSource source;
    g_autoptr(json_object) qcow2 =
        value_of("{'node-name': 'q', 'drv': 'qcow2', 'file': 'x'}");
    g_autoptr(json_object) nothing = value_of("{}");
    g_autoptr(GError) err = NULL;

    g_assert_null(repair_options(qcow2, &source, &err));
    g_assert_error(err, EXIT_ERROR, EXIT_FAILED);
    g_clear_error(&err);
    g_assert_null(repair_options(nothing, &source, &err));
    g_assert_error(err, EXIT_ERROR, EXIT_FAILED);
}

/* The nodes "disk" and, on it, "top"; each user is one more edge. */
static const char facts_text[] =
    "{'query-named-block-nodes': ["
    "  {'node-name': 'disk', 'drv': 'nbd', 'ro': false, 'detect_zeroes': 'off',"
    "   'file': 'nbd+unix://?socket=/s', 'cache': {'direct': false,"
    "   'no-flush': false}, 'image': {'virtual-size': 2048}},"
    "  {'node-name': 'top', 'drv': 'raw', 'ro': false, 'detect_zeroes': 'off',"
    "   'file': 'nbd+unix://?socket=/s', 'cache': {'direct': false,"
    "   'no-flush': false}, 'image': {'virtual-size': 2048}},"
    "  {'node-name': 'yankctl-0', 'drv': 'null-co'}],"
    " 'query-blockstats': [{'device': 'd0', 'qdev': '/dev0', 'node-name': "
    "'top'}],"
    " 'query-block-exports': [%s], 'iothreads': {'/dev0': 'io0'},"
    " 'x-debug-query-block-graph': {'nodes': ["
    "  {'id': 1, 'type': 'block-backend', 'name': '/dev0'},"
    "  {'id': 2, 'type': 'block-driver', 'name': 'top'},"
    "  {'id': 3, 'type': 'block-driver', 'name': 'disk'},"
    "  {'id': 4, 'type': 'block-backend', 'name': ''},"
    "  {'id': 5, 'type': 'block-job', 'name': 'job0'}],"
    "  'edges': [{'parent': 1, 'child': 2}, {'parent': 2, 'child': 3}%s]}}";

/* The commands and the nodes of a plan, in one line; NULL on error. */
static char *plan(const char *exports, const char *edges, const char *cmdline,
                  bool force, GError **errp)
{
    g_autofree char *text = g_strdup_printf(facts_text, exports, edges);
    g_autoptr(json_object) facts = value_of(text);
    g_autoptr(json_object) steps = json_object_new_array();
    g_auto(GStrv) argv = g_strsplit(cmdline, " ", -1);
    g_autoptr(QemuCmdline) read = qemu_cmdline_parse(argv);
    g_autoptr(GString) line = g_string_new(NULL);

    if (!repair_plan_stock(facts, read, "disk", force, steps, errp)) {
        return NULL;
    }
    for (size_t i = 0; i < json_object_array_length(steps); i++) {
        json_object *step = json_object_array_get_idx(steps, i);
        json_object *arguments = json_get(step, "arguments");
        const char *command = json_get_string(step, "command");
        const char *name = json_get_string(arguments, "node-name");

        if (g_str_equal(command, "qom-set")) {
            name = json_get_string(arguments, "value");
            g_assert_cmpstr(json_get_string(step, "iothread"), ==, "io0");
        }
        if (g_str_equal(command, "blockdev-add")) {
            g_assert_cmpint(json_get_int(step, "virtual-size", 0), ==, 2048);
        }
        g_string_append_printf(line, "%s%s %s%s", i ? ", " : "", command,
                               name ? name : json_get_string(arguments, "id"),
                               json_get(step, "if") ? "?" : "");
    }
    return g_strdup(line->str);
}

#define BLOCKDEVS                                                              \
    "qemu -blockdev nbd,node-name=disk,server.type=unix,server.path=/s "       \
    "-blockdev raw,node-name=top,file=disk"

static void check_plan(const char *exports, const char *edges,
                       const char *cmdline, bool force, const char *expected)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *line = plan(exports, edges, cmdline, force, &err);

    g_assert_no_error(err);
    g_assert_cmpstr(line, ==, expected);
}

static void test_plan(void)
{
    check_plan("", "", BLOCKDEVS, false,
               "blockdev-add yankctl-2, blockdev-add yankctl-1,"
               " qom-set yankctl-1, blockdev-del top, blockdev-del disk,"
               " blockdev-add disk, blockdev-add top, qom-set top,"
               " blockdev-del yankctl-1, blockdev-del yankctl-2");
    /* A part of another node goes with that. */
    check_plan("", "",
               "qemu -blockdev raw,node-name=top,file.driver=nbd,"
               "file.node-name=disk,file.server.type=unix,file.server.path=/s",
               false,
               "blockdev-add yankctl-2, blockdev-add yankctl-1,"
               " qom-set yankctl-1, blockdev-del top, blockdev-del disk?,"
               " blockdev-add disk, blockdev-add top, qom-set top,"
               " blockdev-del yankctl-1, blockdev-del yankctl-2");
    check_plan("{'id': 'e0', 'node-name': 'top'}",
               ", {'parent': 4, 'child': 2}", BLOCKDEVS, true,
               "blockdev-add yankctl-2, blockdev-add yankctl-1,"
               " block-export-del e0,"
               " qom-set yankctl-1, blockdev-del top, blockdev-del disk,"
               " blockdev-add disk, blockdev-add top, qom-set top,"
               " blockdev-del yankctl-1, blockdev-del yankctl-2");
}

static void check_no_plan(const char *exports, const char *edges,
                          const char *cmdline, const char *words)
{
    g_autoptr(GError) err = NULL;

    g_assert_null(plan(exports, edges, cmdline, false, &err));
    g_assert_error(err, EXIT_ERROR, EXIT_REFUSED);
    if (!strstr(err->message, words)) {
        g_error("'%s' is not in '%s'", words, err->message);
    }
}

static void test_no_plan(void)
{
    check_no_plan("{'id': 'e0', 'node-name': 'top'}",
                  ", {'parent': 4, 'child': 2}", BLOCKDEVS, "export 'e0'");
    check_no_plan("{'id': 'e0', 'node-name': 'disk'}",
                  ", {'parent': 4, 'child': 3}", BLOCKDEVS, "export 'e0'");
    check_no_plan("", ", {'parent': 4, 'child': 2}", BLOCKDEVS,
                  "more than one device");
    check_no_plan("", ", {'parent': 4, 'child': 3}", BLOCKDEVS,
                  "more than one node or device");
    check_no_plan("", ", {'parent': 5, 'child': 2}", BLOCKDEVS, "job 'job0'");
    check_no_plan("", "", "qemu", "'discard'");
    check_no_plan("", "", BLOCKDEVS " -set drive.x.y=z", "-set drive.x.y=z");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tools/repair/names", test_names);
    g_test_add_func("/tools/repair/bad-names", test_bad_names);
    g_test_add_func("/tools/repair/options", test_options);
    g_test_add_func("/tools/repair/refused", test_refused);
    g_test_add_func("/tools/repair/told", test_told);
    g_test_add_func("/tools/repair/plan", test_plan);
    g_test_add_func("/tools/repair/no-plan", test_no_plan);
    g_test_add_func("/tools/repair/other-drivers", test_other_drivers);
    return g_test_run();
}
