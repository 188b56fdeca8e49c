/*
 * What kinds of objects implement.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOM_OBJECT_INTERNAL_H
#define QOM_OBJECT_INTERNAL_H

#include "qom/object.h"

typedef struct Object Object;

typedef struct ObjectClass {
    ObjectType type;
    /* Returns NULL with errp set on failure.  May block for a limited time. */
    Object *(*create)(const ObjectOptions *options, Error **errp);
    /* Nobody uses the object. */
    void (*destroy)(Object *obj);
} ObjectClass;

/* The start of each kind's own struct. */
struct Object {
    const ObjectClass *klass;
    unsigned users;
};

extern const ObjectClass object_class_iothread;
extern const ObjectClass object_class_secret;
extern const ObjectClass object_class_tls_creds_psk;
extern const ObjectClass object_class_tls_creds_x509;

/* NULL when there is no object @id of that class. */
Object *object_find(const char *id, const ObjectClass *klass);

/* Calls @fn for each object until it returns true. */
Object *object_find_if(bool (*fn)(Object *obj, const void *opaque),
                       const void *opaque);

#endif
