/*
 * The input visitor's way through a JSON value, shared by its two flavours:
 * typed scalars (QMP) and strings (command line).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_QOBJECT_INPUT_VISITOR_H
#define QAPI_QOBJECT_INPUT_VISITOR_H

#include "visitor-internal.h"

/* Starts at @obj, of which it takes a reference. */
Visitor *input_visitor_new(json_object *obj, const VisitorOps *ops);

/* The operations that the flavours share, as initializers. */
#define INPUT_VISITOR_SHARED_OPS                                               \
    .kind = VISITOR_INPUT, .start_struct = input_start_struct,                 \
    .check_struct = input_check_struct, .end_struct = input_end_struct,        \
    .start_list = input_start_list, .next_list = input_next_list,              \
    .end_list = input_end_list, .start_alternate = input_start_alternate,      \
    .has_member = input_has_member, .path = input_path,                        \
    .type_any = input_type_any, .free = input_free

bool input_start_struct(Visitor *v, const char *name, void **obj, size_t size,
                        Error **errp);
bool input_check_struct(Visitor *v, Error **errp);
void input_end_struct(Visitor *v, void **obj);
bool input_start_list(Visitor *v, const char *name, GenericList **list,
                      size_t size, Error **errp);
GenericList *input_next_list(Visitor *v, GenericList *tail, size_t size);
void input_end_list(Visitor *v);
bool input_start_alternate(Visitor *v, const char *name, void **obj,
                           size_t size, Error **errp);
bool input_has_member(Visitor *v, const char *name);
bool input_type_any(Visitor *v, const char *name, json_object **obj,
                    Error **errp);
char *input_path(Visitor *v, const char *name);
void input_free(Visitor *v);

/*
 * The value of member @name (of the current list element where the innermost
 * container is a list) in *@value, marked as visited; it stays the visitor's.
 * Fails when it is missing.
 */
bool input_take(Visitor *v, const char *name, json_object **value,
                Error **errp);
/* The same; fails unless the value is of @type, which errors call @what. */
bool input_take_type(Visitor *v, const char *name, json_type type,
                     const char *what, json_object **value, Error **errp);

/* "Invalid parameter type for 'PATH', expected: @what"; returns false. */
bool input_wrong_type(Visitor *v, const char *name, const char *what,
                      Error **errp);
/* "Parameter 'PATH' expects @what"; returns false. */
bool input_expects(Visitor *v, const char *name, const char *what,
                   Error **errp);

#endif
