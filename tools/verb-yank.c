/*
 * yankctl yank: cuts instances of a domain, and sees whether that helped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "json.h"
#include "output.h"
#include "repair.h"
#include "rescue.h"
#include "verb.h"
#include "wire-error.h"

static gboolean stalled, all, dry_run, force, repair;

static const GOptionEntry entries[] = {
    {"stalled", 0, 0, G_OPTION_ARG_NONE, &stalled,
     "Those that the server says are stalled (yankd)", NULL},
    {"all", 'a', 0, G_OPTION_ARG_NONE, &all,
     "All but character devices that carry a monitor", NULL},
    {"dry-run", 'n', 0, G_OPTION_ARG_NONE, &dry_run,
     "Only say what would be done", NULL},
    {"force", 'f', 0, G_OPTION_ARG_NONE, &force,
     "Also what carries a monitor, when it is named; repair in spite of risks",
     NULL},
    {"repair", 'r', 0, G_OPTION_ARG_NONE, &repair,
     "Afterwards bring the disks back", NULL},
    {NULL},
};

static bool check_options(char **instances, GError **errp)
{
    if ((instances[0] != NULL) + (stalled != 0) + (all != 0) == 1) {
        return true;
    }
    g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                "which instances? give names, or --stalled, or --all, and one "
                "of these only");
    return false;
}

static json_object *choose(Lane *lane, char **instances, GError **errp)
{
    g_autoptr(json_object) names = NULL;

    if (!instances[0]) {
        return rescue_choose(lane, all ? RESCUE_ALL : RESCUE_STALLED, errp);
    }
    names = rescue_names(instances, errp);
    if (!names || (dry_run && !rescue_check(lane, names, force, errp))) {
        return NULL;
    }
    return g_steal_pointer(&names);
}

/* Notes @err, which it takes, as what hinders the repair. */
static ExitCode note_error(json_object *report, GError *err)
{
    ExitCode code = exit_code_of(err);

    json_set(report, "repair-error", wire_error_to_json(err));
    g_error_free(err);
    return code;
}

/* The plan of a repair; what hinders it is no reason not to yank. */
static ExitCode add_plan(Lane *lane, json_object *names, json_object *report)
{
    GError *err = NULL;
    unsigned flags =
        (force ? REPAIR_FORCE : 0) | (dry_run ? REPAIR_RECORDED : 0);
    json_object *steps = repair_plan(lane, names, flags, &err);

    json_set(report, "repair", steps);
    return steps ? EXIT_OK : note_error(report, err);
}

/* With the exit code that the repair would have, as far as can be told. */
static ExitCode show_plan(Lane *lane, json_object *names, json_object *report)
{
    ExitCode code = add_plan(lane, names, report);
    GError *err = NULL;

    if (code == EXIT_OK &&
        !repair_check(lane, json_get(report, "repair"), &err)) {
        code = note_error(report, err);
    }
    return code;
}

static ExitCode run_repair(Lane *lane, json_object *names, json_object *report)
{
    ExitCode code = add_plan(lane, names, report);
    GError *err = NULL;

    if (code == EXIT_OK &&
        !repair_run(lane, json_get(report, "repair"), force, &err)) {
        code = note_error(report, err);
    }
    return code;
}

static ExitCode verify(Lane *lane, json_object *report)
{
    g_autoptr(GError) err = NULL;
    gint64 us;
    bool ok = rescue_verify(lane, &us, &err);

    json_set_bool(report, "recovered", ok);
    json_set_ms(report, "recovered-ms", us);
    if (!ok) {
        json_set(report, "error", wire_error_to_json(err));
        return exit_code_of(err);
    }
    return EXIT_OK;
}

/* The yank; when it fails for a name, the error says all there is to it. */
static json_object *yank(Lane *lane, json_object *names, GError **errp)
{
    g_autoptr(GError) err = NULL;
    json_object *yanked = rescue_yank(lane, names, force, &err);
    ExitCode code = yanked ? EXIT_OK : exit_code_of(err);
    bool for_name = code == EXIT_NOT_FOUND || code == EXIT_REFUSED;

    if (!yanked && (!for_name || rescue_check(lane, names, force, errp))) {
        g_propagate_error(errp, g_steal_pointer(&err));
    }
    return yanked;
}

