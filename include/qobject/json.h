/*
 * JSON on the wire: framing of a byte stream into values, and writing.
 * The values themselves are json-c's (struct json_object).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOBJECT_JSON_H
#define QOBJECT_JSON_H

#include <json-c/json.h>
#include "qapi/error.h"

#define JSON_MAX_MESSAGE (64 * MiB)
#define JSON_MAX_NESTING 1024

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)

typedef struct JSONFramer JSONFramer;

/*
 * One complete value (@value, owned by the callee) or one error (@err, owned
 * by the callee; @value is NULL).  A JSON null arrives as value NULL with err
 * NULL.  Must not free the framer.
 */
typedef void JSONFramerFn(json_object *value, Error *err, void *opaque);

/* Any thread, one at a time. */
JSONFramer *json_framer_new(JSONFramerFn *fn, void *opaque);
void json_framer_free(JSONFramer *framer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JSONFramer, json_framer_free)

/* Takes the next @len bytes, split anywhere; calls fn for what they end. */
void json_framer_feed(JSONFramer *framer, const char *buf, size_t len);
/* Bytes of the incomplete value so far; 0 between two values. */
uint64_t json_framer_pending(const JSONFramer *framer);
/* End of stream: an unfinished value is an error. */
void json_framer_flush(JSONFramer *framer);

/* Parses exactly one value from @text; NULL with errp set, or a value (a
 * JSON null is not accepted here). */
json_object *json_parse(const char *text, Error **errp);

/*
 * Appends @value as QMP writes it: ASCII only (\uXXXX beyond), ", " and ": "
 * as separators; with @pretty over several lines, four spaces a level.
 */
void json_write(GString *out, json_object *value, bool pretty);
/*
 * Like json_write(), for a string of @len bytes in modified UTF-8, and for a
 * number.
 */
void json_write_string(GString *out, const char *text, size_t len);
void json_write_double(GString *out, double number);
/* Like json_write(), into a new string; g_free() it. */
char *json_to_string(json_object *value, bool pretty);

#endif
