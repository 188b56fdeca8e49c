/*
 * yankctl events: what happens in domains, as it happens.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "json.h"
#include "lane.h"
#include "output.h"
#include "verb.h"
#include "wire-error.h"

static double seconds;

static const GOptionEntry entries[] = {
    {"for", 0, 0, G_OPTION_ARG_DOUBLE, &seconds,
     "End after so long (default: with the last connection)", "SECONDS"},
    {NULL},
};

/* What the events' threads and the main thread share. */
typedef struct Watch {
    bool json;
    /* Guards @n_connected and standard output; taken alone. */
    GMutex lock;
    GCond changed;
    int n_connected;
    bool failed; /* nobody reads what is printed */
} Watch;

static void print_time(json_object *event)
{
    json_object *stamp = json_get_object(event, "timestamp");
    gint64 us = json_get_int(stamp, "microseconds", 0);
    g_autoptr(GDateTime) time =
        g_date_time_new_from_unix_local(json_get_int(stamp, "seconds", 0));
    g_autofree char *text = time ? g_date_time_format(time, "%F %T") : NULL;

    printf("%s.%03d ", text ? text : "-", (int)(us / 1000 % 1000));
}

static void print_event(const char *domain, json_object *event)
{
    const char *name = json_get_string(event, "event");
    json_object *data = json_get(event, "data");

    print_time(event);
    output_text(COLOUR_DIM, domain);
    putchar(' ');
    output_text(COLOUR_WARN, name ? name : "?");
    if (data) {
        putchar(' ');
        output_text(COLOUR_NONE, json_object_to_json_string_ext(
                                     data, JSON_C_TO_STRING_PLAIN |
                                               JSON_C_TO_STRING_NOSLASHESCAPE));
    }
    putchar('\n');
}

static void print_json(const char *domain, json_object *event)
{
    g_autoptr(json_object) line = json_object_new_object();

    json_set_string(line, "domain", domain);
    json_set(line, "event", json_object_get(event));
    output_json(line, false);
}

/* The end of a domain's events, for those who read JSON, too. */
static void print_lost(const char *domain, bool as_json)
{
    g_autoptr(GError) err = g_error_new(
        EXIT_ERROR, EXIT_UNREACHABLE, "the connection to '%s' is lost", domain);
    g_autofree char *safe = output_safe(err->message);

    g_printerr("yankctl: %s\n", safe);
    if (as_json) {
        g_autoptr(json_object) line = json_object_new_object();

        json_set_string(line, "domain", domain);
        json_set(line, "error", wire_error_to_json(err));
        output_json(line, false);
    }
}

static void take(Lane *lane, json_object *event, void *opaque)
{
    Watch *watch = opaque;

    g_mutex_lock(&watch->lock);
    if (!event) {
        print_lost(lane_domain(lane), watch->json);
        watch->n_connected--;
    } else if (watch->json) {
        print_json(lane_domain(lane), event);
    } else {
        print_event(lane_domain(lane), event);
    }
    if (fflush(stdout) != 0) {
        watch->failed = true;
    }
    g_cond_signal(&watch->changed);
    g_mutex_unlock(&watch->lock);
    json_object_put(event);
}

/* Whether @name stands in @names before. */
static bool is_among(char **names, char **name)
{
    for (; names < name; names++) {
        if (g_str_equal(*names, *name)) {
            return true;
        }
    }
    return false;
}

static GPtrArray *open_all(Lanes *lanes, char **names, Watch *watch,
                           GError **errp)
{
    g_autoptr(GPtrArray) all =
        g_ptr_array_new_with_free_func((GDestroyNotify)lane_close);

    for (char **name = names; *name; name++) {
        Lane *lane = NULL;

        /* One connection is enough, and a stock server has no more. */
        if (is_among(names, name)) {
            continue;
        }
        lane = lane_open_name(lanes, *name, errp);
        if (!lane) {
            return NULL;
        }
        g_ptr_array_add(all, lane);
        g_mutex_lock(&watch->lock);
        watch->n_connected++;
        g_mutex_unlock(&watch->lock);
        if (!lane_subscribe(lane, take, watch, errp)) {
            return NULL;
        }
    }
    return g_steal_pointer(&all);
}

/* Until the time is over (true), nobody reads (true), or none is left. */
static bool wait_end(Watch *watch)
{
    gint64 end = g_get_monotonic_time() + seconds * 1e6;
    bool in_time = true;

    g_mutex_lock(&watch->lock);
    while (watch->n_connected > 0 && in_time && !watch->failed) {
        if (seconds > 0) {
            in_time = g_cond_wait_until(&watch->changed, &watch->lock, end);
        } else {
            g_cond_wait(&watch->changed, &watch->lock);
        }
    }
    in_time = in_time && !watch->failed;
    g_mutex_unlock(&watch->lock);
    return !in_time;
}

static ExitCode run(const Options *options, char **arguments, GError **errp)
{
    Watch watch = {.json = options->json};
    g_autoptr(Lanes) lanes = NULL;
    g_autoptr(GPtrArray) all = NULL;

    if (!options_check_seconds("--for", seconds, errp) ||
        !(lanes = lanes_new(options, errp)) ||
        !(all = open_all(lanes, arguments, &watch, errp))) {
        return EXIT_FAILED;
    }
    return wait_end(&watch) ? EXIT_OK : EXIT_UNREACHABLE;
}

const Verb verb_events = {
    .name = "events",
    .arguments = "DOMAIN...",
    .summary = "The events of domains, as they come",
    .options = entries,
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run,
};
