/*
 * The object "secret": a password or key, given as it is or by a file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "object-internal.h"
#include "read-file.h"

typedef struct SecretObject {
    Object parent;
    GBytes *data;
} SecretObject;

static SecretObject *to_secret(Object *obj)
{
    return container_of(obj, SecretObject, parent);
}

static void secret_wipe(void *opaque)
{
    object_wipe_string(opaque);
}

static GBytes *secret_bytes(GString *text)
{
    return g_bytes_new_with_free_func(text->str, text->len, secret_wipe, text);
}

/* Decodes @text in place. */
static bool secret_decode_base64(GString *text, Error **errp)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz"
                                   "0123456789+/=\r\n";
    size_t len = 0;

    if (strspn(text->str, alphabet) != text->len) {
        error_setg(errp, "Base64 data contains invalid characters");
        return false;
    }
    /* glib takes an empty string for a mistake. */
    if (text->len) {
        g_base64_decode_inplace(text->str, &len);
    }
    g_string_truncate(text, len);
    return true;
}

static GString *secret_load(const SecretProperties *props, Error **errp)
{
    GString *text;

    if (props->data && props->file) {
        error_setg(errp, "'file' and 'data' are mutually exclusive");
        return NULL;
    }
    if (!props->data && !props->file) {
        error_setg(errp, "Either 'file' or 'data' must be provided");
        return NULL;
    }
    text = props->file ? object_read_file(props->file, "a secret", NULL, errp)
                       : g_string_new(props->data);
    if (text && props->format == QCRYPTO_SECRET_FORMAT_BASE64 &&
        !secret_decode_base64(text, errp)) {
        object_wipe_string(text);
        return NULL;
    }
    return text;
}

static Object *secret_create(const ObjectOptions *options, Error **errp)
{
    GString *text = secret_load(&options->u.secret, errp);
    SecretObject *self;

    if (!text) {
        return NULL;
    }
    self = g_new0(SecretObject, 1);
    self->data = secret_bytes(text);
    return &self->parent;
}

static void secret_destroy(Object *obj)
{
    SecretObject *self = to_secret(obj);

    g_bytes_unref(self->data);
    g_free(self);
}

const ObjectClass object_class_secret = {
    .type = OBJECT_TYPE_SECRET,
    .create = secret_create,
    .destroy = secret_destroy,
};

GBytes *qom_find_secret(const char *id, Error **errp)
{
    Object *obj = object_find(id, &object_class_secret);

    if (!obj) {
        error_setg(errp, "secret \"%s\" not found", id);
        return NULL;
    }
    return g_bytes_ref(to_secret(obj)->data);
}
