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

static const struct {
    const char *name;
    OpFn *fn;
    bool without_connection;
} ops[] = {
    {"status", op_status, true}, {"instances", op_instances, false},
    {"ping", op_ping, false},    {"execute", op_execute, false},
    {"oob", op_oob, false},      {"yank", op_yank, false},
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
        if (target->down && !ops[i].without_connection) {
            g_propagate_error(errp, g_error_copy(target->down));
            return NULL;
        }
        return run(ops[i].fn, target, request, timeout_ms, errp);
    }
    g_set_error(errp, EXIT_ERROR, EXIT_USAGE, "there is no operation '%s'",
                name ? name : "");
    return NULL;
}
