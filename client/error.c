/*
 * Errors of the client library.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-internal.h"

static const struct {
    YcError code;
    const char *name;
} classes[] = {
    {YC_ERROR_QMP_GENERIC, "GenericError"},
    {YC_ERROR_QMP_COMMAND_NOT_FOUND, "CommandNotFound"},
    {YC_ERROR_QMP_DEVICE_NOT_ACTIVE, "DeviceNotActive"},
    {YC_ERROR_QMP_DEVICE_NOT_FOUND, "DeviceNotFound"},
    {YC_ERROR_QMP_KVM_MISSING_CAP, "KVMMissingCap"},
};

GQuark yc_error_quark(void)
{
    return g_quark_from_static_string("yc-error-quark");
}

const char *yc_error_class(const GError *err)
{
    for (size_t i = 0; err && i < G_N_ELEMENTS(classes); i++) {
        if (g_error_matches(err, YC_ERROR, classes[i].code)) {
            return classes[i].name;
        }
    }
    return NULL;
}

bool yc_error_is_answer(const GError *err)
{
    return yc_error_class(err) != NULL;
}

char *yc_printable(const char *text)
{
    GString *out = g_string_new(NULL);

    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);
        const char *next = text + 1;

        if (c < (gunichar)-2) {
            next = g_utf8_next_char(text);
        }
        if (c < (gunichar)-2 && !g_unichar_iscntrl(c)) {
            g_string_append_len(out, text, next - text);
        } else {
            for (; text < next; text++) {
                g_string_append_printf(out, "\\x%02x", (unsigned char)*text);
            }
        }
        text = next;
    }
    return g_string_free(out, FALSE);
}

void yc_error_take(GError **errp, YcError code, Error *err)
{
    g_set_error_literal(errp, YC_ERROR, code, error_get_pretty(err));
    error_free(err);
}

static YcError class_code(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(classes); i++) {
        if (g_str_equal(name, classes[i].name)) {
            return classes[i].code;
        }
    }
    return YC_ERROR_QMP_GENERIC;
}

GError *yc_error_from_answer(const char *peer, json_object *error)
{
    json_object *cls = yc_message_member(error, "class", json_type_string);
    json_object *desc = yc_message_member(error, "desc", json_type_string);
    g_autofree char *words = NULL;

    if (!cls || !desc) {
        g_autofree char *text = yc_message_excerpt(error);

        return g_error_new(YC_ERROR, YC_ERROR_PROTOCOL,
                           "%s: sent a malformed error: %s", peer, text);
    }
    words = yc_printable(json_object_get_string(desc));
    return g_error_new_literal(YC_ERROR,
                               class_code(json_object_get_string(cls)), words);
}
