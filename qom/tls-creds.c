/*
 * TLS credentials: what all kinds have, and finding them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "tls-creds-internal.h"
#include "read-file.h"

/* What is safe today, the fastest of it first. */
#define DEFAULT_PRIORITY                                                       \
    "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1:"                                        \
    "-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"

typedef struct TLSCredsObject {
    Object parent;
    QCryptoTLSCreds *creds;
} TLSCredsObject;

QCryptoTLSCreds *tls_creds_ref(QCryptoTLSCreds *creds)
{
    __atomic_fetch_add(&creds->refcount, 1, __ATOMIC_RELAXED);
    return creds;
}

static void free_handle(QCryptoTLSCreds *creds)
{
    bool server = creds->endpoint == QCRYPTO_TLS_CREDS_ENDPOINT_SERVER;

    if (creds->type == GNUTLS_CRD_CERTIFICATE) {
        gnutls_certificate_free_credentials(creds->handle);
    } else if (server) {
        gnutls_psk_free_server_credentials(creds->handle);
    } else {
        gnutls_psk_free_client_credentials(creds->handle);
    }
}

void tls_creds_unref(QCryptoTLSCreds *creds)
{
    if (!creds ||
        __atomic_sub_fetch(&creds->refcount, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    if (creds->handle) {
        free_handle(creds);
    }
    g_clear_pointer(&creds->psk_keys, g_hash_table_unref);
    g_clear_pointer(&creds->priority, gnutls_priority_deinit);
    g_free(creds);
}

static bool set_priority(QCryptoTLSCreds *creds, const char *text,
                         const char *suffix, Error **errp)
{
    g_autofree char *priority = g_strconcat(text, suffix, NULL);
    int ret = gnutls_priority_init(&creds->priority, priority, NULL);

    if (ret < 0) {
        creds->priority = NULL;
        error_setg(errp, "Unable to set TLS session priority %s: %s", priority,
                   gnutls_strerror(ret));
        return false;
    }
    return true;
}

Object *tls_creds_create(const TlsCredsProperties *base,
                         gnutls_credentials_type_t type,
                         const char *key_exchange, TLSCredsLoadFn *load,
                         const void *props, Error **errp)
{
    g_autoptr(QCryptoTLSCreds) creds = g_new0(QCryptoTLSCreds, 1);
    TLSCredsObject *self;

    creds->refcount = 1;
    creds->type = type;
    creds->endpoint =
        base->has_endpoint ? base->endpoint : QCRYPTO_TLS_CREDS_ENDPOINT_CLIENT;
    creds->verify_peer = !base->has_verify_peer || base->verify_peer;
    if (!base->dir) {
        error_setg(errp, "Missing 'dir' property value");
        return NULL;
    }
    if (!set_priority(creds, base->priority ?: DEFAULT_PRIORITY, key_exchange,
                      errp) ||
        !load(creds, props, errp)) {
        return NULL;
    }
    self = g_new0(TLSCredsObject, 1);
    self->creds = g_steal_pointer(&creds);
    return &self->parent;
}

void tls_creds_destroy(Object *obj)
{
    TLSCredsObject *self = container_of(obj, TLSCredsObject, parent);

    tls_creds_unref(self->creds);
    g_free(self);
}

bool tls_creds_read(const char *dir, const char *name, bool optional,
                    GString **text, char **path, Error **errp)
{
    g_autofree char *full = g_build_filename(dir, name, NULL);
    bool absent = false;

    *text = object_read_file(full, "a file of credentials", &absent, errp);
    if (absent && !optional) {
        error_setg_errno(errp, ENOENT, "Unable to access credentials %s", full);
        return false;
    }
    if (!*text && !absent) {
        return false;
    }
    *path = g_steal_pointer(&full);
    return true;
}

gnutls_datum_t tls_creds_datum(const GString *text)
{
    return (gnutls_datum_t){(unsigned char *)text->str, text->len};
}

QCryptoTLSCreds *tls_creds_new(const ObjectOptions *options, Error **errp)
{
    const ObjectClass *klass = options->qom_type == OBJECT_TYPE_TLS_CREDS_PSK
                                   ? &object_class_tls_creds_psk
                                   : &object_class_tls_creds_x509;
    Object *obj = klass->create(options, errp);
    QCryptoTLSCreds *creds = NULL;

    if (obj) {
        creds = tls_creds_ref(container_of(obj, TLSCredsObject, parent)->creds);
        klass->destroy(obj);
    }
    return creds;
}

QCryptoTLSCreds *tls_creds_find(const char *id,
                                QCryptoTLSCredsEndpoint endpoint, Error **errp)
{
    Object *obj = object_find(id, &object_class_tls_creds_x509)
                      ?: object_find(id, &object_class_tls_creds_psk);
    QCryptoTLSCreds *creds;

    if (!obj) {
        error_setg(errp, "No TLS credentials with id '%s'", id);
        return NULL;
    }
    creds = container_of(obj, TLSCredsObject, parent)->creds;
    if (creds->endpoint != endpoint) {
        error_setg(errp, "Expecting TLS credentials with a %s endpoint",
                   QCryptoTLSCredsEndpoint_str(endpoint));
        return NULL;
    }
    return tls_creds_ref(creds);
}
