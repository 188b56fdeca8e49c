/*
 * Arguments of commands and events between JSON and C.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qmp-event.h"
#include "qapi/qmp-marshal.h"

static bool visit_args(Visitor *v, QmpVisitArgs *visit, void *c_args,
                       Error **errp)
{
    bool ok;

    if (!visit_start_struct(v, NULL, NULL, 0, errp)) {
        return false;
    }
    ok = (!visit || visit(v, c_args, errp)) && visit_check_struct(v, errp);
    visit_end_struct(v, NULL);
    return ok;
}

bool qmp_args_take(json_object *args, QmpVisitArgs *visit, void *c_args,
                   Error **errp)
{
    json_object *object =
        args ? json_object_get(args) : json_object_new_object();
    Visitor *v = NULL;
    bool ok = false;

    if (!json_object_is_type(object, json_type_object)) {
        error_setg(errp, "QMP input member 'arguments' must be an object");
    } else {
        v = qobject_input_visitor_new(object);
        ok = visit_args(v, visit, c_args, errp);
    }
    if (!ok) {
        qmp_args_free(visit, c_args);
    }
    visit_free(v);
    json_object_put(object);
    return ok;
}

void qmp_args_free(QmpVisitArgs *visit, void *c_args)
{
    Visitor *v = qapi_dealloc_visitor_new();

    if (visit) {
        visit(v, c_args, NULL);
    }
    visit_free(v);
}

void qmp_event_send(const char *name, QmpVisitArgs *visit, const void *c_args)
{
    g_autoptr(GString) data = NULL;
    g_autoptr(Visitor) v = NULL;
    Error *err = NULL;

    if (!visit) {
        qmp_event_emit(name, NULL);
        return;
    }
    data = g_string_sized_new(256);
    v = json_output_visitor_new(data);
    if (visit_args(v, visit, (void *)c_args, &err)) {
        qmp_event_emit(name, data->str);
    } else {
        g_warning("event %s is lost: %s", name, error_get_pretty(err));
        error_free(err);
    }
}
