/*
 * What TLS credentials are made of, for those who make TLS sessions of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOM_TLS_CREDS_GNUTLS_H
#define QOM_TLS_CREDS_GNUTLS_H

#include <gnutls/gnutls.h>
#include "qom/tls-creds.h"

/* Constant, but for the count of references. */
struct QCryptoTLSCreds {
    int refcount; /* atomic */
    QCryptoTLSCredsEndpoint endpoint;
    bool verify_peer;
    gnutls_priority_t priority;
    gnutls_credentials_type_t type; /* certificate or PSK */
    /*
     * As gnutls_credentials_set() takes them.  A session of a PSK server has
     * the QCryptoTLSCreds as its gnutls_session_set_ptr().
     */
    void *handle;
    GHashTable *psk_keys; /* user name -> GBytes; of a PSK server */
};

/*
 * Why a certificate was refused, of the gnutls_certificate_status_t bits in
 * @status: a sentence without its dot.  Any thread.
 */
const char *tls_creds_verify_reason(unsigned status);

#endif
