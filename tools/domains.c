/*
 * Domains: all sources together.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domains.h"
#include "exit-code.h"

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
        g_free(spec);
    }
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

/* The first of the usual files that is there; none is no error. */
static bool from_usual_config(GPtrArray *domains, GError **errp)
{
    g_autofree char *own = g_build_filename(g_get_user_config_dir(), "yankctl",
                                            "domains.conf", NULL);

    if (access(own, F_OK) == 0) {
        return domains_from_config(domains, own, errp);
    }
    if (access(SYSTEM_CONFIG, F_OK) == 0) {
        return domains_from_config(domains, SYSTEM_CONFIG, errp);
    }
    return true;
}

typedef bool SourceFn(GPtrArray *domains, const char *what, GError **errp);

static bool from_each(GPtrArray *domains, char **list, SourceFn *fn,
                      GError **errp)
{
    for (; list && *list; list++) {
        if (!fn(domains, *list, errp)) {
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

static bool names_differ(GPtrArray *domains, GError **errp)
{
    for (guint i = 1; i < domains->len; i++) {
        const DomainSpec *one = domains->pdata[i - 1];
        const DomainSpec *other = domains->pdata[i];

        if (g_str_equal(one->name, other->name)) {
            g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                        "two domains are called '%s': %s of %s, and %s of %s",
                        one->name, one->monitor, one->origin, other->monitor,
                        other->origin);
            return false;
        }
    }
    return true;
}

GPtrArray *domains_find(const Options *options, GError **errp)
{
    g_autoptr(GPtrArray) domains =
        g_ptr_array_new_with_free_func((GDestroyNotify)domain_spec_free);
    bool ok;

    if (!options_name_domains(options)) {
        ok = from_usual_config(domains, errp);
    } else {
        ok = (!options->config ||
              domains_from_config(domains, options->config, errp)) &&
             from_each(domains, options->sockets, from_argument, errp) &&
             from_each(domains, options->dirs, domains_from_dir, errp) &&
             from_each(domains, options->libvirt, domains_from_libvirt, errp);
    }
    if (!ok) {
        return NULL;
    }
    domains_sort(domains);
    return names_differ(domains, errp) ? g_steal_pointer(&domains) : NULL;
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
    g_autofree char *names = NULL;

    for (guint i = 0; i < domains->len; i++) {
        const DomainSpec *spec = domains->pdata[i];

        if (g_str_equal(spec->name, name)) {
            return spec;
        }
    }
    names = all_names(domains);
    g_set_error(errp, EXIT_ERROR, EXIT_NOT_FOUND,
                "there is no domain '%s'; known are: %s", name,
                domains->len ? names : "none");
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
