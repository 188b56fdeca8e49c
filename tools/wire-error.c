/*
 * Errors on the control socket: codes of all libraries by name.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/domain.h"
#include "exit-code.h"
#include "json.h"
#include "wire-error.h"

typedef GQuark QuarkFn(void);

static const struct {
    QuarkFn *quark;
    int code;
    const char *name;
} codes[] = {
    {yc_error_quark, YC_ERROR_INVALID, "invalid"},
    {yc_error_quark, YC_ERROR_CONNECT, "connect"},
    {yc_error_quark, YC_ERROR_NO_GREETING, "no-greeting"},
    {yc_error_quark, YC_ERROR_NO_NEGOTIATION, "no-negotiation"},
    {yc_error_quark, YC_ERROR_PROTOCOL, "protocol"},
    {yc_error_quark, YC_ERROR_CLOSED, "closed"},
    {yc_error_quark, YC_ERROR_TIMEOUT, "timeout"},
    {yc_error_quark, YC_ERROR_NO_OOB, "no-oob"},
    {yc_error_quark, YC_ERROR_QMP_GENERIC, "answer"},
    {yc_error_quark, YC_ERROR_QMP_COMMAND_NOT_FOUND, "command-not-found"},
    {yc_error_quark, YC_ERROR_QMP_DEVICE_NOT_ACTIVE, "device-not-active"},
    {yc_error_quark, YC_ERROR_QMP_DEVICE_NOT_FOUND, "device-not-found"},
    {yc_error_quark, YC_ERROR_QMP_KVM_MISSING_CAP, "kvm-missing-cap"},
    {yc_domain_error_quark, YC_DOMAIN_ERROR_BUSY, "busy"},
    {yc_domain_error_quark, YC_DOMAIN_ERROR_QUEUE_FULL, "queue-full"},
    {yc_domain_error_quark, YC_DOMAIN_ERROR_GONE, "gone"},
    {yc_domain_error_quark, YC_DOMAIN_ERROR_MISUSE, "misuse"},
    {yc_domain_error_quark, YC_DOMAIN_ERROR_EXISTS, "exists"},
    {yc_domain_error_quark, YC_DOMAIN_ERROR_NOT_FOUND, "no-domain"},
    {yc_domain_error_quark, YC_DOMAIN_ERROR_REFUSED, "refused"},
    {yc_domain_error_quark, YC_DOMAIN_ERROR_UNSUPPORTED, "unsupported"},
    {exit_error_quark, EXIT_USAGE, "usage"},
    {exit_error_quark, EXIT_NOT_FOUND, "not-found"},
    {exit_error_quark, EXIT_UNREACHABLE, "unreachable"},
    {exit_error_quark, EXIT_TIMEOUT, "no-answer"},
    {exit_error_quark, EXIT_STUCK, "stuck"},
    {exit_error_quark, EXIT_NO_LANE, "no-lane"},
    {exit_error_quark, EXIT_REFUSED, "harmful"},
    {exit_error_quark, EXIT_FAILED, "failed"},
};

static const char *code_name(const GError *err)
{
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (g_error_matches(err, codes[i].quark(), codes[i].code)) {
            return codes[i].name;
        }
    }
    return exit_code_of(err) == EXIT_USAGE ? "usage" : "failed";
}

json_object *wire_error_to_json(const GError *err)
{
    json_object *error = json_object_new_object();

    json_set_string(error, "code", code_name(err));
    json_set_string(error, "class", yc_error_class(err));
    json_set_string(error, "desc", err->message);
    return error;
}

GError *wire_error_from_json(json_object *error)
{
    const char *name = json_get_string(error, "code");
    const char *desc = json_get_string(error, "desc");

    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (g_strcmp0(name, codes[i].name) == 0) {
            return g_error_new(codes[i].quark(), codes[i].code, "%s",
                               desc ? desc : name);
        }
    }
    return g_error_new(EXIT_ERROR, EXIT_FAILED, "%s",
                       desc ? desc : "an error without a description");
}
