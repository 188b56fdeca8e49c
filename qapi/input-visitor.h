/*
 * Between the input visitors: of JSON, and of the command line.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_INPUT_VISITOR_H
#define QAPI_INPUT_VISITOR_H

#include "visitor-internal.h"

typedef struct InputVisitor {
    Visitor visitor;
    json_object *root;
    GArray *stack; /* the objects and arrays that the walk is in */
} InputVisitor;

/* The path to member @name; g_free() it. */
char *input_full_name(Visitor *v, const char *name);

/* The value of member @name, which counts as visited; the visitor's. */
bool input_get(Visitor *v, const char *name, json_object **value, Error **errp);
bool input_get_typed(Visitor *v, const char *name, json_type type,
                     const char *expected, json_object **value, Error **errp);
bool input_str(Visitor *v, const char *name, char **obj, Error **errp);

/* Says that member @name is not what was expected; returns false. */
bool input_type_error(Visitor *v, const char *name, const char *expected,
                      Error **errp);

#endif
