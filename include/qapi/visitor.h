/*
 * Visitors walk a QAPI type: one generated visit_type_FOO() serves reading
 * JSON, reading the command line, writing JSON, cloning and freeing.
 *
 * Generated code calls the visit_*() functions; other code makes a visitor,
 * calls visit_type_FOO(), and finishes it.  One thread at a time; never
 * blocks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_VISITOR_H
#define QAPI_VISITOR_H

#include <json-c/json.h>
#include "qapi/util.h"

typedef struct Visitor Visitor;

/* What every generated FOOList starts with. */
typedef struct GenericList {
    struct GenericList *next;
    char padding[];
} GenericList;

/*
 * Strict input from @obj (a reference is taken).  Errors name the path, such
 * as "Invalid parameter type for 'server.port', expected: string".
 */
Visitor *qobject_input_visitor_new(json_object *obj);
/* The same where all scalars are strings, as on a command line. */
Visitor *qobject_input_visitor_new_keyval(json_object *obj);
/*
 * Output visitor: appends JSON text to @out, on one line, in the form that QMP
 * uses.  After a failed visit the text is incomplete.
 */
Visitor *json_output_visitor_new(GString *out);
/* Frees what it visits, and accepts partly built objects. */
Visitor *qapi_dealloc_visitor_new(void);
/* Used by QAPI_CLONE. */
void *qapi_clone(const void *src, bool (*visit_type)(Visitor *, const char *,
                                                     void **, Error **));

void visit_free(Visitor *v);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Visitor, visit_free)

bool visit_start_struct(Visitor *v, const char *name, void **obj, size_t size,
                        Error **errp);
/* Input: fails on members nobody visited. */
bool visit_check_struct(Visitor *v, Error **errp);
void visit_end_struct(Visitor *v, void **obj);

bool visit_start_list(Visitor *v, const char *name, GenericList **list,
                      size_t size, Error **errp);
GenericList *visit_next_list(Visitor *v, GenericList *tail, size_t size);
void visit_end_list(Visitor *v, void **list);

/* Input: sets (*obj)->type, the first member of every alternate. */
bool visit_start_alternate(Visitor *v, const char *name, void **obj,
                           size_t size, Error **errp);
void visit_end_alternate(Visitor *v, void **obj);
/*
 * The JSON type is that of no branch of alternate @type: fails on input.  The
 * other visitors may meet it in an object that was never filled.
 */
bool visit_other_alternate(Visitor *v, const char *name, const char *type,
                           Error **errp);

/* Input: sets *@present; output and the others: reads it. */
bool visit_optional(Visitor *v, const char *name, bool *present);

bool visit_is_input(Visitor *v);
bool visit_is_dealloc(Visitor *v);

bool visit_type_int(Visitor *v, const char *name, int64_t *obj, Error **errp);
bool visit_type_int8(Visitor *v, const char *name, int8_t *obj, Error **errp);
bool visit_type_int16(Visitor *v, const char *name, int16_t *obj, Error **errp);
bool visit_type_int32(Visitor *v, const char *name, int32_t *obj, Error **errp);
bool visit_type_int64(Visitor *v, const char *name, int64_t *obj, Error **errp);
bool visit_type_uint8(Visitor *v, const char *name, uint8_t *obj, Error **errp);
bool visit_type_uint16(Visitor *v, const char *name, uint16_t *obj,
                       Error **errp);
bool visit_type_uint32(Visitor *v, const char *name, uint32_t *obj,
                       Error **errp);
bool visit_type_uint64(Visitor *v, const char *name, uint64_t *obj,
                       Error **errp);
/* A uint64_t that the command line may write with a suffix (64M). */
bool visit_type_size(Visitor *v, const char *name, uint64_t *obj, Error **errp);
bool visit_type_bool(Visitor *v, const char *name, bool *obj, Error **errp);
bool visit_type_number(Visitor *v, const char *name, double *obj, Error **errp);
/* Input allocates; dealloc frees. */
bool visit_type_str(Visitor *v, const char *name, char **obj, Error **errp);
/* Input sets qnull(). */
bool visit_type_null(Visitor *v, const char *name, QNull **obj, Error **errp);
/*
 * Any JSON value; a reference is taken or dropped, a clone is a deep copy.
 * A JSON null is NULL, so an optional one counts as absent.
 */
bool visit_type_any(Visitor *v, const char *name, json_object **obj,
                    Error **errp);
bool visit_type_enum(Visitor *v, const char *name, int *obj,
                     const QEnumLookup *lookup, Error **errp);

#endif
