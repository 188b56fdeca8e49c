/*
 * The reader of QEMU's command line.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <signal.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "client/qemu-cmdline.h"

static QemuCmdline *parse(const char *line)
{
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);

    return qemu_cmdline_parse(argv);
}

/* "ID" of each monitor, with "*" behind one for QMP. */
static void test_monitors(void)
{
    static const struct {
        const char *line;
        const char *ids;
    } lines[] = {
        {"qemu", ""},
        {"qemu -mon", ""},
        {"qemu -chardev socket,id=a,path=/a", ""},
        {"qemu -mon chardev=m,mode=control", "m*"},
        {"qemu --mon chardev=m,mode=control", "m*"},
        {"qemu -mon mode=control,chardev=m", "m*"},
        {"qemu -mon m,mode=control", "m*"},
        {"qemu -mon m -mon chardev=n", "m n"},
        {"qemu -qmp chardev:q", "q*"},
        {"qemu -qmp-pretty chardev:q", "q*"},
        {"qemu -monitor chardev:q", "q"},
        {"qemu -qmp unix:/q,server=on,wait=off", "compat_monitor0*"},
        {"qemu -monitor none -qmp unix:/q -qmp unix:/r",
         "none compat_monitor0* compat_monitor1*"},
        {"qemu -qmp chardev:q -qmp unix:/r", "q* compat_monitor1*"},
        {"qemu -monitor unix:/m -qmp tcp::1,server=on",
         "compat_monitor0 compat_monitor1*"},
        {"qemu -serial unix:/s,server", ""},
        {"qemu -serial null -serial mon:unix:/s,server", "serial1"},
        {"qemu -serial none -serial mon:unix:/s,server", "serial0"},
        {"qemu -serial mon:chardev:s", "s"},
        {"qemu -parallel mon:stdio", "parallel0"},
        {"qemu -debugcon mon:stdio", "debugcon"},
        /* yankd and qemu-storage-daemon */
        {"yankd --monitor chardev=m", "m compat_monitor0"},
        {"yankd --monitor=chardev=m,mode=control", "m* compat_monitor0"},
        {"yankd --monitor {\"chardev\":\"m\"}", "m compat_monitor0"},
        /* Values that look like options, and flags before options. */
        {"qemu -append -foo -mon m", "m"},
        {"qemu -S -mon m -nodefaults -snapshot -qmp chardev:q", "m q*"},
        {"qemu disk.img -mon m", "m"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(QemuCmdline) cmdline = parse(lines[i].line);
        g_autoptr(GString) text = g_string_new(NULL);

        for (guint j = 0; j < cmdline->monitors->len; j++) {
            const QemuCmdlineMonitor *monitor = cmdline->monitors->pdata[j];

            g_string_append_printf(text, "%s%s%s", j ? " " : "",
                                   monitor->chardev, monitor->qmp ? "*" : "");
            g_assert_true(qemu_cmdline_is_monitor(cmdline, monitor->chardev));
        }
        g_assert_cmpstr(text->str, ==, lines[i].ids);
        g_assert_null(cmdline->unread);
        g_assert_false(qemu_cmdline_is_monitor(cmdline, "other"));
    }
}

static void check_address(const char *line, const char *id, const char *address)
{
    g_autoptr(QemuCmdline) cmdline = parse(line);
    const QemuCmdlineChardev *chardev = qemu_cmdline_chardev(cmdline, id);

    g_assert_nonnull(chardev);
    g_assert_cmpstr(chardev->address, ==, address);
}

static void test_addresses(void)
{
    check_address("qemu -chardev socket,id=a,path=/x,,y=z,server=on", "a",
                  "unix:/x,y=z");
    check_address("qemu -chardev backend=socket,path=/x,id=a,server,nowait",
                  "a", "unix:/x");
    check_address("qemu --chardev=socket,id=a,path=/x", "a", "unix:/x");
    check_address("qemu -chardev socket,id=a,host=h,port=1", "a", "h:1");
    check_address("qemu -chardev socket,id=a,host=::1,port=1", "a", "[::1]:1");
    check_address("qemu -chardev socket,id=a,port=1", "a", "localhost:1");
    check_address("qemu -chardev socket,id=a,path=x,abstract=on", "a", NULL);
    check_address("qemu -chardev socket,id=a,fd=3", "a", NULL);
    check_address("qemu -chardev pty,id=a,path=/x", "a", NULL);
    check_address("qemu -qmp unix:/q,server=on", "compat_monitor0", "unix:/q");
    check_address("qemu -qmp tcp::1,server=on", "compat_monitor0",
                  "localhost:1");
    check_address("qemu -monitor telnet:h:1", "compat_monitor0", "h:1");
    check_address("qemu -monitor stdio", "compat_monitor0", NULL);
}

static void check_node(const char *line, const char *name, const char *expected)
{
    g_autoptr(QemuCmdline) cmdline = parse(line);
    json_object *node = qemu_cmdline_node(cmdline, name);
    json_object *wanted = json_tokener_parse(expected);

    if (!json_object_equal(node, wanted)) {
        g_error("got %s", json_object_to_json_string(node));
    }
    json_object_put(wanted);
}

static void test_nodes(void)
{
    check_node("qemu -blockdev raw,node-name=a,file=b,offset=1", "a",
               "{\"driver\":\"raw\",\"node-name\":\"a\",\"file\":\"b\","
               "\"offset\":\"1\"}");
    check_node("qemu -blockdev driver=nbd,node-name=a,server.type=unix,"
               "server.path=/x,,y",
               "a",
               "{\"driver\":\"nbd\",\"node-name\":\"a\",\"server\":"
               "{\"type\":\"unix\",\"path\":\"/x,y\"}}");
    check_node("qemu -blockdev {\"node-name\":\"a\",\"offset\":1}", "a",
               "{\"node-name\":\"a\",\"offset\":1}");
    check_node("qemu -blockdev raw,node-name=a,file.driver=nbd,"
               "file.node-name=b",
               "b", "{\"driver\":\"nbd\",\"node-name\":\"b\"}");
    check_node("qemu -blockdev raw,node-name=a", "b", "null");
    check_node("qemu -append -blockdev raw,node-name=a", "c", "null");
}

static void test_unread(void)
{
    static const char *const lines[] = {
        "qemu -blockdev {\"node-name\"", "qemu -blockdev raw,a=1,a.b=2",
        "qemu -chardev {\"id\":\"a\"}",  "qemu -chardev socket",
        "qemu -set chardev.a.path=/x",   "qemu -readconfig /none",
        "qemu -new-flag -mon m",         "qemu -append -mon -qmp unix:/x",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(QemuCmdline) cmdline = parse(lines[i]);

        if (!cmdline->unread) {
            g_error("all of '%s' was understood", lines[i]);
        }
    }
}

/* Starts @argv in @dir, and reads its command line once it runs. */
static QemuCmdline *of_child(const char *dir, char **argv, GPid *pid)
{
    int out;
    g_autofree char *line = NULL;
    GError *err = NULL;
    GIOChannel *channel;

    g_spawn_async_with_pipes(dir, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                             pid, NULL, &out, NULL, &err);
    g_assert_no_error(err);
    channel = g_io_channel_unix_new(out);
    g_io_channel_read_line(channel, &line, NULL, NULL, NULL);
    g_assert_cmpstr(line, ==, "ready\n");
    g_io_channel_unref(channel);
    close(out);
    return qemu_cmdline_of_process(*pid);
}

static const char config[] = "# comment\n"
                             "[chardev \"c1\"]\n"
                             "  backend = \"socket\"\n"
                             "  path = \"sub/sock\"\n"
                             "\n"
                             "[mon \"m0\"]\n"
                             "  mode = \"control\"\n"
                             "  chardev = \"c1\"\n"
                             "[machine]\n"
                             "  type = \"pc\"\n";

static int listen_at(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpuint(strlen(path), <, sizeof(addr.sun_path));
    strcpy(addr.sun_path, path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    return fd;
}

/* Paths, of files of options too, that are relative to the process's folder. */
static void test_process(void)
{
    g_autofree char *dir = g_dir_make_tmp("cmdline-XXXXXX", NULL);
    g_autofree char *sub = g_build_filename(dir, "sub", NULL);
    g_autofree char *sock = g_build_filename(sub, "sock", NULL);
    g_autofree char *link = g_build_filename(dir, "link", NULL);
    g_autofree char *file = g_build_filename(dir, "config", NULL);
    const char *shell[] = {"sh",
                           "-c",
                           "echo ready; kill -STOP $$",
                           "qemu",
                           "-readconfig",
                           "config",
                           "-chardev",
                           "socket,id=c2,path=sub/sock",
                           "-chardev",
                           "socket,id=c3,path=/none/sock",
                           NULL};
    g_autoptr(QemuCmdline) cmdline = NULL;
    g_auto(GStrv) ids = NULL;
    g_auto(GStrv) by_link = NULL;
    g_auto(GStrv) none = NULL;
    GPid pid;
    int fd;

    g_assert_cmpint(g_mkdir(sub, 0700), ==, 0);
    fd = listen_at(sock);
    g_assert_cmpint(symlink(sock, link), ==, 0);
    g_assert_true(g_file_set_contents(file, config, -1, NULL));
    cmdline = of_child(dir, (char **)shell, &pid);
    g_assert_nonnull(cmdline);
    g_assert_null(cmdline->unread);
    g_assert_true(qemu_cmdline_is_monitor(cmdline, "c1"));
    ids = qemu_cmdline_chardevs_at(cmdline, sock);
    g_assert_cmpuint(g_strv_length(ids), ==, 2);
    g_assert_cmpstr(ids[0], ==, "c1");
    g_assert_cmpstr(ids[1], ==, "c2");
    by_link = qemu_cmdline_chardevs_at(cmdline, link);
    g_assert_cmpuint(g_strv_length(by_link), ==, 2);
    none = qemu_cmdline_chardevs_at(cmdline, file);
    g_assert_null(none[0]);
    kill(pid, SIGKILL);
    close(fd);
    g_unlink(link);
    g_unlink(file);
    g_unlink(sock);
    g_rmdir(sub);
    g_rmdir(dir);
    g_assert_null(qemu_cmdline_of_process(0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qemu-cmdline/monitors", test_monitors);
    g_test_add_func("/qemu-cmdline/addresses", test_addresses);
    g_test_add_func("/qemu-cmdline/nodes", test_nodes);
    g_test_add_func("/qemu-cmdline/unread", test_unread);
    g_test_add_func("/qemu-cmdline/process", test_process);
    return g_test_run();
}
