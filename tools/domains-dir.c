/*
 * Domains of a folder: each socket in it is the monitor of one, but those
 * that by their name are a guest agent's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/stat.h>
#include "domains.h"

static const char *const monitor_suffixes[] = {".sock", ".socket", ".qmp",
                                               ".monitor", NULL};
static const char *const agent_suffixes[] = {".agent", ".qga", NULL};

/* @name without the suffix of @suffixes that it has; NULL: it has none. */
static char *without_suffix(const char *name, const char *const *suffixes)
{
    for (; *suffixes; suffixes++) {
        size_t len = strlen(name);
        size_t tail = strlen(*suffixes);

        if (len > tail && g_str_has_suffix(name, *suffixes)) {
            return g_strndup(name, len - tail);
        }
    }
    return NULL;
}

static bool is_socket(const char *path)
{
    GStatBuf st;

    return g_stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* The agent's socket of domain @name in @dir, or NULL. */
static char *find_agent(const char *dir, const char *name)
{
    for (int i = 0; agent_suffixes[i]; i++) {
        g_autofree char *base = g_strconcat(name, agent_suffixes[i], NULL);
        g_autofree char *path = g_build_filename(dir, base, NULL);

        if (is_socket(path)) {
            return domain_address(path);
        }
    }
    return NULL;
}

static void add_file(GPtrArray *domains, const char *dir, const char *file)
{
    g_autofree char *path = g_build_filename(dir, file, NULL);
    g_autofree char *agent_of = without_suffix(file, agent_suffixes);
    g_autofree char *name = without_suffix(file, monitor_suffixes);
    DomainSpec *spec;

    if (agent_of || !is_socket(path)) {
        return;
    }
    spec = domain_spec_new(name ? name : file, path, dir);
    spec->agent = find_agent(dir, spec->name);
    g_ptr_array_add(domains, spec);
}

bool domains_from_dir(GPtrArray *domains, const char *path, GError **errp)
{
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);
    g_autoptr(GDir) dir = g_dir_open(absolute, 0, errp);
    const char *file;

    if (!dir) {
        return false;
    }
    while ((file = g_dir_read_name(dir))) {
        add_file(domains, absolute, file);
    }
    return true;
}