static ExitCode do_yank(Lane *lane, json_object *names, json_object *report,
                        GError **errp)
{
    json_object *yanked = yank(lane, names, errp);
    ExitCode code;

    if (!yanked) {
        return EXIT_FAILED;
    }
    json_set(report, "yanked", yanked);
    code = verify(lane, report);
    if (code == EXIT_OK && repair) {
        code = run_repair(lane, names, report);
    }
    return code;
}

static void print_error(json_object *report, const char *key)
{
    const char *text = json_get_string(json_get(report, key), "desc");

    if (text) {
        output_text(COLOUR_BAD, text);
        putchar('\n');
    }
}

static void print_yanked(json_object *yanked)
{
    json_object *cut = json_get_array(yanked, "cut");

    fputs("yanked ", stdout);
    output_text(COLOUR_NONE, json_get_string(yanked, "name"));
    for (size_t i = 0, n = json_length(cut); i < n; i++) {
        fputs(i ? ", " : ": ", stdout);
        output_text(COLOUR_NONE,
                    json_object_get_string(json_object_array_get_idx(cut, i)));
    }
    if (cut && json_length(cut) == 0) {
        fputs(": there was nothing to cut", stdout);
    }
    putchar('\n');
}

static const char *step_head(json_object *step)
{
    if (dry_run) {
        return "would run ";
    }
    if (json_get(step, "error")) {
        return "failed: ";
    }
    if (!json_get(step, "done")) {
        return "not run: ";
    }
    return json_get_bool(step, "done", false) ? "done: " : "left out: ";
}

static void print_steps(json_object *steps)
{
    for (size_t i = 0, n = json_length(steps); i < n; i++) {
        json_object *step = json_object_array_get_idx(steps, i);
        g_autofree char *text = repair_step_text(step);

        fputs(step_head(step), stdout);
        output_text(COLOUR_NONE, text);
        putchar('\n');
    }
}

static void print_text(json_object *names, json_object *report)
{
    json_object *yanked = json_get_array(report, "yanked");
    json_object *ms = json_get(report, "recovered-ms");

    if (json_length(names) == 0) {
        puts("nothing to yank");
    }
    for (size_t i = 0, n = dry_run ? json_length(names) : 0; i < n; i++) {
        fputs("would yank ", stdout);
        output_text(COLOUR_NONE, json_object_get_string(
                                     json_object_array_get_idx(names, i)));
        putchar('\n');
    }
    for (size_t i = 0, n = json_length(yanked); i < n; i++) {
        print_yanked(json_object_array_get_idx(yanked, i));
    }
    print_error(report, "error");
    if (json_get_bool(report, "recovered", false)) {
        g_autofree char *time =
            output_duration(json_object_get_double(ms) * 1000);

        fputs("the main loop answers", stdout);
        printf(", after %s\n", time);
    }
    print_steps(json_get(report, "repair"));
    print_error(report, "repair-error");
}

static ExitCode run(const Options *options, char **arguments, GError **errp)
{
    g_autoptr(Lanes) lanes = NULL;
    g_autoptr(Lane) lane = NULL;
    g_autoptr(json_object) names = NULL;
    g_autoptr(json_object) report = json_object_new_object();
    ExitCode code = EXIT_OK;

    if (!check_options(arguments + 1, errp) ||
        !(lanes = lanes_new(options, errp)) ||
        !(lane = lane_open_name(lanes, arguments[0], errp)) ||
        !(names = choose(lane, arguments + 1, errp))) {
        return EXIT_FAILED;
    }
    json_set_string(report, "domain", arguments[0]);
    json_set(report, "instances", json_object_get(names));
    json_set_bool(report, "dry-run", dry_run);
    if (dry_run && repair) {
        code = show_plan(lane, names, report);
    } else if (!dry_run && json_length(names) > 0) {
        code = do_yank(lane, names, report, errp);
        if (!json_get(report, "yanked")) {
            return code;
        }
    }
    if (options->json) {
        output_json(report, true);
    } else {
        print_text(names, report);
    }
    return code;
}

const Verb verb_yank = {
    .name = "yank",
    .arguments = "DOMAIN INSTANCE...|--stalled|--all",
    .summary = "Cut the connections of instances, so that what waits goes on",
    .options = entries,
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run,
};
