/*
 * Domains of a folder: which of its sockets are monitors, and their names.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/stat.h>
#include "domains.h"

/* The first of those that give the same name has it. */
static const char *const monitor_suffixes[] = {".qmp", ".sock", ".socket",
                                               ".monitor", NULL};
static const char *const agent_suffixes[] = {".agent", ".qga", NULL};
/*
 * What managers of virtual machines call the sockets beside their monitors, a
 * number at the end left out.  Many of them serve one client at a time, so to
 * connect would lock their users out.
 */
static const char *const other_suffixes[] = {
    ".console", ".gdb",   ".kvmd", ".migrate",  ".nbd", ".serial",
    ".spice",   ".swtpm", ".tpm",  ".virtiofs", ".vnc", NULL};

/* Folders in which a manager has the only monitor of each virtual machine. */
static const char *const managed_folders[] = {
    "/qemu-server", "/ganeti/kvm-hypervisor/ctrl", NULL};

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

static bool is_monitor_name(const char *file)
{
    g_autofree char *agent_of = without_suffix(file, agent_suffixes);
    g_autofree char *base = g_strdup(file);
    g_autofree char *other_of = NULL;
    size_t len = strlen(base);

    while (len && g_ascii_isdigit(base[len - 1])) {
        base[--len] = 0;
    }
    other_of = without_suffix(base, other_suffixes);
    return !agent_of && !other_of;
}

/* A folder that is read. */
typedef struct Folder {
    const char *path;
    uid_t owner;
    bool managed;
    GHashTable *sockets; /* of monitors: name of the file -> identity */
    GHashTable *names;   /* of domains, which own them */
    GPtrArray *domains;
} Folder;

/*
 * The identity of the socket, or NULL for what is none.  Users other than the
 * owner of the folder cannot lead root elsewhere, nor can the owner by a link.
 */
static char *identify(const Folder *folder, const char *file)
{
    g_autofree char *path = g_build_filename(folder->path, file, NULL);
    bool root = geteuid() == 0;
    struct stat st;

    if ((root ? lstat(path, &st) : stat(path, &st)) < 0 ||
        !S_ISSOCK(st.st_mode) ||
        (root && st.st_uid != 0 && st.st_uid != folder->owner)) {
        return NULL;
    }
    return g_strdup_printf("%ju:%ju:%jd.%09ld", (uintmax_t)st.st_dev,
                           (uintmax_t)st.st_ino, (intmax_t)st.st_mtim.tv_sec,
                           st.st_mtim.tv_nsec);
}

/* The agent's socket of domain @name, or NULL. */
static char *find_agent(const Folder *folder, const char *name)
{
    for (int i = 0; agent_suffixes[i]; i++) {
        g_autofree char *base = g_strconcat(name, agent_suffixes[i], NULL);
        g_autofree char *identity = identify(folder, base);
        g_autofree char *path = g_build_filename(folder->path, base, NULL);

        if (identity) {
            return domain_address(path);
        }
    }
    return NULL;
}

static void add_domain(Folder *folder, const char *name, const char *file)
{
    g_autofree char *path = g_build_filename(folder->path, file, NULL);
    DomainSpec *spec = domain_spec_new(name, path, folder->path);

    spec->agent = find_agent(folder, name);
    spec->identity = g_strdup(g_hash_table_lookup(folder->sockets, file));
    spec->managed = folder->managed;
    g_hash_table_add(folder->names, spec->name);
    g_ptr_array_add(folder->domains, spec);
}

/*
 * Adds those of @files that end with @suffix.  Each is called like its file
 * without it, unless another has that name; then like the file.
 */
static void add_files(Folder *folder, char **files, const char *suffix)
{
    const char *const suffixes[] = {suffix, NULL};

    for (int i = 0; files[i]; i++) {
        g_autofree char *stem = without_suffix(files[i], suffixes);

        if (stem) {
            bool taken = g_hash_table_contains(folder->names, stem) ||
                         g_hash_table_contains(folder->sockets, stem);

            add_domain(folder, taken ? files[i] : stem, files[i]);
        }
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_all(Folder *folder)
{
    g_autofree char **files =
        (char **)g_hash_table_get_keys_as_array(folder->sockets, NULL);

    qsort(files, g_hash_table_size(folder->sockets), sizeof(*files), by_name);
    for (int i = 0; files[i]; i++) {
        g_autofree char *stem = without_suffix(files[i], monitor_suffixes);

        if (!stem) {
            add_domain(folder, files[i], files[i]);
        }
    }
    for (int i = 0; monitor_suffixes[i]; i++) {
        add_files(folder, files, monitor_suffixes[i]);
    }
}

static bool is_managed(const char *path)
{
    char *real = realpath(path, NULL);
    bool found = false;

    for (int i = 0; real && managed_folders[i] && !found; i++) {
        found = g_str_has_suffix(real, managed_folders[i]);
    }
    free(real);
    return found;
}

bool domains_from_dir(GPtrArray *domains, const char *path, GError **errp)
{
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);
    g_autoptr(GDir) dir = g_dir_open(absolute, 0, errp);
    g_autoptr(GHashTable) sockets =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    Folder folder = {.path = absolute,
                     .sockets = sockets,
                     .names = names,
                     .domains = domains};
    const char *file;
    GStatBuf st;

    if (!dir) {
        return false;
    }
    folder.owner = g_stat(absolute, &st) == 0 ? st.st_uid : 0;
    folder.managed = is_managed(absolute);
    while ((file = g_dir_read_name(dir))) {
        char *identity = is_monitor_name(file) ? identify(&folder, file) : NULL;

        if (identity) {
            g_hash_table_insert(sockets, g_strdup(file), identity);
        }
    }
    add_all(&folder);
    return true;
}
