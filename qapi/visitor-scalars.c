/*
 * Visitors: numbers, strings and the like; ranges of the narrow integers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "visitor-internal.h"

static bool visit_fail(Visitor *v, const char *name, const char *fmt,
                       const char *arg, Error **errp)
{
    g_autofree char *path = visit_path(v, name);
    g_autofree char *what = g_strdup_printf("Parameter '%s'", path);

    error_setg(errp, "%s %s %s", what, fmt, arg);
    return false;
}

bool visit_type_int64(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    return !v->ops->type_int64 || v->ops->type_int64(v, name, obj, errp);
}

bool visit_type_int(Visitor *v, const char *name, int64_t *obj, Error **errp)
{
    return visit_type_int64(v, name, obj, errp);
}

bool visit_type_uint64(Visitor *v, const char *name, uint64_t *obj,
                       Error **errp)
{
    return !v->ops->type_uint64 || v->ops->type_uint64(v, name, obj, errp);
}

bool visit_type_size(Visitor *v, const char *name, uint64_t *obj, Error **errp)
{
    if (v->ops->type_size) {
        return v->ops->type_size(v, name, obj, errp);
    }
    return visit_type_uint64(v, name, obj, errp);
}
