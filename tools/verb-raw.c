/*
 * yankctl raw: one request, from the command line or standard input.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/error.h"
#include "json.h"
#include "lane.h"
#include "output.h"
#include "qmp-text.h"
#include "verb.h"

#define MAX_REQUEST (64 * MiB)

static gboolean oob, force;

static const GOptionEntry entries[] = {
    {"oob", 'o', 0, G_OPTION_ARG_NONE, &oob,
     "Out-of-band: at once, whatever the main loop does", NULL},
    {"force", 'f', 0, G_OPTION_ARG_NONE, &force,
     "Send it also when the main loop hangs, to be carried out later", NULL},
    {NULL},
};

static char *read_input(GError **errp)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char buffer[4096];
    size_t n;

    while ((n = fread(buffer, 1, sizeof(buffer), stdin)) > 0) {
        g_string_append_len(text, buffer, n);
        if (text->len > MAX_REQUEST) {
            g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                        "the request is too long: at most 64 MiB are allowed");
            return NULL;
        }
    }
    return g_strdup(text->str);
}

static QmpText *read_request(char **arguments, GError **errp)
{
    QmpText *request;

    if (!arguments[0] || g_str_equal(arguments[0], "-")) {
        g_autofree char *text = read_input(errp);

        request = text ? qmp_text_parse(text, errp) : NULL;
    } else {
        request = qmp_text_from_words(arguments, errp);
    }
    if (request && oob) {
        request->oob = true;
    }
    return request;
}

/* As QMP itself writes it. */
static void print_answer(json_object *result)
{
    g_autoptr(json_object) message = json_object_new_object();

    json_set(message, "return", json_object_get(result));
    output_json(message, true);
}

static void print_error_answer(const GError *err)
{
    g_autoptr(json_object) message = json_object_new_object();
    json_object *error = json_object_new_object();

    json_set_string(error, "class", yc_error_class(err));
    json_set_string(error, "desc", err->message);
    json_set(message, "error", error);
    output_json(message, true);
}

static ExitCode run(const Options *options, char **arguments, GError **errp)
{
    g_autoptr(QmpText) request = read_request(arguments + 1, errp);
    g_autoptr(Lanes) lanes = request ? lanes_new(options, errp) : NULL;
    g_autoptr(Lane) lane =
        lanes ? lane_open_name(lanes, arguments[0], errp) : NULL;
    g_autoptr(json_object) result = NULL;
    g_autoptr(GError) err = NULL;

    if (!lane) {
        return EXIT_FAILED;
    }
    result = force && !request->oob
                 ? lane_execute_forced(lane, request->command,
                                       request->arguments, 0, &err)
                 : lane_execute(lane, request->oob, request->command,
                                request->arguments, 0, &err);
    if (result) {
        print_answer(result);
        return EXIT_OK;
    }
    if (yc_error_is_answer(err)) {
        print_error_answer(err);
        return exit_code_of(err);
    }
    g_propagate_error(errp, g_steal_pointer(&err));
    return EXIT_FAILED;
}

const Verb verb_raw = {
    .name = "raw",
    .arguments = "DOMAIN [REQUEST|COMMAND [ARGUMENTS]]",
    .summary = "One QMP request, from the command line or standard input",
    .options = entries,
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run,
};
