/*
 * yankctl migrate: starts a migration, shows how it goes, and ends it when it
 * is told to or when the peer goes silent.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include <time.h>
#include "interrupt.h"
#include "json.h"
#include "lane.h"
#include "migration-progress.h"
#include "output.h"
#include "rescue.h"
#include "status.h"
#include "verb.h"

#define POLL_MS 250
/* Of a main loop that hangs there is no answer, and there may be much to do. */
#define LOOK_MS 1000
#define USUAL_COLUMNS 80
/* A yank, or a cancellation, that has not helped by then never will. */
#define END_SECONDS 30

static double yank_after;

static const GOptionEntry entries[] = {
    {"yank-after", 0, 0, G_OPTION_ARG_DOUBLE, &yank_after,
     "Yank the migration once nothing has moved for so long", "SECONDS"},
    {NULL},
};

typedef struct Migration {
    const Options *options;
    Lane *lane;
    bool yankd;
    sigset_t signals; /* those that cancel, blocked */
    MigrationProgress progress;
    gint64 moved;   /* when something did */
    int interrupts; /* how often the user has asked for the end */
    bool yanked;
    bool left;     /* the user does not wait for the end */
    gint64 ending; /* since when the end was asked for, or 0 */
    bool has_line; /* the line of the terminal is to be written over */
} Migration;

static void say(Migration *m, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void say(Migration *m, const char *format, ...)
{
    g_autofree char *text = NULL, *safe = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    safe = output_safe(text);
    if (m->has_line) {
        puts("");
        m->has_line = false;
    }
    g_printerr("yankctl: %s\n", safe);
}

static int columns(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0
               ? size.ws_col
               : USUAL_COLUMNS;
}

static void show(Migration *m)
{
    /* In the last column some terminals begin a new line. */
    g_autofree char *text =
        migration_progress_text(&m->progress, columns() - 1);

    if (m->options->json) {
        g_autoptr(json_object) line = migration_progress_to_json(&m->progress);

        output_json(line, false);
    } else if (isatty(STDOUT_FILENO)) {
        printf("\r\033[K");
        output_text(migration_progress_is_still(&m->progress) ? COLOUR_WARN
                                                              : COLOUR_NONE,
                    text);
        fflush(stdout);
        m->has_line = true;
    }
}

/* What the migration does now.  No answer is no progress, and no error. */
static void look(Migration *m)
{
    g_autoptr(json_object) info =
        lane_execute(m->lane, m->yankd, "query-migrate", NULL,
                     MIN(LOOK_MS, m->options->timeout_ms), NULL);
    MigrationProgress now = {0};

    if (info) {
        migration_progress_read(&now, info);
        if (migration_progress_moved(&m->progress, &now)) {
            m->moved = g_get_monotonic_time();
        }
        migration_progress_clear(&m->progress);
        m->progress = now;
    }
    m->progress.unanswered = !info;
    m->progress.still_ms = (g_get_monotonic_time() - m->moved) / 1000;
    if (m->progress.status) {
        show(m);
    }
}

static void yank(Migration *m)
{
    g_autoptr(json_object) names = json_object_new_array();
    g_autoptr(json_object) yanked = NULL;
    g_autoptr(GError) err = NULL;

    json_object_array_add(names, json_object_new_string("migration"));
    yanked = rescue_yank(m->lane, names, false, &err);
    if (yanked) {
        say(m, "yanked the migration");
    } else {
        say(m, "the yank failed: %s", err->message);
    }
    m->yanked = true;
    m->ending = g_get_monotonic_time();
}

/* Out-of-band where that is possible: stock's main loop may hang. */
static void cancel(Migration *m)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(json_object) result = NULL;

    say(m, "cancelling; once more yanks");
    result =
        m->yankd
            ? lane_execute(m->lane, true, "migrate_cancel", NULL, 0, &err)
            : lane_execute_forced(m->lane, "migrate_cancel", NULL, 0, &err);
    if (!result) {
        say(m, "migrate_cancel: %s", err->message);
    }
    m->ending = g_get_monotonic_time();
}

static void interrupt(Migration *m)
{
    m->interrupts++;
    if (m->interrupts == 1) {
        cancel(m);
    } else if (!m->yanked) {
        yank(m);
        say(m, "once more leaves it as it is");
    } else {
        m->left = true;
    }
}

