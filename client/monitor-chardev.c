/*
 * Which character devices carry a monitor: what the command line of QEMU says
 * (-mon, -qmp, -monitor, and -serial mon:...), and what ids are customary.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/yank.h"
#include "domain-internal.h"
#include "monitor-chardev.h"

/* Options of QEMU that give a monitor, and how their value names a chardev. */
static const char *const monitor_options[] = {"mon", "monitor", "qmp",
                                              "qmp-pretty"};

/*
 * Devices that "mon:" before their address gives a monitor to, and how QEMU
 * calls the chardev of the n-th.
 */
static const struct {
    const char *option;
    const char *id;
} mux_options[] = {
    {"serial", "serial"},
    {"parallel", "parallel"},
    {"debugcon", "debugcon"},
};

/* A chardev that is shared ("mux=on") leaves its socket to ID-base. */
static void add_id(GPtrArray *ids, const char *id)
{
    g_ptr_array_add(ids, g_strdup(id));
    g_ptr_array_add(ids, g_strconcat(id, "-base", NULL));
}

/* "chardev=ID,mode=control", "ID,mode=control" or "chardev:ID". */
static void add_of_monitor(GPtrArray *ids, const char *value)
{
    g_auto(GStrv) members = g_strsplit(value, ",", -1);

    if (g_str_has_prefix(value, "chardev:")) {
        add_id(ids, value + strlen("chardev:"));
        return;
    }
    for (int i = 0; members[i]; i++) {
        if (g_str_has_prefix(members[i], "chardev=")) {
            add_id(ids, members[i] + strlen("chardev="));
        } else if (i == 0 && !strpbrk(members[i], "=:")) {
            add_id(ids, members[i]);
        }
    }
}

/* "mon:unix:PATH" and the like; @n_before: such options before it. */
static void add_of_mux(GPtrArray *ids, const char *id, const char *value,
                       unsigned n_before)
{
    g_autofree char *numbered = g_strdup_printf("%s%u", id, n_before);

    if (!g_str_has_prefix(value, "mon:")) {
        return;
    }
    if (g_str_has_prefix(value, "mon:chardev:")) {
        add_id(ids, value + strlen("mon:chardev:"));
        return;
    }
    add_id(ids, g_str_equal(id, "debugcon") ? id : numbered);
}

/* The option without its dashes; NULL when it is none. */
static const char *option_name(const char *arg)
{
    if (arg[0] != '-') {
        return NULL;
    }
    return arg[1] == '-' ? arg + 2 : arg + 1;
}

GPtrArray *yc_monitor_chardevs_in(char **argv)
{
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
    unsigned n_mux[G_N_ELEMENTS(mux_options)] = {0};

    for (int i = 0; argv[i] && argv[i + 1]; i++) {
        const char *name = option_name(argv[i]);

        if (!name) {
            continue;
        }
        for (size_t j = 0; j < G_N_ELEMENTS(monitor_options); j++) {
            if (g_str_equal(name, monitor_options[j])) {
                add_of_monitor(ids, argv[i + 1]);
            }
        }
        for (size_t j = 0; j < G_N_ELEMENTS(mux_options); j++) {
            if (g_str_equal(name, mux_options[j].option)) {
                add_of_mux(ids, mux_options[j].id, argv[i + 1], n_mux[j]++);
            }
        }
    }
    return ids;
}

gboolean yc_monitor_chardev_by_name(const char *id)
{
    return g_str_has_prefix(id, "compat_monitor") ||
           g_str_equal(id, "charmonitor") ||
           g_str_equal(id, "charmonitor-base");
}

/* The command line of process @pid; NULL when it cannot be read. */
static char **process_argv(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    g_autofree char *text = NULL;
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    gsize len;

    if (!g_file_get_contents(path, &text, &len, NULL)) {
        return NULL;
    }
    for (gsize i = 0; i < len; i += strlen(text + i) + 1) {
        g_ptr_array_add(argv, g_strdup(text + i));
    }
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&argv), false);
}

void yc_domain_add_monitor_chardev(YcDomain *dom, const char *id)
{
    YC_LOCK_GUARD(&dom->lock);
    add_id(dom->monitor_chardevs, id);
}

static void append_added(YcDomain *dom, GPtrArray *ids)
{
    YC_LOCK_GUARD(&dom->lock);
    for (guint i = 0; i < dom->monitor_chardevs->len; i++) {
        const char *id = g_ptr_array_index(dom->monitor_chardevs, i);

        g_ptr_array_add(ids, g_strdup(id));
    }
}

char **yc_domain_monitor_chardevs(YcDomain *dom)
{
    pid_t pid = yc_qmp_client_peer_pid(yc_domain_lane(dom));
    g_auto(GStrv) argv = pid > 0 ? process_argv(pid) : NULL;
    GPtrArray *ids = argv ? yc_monitor_chardevs_in(argv)
                          : g_ptr_array_new_with_free_func(g_free);

    append_added(dom, ids);
    g_ptr_array_add(ids, NULL);
    return (char **)g_ptr_array_free(ids, false);
}
