/*
 * Lanes: how a verb gets to a domain.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "control-client.h"
#include "exit-code.h"
#include "json.h"
#include "lane.h"
#include "ops.h"

struct Lanes {
    const Options *options;
    ControlClient *control; /* or NULL */
    GPtrArray *domains;     /* DomainSpec */
    GHashTable *watched;    /* address of a monitor -> the service's name */
    /* Guards @subscribed, the service's name -> Lane.  Before a lane's. */
    GMutex lock;
    GHashTable *subscribed;
};

struct Lane {
    int refs; /* the opener's, and that of the handler of events */
    Lanes *lanes;
    char *name;         /* as the user says it */
    const char *remote; /* as the service says it; NULL: not the service's */
    /*
     * Held while an event function runs, so that none does once the lane is
     * closed.  Guards these two.
     */
    GMutex lock;
    LaneEventFn *event_fn; /* NULL after it was told of the loss, too */
    void *event_data;
    /* A connection of its own, when the service has none. */
    YcDomain *dom;
    GError *down; /* why it is none, or NULL */
    guint handler;
};

static void lane_unref(void *opaque)
{
    Lane *lane = opaque;

    if (g_atomic_int_dec_and_test(&lane->refs)) {
        g_mutex_clear(&lane->lock);
        g_clear_error(&lane->down);
        g_free(lane->name);
        g_free(lane);
    }
}

/* Takes @event; NULL: the connection is lost, which is told once. */
static void deliver(Lane *lane, json_object *event)
{
    g_mutex_lock(&lane->lock);
    if (lane->event_fn) {
        lane->event_fn(lane, event, lane->event_data);
    } else {
        json_object_put(event);
    }
    if (!event) {
        lane->event_fn = NULL;
    }
    g_mutex_unlock(&lane->lock);
}

/* @domain NULL: the service is gone, and all are lost. */
static void note_event(const char *domain, json_object *event, void *opaque)
{
    Lanes *lanes = opaque;
    GHashTableIter iter;
    void *name, *lane;

    g_mutex_lock(&lanes->lock);
    g_hash_table_iter_init(&iter, lanes->subscribed);
    while (g_hash_table_iter_next(&iter, &name, &lane)) {
        if (!domain || g_str_equal(domain, name)) {
            deliver(lane, json_object_get(event));
        }
    }
    g_mutex_unlock(&lanes->lock);
    json_object_put(event);
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
        g_hash_table_replace(lanes->watched, g_strdup(monitor), g_strdup(name));
        if (add && !domains_lookup(lanes->domains, name, NULL)) {
            g_ptr_array_add(lanes->domains,
                            domain_spec_new(name, monitor, "the service"));
        }
    }
    return true;
}

static bool find_service(Lanes *lanes, GError **errp)
{
    GError *err = NULL;

    if (lanes->options->no_control) {
        return true;
    }
    lanes->control = control_client_new(lanes->options, &err);
    if (!lanes->control) {
        if (err) {
            g_propagate_error(errp, err);
            return false;
        }
        return true;
    }
    control_client_set_event_fn(lanes->control, note_event, lanes);
    return ask_service(lanes, errp);
}

Lanes *lanes_new(const Options *options, GError **errp)
{
    g_autoptr(Lanes) lanes = g_new0(Lanes, 1);

    g_mutex_init(&lanes->lock);
    lanes->options = options;
    lanes->watched =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    lanes->subscribed = g_hash_table_new(g_str_hash, g_str_equal);
    lanes->domains = domains_find(options, errp);
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

    lane->refs = 1;
    g_mutex_init(&lane->lock);
    lane->lanes = lanes;
    lane->name = g_strdup(spec->name);
    lane->remote = g_hash_table_lookup(lanes->watched, spec->monitor);
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

void lane_unsubscribe(Lane *lane)
{
    if (lane->remote) {
        g_mutex_lock(&lane->lanes->lock);
        g_hash_table_remove(lane->lanes->subscribed, lane->remote);
        g_mutex_unlock(&lane->lanes->lock);
    }
    g_mutex_lock(&lane->lock);
    lane->event_fn = NULL;
    g_mutex_unlock(&lane->lock);
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

json_object *lane_execute(Lane *lane, bool oob, const char *command,
                          json_object *arguments, int timeout_ms, GError **errp)
{
    g_autoptr(json_object) request = json_object_new_object();

    json_set_string(request, "op", oob ? "oob" : "execute");
    json_set_string(request, "command", command);
    json_set(request, "arguments", json_object_get(arguments));
    if (timeout_ms > 0) {
        json_set_int(request, "timeout-ms", timeout_ms);
    }
    return lane_call(lane, request, errp);
}

static void own_event(YcDomain *dom, const char *name, json_object *event,
                      void *opaque)
{
    json_object *copy = NULL;

    /* The library keeps its own to itself. */
    if (json_object_deep_copy(event, &copy, NULL) == 0) {
        deliver(opaque, copy);
    }
}

static void own_state(YcDomain *dom, bool alive, const GError *why,
                      void *opaque)
{
    if (!alive) {
        deliver(opaque, NULL);
    }
}

static void subscribe_own(Lane *lane)
{
    g_auto(YcDomainStatus) status = {0};

    g_atomic_int_inc(&lane->refs);
    lane->handler = yc_domain_add_handler(lane->dom, own_event, own_state, lane,
                                          lane_unref);
    /* It may have been lost before anybody was there to be told. */
    yc_domain_get_status(lane->dom, &status);
    if (!status.alive) {
        deliver(lane, NULL);
    }
}

static bool subscribe_remote(Lane *lane, GError **errp)
{
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) reply = NULL;

    g_mutex_lock(&lane->lanes->lock);
    g_hash_table_replace(lane->lanes->subscribed, (char *)lane->remote, lane);
    g_mutex_unlock(&lane->lanes->lock);
    json_set_string(request, "op", "subscribe");
    reply = lane_call(lane, request, errp);
    return reply != NULL;
}

bool lane_subscribe(Lane *lane, LaneEventFn *fn, void *data, GError **errp)
{
    if (lane->down) {
        g_propagate_error(errp, g_error_copy(lane->down));
        return false;
    }
    g_mutex_lock(&lane->lock);
    lane->event_fn = fn;
    lane->event_data = data;
    g_mutex_unlock(&lane->lock);
    if (lane->remote) {
        return subscribe_remote(lane, errp);
    }
    subscribe_own(lane);
    return true;
}
