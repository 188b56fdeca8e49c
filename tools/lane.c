/*
 * Lanes: how a verb gets to a domain.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exit-code.h"
#include "json.h"
#include "lane-internal.h"
#include "ops.h"

void lane_unref(void *opaque)
{
    Lane *lane = opaque;

    if (g_atomic_int_dec_and_test(&lane->refs)) {
        g_mutex_clear(&lane->lock);
        g_clear_error(&lane->down);
        g_free(lane->name);
        g_free(lane);
    }
}

/* @address without symbolic links: the service may know another way there. */
static char *resolve(const char *address)
{
    const char *path =
        g_str_has_prefix(address, "unix:") ? address + strlen("unix:") : NULL;
    char *real = path ? realpath(path, NULL) : NULL;
    char *resolved =
        real ? g_strconcat("unix:", real, NULL) : g_strdup(address);

    free(real);
    return resolved;
}

/* Learns which domains the service has. */
static bool ask_service(Lanes *lanes, GError **errp)
{
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) reply = NULL;
    json_object *domains;
    bool add = !options_name_domains(lanes->options);

    json_set_string(request, "op", "list");
    json_set_int(request, "timeout-ms", lanes->options->timeout_ms);
    reply = control_client_call(lanes->control, request, errp);
    if (!reply) {
        return false;
    }
    domains = json_get_array(reply, "domains");
    for (size_t i = 0, n = json_length(domains); i < n; i++) {
        json_object *domain = json_object_array_get_idx(domains, i);
        const char *name = json_get_string(domain, "name");
        const char *monitor = json_get_string(domain, "monitor");

        if (!name || !monitor) {
            continue;
        }
        g_hash_table_replace(lanes->watched, resolve(monitor), g_strdup(name));
        if (add && !domains_lookup(lanes->domains, name, NULL)) {
            g_ptr_array_add(lanes->domains,
                            domain_spec_new(name, monitor, "the service"));
        }
    }
    return true;
}

static bool use_service(Lanes *lanes, GError **errp)
{
    GError *err = NULL;

    lanes->control = control_client_new(lanes->options, &err);
    if (!lanes->control) {
        if (err) {
            g_propagate_error(errp, err);
            return false;
        }
        return true;
    }
    control_client_set_event_fn(lanes->control, lanes_note_event, lanes);
    return ask_service(lanes, errp);
}

/* A service that does not answer must not keep anybody from a rescue. */
static bool find_service(Lanes *lanes, GError **errp)
{
    GError *err = NULL;

    if (lanes->options->no_control || use_service(lanes, &err)) {
        return true;
    }
    if (!g_error_matches(err, EXIT_ERROR, EXIT_TIMEOUT) ||
        lanes->domains->len == 0) {
        g_propagate_error(errp, err);
        return false;
    }
    fprintf(stderr, "yankctl: %s; connecting without it\n", err->message);
    g_error_free(err);
    g_clear_pointer(&lanes->control, control_client_free);
    return true;
}

Lanes *lanes_new(const Options *options, GError **errp)
{
    g_autoptr(Lanes) lanes = g_new0(Lanes, 1);

    g_mutex_init(&lanes->lock);
    lanes->options = options;
    lanes->watched =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    lanes->subscribed = g_hash_table_new(g_str_hash, g_str_equal);
    lanes->domains = domains_find(options, NULL, errp);
    if (!lanes->domains || !find_service(lanes, errp)) {
        return NULL;
    }
    domains_sort(lanes->domains);
    return g_steal_pointer(&lanes);
}

void lanes_free(Lanes *lanes)
{
    if (lanes) {
        control_client_free(lanes->control);
        g_hash_table_unref(lanes->watched);
        g_hash_table_unref(lanes->subscribed);
        if (lanes->domains) {
            g_ptr_array_unref(lanes->domains);
        }
        g_mutex_clear(&lanes->lock);
        g_free(lanes);
    }
}

GPtrArray *lanes_domains(Lanes *lanes)
{
    return lanes->domains;
}

/* A hang that began before anybody had connected: what that means. */
static void tell_no_lane(GError **err)
{
    if (g_error_matches(*err, YC_ERROR, YC_ERROR_NO_NEGOTIATION)) {
        char *message = g_strconcat((*err)->message,
                                    ", and nobody holds a lane to it, as "
                                    "yankctl watch does",
                                    NULL);

        g_free((*err)->message);
        (*err)->message = message;
    }
}

Lane *lane_open(Lanes *lanes, const DomainSpec *spec, GError **errp)
{
    g_autoptr(Lane) lane = g_new0(Lane, 1);
    g_autofree char *address = resolve(spec->monitor);

    lane->refs = 1;
    g_mutex_init(&lane->lock);
    lane->lanes = lanes;
    lane->name = g_strdup(spec->name);
    lane->remote = g_hash_table_lookup(lanes->watched, address);
    if (lane->remote) {
        return g_steal_pointer(&lane);
    }
    lane->dom = domain_from_spec(spec, false, errp);
    if (!lane->dom) {
        return NULL;
    }
    if (!yc_domain_connect(lane->dom, lanes->options->timeout_ms,
                           &lane->down)) {
        tell_no_lane(&lane->down);
    }
    return g_steal_pointer(&lane);
}

Lane *lane_open_name(Lanes *lanes, const char *name, GError **errp)
{
    const DomainSpec *spec = domains_lookup(lanes->domains, name, errp);

    return spec ? lane_open(lanes, spec, errp) : NULL;
}

void lane_close(Lane *lane)
{
    if (!lane) {
        return;
    }
    lane_unsubscribe(lane);
    if (lane->dom) {
        yc_domain_remove_handler(lane->dom, lane->handler);
        yc_domain_close(lane->dom, "done");
        yc_domain_unref(lane->dom);
    }
    lane_unref(lane);
}

void lane_hang_up(Lane *lane)
{
    if (lane->dom) {
        yc_domain_close(lane->dom, "the user has left");
    } else {
        control_client_hang_up(lane->lanes->control);
    }
}

const char *lane_domain(const Lane *lane)
{
    return lane->name;
}

json_object *lane_call(Lane *lane, json_object *request, GError **errp)
{
    OpTarget target = {.dom = lane->dom, .down = lane->down};

    if (!json_get(request, "timeout-ms")) {
        json_set_int(request, "timeout-ms", lane->lanes->options->timeout_ms);
    }
    if (!lane->remote) {
        return ops_run(&target, request, errp);
    }
    json_set_string(request, "domain", lane->remote);
    return control_client_call(lane->lanes->control, request, errp);
}

static json_object *execute_request(const char *op, const char *command,
                                    json_object *arguments, int timeout_ms)
{
    json_object *request = json_object_new_object();

    json_set_string(request, "op", op);
    json_set_string(request, "command", command);
    json_set(request, "arguments", json_object_get(arguments));
    if (timeout_ms > 0) {
        json_set_int(request, "timeout-ms", timeout_ms);
    }
    return request;
}

json_object *lane_execute(Lane *lane, bool oob, const char *command,
                          json_object *arguments, int timeout_ms, GError **errp)
{
    g_autoptr(json_object) request = execute_request(
        oob ? "oob" : "execute", command, arguments, timeout_ms);

    return lane_call(lane, request, errp);
}

json_object *lane_execute_forced(Lane *lane, const char *command,
                                 json_object *arguments, int timeout_ms,
                                 GError **errp)
{
    g_autoptr(json_object) request =
        execute_request("execute", command, arguments, timeout_ms);

    json_set_bool(request, "force", true);
    return lane_call(lane, request, errp);
}
