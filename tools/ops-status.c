/*
 * Operations: how a domain is, in pings, in words, and by its instances.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/job.h"
#include "client/ping.h"
#include "exit-code.h"
#include "json.h"
#include "ops-internal.h"
#include "status.h"
#include "wire-error.h"

/* One question, asked on a thread of its own, and what became of it. */
typedef struct Question {
    YcDomain *dom;
    YcPing ping;
    int timeout_ms;
    bool answered;
    gint64 us;
    GError *error;
} Question;

static void *ask(void *opaque)
{
    Question *question = opaque;

    question->answered =
        yc_domain_ping(question->dom, question->ping, question->timeout_ms,
                       &question->us, &question->error);
    return NULL;
}

static json_object *question_to_json(const Question *question)
{
    json_object *json = json_object_new_object();

    json_set_string(json, "lane", yc_ping_name(question->ping));
    json_set_bool(json, "answered", question->answered);
    json_set_ms(json, "ms", question->us);
    if (question->error) {
        json_set(json, "error", wire_error_to_json(question->error));
    }
    return json;
}

json_object *op_ping(const OpTarget *target, json_object *request,
                     int timeout_ms, GError **errp)
{
    const char *lane = json_get_string(request, "lane");
    Question question = {.dom = target->dom, .timeout_ms = timeout_ms};
    json_object *json;

    while (question.ping <= YC_PING_AGENT &&
           g_strcmp0(lane, yc_ping_name(question.ping)) != 0) {
        question.ping++;
    }
    if (question.ping > YC_PING_AGENT) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "'lane' is wrong: allowed are out-of-band, in-band and "
                    "agent");
        return NULL;
    }
    ask(&question);
    json = question_to_json(&question);
    g_clear_error(&question.error);
    return json;
}

/* All pings at the same time: the slowest one says how long it takes. */
static json_object *ask_all(YcDomain *dom, int timeout_ms)
{
    json_object *pings = json_object_new_array();
    Question questions[YC_PING_AGENT + 1] = {0};
    GThread *threads[YC_PING_AGENT + 1] = {0};
    int n = yc_domain_has_agent(dom) ? YC_PING_AGENT + 1 : YC_PING_AGENT;

    for (int i = 0; i < n; i++) {
        questions[i] =
            (Question){.dom = dom, .ping = i, .timeout_ms = timeout_ms};
        threads[i] = g_thread_new(yc_ping_name(i), ask, &questions[i]);
    }
    for (int i = 0; i < n; i++) {
        g_thread_join(threads[i]);
        json_object_array_add(pings, question_to_json(&questions[i]));
        g_clear_error(&questions[i].error);
    }
    return pings;
}

json_object *ops_ask_running(YcDomain *dom, int timeout_ms)
{
    g_autoptr(json_object) dispatch = NULL;
    json_object *sessions, *running = NULL;

    if (!yc_qmp_client_is_yankd(yc_domain_lane(dom)) ||
        !yc_domain_oob(dom, "query-dispatch", NULL, timeout_ms, &dispatch,
                       NULL)) {
        return NULL;
    }
    sessions = json_get_array(dispatch, "sessions");
    for (size_t i = 0, n = json_length(sessions); i < n && !running; i++) {
        running =
            json_get_object(json_object_array_get_idx(sessions, i), "running");
    }
    return json_object_get(running);
}

/* What this program itself has been waiting for in-band. */
static void add_job(YcDomain *dom, json_object *status)
{
    g_auto(YcJobInfo) info = {0};
    json_object *job;

    yc_domain_lock(dom);
    yc_domain_get_job_info(dom, YC_SLOT_NORMAL, &info);
    yc_domain_unlock(dom);
    /* A question, a ping too, waits for what hangs, and is not it. */
    if (!info.held || !info.command || ops_only_asks(info.command)) {
        return;
    }
    job = json_object_new_object();
    json_set_string(job, "command", info.command);
    json_set_int(job, "ms", info.command_ms);
    json_set(status, "job", job);
}

static void add_server(YcDomain *dom, json_object *status)
{
    YcQmpClient *lane = yc_domain_lane(dom);
    g_autofree char *package = yc_qmp_client_package(lane);
    int major, minor, micro;

    yc_qmp_client_version(lane, &major, &minor, &micro);
    if (yc_qmp_client_is_yankd(lane)) {
        json_set_string(status, "program", package);
    } else {
        g_autofree char *text =
            g_strdup_printf("qemu-%d.%d.%d", major, minor, micro);

        json_set_string(status, "program", text);
    }
    json_set_bool(status, "yankd", yc_qmp_client_is_yankd(lane));
    json_set_bool(status, "oob", yc_qmp_client_has_oob(lane));
    json_set_int(status, "pid", yc_qmp_client_peer_pid(lane));
}

/* Events tell of changes only; a main loop that answers tells it all. */
static void add_run_state(YcDomain *dom, json_object *status, int timeout_ms)
{
    g_auto(YcDomainStatus) known = {0};
    g_autoptr(json_object) result = NULL;

    yc_domain_get_status(dom, &known);
    json_set_string(status, "migration", known.migration);
    if (known.main_loop_stalled_ms >= 0) {
        json_set_int(status, "main-loop-stalled-ms",
                     known.main_loop_stalled_ms);
    }
    if (status_ping_answered(status, "in-band") &&
        !yc_qmp_client_is_yankd(yc_domain_lane(dom))) {
        result = ops_in_band(dom, "query-status", NULL, timeout_ms, NULL);
    }
    json_set_string(status, "run-state",
                    result ? json_get_string(result, "status")
                           : known.run_state);
}

static void add_live(YcDomain *dom, json_object *status, int timeout_ms)
{
    add_server(dom, status);
    add_job(dom, status);
    json_set(status, "pings", ask_all(dom, timeout_ms));
    add_run_state(dom, status, timeout_ms);
    if (!status_ping_answered(status, "out-of-band")) {
        return;
    }
    json_set(status, "running", ops_ask_running(dom, timeout_ms));
    json_set(status, "instances", ops_ask_instances(dom, timeout_ms, NULL));
}

json_object *op_status(const OpTarget *target, json_object *request,
                       int timeout_ms, GError **errp)
{
    json_object *status = json_object_new_object();

    json_set_string(status, "name", yc_domain_name(target->dom));
    json_set_string(status, "monitor",
                    yc_qmp_client_address(yc_domain_lane(target->dom)));
    json_set_bool(status, "watched", target->watched);
    if (target->down) {
        json_set(status, "error", wire_error_to_json(target->down));
    } else {
        add_live(target->dom, status, timeout_ms);
    }
    status_judge(status);
    return status;
}