static void pause_or_interrupt(Migration *m)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};

    if (sigtimedwait(&m->signals, NULL, &pause) > 0) {
        interrupt(m);
    }
}

static double seconds_since(gint64 then)
{
    return (g_get_monotonic_time() - then) / 1e6;
}

/* True when it has ended, or does not do so though it was told to. */
static bool is_over(Migration *m)
{
    if (migration_progress_ended(&m->progress)) {
        return true;
    }
    if (m->left || (m->ending && seconds_since(m->ending) > END_SECONDS)) {
        return true;
    }
    if (yank_after > 0 && !m->yanked && seconds_since(m->moved) > yank_after) {
        say(m, "nothing has moved for %g s", yank_after);
        yank(m);
    }
    return false;
}

/* What is asked of a main loop that hangs, starts whenever that ends. */
static bool check_answers(json_object *status, GError **errp)
{
    State state = status_state(status);
    g_autofree char *text = status_text(status);

    if (state_answers(state)) {
        return true;
    }
    g_set_error(errp, EXIT_ERROR, state_exit_code(state),
                "domain '%s' is not migrated: %s",
                json_get_string(status, "name"), text);
    return false;
}

static bool ask_server(Migration *m, GError **errp)
{
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) status = NULL;

    json_set_string(request, "op", "status");
    status = lane_call(m->lane, request, errp);
    if (!status) {
        return false;
    }
    m->yankd = json_get_bool(status, "yankd", false);
    return check_answers(status, errp);
}

static bool start(Migration *m, const char *uri, GError **errp)
{
    g_autoptr(json_object) arguments = json_object_new_object();
    g_autoptr(json_object) result = NULL;

    json_set_string(arguments, "uri", uri);
    result = lane_execute(m->lane, false, "migrate", arguments, 0, errp);
    m->moved = g_get_monotonic_time();
    return result != NULL;
}

static ExitCode tell_end(Migration *m, GError **errp)
{
    g_autofree char *moved = output_bytes(m->progress.transferred);
    g_autofree char *time = output_duration_ms(m->progress.total_ms);
    g_autofree char *downtime = output_duration_ms(m->progress.downtime_ms);
    const char *status = m->progress.status;

    if (m->has_line) {
        putchar('\n');
    }
    if (migration_progress_completed(&m->progress)) {
        if (!m->options->json) {
            printf("completed in %s, downtime %s, %s moved\n", time, downtime,
                   moved);
        }
        return EXIT_OK;
    }
    if (migration_progress_ended(&m->progress)) {
        g_set_error(errp, EXIT_ERROR, EXIT_FAILED, "the migration is %s%s%s",
                    status, m->progress.error ? ": " : "",
                    m->progress.error ? m->progress.error : "");
    } else {
        g_set_error(errp, EXIT_ERROR, EXIT_STUCK,
                    "the migration is still %s, though it was told to end",
                    status ? status : "in no known state");
    }
    return EXIT_FAILED;
}

static ExitCode migrate(Migration *m, const char *uri, GError **errp)
{
    if (!ask_server(m, errp) || !start(m, uri, errp)) {
        return EXIT_FAILED;
    }
    do {
        pause_or_interrupt(m);
        look(m);
    } while (!is_over(m));
    return tell_end(m, errp);
}

static ExitCode run(const Options *options, char **arguments, GError **errp)
{
    static const int signals[] = {SIGINT, SIGTERM, 0};
    g_autoptr(Lanes) lanes = NULL;
    g_autoptr(Lane) lane = NULL;
    Migration m = {.options = options, .signals = interrupt_begin(signals)};
    ExitCode code;

    if (!options_check_seconds("--yank-after", yank_after, errp) ||
        !(lanes = lanes_new(options, errp)) ||
        !(lane = lane_open_name(lanes, arguments[0], errp))) {
        return EXIT_FAILED;
    }
    interrupt_ready();
    m.lane = lane;
    code = migrate(&m, arguments[1], errp);
    migration_progress_clear(&m.progress);
    return code;
}

const Verb verb_migrate = {
    .name = "migrate",
    .arguments = "DOMAIN URI",
    .summary = "Migrate a domain, and show how it goes; Ctrl-C cancels",
    .options = entries,
    .min_arguments = 2,
    .max_arguments = 2,
    .run = run,
};
