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

/* The first error counts, and whatever follows a value is one. */
static void take_one(json_object *value, Error *err, void *opaque)
{
    OneValue *one = opaque;

    if (one->seen) {
        json_object_put(value);
        error_free(err);
        if (!one->err) {
            error_setg(&one->err, "Expecting at most one JSON value");
        }
        return;
    }
    one->seen = true;
    one->value = value;
    one->err = err;
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
    if (one.err) {
        g_clear_pointer(&one.value, json_object_put);
        error_propagate(errp, one.err);
    }
    return one.value;
}
