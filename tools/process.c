/*
 * Processes of this host: what they were started with, as QEMU has it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/stat.h>
#include "process.h"

char **process_argv(int pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", pid);
    g_autofree char *text = NULL;
    GPtrArray *argv;
    gsize len;

    if (!g_file_get_contents(path, &text, &len, NULL)) {
        return NULL;
    }
    argv = g_ptr_array_new();
    for (gsize i = 0; i < len; i += strlen(text + i) + 1) {
        g_ptr_array_add(argv, g_strdup(text + i));
    }
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(argv, false);
}

const char *process_option(const char *arg)
{
    if (arg[0] != '-') {
        return NULL;
    }
    return arg[1] == '-' ? arg + 2 : arg + 1;
}

char **process_parts(const char *value)
{
    GPtrArray *parts = g_ptr_array_new();
    GString *part = g_string_new(NULL);

    for (; *value; value++) {
        if (*value == ',' && value[1] != ',') {
            g_ptr_array_add(parts, g_string_free(part, FALSE));
            part = g_string_new(NULL);
            continue;
        }
        value += *value == ',';
        g_string_append_c(part, *value);
    }
    g_ptr_array_add(parts, g_string_free(part, FALSE));
    g_ptr_array_add(parts, NULL);
    return (char **)g_ptr_array_free(parts, false);
}

const char *process_part(char **parts, const char *key)
{
    size_t len = strlen(key);

    for (; *parts; parts++) {
        if (strncmp(*parts, key, len) == 0 && (*parts)[len] == '=') {
            return *parts + len + 1;
        }
    }
    return NULL;
}

bool process_same_file(const char *one, const char *other)
{
    struct stat a, b;

    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}
