/*
 * What a visitor implements.  A NULL operation has nothing to do.
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

/* The operations mean what the visit_*() functions of their name say. */
typedef struct VisitorOps {
    VisitorKind kind;

    bool (*start_struct)(Visitor *v, const char *name, void **obj, size_t size,
                         Error **errp);
    bool (*check_struct)(Visitor *v, Error **errp);
    void (*end_struct)(Visitor *v, void **obj);

    bool (*start_list)(Visitor *v, const char *name, GenericList **list,
                       size_t size, Error **errp);
    /* Required: moves on from @tail. */
    GenericList *(*next_list)(Visitor *v, GenericList *tail, size_t size);
    void (*end_list)(Visitor *v);

    bool (*start_alternate)(Visitor *v, const char *name, void **obj,
                            size_t size, Error **errp);
    void (*end_alternate)(Visitor *v, void **obj);

    /* Whether the member is there; without it, the object says so. */
    bool (*has_member)(Visitor *v, const char *name);

    bool (*type_int64)(Visitor *v, const char *name, int64_t *obj,
                       Error **errp);
    bool (*type_uint64)(Visitor *v, const char *name, uint64_t *obj,
                        Error **errp);
    /* Without it: type_uint64. */
    bool (*type_size)(Visitor *v, const char *name, uint64_t *obj,
                      Error **errp);
    bool (*type_bool)(Visitor *v, const char *name, bool *obj, Error **errp);
    bool (*type_number)(Visitor *v, const char *name, double *obj,
                        Error **errp);
    bool (*type_str)(Visitor *v, const char *name, char **obj, Error **errp);
    bool (*type_null)(Visitor *v, const char *name, QNull **obj, Error **errp);
    bool (*type_any)(Visitor *v, const char *name, json_object **obj,
                     Error **errp);

    /* The full path of @name, for errors; without it @name itself. */
    char *(*path)(Visitor *v, const char *name);

    /* Required. */
    void (*free)(Visitor *v);
} VisitorOps;

/* The first member of every visitor. */
struct Visitor {
    const VisitorOps *ops;
};

/* The full path of @name; g_free() it. */
char *visit_path(Visitor *v, const char *name);

/*
 * Input, or the beginning of long input, for use in an error: what a client
 * sent must not come back to it by the megabyte.  g_free() it.
 */
char *visit_quote(const char *text);

#endif
