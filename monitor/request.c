/*
 * One request: what a client may write, checked, and run.
 *
 * Members are checked in the order in which they were written, so that the
 * first thing that is wrong is the one reported, as stock QEMU does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"

/*
 * The monitor thread leaves longer requests to the bulk thread.  The limit is
 * low because a client may disconnect with a full queue, which may hold a
 * million JSON values.
 */
#define FREE_HERE_BYTES 256

/* Punctuation that comes with each value or member: ", " and ": " or so. */
#define SIZE_PER_VALUE 4

static size_t object_size(json_object *object);

/* About as many bytes as it took on the wire, whatever the layout there. */
static size_t value_size(json_object *value)
{
    size_t size = SIZE_PER_VALUE;

    switch (json_object_get_type(value)) {
    case json_type_string:
        return size + json_object_get_string_len(value);
    case json_type_object:
        return size + object_size(value);
    case json_type_array:
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            size += value_size(json_object_array_get_idx(value, i));
        }
        return size;
    default:
        return size;
    }
}

static size_t object_size(json_object *object)
{
    size_t size = 0;

    json_object_object_foreach(object, name, value)
    {
        size += strlen(name) + SIZE_PER_VALUE + value_size(value);
    }
    return size;
}

/* "control": {"run-oob": true}, the spelling of the first proposal. */
static bool check_control(MonRequest *req, json_object *control, Error **errp)
{
    if (json_object_get_type(control) != json_type_object) {
        error_setg(errp, "QMP input member 'control' must be an object");
        return false;
    }
    if (json_object_object_get_ex(req->doc, "exec-oob", NULL)) {
        error_setg(errp, "QMP input member 'control' clashes with 'exec-oob'");
        return false;
    }
    json_object_object_foreach(control, name, value)
    {
        if (strcmp(name, "run-oob")) {
            error_setg(errp, "QMP input member 'control.%s' is unexpected",
                       name);
            return false;
        }
        if (json_object_get_type(value) != json_type_boolean) {
            error_setg(errp,
                       "QMP input member 'control.run-oob' must be a boolean");
            return false;
        }
    }
    return true;
}

static bool check_command(MonRequest *req, const char *member,
                          json_object *value, Error **errp)
{
    if (req->name) {
        error_setg(errp, "QMP input member 'execute' clashes with 'exec-oob'");
        return false;
    }
    if (json_object_get_type(value) != json_type_string) {
        error_setg(errp, "QMP input member '%s' must be a string", member);
        return false;
    }
    req->name = json_object_get_string(value);
    return true;
}

static bool check_member(MonRequest *req, const char *name, json_object *value,
                         MonMode mode, Error **errp)
{
    bool oob_enabled = mode == MON_MODE_COMMAND_OOB;

    if (!strcmp(name, "execute") ||
        (oob_enabled && !strcmp(name, "exec-oob"))) {
        return check_command(req, name, value, errp);
    }
    if (!strcmp(name, "arguments")) {
        if (json_object_get_type(value) != json_type_object) {
            error_setg(errp, "QMP input member 'arguments' must be an object");
            return false;
        }
        req->args = value;
        return true;
    }
    if (!strcmp(name, "id")) {
        return true;
    }
    if (oob_enabled && !strcmp(name, "control")) {
        return check_control(req, value, errp);
    }
    error_setg(errp, "QMP input member '%s' is unexpected", name);
    return false;
}

static bool check_members(MonRequest *req, MonMode mode, Error **errp)
{
    json_object_object_foreach(req->doc, name, value)
    {
        if (!check_member(req, name, value, mode, errp)) {
            return false;
        }
    }
    if (!req->name) {
        error_setg(errp, "QMP input lacks member 'execute'");
        return false;
    }
    return true;
}

static bool find_command(MonRequest *req, MonMode mode, Error **errp)
{
    if (mode == MON_MODE_NEGOTIATION && strcmp(req->name, "qmp_capabilities")) {
        error_set(errp, ERROR_CLASS_COMMAND_NOT_FOUND,
                  "Expecting capabilities negotiation with "
                  "'qmp_capabilities'");
        return false;
    }
    req->cmd = qmp_find_command(req->name);
    if (!req->cmd) {
        error_set(errp, ERROR_CLASS_COMMAND_NOT_FOUND,
                  "The command %s has not been found", req->name);
        return false;
    }
    if (req->oob && !(req->cmd->options & QCO_ALLOW_OOB)) {
        error_setg(errp, "The command %s does not support OOB", req->name);
        return false;
    }
    return true;
}

/*
 * Whether it asks for out-of-band execution, even if it is wrong otherwise:
 * then the error comes out-of-band as well.
 */
static bool wants_oob(json_object *doc)
{
    json_object *control, *run_oob;

    if (json_object_object_get_ex(doc, "exec-oob", NULL)) {
        return !json_object_object_get_ex(doc, "execute", NULL);
    }
    return json_object_object_get_ex(doc, "control", &control) &&
           json_object_get_type(control) == json_type_object &&
           json_object_object_get_ex(control, "run-oob", &run_oob) &&
           json_object_get_boolean(run_oob);
}

static void parse(MonRequest *req, MonMode mode, Error **errp)
{
    if (json_object_get_type(req->doc) != json_type_object) {
        error_setg(errp, "QMP input must be a JSON object");
        return;
    }
    req->has_id = json_object_object_get_ex(req->doc, "id", &req->id);
    req->oob = mode == MON_MODE_COMMAND_OOB && wants_oob(req->doc);
    if (check_members(req, mode, errp)) {
        find_command(req, mode, errp);
    }
}

MonRequest *mon_request_new(json_object *doc, Error *err, MonMode mode)
{
    MonRequest *req = g_new0(MonRequest, 1);

    req->link.data = req;
    req->doc = doc;
    req->err = err;
    req->size = sizeof(*req) + value_size(doc);
    if (!err) {
        parse(req, mode, &req->err);
    }
    if (req->err) {
        req->cmd = NULL;
    }
    return req;
}

static void request_free(void *opaque)
{
    MonRequest *req = opaque;
    size_t size = req->size;

    json_object_put(req->doc);
    error_free(req->err);
    g_free(req);
    mon_bulk_freed(size);
}

void mon_request_free(MonRequest *req)
{
    if (!req) {
        return;
    }
    if (req->size > FREE_HERE_BYTES &&
        iothread_current() == monitor_iothread()) {
        iothread_post(mon_bulk_iothread(), request_free, req);
    } else {
        request_free(req);
    }
}

bool mon_request_is_quit(const MonRequest *req)
{
    return req->cmd && !strcmp(req->cmd->name, "quit") &&
           (!req->args || json_object_object_length(req->args) == 0);
}

GString *mon_request_run(MonRequest *req, bool pretty)
{
    GString *out = g_string_sized_new(256);

    if (!req->err) {
        mon_message_begin_return(out);
        req->cmd->fn(req->args, out, &req->err);
    }
    if (req->err) {
        g_string_truncate(out, 0);
        mon_message_error(out, req->err, req->has_id, req->id, pretty);
    } else {
        mon_message_end_return(out, req->has_id, req->id, pretty);
    }
    return out;
}
