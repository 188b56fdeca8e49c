/*
 * Are certificates what they must be?
 *
 * What is wrong is told when credentials are made, and not by the failure of
 * some handshake months later.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <gnutls/x509.h>
#include <time.h>
#include "tls-creds-internal.h"

typedef enum CertRole {
    CERT_ROLE_CLIENT,
    CERT_ROLE_SERVER,
    CERT_ROLE_CA,
} CertRole;

static const char *const role_names[] = {
    [CERT_ROLE_CLIENT] = "client",
    [CERT_ROLE_SERVER] = "server",
    [CERT_ROLE_CA] = "CA",
};

typedef struct CertList {
    gnutls_x509_crt_t *certs;
    unsigned n;
} CertList;

static void cert_list_clear(CertList *list)
{
    for (unsigned i = 0; i < list->n; i++) {
        gnutls_x509_crt_deinit(list->certs[i]);
    }
    gnutls_free(list->certs);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CertList, cert_list_clear)

static int import_list(CertList *list, const GString *pem)
{
    gnutls_datum_t datum = tls_creds_datum(pem);
    int ret = gnutls_x509_crt_list_import2(&list->certs, &list->n, &datum,
                                           GNUTLS_X509_FMT_PEM, 0);

    if (ret < 0) {
        *list = (CertList){};
    }
    return ret;
}

static bool check_times(gnutls_x509_crt_t cert, const char *path, CertRole role,
                        Error **errp)
{
    time_t now = time(NULL);

    if (gnutls_x509_crt_get_expiration_time(cert) < now) {
        error_setg(errp, "The %s certificate %s has expired", role_names[role],
                   path);
        return false;
    }
    if (gnutls_x509_crt_get_activation_time(cert) > now) {
        error_setg(errp, "The %s certificate %s is not yet active",
                   role_names[role], path);
        return false;
    }
    return true;
}

static bool check_basic_constraints(gnutls_x509_crt_t cert, const char *path,
                                    CertRole role, Error **errp)
{
    int is_ca = gnutls_x509_crt_get_basic_constraints(cert, NULL, NULL, NULL);

    if (is_ca > 0 && role != CERT_ROLE_CA) {
        error_setg(errp,
                   "The certificate %s basic constraints show a CA, but we "
                   "need one for a %s",
                   path, role_names[role]);
        return false;
    }
    if (is_ca == 0 && role == CERT_ROLE_CA) {
        error_setg(errp,
                   "The certificate %s basic constraints do not show a CA",
                   path);
        return false;
    }
    if (is_ca == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE &&
        role == CERT_ROLE_CA) {
        error_setg(errp,
                   "The certificate %s is missing basic constraints for a CA",
                   path);
        return false;
    }
    return true;
}

static bool check_usage(gnutls_x509_crt_t cert, const char *path, CertRole role,
                        Error **errp)
{
    bool ca = role == CERT_ROLE_CA;
    unsigned needed =
        ca ? GNUTLS_KEY_KEY_CERT_SIGN : GNUTLS_KEY_DIGITAL_SIGNATURE;
    unsigned usage;
    int ret = gnutls_x509_crt_get_key_usage(cert, &usage, NULL);

    /* One that names no usage is for all. */
    if (ret == 0 && !(usage & needed)) {
        error_setg(errp, "Certificate %s usage does not permit %s", path,
                   ca ? "certificate signing" : "digital signature");
        return false;
    }
    return true;
}

static bool check_purpose(gnutls_x509_crt_t cert, const char *path,
                          CertRole role, Error **errp)
{
    const char *needed = role == CERT_ROLE_SERVER ? GNUTLS_KP_TLS_WWW_SERVER
                                                  : GNUTLS_KP_TLS_WWW_CLIENT;

    /* One that names no purpose is for any. */
    if (role != CERT_ROLE_CA &&
        !gnutls_x509_crt_check_key_purpose(cert, needed, 0)) {
        error_setg(errp,
                   "Certificate %s purpose does not allow use with a TLS %s",
                   path, role_names[role]);
        return false;
    }
    return true;
}

static bool check_cert(gnutls_x509_crt_t cert, const char *path, CertRole role,
                       Error **errp)
{
    return check_times(cert, path, role, errp) &&
           check_basic_constraints(cert, path, role, errp) &&
           check_usage(cert, path, role, errp) &&
           check_purpose(cert, path, role, errp);
}

const char *tls_creds_verify_reason(unsigned status)
{
    static const struct {
        unsigned bit;
        const char *reason;
    } reasons[] = {
        /* The first that holds says most. */
        {GNUTLS_CERT_INSECURE_ALGORITHM,
         "The certificate uses an insecure algorithm"},
        {GNUTLS_CERT_REVOKED, "The certificate has been revoked"},
        {GNUTLS_CERT_SIGNER_NOT_FOUND,
         "The certificate hasn't got a known issuer"},
        {GNUTLS_CERT_NOT_ACTIVATED, "The certificate is not yet active"},
        {GNUTLS_CERT_EXPIRED, "The certificate has expired"},
        {GNUTLS_CERT_UNEXPECTED_OWNER,
         "The certificate does not match the hostname"},
        {GNUTLS_CERT_PURPOSE_MISMATCH,
         "The certificate is for another purpose"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++) {
        if (status & reasons[i].bit) {
            return reasons[i].reason;
        }
    }
    return "The certificate is not trusted";
}

static bool check_pair(const CertList *own, const char *own_path,
                       const CertList *ca, const char *ca_path, Error **errp)
{
    unsigned status;
    int ret = gnutls_x509_crt_list_verify(own->certs, own->n, ca->certs, ca->n,
                                          NULL, 0, 0, &status);

    if (ret < 0 || status) {
        error_setg(
            errp, "Our own certificate %s failed validation against %s: %s",
            own_path, ca_path,
            ret < 0 ? gnutls_strerror(ret) : tls_creds_verify_reason(status));
        return false;
    }
    return true;
}

bool tls_creds_check_x509(QCryptoTLSCredsEndpoint endpoint, const GString *ca,
                          const char *ca_path, const GString *cert,
                          const char *cert_path, Error **errp)
{
    CertRole role = endpoint == QCRYPTO_TLS_CREDS_ENDPOINT_SERVER
                        ? CERT_ROLE_SERVER
                        : CERT_ROLE_CLIENT;
    g_auto(CertList) ca_list = {};
    g_auto(CertList) own_list = {};
    int ret;

    if (import_list(&ca_list, ca) < 0) {
        error_setg(errp, "Unable to import CA certificate list %s", ca_path);
        return false;
    }
    for (unsigned i = 0; i < ca_list.n; i++) {
        if (!check_cert(ca_list.certs[i], ca_path, CERT_ROLE_CA, errp)) {
            return false;
        }
    }
    if (!cert) {
        return true;
    }
    ret = import_list(&own_list, cert);
    if (ret < 0) {
        error_setg(errp, "Unable to import %s certificate %s: %s",
                   role_names[role], cert_path, gnutls_strerror(ret));
        return false;
    }
    return check_cert(own_list.certs[0], cert_path, role, errp) &&
           check_pair(&own_list, cert_path, &ca_list, ca_path, errp);
}
