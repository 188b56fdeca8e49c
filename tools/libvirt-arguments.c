/*
 * Options of QEMU that make a QMP monitor on a socket: -chardev with -mon, or
 * -qmp alone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "libvirt-xml.h"
#include "process.h"

/* Where the socket chardev of @parts listens; NULL: nowhere. */
static char *address_of_chardev(char **parts)
{
    const char *path = process_part(parts, "path");
    const char *host = process_part(parts, "host");
    const char *port = process_part(parts, "port");

    if (!g_str_equal(parts[0], "socket")) {
        return NULL;
    }
    if (path) {
        return g_strconcat("unix:", path, NULL);
    }
    return port ? g_strdup_printf("%s:%s", host && *host ? host : "localhost",
                                  port)
                : NULL;
}

static char *find_chardev(char **argv, const char *id)
{
    for (; argv[0] && argv[1]; argv++) {
        const char *option = process_option(argv[0]);
        g_auto(GStrv) parts = process_parts(argv[1]);

        if (option && g_str_equal(option, "chardev") &&
            g_strcmp0(process_part(parts, "id"), id) == 0) {
            return address_of_chardev(parts);
        }
    }
    return NULL;
}

/* "chardev=ID,mode=control", or "ID,mode=control". */
static char *of_mon(char **argv, const char *value)
{
    g_auto(GStrv) parts = process_parts(value);
    const char *id = process_part(parts, "chardev");

    if (g_strcmp0(process_part(parts, "mode"), "control") != 0) {
        return NULL;
    }
    return find_chardev(argv, id ? id : parts[0]);
}

/* "unix:PATH,server=on,..." or "tcp:HOST:PORT,...". */
static char *of_qmp(char **argv, const char *value)
{
    g_auto(GStrv) parts = process_parts(value);

    if (g_str_has_prefix(parts[0], "chardev:")) {
        return find_chardev(argv, parts[0] + strlen("chardev:"));
    }
    if (g_str_has_prefix(parts[0], "tcp:")) {
        const char *address = parts[0] + strlen("tcp:");

        return g_strconcat(address[0] == ':' ? "localhost" : "", address, NULL);
    }
    return g_str_has_prefix(parts[0], "unix:") ? g_strdup(parts[0]) : NULL;
}

char *libvirt_monitor_of_arguments(char **argv)
{
    char *address = NULL;

    for (int i = 0; argv[i] && argv[i + 1] && !address; i++) {
        const char *option = process_option(argv[i]);

        if (!option) {
            continue;
        }
        if (g_str_equal(option, "mon")) {
            address = of_mon(argv, argv[i + 1]);
        } else if (g_str_equal(option, "qmp") ||
                   g_str_equal(option, "qmp-pretty")) {
            address = of_qmp(argv, argv[i + 1]);
        }
    }
    return address;
}
