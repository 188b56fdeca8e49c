/*
 * The table of objects, by id.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "object-internal.h"
#include "qemu/id.h"

static const ObjectClass *const classes[] = {
    [OBJECT_TYPE_IOTHREAD] = &object_class_iothread,
    [OBJECT_TYPE_SECRET] = &object_class_secret,
    [OBJECT_TYPE_TLS_CREDS_PSK] = &object_class_tls_creds_psk,
    [OBJECT_TYPE_TLS_CREDS_X509] = &object_class_tls_creds_x509,
};

G_STATIC_ASSERT(G_N_ELEMENTS(classes) == OBJECT_TYPE__MAX);

/* id -> Object; main thread only, made on first use. */
static GHashTable *objects;

static void object_destroy(void *opaque)
{
    Object *obj = opaque;

    obj->klass->destroy(obj);
}

static Object *object_lookup(const char *id)
{
    return objects ? g_hash_table_lookup(objects, id) : NULL;
}

bool object_add(const ObjectOptions *options, Error **errp)
{
    const ObjectClass *klass = classes[options->qom_type];
    Object *obj;

    if (!id_wellformed(options->id)) {
        error_setg(errp, "Parameter 'id' expects an identifier");
        return false;
    }
    if (object_lookup(options->id)) {
        error_setg(errp,
                   "attempt to add duplicate property '%s' to object "
                   "(type 'container')",
                   options->id);
        return false;
    }
    obj = klass->create(options, errp);
    if (!obj) {
        return false;
    }
    obj->klass = klass;
    if (!objects) {
        objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                        object_destroy);
    }
    g_hash_table_insert(objects, g_strdup(options->id), obj);
    return true;
}

bool object_del(const char *id, Error **errp)
{
    Object *obj = object_lookup(id);

    if (!obj) {
        error_setg(errp, "object '%s' not found", id);
        return false;
    }
    if (obj->users) {
        error_setg(errp, "object '%s' is in use, can not be deleted", id);
        return false;
    }
    g_hash_table_remove(objects, id);
    return true;
}

void object_cleanup(void)
{
    g_clear_pointer(&objects, g_hash_table_destroy);
}

Object *object_find(const char *id, const ObjectClass *klass)
{
    Object *obj = object_lookup(id);

    return obj && obj->klass == klass ? obj : NULL;
}

Object *object_find_if(bool (*fn)(Object *obj, const void *opaque),
                       const void *opaque)
{
    GHashTableIter iter;
    void *obj;

    if (!objects) {
        return NULL;
    }
    g_hash_table_iter_init(&iter, objects);
    while (g_hash_table_iter_next(&iter, NULL, &obj)) {
        if (fn(obj, opaque)) {
            return obj;
        }
    }
    return NULL;
}
