/*
 * What a visitor implements.
 *
 * An operation that is NULL does nothing and succeeds.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_VISITOR_INTERNAL_H
#define QAPI_VISITOR_INTERNAL_H

#include "qapi/visitor.h"

typedef enum VisitorKind {
    VISITOR_INPUT,
    VISITOR_OUTPUT,
    VISITOR_CLONE,
    VISITOR_DEALLOC,
} VisitorKind;

/* What every generated alternate starts with. */
typedef struct GenericAlternate {
    QType type;
} GenericAlternate;

struct Visitor {
    VisitorKind kind;
    bool (*start_struct)(Visitor *v, const char *name, void **obj, size_t size,
                         Error **errp);
    bool (*check_struct)(Visitor *v, Error **errp);
    void (*end_struct)(Visitor *v, void **obj);
    bool (*start_list)(Visitor *v, const char *name, GenericList **list,
                       size_t size, Error **errp);
    GenericList *(*next_list)(Visitor *v, GenericList *tail, size_t size);
    void (*end_list)(Visitor *v, void **list);
    bool (*start_alternate)(Visitor *v, const char *name,
                            GenericAlternate **obj, size_t size, Error **errp);
    void (*end_alternate)(Visitor *v, void **obj);
    void (*optional)(Visitor *v, const char *name, bool *present);
    bool (*type_int64)(Visitor *v, const char *name, int64_t *obj,
                       Error **errp);
    bool (*type_uint64)(Visitor *v, const char *name, uint64_t *obj,
                        Error **errp);
    bool (*type_size)(Visitor *v, const char *name, uint64_t *obj,
                      Error **errp);
    bool (*type_bool)(Visitor *v, const char *name, bool *obj, Error **errp);
    bool (*type_number)(Visitor *v, const char *name, double *obj,
                        Error **errp);
    bool (*type_str)(Visitor *v, const char *name, char **obj, Error **errp);
    bool (*type_null)(Visitor *v, const char *name, Error **errp);
    bool (*type_any)(Visitor *v, const char *name, json_object **obj,
                     Error **errp);
    /* The path to member @name, for messages; g_free() it.  Never NULL. */
    char *(*full_name)(Visitor *v, const char *name);
    void (*complete)(Visitor *v, void *opaque);
    void (*free)(Visitor *v);
};

#endif
