/*
 * TLS credentials: what the objects tls-creds-x509 and tls-creds-psk made, for
 * connections to use.
 *
 * Credentials never change.  Those that use them hold a reference, and go on
 * after the object is deleted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOM_TLS_CREDS_H
#define QOM_TLS_CREDS_H

#include "qapi/error.h"
#include "qapi/qapi-types-qom.h"

typedef struct QCryptoTLSCreds QCryptoTLSCreds;

/*
 * The credentials that object @id made for @endpoint, with a reference for
 * the caller.  NULL with errp set when there are none, or for the other
 * endpoint.  Main thread; does not block.
 */
QCryptoTLSCreds *tls_creds_find(const char *id,
                                QCryptoTLSCredsEndpoint endpoint, Error **errp);

/*
 * Credentials that no object has, from @options of one of those kinds, whose
 * id does not matter.  NULL with errp set on failure.  Any thread, unless
 * they name a secret; reads files.
 */
QCryptoTLSCreds *tls_creds_new(const ObjectOptions *options, Error **errp);

/* Any thread; NULL is fine for unref. */
QCryptoTLSCreds *tls_creds_ref(QCryptoTLSCreds *creds);
void tls_creds_unref(QCryptoTLSCreds *creds);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QCryptoTLSCreds, tls_creds_unref)

#endif
