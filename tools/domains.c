/*
 * Domains: all sources together.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domains.h"
#include "exit-code.h"
#include "suggest.h"

#define SYSTEM_CONFIG "/etc/yankctl/domains.conf"
/* Pauses between attempts of a client that connects again by itself. */
#define FIRST_PAUSE_MS 200
#define MAX_PAUSE_MS 1000

char *domain_address(const char *address)
{
    const char *path = address;

    if (g_str_has_prefix(address, "unix:")) {
        path = address + strlen("unix:");
    } else if (g_str_has_prefix(address, "tcp:") || !strchr(address, '/')) {
        return g_strdup(address);
    }
    {
        g_autofree char *absolute = g_canonicalize_filename(path, NULL);

        return g_strconcat("unix:", absolute, NULL);
    }
}

DomainSpec *domain_spec_new(const char *name, const char *monitor,
                            const char *origin)
{
    DomainSpec *spec = g_new0(DomainSpec, 1);

    spec->name = g_strdup(name);
    spec->monitor = domain_address(monitor);
    spec->origin = g_strdup(origin);
    return spec;
}

void domain_spec_free(DomainSpec *spec)
{
    if (spec) {
        g_free(spec->name);
        g_free(spec->monitor);
        g_free(spec->lane);
        g_free(spec->agent);
        g_free(spec->tls_dir);
        g_free(spec->tls_hostname);
        g_free(spec->origin);
        g_free(spec->identity);
        g_free(spec->source);
        g_free(spec);
    }
}

DomainSpec *domain_spec_copy(const DomainSpec *spec)
{
    DomainSpec *copy = g_memdup2(spec, sizeof(*spec));

    copy->name = g_strdup(spec->name);
    copy->monitor = g_strdup(spec->monitor);
    copy->lane = g_strdup(spec->lane);
    copy->agent = g_strdup(spec->agent);
    copy->tls_dir = g_strdup(spec->tls_dir);
    copy->tls_hostname = g_strdup(spec->tls_hostname);
    copy->origin = g_strdup(spec->origin);
    copy->identity = g_strdup(spec->identity);
    copy->source = g_strdup(spec->source);
    return copy;
}

/* NAME=ADDRESS; a name has no '=' in it, an address may. */
static bool from_argument(GPtrArray *domains, const char *argument,
                          GError **errp)
{
    const char *equals = strchr(argument, '=');
    g_autofree char *name = NULL;

    if (!equals || equals == argument || !equals[1]) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "--socket '%s' is wrong: allowed is NAME=PATH or "
                    "NAME=HOST:PORT",
                    argument);
        return false;
    }
    name = g_strndup(argument, equals - argument);
    g_ptr_array_add(domains, domain_spec_new(name, equals + 1, "--socket"));
    return true;
}

char *domains_usual_config(void)
{
    g_autofree char *own = g_build_filename(g_get_user_config_dir(), "yankctl",
                                            "domains.conf", NULL);

    if (access(own, F_OK) == 0) {
        return g_steal_pointer(&own);
    }
    return access(SYSTEM_CONFIG, F_OK) == 0 ? g_strdup(SYSTEM_CONFIG) : NULL;
}

static void error_free(void *err)
{
    g_error_free(err);
}

GHashTable *domains_failed_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, error_free);
}

bool domains_source_missing(const GError *err)
{
    return g_error_matches(err, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
           g_error_matches(err, EXIT_ERROR, EXIT_UNREACHABLE) ||
           g_error_matches(err, EXIT_ERROR, EXIT_TIMEOUT);
}

typedef bool SourceFn(GPtrArray *domains, const char *what, GError **errp);

static bool from_source(GPtrArray *domains, const char *what, SourceFn *fn,
                        GHashTable *failed, GError **errp)
{
    g_autoptr(GPtrArray) found =
        g_ptr_array_new_with_free_func((GDestroyNotify)domain_spec_free);
    GError *err = NULL;

    if (!fn(found, what, &err)) {
        if (!failed) {
            g_propagate_error(errp, err);
            return false;
        }
        g_hash_table_replace(failed, g_strdup(what), err);
        return true;
    }
    while (found->len) {
        DomainSpec *spec = g_ptr_array_steal_index(found, 0);

        spec->source = g_strdup(what);
        g_ptr_array_add(domains, spec);
    }
    return true;
}

static bool from_each(GPtrArray *domains, char **list, SourceFn *fn,
                      GHashTable *failed, GError **errp)
{
    for (; list && *list; list++) {
        if (!from_source(domains, *list, fn, failed, errp)) {
            return false;
        }
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    const DomainSpec *one = *(DomainSpec *const *)a;
    const DomainSpec *other = *(DomainSpec *const *)b;

    return strcmp(one->name, other->name);
}

void domains_sort(GPtrArray *domains)
{
    g_ptr_array_sort(domains, by_name);
}

/* Gives @spec, of a folder, a name that is not in @names; true if it has. */
static bool make_name_differ(GHashTable *names, DomainSpec *spec)
{
    const char *path = spec->monitor + strlen("unix:");
    const char *file = strrchr(path, '/') + 1;

    if (!g_hash_table_contains(names, spec->name)) {
        return true;
    }
    g_free(spec->name);
    spec->name = g_strdup(g_hash_table_contains(names, file) ? path : file);
    return !g_hash_table_contains(names, spec->name);
}

/* Returns false if @spec cannot be left out as one of a source that failed. */
static bool note_clash(const DomainSpec *spec, const DomainSpec *other,
                       GHashTable *failed, GError **errp)
{
    GError *err = g_error_new(
        EXIT_ERROR, EXIT_USAGE,
        "two domains are called '%s': %s of %s, and %s of %s", spec->name,
        other->monitor, other->origin, spec->monitor, spec->origin);

    if (!failed || !spec->source) {
        g_propagate_error(errp, err);
        return false;
    }
    g_hash_table_replace(failed, g_strdup(spec->source), err);
    return true;
}

/*
 * The domains of @from, moved to @to.  A socket in a folder is left out if
 * its domain is in @to.
 */
static bool add_with_names(GPtrArray *to, GPtrArray *from, GHashTable *failed,
                           GError **errp)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) addresses = g_hash_table_new(g_str_hash, g_str_equal);

    while (from->len) {
        g_autoptr(DomainSpec) spec = g_ptr_array_steal_index(from, 0);
        const DomainSpec *other;

        if (spec->identity &&
            (g_hash_table_contains(addresses, spec->monitor) ||
             !make_name_differ(names, spec))) {
            continue;
        }
        other = g_hash_table_lookup(names, spec->name);
        if (other) {
            if (!note_clash(spec, other, failed, errp)) {
                return false;
            }
            continue;
        }
        g_hash_table_insert(names, spec->name, spec);
        g_hash_table_add(addresses, spec->monitor);
        if (spec->lane) {
            g_hash_table_add(addresses, spec->lane);
        }
        g_ptr_array_add(to, g_steal_pointer(&spec));
    }
    return true;
}

