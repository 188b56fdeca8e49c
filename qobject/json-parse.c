/*
 * One JSON value from a string.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/json.h"

typedef struct OneValue {
    json_object *value;
    Error *err;
    bool seen;
} OneValue;

/* The first error counts; a second value is one. */
static void take_one(json_object *value, Error *err, void *opaque)
{
    OneValue *one = opaque;

    if (!err && one->seen) {
        error_setg(&err, "Expecting at most one JSON value");
    }
    if (one->err || err) {
        json_object_put(value);
        value = NULL;
    }
    if (err) {
        g_clear_pointer(&one->value, json_object_put);
        error_propagate(&one->err, err);
    } else {
        one->value = value;
    }
    one->seen = true;
}

json_object *json_parse(const char *text, Error **errp)
{
    g_autoptr(JSONFramer) framer = NULL;
    OneValue one = {0};

    framer = json_framer_new(take_one, &one);
    json_framer_feed(framer, text, strlen(text));
    json_framer_flush(framer);
    if (!one.err && !one.value) {
        error_setg(&one.err, "Expecting a JSON value%s",
                   one.seen ? " other than null" : "");
    }
    error_propagate(errp, one.err);
    return one.value;
}
