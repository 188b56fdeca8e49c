/*
 * The character device at the other end of a connection: looked for on the
 * command line of the process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "own-chardev.h"
#include "process.h"

/* Options that make a chardev of their own; QEMU counts all of them. */
static const char *const monitor_options[] = {"qmp", "qmp-pretty", "monitor",
                                              NULL};

static bool same_file(const char *one, const char *other)
{
    return one && (g_str_equal(one, other) || process_same_file(one, other));
}

/* The id, when "socket,id=..." listens at @path. */
static char *id_of_chardev(const char *value, const char *path)
{
    g_auto(GStrv) parts = process_parts(value);

    return same_file(process_part(parts, "path"), path)
               ? g_strdup(process_part(parts, "id"))
               : NULL;
}

/* Whether "unix:PATH,server=on,..." is at @path. */
static bool is_monitor_at(const char *value, const char *path)
{
    g_auto(GStrv) parts = process_parts(value);

    return g_str_has_prefix(parts[0], "unix:") &&
           same_file(parts[0] + strlen("unix:"), path);
}

static char *look(char **argv, const char *path)
{
    int n_monitors = 0;

    for (; argv[0] && argv[1]; argv++) {
        const char *option = process_option(argv[0]);

        if (option && g_str_equal(option, "chardev")) {
            char *id = id_of_chardev(argv[1], path);

            if (id) {
                return id;
            }
        } else if (option && g_strv_contains(monitor_options, option)) {
            if (is_monitor_at(argv[1], path)) {
                return g_strdup_printf("compat_monitor%d", n_monitors);
            }
            n_monitors++;
        }
    }
    return NULL;
}

char *own_chardev(int pid, const char *address)
{
    g_auto(GStrv) argv = pid > 0 ? process_argv(pid) : NULL;

    if (!argv || !g_str_has_prefix(address, "unix:")) {
        return NULL;
    }
    return look(argv, address + strlen("unix:"));
}
