/*
 * The object "tls-creds-x509": certificates.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "read-file.h"
#include "tls-creds-internal.h"

/* The content of each file and its path; NULL content: not there. */
typedef struct X509Files {
    GString *ca, *crl, *cert, *key;
    char *ca_path, *crl_path, *cert_path, *key_path;
} X509Files;

static void x509_files_clear(X509Files *files)
{
    object_wipe_string(files->ca);
    object_wipe_string(files->crl);
    object_wipe_string(files->cert);
    object_wipe_string(files->key);
    g_free(files->ca_path);
    g_free(files->crl_path);
    g_free(files->cert_path);
    g_free(files->key_path);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(X509Files, x509_files_clear)

static bool read_files(X509Files *files, const char *dir, bool server,
                       Error **errp)
{
    const char *cert = server ? "server-cert.pem" : "client-cert.pem";
    const char *key = server ? "server-key.pem" : "client-key.pem";

    if (!tls_creds_read(dir, "ca-cert.pem", false, &files->ca, &files->ca_path,
                        errp) ||
        !tls_creds_read(dir, "ca-crl.pem", true, &files->crl, &files->crl_path,
                        errp) ||
        !tls_creds_read(dir, cert, !server, &files->cert, &files->cert_path,
                        errp)) {
        return false;
    }
    /* A certificate without its key is a mistake, also of a client. */
    return tls_creds_read(dir, key, !files->cert, &files->key, &files->key_path,
                          errp);
}

static bool load_ca(gnutls_certificate_credentials_t handle,
                    const X509Files *files, Error **errp)
{
    gnutls_datum_t ca = tls_creds_datum(files->ca);
    int ret =
        gnutls_certificate_set_x509_trust_mem(handle, &ca, GNUTLS_X509_FMT_PEM);

    if (ret <= 0) {
        error_setg(errp, "Cannot load CA certificate '%s': %s", files->ca_path,
                   ret < 0 ? gnutls_strerror(ret) : "there is none");
        return false;
    }
    return true;
}

static bool load_crl(gnutls_certificate_credentials_t handle,
                     const X509Files *files, Error **errp)
{
    gnutls_datum_t crl = tls_creds_datum(files->crl);
    int ret =
        gnutls_certificate_set_x509_crl_mem(handle, &crl, GNUTLS_X509_FMT_PEM);

    if (ret < 0) {
        error_setg(errp, "Cannot load CRL '%s': %s", files->crl_path,
                   gnutls_strerror(ret));
        return false;
    }
    return true;
}

/* The password of @id as a string; object_wipe_string() it. */
static GString *find_password(const char *id, Error **errp)
{
    g_autoptr(GBytes) secret = qom_find_secret(id, NULL);

    if (!secret) {
        error_setg(errp, "No secret with id '%s'", id);
        return NULL;
    }
    return g_string_new_len(g_bytes_get_data(secret, NULL),
                            g_bytes_get_size(secret));
}

static bool load_own(gnutls_certificate_credentials_t handle,
                     const X509Files *files, const char *passwordid,
                     Error **errp)
{
    gnutls_datum_t cert = tls_creds_datum(files->cert);
    gnutls_datum_t key = tls_creds_datum(files->key);
    GString *password = NULL;
    int ret;

    if (passwordid) {
        password = find_password(passwordid, errp);
        if (!password) {
            return false;
        }
    }
    ret = gnutls_certificate_set_x509_key_mem2(
        handle, &cert, &key, GNUTLS_X509_FMT_PEM,
        password ? password->str : NULL, 0);
    object_wipe_string(password);
    if (ret < 0) {
        error_setg(errp, "Cannot load certificate '%s' & key '%s': %s",
                   files->cert_path, files->key_path, gnutls_strerror(ret));
        return false;
    }
    return true;
}

static bool x509_load(QCryptoTLSCreds *creds, const void *opaque, Error **errp)
{
    const TlsCredsX509Properties *props = opaque;
    bool server = creds->endpoint == QCRYPTO_TLS_CREDS_ENDPOINT_SERVER;
    bool check = !props->has_sanity_check || props->sanity_check;
    gnutls_certificate_credentials_t handle;
    g_auto(X509Files) files = {};
    int ret;

    if (!read_files(&files, props->dir, server, errp)) {
        return false;
    }
    if (check && !tls_creds_check_x509(creds->endpoint, files.ca, files.ca_path,
                                       files.cert, files.cert_path, errp)) {
        return false;
    }
    ret = gnutls_certificate_allocate_credentials(&handle);
    if (ret < 0) {
        error_setg(errp, "Cannot allocate credentials: %s",
                   gnutls_strerror(ret));
        return false;
    }
    creds->handle = handle;
    return load_ca(handle, &files, errp) &&
           (!files.cert || load_own(handle, &files, props->passwordid, errp)) &&
           (!files.crl || load_crl(handle, &files, errp));
}

static Object *x509_create(const ObjectOptions *options, Error **errp)
{
    const TlsCredsX509Properties *props = &options->u.tls_creds_x509;

    return tls_creds_create(qapi_TlsCredsX509Properties_base(props),
                            GNUTLS_CRD_CERTIFICATE, "", x509_load, props, errp);
}

const ObjectClass object_class_tls_creds_x509 = {
    .type = OBJECT_TYPE_TLS_CREDS_X509,
    .create = x509_create,
    .destroy = tls_creds_destroy,
};
