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

/* The value of @key in "socket,id=ID,path=PATH,..."; NULL: not there. */
static char *member(char **members, const char *key)
{
    for (; *members; members++) {
        size_t len = strlen(key);

        if (strncmp(*members, key, len) == 0 && (*members)[len] == '=') {
            return g_strdup(*members + len + 1);
        }
    }
    return NULL;
}

static bool same_file(const char *one, const char *other)
{
    return one && (g_str_equal(one, other) || process_same_file(one, other));
}

/* The id, when "socket,id=..." listens at @path. */
static char *id_of_chardev(const char *value, const char *path)
{
    g_auto(GStrv) members = g_strsplit(value, ",", -1);
    g_autofree char *its_path = member(members, "path");

    return same_file(its_path, path) ? member(members, "id") : NULL;
}

/* The path of "unix:PATH,server=on,..."; NULL: another sort. */
static char *path_of_monitor(const char *value)
{
    if (!g_str_has_prefix(value, "unix:")) {
        return NULL;
    }
    value += strlen("unix:");
    return g_strndup(value, strcspn(value, ","));
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
            g_autofree char *its_path = path_of_monitor(argv[1]);

            if (same_file(its_path, path)) {
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