/* Folders are last, since their sockets go without the names of others. */
static bool find_all(GPtrArray *domains, const Options *options,
                     GHashTable *failed, GError **errp)
{
    g_autofree char *usual =
        options_name_domains(options) ? NULL : domains_usual_config();
    char *configs[] = {usual ? usual : options->config, NULL};

    for (char **list = options->sockets; list && *list; list++) {
        if (!from_argument(domains, *list, errp)) {
            return false;
        }
    }
    return from_each(domains, configs, domains_from_config, failed, errp) &&
           from_each(domains, options->libvirt, domains_from_libvirt, failed,
                     errp) &&
           from_each(domains, options->dirs, domains_from_dir, failed, errp);
}

GPtrArray *domains_find(const Options *options, GHashTable *failed,
                        GError **errp)
{
    g_autoptr(GPtrArray) found =
        g_ptr_array_new_with_free_func((GDestroyNotify)domain_spec_free);
    g_autoptr(GPtrArray) domains =
        g_ptr_array_new_with_free_func((GDestroyNotify)domain_spec_free);

    if (!find_all(found, options, failed, errp) ||
        !add_with_names(domains, found, failed, errp)) {
        return NULL;
    }
    domains_sort(domains);
    return g_steal_pointer(&domains);
}

static char *all_names(GPtrArray *domains)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < domains->len && i < 10; i++) {
        const DomainSpec *spec = domains->pdata[i];

        g_string_append_printf(names, "%s'%s'", i ? ", " : "", spec->name);
    }
    if (domains->len > 10) {
        g_string_append_printf(names, " and %u more", domains->len - 10);
    }
    return g_string_free(names, FALSE);
}

const DomainSpec *domains_lookup(GPtrArray *domains, const char *name,
                                 GError **errp)
{
    g_autofree const char **known = g_new0(const char *, domains->len + 1);
    g_autofree char *names = NULL;
    const char *near;

    for (guint i = 0; i < domains->len; i++) {
        const DomainSpec *spec = domains->pdata[i];

        if (g_str_equal(spec->name, name)) {
            return spec;
        }
        known[i] = spec->name;
    }
    if (!errp) {
        return NULL;
    }
    names = all_names(domains);
    near = suggest(name, known);
    g_set_error(errp, EXIT_ERROR, EXIT_NOT_FOUND,
                "there is no domain '%s'%s%s%s; known are: %s", name,
                near ? ", did you mean '" : "", near ? near : "",
                near ? "'?" : "", domains->len ? names : "none");
    return NULL;
}

/* The monitor and the lane, if there is one of its own. */
static YcQmpClient *client_for(const DomainSpec *spec, const char *address,
                               bool keep, GError **errp)
{
    g_autoptr(YcQmpClient) client = yc_qmp_client_new(address, errp);

    if (!client) {
        return NULL;
    }
    if (spec->tls_dir && !yc_qmp_client_set_tls(client, spec->tls_dir,
                                                spec->tls_hostname, errp)) {
        return NULL;
    }
    if (keep) {
        yc_qmp_client_set_reconnect(client, FIRST_PAUSE_MS, MAX_PAUSE_MS);
    }
    return g_steal_pointer(&client);
}

YcDomain *domain_from_spec(const DomainSpec *spec, bool keep, GError **errp)
{
    g_autoptr(YcQmpClient) monitor = NULL;
    g_autoptr(YcQmpClient) lane = NULL;
    g_autoptr(YcAgentClient) agent = NULL;

    monitor = client_for(spec, spec->monitor, keep, errp);
    if (!monitor) {
        g_prefix_error(errp, "domain '%s' of %s: ", spec->name, spec->origin);
        return NULL;
    }
    if (spec->lane && !(lane = client_for(spec, spec->lane, keep, errp))) {
        g_prefix_error(errp, "lane of domain '%s' of %s: ", spec->name,
                       spec->origin);
        return NULL;
    }
    if (spec->agent && !(agent = yc_agent_client_new(spec->agent, errp))) {
        g_prefix_error(errp, "agent of domain '%s' of %s: ", spec->name,
                       spec->origin);
        return NULL;
    }
    return yc_domain_new(spec->name, monitor, lane, agent);
}
