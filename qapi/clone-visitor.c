/*
 * Clone visitor: makes deep copies.
 *
 * It starts from a flat copy of each object, in which every pointer is then
 * replaced by a copy of what it points to.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/clone-visitor.h"
#include "visitor-internal.h"

static bool clone_start(Visitor *v, const char *name, void **obj, size_t size,
                        Error **errp)
{
    if (obj) {
        *obj = g_memdup2(*obj, size);
    }
    return true;
}

static bool clone_start_list(Visitor *v, const char *name, GenericList **list,
                             size_t size, Error **errp)
{
    *list = g_memdup2(*list, size);
    return true;
}

static GenericList *clone_next_list(Visitor *v, GenericList *tail, size_t size)
{
    tail->next = g_memdup2(tail->next, size);
    return tail->next;
}

static bool clone_str(Visitor *v, const char *name, char **obj, Error **errp)
{
    *obj = g_strdup(*obj);
    return true;
}

/* A copy, not a reference: these are not counted safely across threads. */
static bool clone_any(Visitor *v, const char *name, json_object **obj,
                      Error **errp)
{
    json_object *copy = NULL;

    if (json_object_deep_copy(*obj, &copy, NULL) < 0) {
        copy = NULL;
    }
    *obj = copy;
    return true;
}

static void clone_free(Visitor *v)
{
}

static const VisitorOps clone_ops = {
    .kind = VISITOR_CLONE,
    .start_struct = clone_start,
    .start_list = clone_start_list,
    .next_list = clone_next_list,
    .start_alternate = clone_start,
    .type_str = clone_str,
    .type_any = clone_any,
    .free = clone_free,
};

void *qapi_clone(const void *src,
                 bool (*visit_type)(Visitor *, const char *, void **, Error **))
{
    Visitor v = {.ops = &clone_ops};
    void *copy = (void *)src;

    if (src) {
        visit_type(&v, NULL, &copy, &error_abort);
    }
    return copy;
}
