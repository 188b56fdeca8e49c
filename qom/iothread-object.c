/*
 * The object "iothread": an I/O thread with a name.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "object-internal.h"

typedef struct IOThreadObject {
    Object parent;
    IOThread *iothread;
} IOThreadObject;

static IOThreadObject *to_iothread_object(Object *obj)
{
    return container_of(obj, IOThreadObject, parent);
}

static Object *iothread_object_create(const ObjectOptions *options,
                                      Error **errp)
{
    const IothreadProperties *props = &options->u.iothread;
    g_autofree char *name = NULL;
    IOThreadObject *self;
    IOThread *iothread;

    if (props->has_poll_max_ns && props->poll_max_ns < 0) {
        error_setg(errp, "poll-max-ns value must be in range [0, %" PRId64 "]",
                   INT64_MAX);
        return NULL;
    }

    /* What ps and debuggers show holds 15 characters. */
    name = g_strdup_printf("IO %.12s", options->id);
    iothread = iothread_try_new(name, errp);
    if (!iothread) {
        return NULL;
    }
    self = g_new0(IOThreadObject, 1);
    self->iothread = iothread;
    if (props->has_poll_max_ns) {
        iothread_set_poll_max_ns(self->iothread, props->poll_max_ns);
    }
    return &self->parent;
}

static void iothread_object_destroy(Object *obj)
{
    IOThreadObject *self = to_iothread_object(obj);

    iothread_unref(self->iothread);
    g_free(self);
}

const ObjectClass object_class_iothread = {
    .type = OBJECT_TYPE_IOTHREAD,
    .create = iothread_object_create,
    .destroy = iothread_object_destroy,
};

IOThread *qom_find_iothread(const char *id, Error **errp)
{
    Object *obj = object_find(id, &object_class_iothread);

    if (!obj) {
        error_setg(errp, "iothread \"%s\" not found", id);
        return NULL;
    }
    return to_iothread_object(obj)->iothread;
}

static bool object_made_iothread(Object *obj, const void *iothread)
{
    return obj->klass == &object_class_iothread &&
           to_iothread_object(obj)->iothread == iothread;
}

void qom_iothread_use(IOThread *iothread)
{
    Object *obj = object_find_if(object_made_iothread, iothread);

    if (obj) {
        obj->users++;
    }
}

void qom_iothread_unuse(IOThread *iothread)
{
    Object *obj = object_find_if(object_made_iothread, iothread);

    if (obj) {
        g_assert(obj->users > 0);
        obj->users--;
    }
}
