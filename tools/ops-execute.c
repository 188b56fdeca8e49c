/*
 * Operations: a QMP command, in-band under a job or out-of-band under none.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/job.h"
#include "client/ping.h"
#include "exit-code.h"
#include "json.h"
#include "ops-internal.h"

/* What a command has at least, when the main loop was slow to answer before. */
#define LAST_MS 500

/* Sets @command and @arguments (or NULL), which belong to @request. */
static bool read_command(json_object *request, const char **command,
                         json_object **arguments, GError **errp)
{
    json_object *given = json_get(request, "arguments");

    *command = json_get_string(request, "command");
    *arguments = json_get_object(request, "arguments");
    if (!*command || (given && !*arguments)) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    *command ? "'arguments' must be an object"
                             : "'command', a string, is missing");
        return false;
    }
    return true;
}

static json_object *yank_as_it_is(const OpTarget *target,
                                  json_object *arguments, int timeout_ms,
                                  GError **errp)
{
    g_auto(GStrv) names =
        ops_check_yank(target->dom, arguments, timeout_ms, errp);
    json_object *result = NULL;
    GError *err = NULL;

    if (!names) {
        return NULL;
    }
    ops_yank_begin(target, (const char *const *)names);
    yc_domain_oob(target->dom, "yank", arguments, timeout_ms, &result, &err);
    ops_yank_end(target, err);
    if (err) {
        g_propagate_error(errp, err);
        return NULL;
    }
    return result;
}

json_object *op_oob(const OpTarget *target, json_object *request,
                    int timeout_ms, GError **errp)
{
    json_object *arguments, *result = NULL;
    const char *command;

    if (!read_command(request, &command, &arguments, errp)) {
        return NULL;
    }
    if (g_str_equal(command, "yank")) {
        return yank_as_it_is(target, arguments, timeout_ms, errp);
    }
    return yc_domain_oob(target->dom, command, arguments, timeout_ms, &result,
                         errp)
               ? result
               : NULL;
}

/*
 * In-band a yank would wait for the very hang that it is to end, and then cut
 * what has become well.
 */
static bool may_run_in_band(const char *command, GError **errp)
{
    if (g_str_equal(command, "yank")) {
        g_set_error(errp, EXIT_ERROR, EXIT_REFUSED,
                    "a yank goes out-of-band or not at all: by yankctl yank, "
                    "raw --oob, or ! in the shell");
        return false;
    }
    return true;
}

bool ops_only_asks(const char *command)
{
    static const char *const prefixes[] = {"query-", "x-query-", "qom-list",
                                           "qom-get", "device-list-"};

    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        if (g_str_has_prefix(command, prefixes[i])) {
            return true;
        }
    }
    return false;
}

/*
 * Whether the main loop answers.  If it does not, @command would wait in its
 * queue, and be carried out whenever the main loop comes back, by when nobody
 * may want it any more.
 */
static bool check_answers(YcDomain *dom, const char *command, int timeout_ms,
                          GError **errp)
{
    g_autoptr(GError) err = NULL;
    gint64 us;

    if (yc_domain_ping(dom, YC_PING_IN_BAND, timeout_ms, &us, &err)) {
        return true;
    }
    if (g_error_matches(err, YC_ERROR, YC_ERROR_TIMEOUT)) {
        g_set_error(errp, EXIT_ERROR, EXIT_REFUSED,
                    "domain '%s': '%s' was not sent: the main loop has not "
                    "answered for %" G_GINT64_FORMAT
                    " ms, and would carry it out whenever it does again, "
                    "which only --force allows",
                    yc_domain_name(dom), command, us / 1000);
        return false;
    }
    g_propagate_prefixed_error(errp, g_steal_pointer(&err),
                               "'%s' was not sent: ", command);
    return false;
}

/* What it means that there is no answer to what was sent. */
static void tell_later(const char *command, GError *err)
{
    char *message;

    if (ops_only_asks(command) ||
        !g_error_matches(err, YC_ERROR, YC_ERROR_TIMEOUT)) {
        return;
    }
    message = g_strconcat(err->message,
                          "; it may still be carried out later, when the main "
                          "loop answers again",
                          NULL);
    g_free(err->message);
    err->message = message;
}

/*
 * One command is all that the job does, so its answer counts even if the
 * domain is lost right behind it: that is how "quit" ends well.
 */
static json_object *run_alone(YcDomain *dom, const char *command,
                              json_object *arguments, int timeout_ms,
                              GError **errp)
{
    YcQmpClient *monitor = yc_domain_enter_monitor(dom, command, errp);
    json_object *result = NULL;
    GError *err = NULL;

    if (!monitor) {
        return NULL;
    }
    if (!yc_qmp_client_execute(monitor, YC_QMP_IN_BAND, command, arguments,
                               timeout_ms, &result, &err)) {
        result = NULL;
        tell_later(command, err);
        g_propagate_error(errp, err);
    }
    yc_domain_exit_monitor(dom, NULL);
    return result;
}

json_object *ops_in_band(YcDomain *dom, const char *command,
                         json_object *arguments, int timeout_ms, GError **errp)
{
    YcJob job =
        g_str_has_prefix(command, "query-") ? YC_JOB_QUERY : YC_JOB_MODIFY;
    json_object *result = NULL;

    yc_domain_lock(dom);
    if (yc_domain_begin_job(dom, job, command, timeout_ms, errp)) {
        result = run_alone(dom, command, arguments, timeout_ms, errp);
        yc_domain_end_job(dom, NULL);
    }
    yc_domain_unlock(dom);
    return result;
}

json_object *op_execute(const OpTarget *target, json_object *request,
                        int timeout_ms, GError **errp)
{
    gint64 start = g_get_monotonic_time();
    bool force = json_get_bool(request, "force", false);
    json_object *arguments;
    const char *command;
    gint64 took_ms;

    if (!read_command(request, &command, &arguments, errp) ||
        !may_run_in_band(command, errp) ||
        (!force && !ops_only_asks(command) &&
         !check_answers(target->dom, command, timeout_ms, errp))) {
        return NULL;
    }
    took_ms = (g_get_monotonic_time() - start) / 1000;
    return ops_in_band(target->dom, command, arguments,
                       MAX(timeout_ms - took_ms, MIN(timeout_ms, LAST_MS)),
                       errp);
}
