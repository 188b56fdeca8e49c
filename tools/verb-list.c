/*
 * yankctl list: all domains, each with its state and its instances.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "json.h"
#include "lane.h"
#include "output.h"
#include "status.h"
#include "verb.h"
#include "wire-error.h"

static gboolean names;

static const GOptionEntry entries[] = {
    {"names", 0, 0, G_OPTION_ARG_NONE, &names,
     "Only the names, without asking the domains", NULL},
    {NULL},
};

/* One domain, asked on a thread of its own: a slow one delays nobody. */
typedef struct Row {
    Lanes *lanes;
    const DomainSpec *spec;
    GThread *thread;
    json_object *status;
} Row;

/* What there is to say of a domain that cannot even be asked. */
static json_object *failed_status(const DomainSpec *spec, const GError *err)
{
    json_object *status = json_object_new_object();

    json_set_string(status, "name", spec->name);
    json_set_string(status, "monitor", spec->monitor);
    json_set(status, "error", wire_error_to_json(err));
    status_judge(status);
    return status;
}

static void *ask(void *opaque)
{
    Row *row = opaque;
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(GError) err = NULL;
    g_autoptr(Lane) lane = lane_open(row->lanes, row->spec, &err);

    json_set_string(request, "op", "status");
    row->status = lane ? lane_call(lane, request, &err) : NULL;
    if (!row->status) {
        row->status = failed_status(row->spec, err);
    }
    return NULL;
}

static Row *ask_all(Lanes *lanes)
{
    GPtrArray *domains = lanes_domains(lanes);
    Row *rows = g_new0(Row, domains->len + 1);

    for (guint i = 0; i < domains->len; i++) {
        rows[i].lanes = lanes;
        rows[i].spec = domains->pdata[i];
        rows[i].thread = g_thread_new("ask", ask, &rows[i]);
    }
    for (guint i = 0; i < domains->len; i++) {
        g_thread_join(rows[i].thread);
    }
    return rows;
}

/* Of one that is stalled: for how long; and why it is as it is. */
static void append_trouble(GString *text, json_object *instance)
{
    bool stalled = json_get_bool(instance, "stalled", false);
    gint64 oldest_ms = json_get_int(instance, "oldest-ms", -1);
    const char *reason = json_get_string(instance, "reason");
    g_autofree char *oldest = output_duration_ms(MAX(oldest_ms, 0));

    if (stalled) {
        g_string_append_c(text, '!');
    }
    if (reason && oldest_ms >= 0) {
        g_string_append_printf(text, " (oldest request %s; %s)", oldest,
                               reason);
    } else if (reason) {
        g_string_append_printf(text, " (%s)", reason);
    } else if (stalled && oldest_ms >= 0) {
        g_string_append_printf(text, " (oldest request %s)", oldest);
    }
}

static char *instances_text(json_object *status)
{
    json_object *instances = json_get_array(status, "instances");
    GString *text = g_string_new(NULL);

    for (size_t i = 0, n = json_length(instances); i < n; i++) {
        json_object *instance = json_object_array_get_idx(instances, i);
        const char *name = json_get_string(instance, "name");

        g_string_append_printf(text, "%s%s", i ? " " : "", name ? name : "?");
        append_trouble(text, instance);
    }
    if (text->len == 0) {
        g_string_append_c(text, '-');
    }
    return g_string_free(text, FALSE);
}

static void print_table(const Row *rows)
{
    static const char *const headings[] = {"DOMAIN", "STATE", "INSTANCES",
                                           NULL};
    g_autoptr(Table) table = table_new(headings);

    for (const Row *row = rows; row->spec; row++) {
        table_add(table, COLOUR_NONE, g_strdup(row->spec->name));
        table_add(table, status_colour(row->status), status_text(row->status));
        table_add(table, COLOUR_NONE, instances_text(row->status));
    }
    table_print(table);
}

static void print_json(const Row *rows)
{
    g_autoptr(json_object) array = json_object_new_array();

    for (const Row *row = rows; row->spec; row++) {
        json_object_array_add(array, json_object_get(row->status));
    }
    output_json(array, true);
}

/* For those who want to know what there is, at once. */
static ExitCode print_names(Lanes *lanes, bool as_json)
{
    GPtrArray *domains = lanes_domains(lanes);
    g_autoptr(json_object) array = json_object_new_array();

    for (guint i = 0; i < domains->len; i++) {
        const DomainSpec *spec = domains->pdata[i];

        json_object_array_add(array, json_object_new_string(spec->name));
        if (!as_json) {
            output_text(COLOUR_NONE, spec->name);
            putchar('\n');
        }
    }
    if (as_json) {
        output_json(array, false);
    }
    return EXIT_OK;
}

/* Nothing named none: not what somebody wants who does not know how. */
static void tell_none(const Options *options)
{
    fflush(stdout);
    fputs(options->libvirt
              ? "yankctl: there are no domains; those of libvirt need a second "
                "monitor, see yankctl libvirt-snippet\n"
          : options_name_domains(options)
              ? "yankctl: there are no domains\n"
              : "yankctl: there are no domains: name some by --socket, --dir, "
                "--libvirt or a configuration file, or run yankctl watch\n",
          stderr);
}

static ExitCode run(const Options *options, char **arguments, GError **errp)
{
    g_autoptr(Lanes) lanes = lanes_new(options, errp);
    g_autofree Row *rows = NULL;

    if (!lanes) {
        return EXIT_FAILED;
    }
    if (names) {
        return print_names(lanes, options->json);
    }
    rows = ask_all(lanes);
    if (options->json) {
        print_json(rows);
    } else if (rows->spec) {
        print_table(rows);
    } else {
        tell_none(options);
    }
    for (Row *row = rows; row->spec; row++) {
        json_object_put(row->status);
    }
    return EXIT_OK;
}

const Verb verb_list = {
    .name = "list",
    .arguments = "",
    .summary = "All domains, each with its state and its instances",
    .options = entries,
    .run = run,
};
