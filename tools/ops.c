/*
 * Operations on a domain: which there are, and what their requests must hold.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exit-code.h"
#include "json.h"
#include "ops-internal.h"
#include "ops.h"

#define DEFAULT_TIMEOUT_MS 3000
#define MAX_TIMEOUT_MS (3600 * 1000)

typedef enum Need {
    NEED_NOTHING,
    NEED_LANE, /* also while the monitor is gone */
    NEED_MONITOR,
} Need;

static const struct {
    const char *name;
    OpFn *fn;
    Need need;
} ops[] = {
    {"status", op_status, NEED_NOTHING}, {"instances", op_instances, NEED_LANE},
    {"ping", op_ping, NEED_LANE},        {"execute", op_execute, NEED_MONITOR},
    {"oob", op_oob, NEED_LANE},          {"yank", op_yank, NEED_LANE},
    {"facts", op_facts, NEED_LANE},
};

bool ops_has(const char *op)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        if (g_str_equal(op, ops[i].name)) {
            return true;
        }
    }
    return false;
}

static bool read_timeout(json_object *request, int *timeout_ms, GError **errp)
{
    gint64 ms = json_get_int(request, "timeout-ms", DEFAULT_TIMEOUT_MS);

    if (ms < 1 || ms > MAX_TIMEOUT_MS) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "timeout-ms %" G_GINT64_FORMAT
                    " is out of range: allowed are 1 to %d",
                    ms, MAX_TIMEOUT_MS);
        return false;
    }
    *timeout_ms = ms;
    return true;
}

/* What is null to JSON is nothing that could be handed on. */
static json_object *run(OpFn *fn, const OpTarget *target, json_object *request,
                        int timeout_ms, GError **errp)
{
    GError *err = NULL;
    json_object *result = fn(target, request, timeout_ms, &err);

    if (err) {
        g_propagate_error(errp, err);
    } else if (!result) {
        g_set_error(errp, YC_ERROR, YC_ERROR_PROTOCOL,
                    "domain '%s': its server answered null",
                    yc_domain_name(target->dom));
    }
    return result;
}

/* False, with the reason, where there is no connection to do it by. */
static bool check_need(const OpTarget *target, Need need, GError **errp)
{
    if (!target->down || need == NEED_NOTHING ||
        (need == NEED_LANE &&
         yc_qmp_client_state(yc_domain_lane(target->dom)) == YC_QMP_READY)) {
        return true;
    }
    g_propagate_error(errp, g_error_copy(target->down));
    return false;
}

json_object *ops_run(const OpTarget *target, json_object *request,
                     GError **errp)
{
    const char *name = json_get_string(request, "op");
    int timeout_ms;

    if (!read_timeout(request, &timeout_ms, errp)) {
        return NULL;
    }
    for (size_t i = 0; name && i < G_N_ELEMENTS(ops); i++) {
        if (!g_str_equal(name, ops[i].name)) {
            continue;
        }
        return check_need(target, ops[i].need, errp)
                   ? run(ops[i].fn, target, request, timeout_ms, errp)
                   : NULL;
    }
    g_set_error(errp, EXIT_ERROR, EXIT_USAGE, "there is no operation '%s'",
                name ? name : "");
    return NULL;
}
