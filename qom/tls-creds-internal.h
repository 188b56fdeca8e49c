/*
 * What the kinds of TLS credentials share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOM_TLS_CREDS_INTERNAL_H
#define QOM_TLS_CREDS_INTERNAL_H

#include "object-internal.h"
#include "qom/tls-creds-gnutls.h"

/*
 * Fills in @creds (->handle, ->psk_keys) from @props of its own kind, whose
 * options for all kinds are in @creds already.
 */
typedef bool TLSCredsLoadFn(QCryptoTLSCreds *creds, const void *props,
                            Error **errp);

/*
 * The object of credentials: checks @base, then lets @load do the rest with
 * @props.  @key_exchange is added to the priorities.
 */
Object *tls_creds_create(const TlsCredsProperties *base,
                         gnutls_credentials_type_t type,
                         const char *key_exchange, TLSCredsLoadFn *load,
                         const void *props, Error **errp);
void tls_creds_destroy(Object *obj);

/*
 * The content of @name in @dir, and its path for messages.  When @optional and
 * not there, *text is NULL.  object_wipe_string() the one, g_free() the other.
 * Blocks on the file system.
 */
bool tls_creds_read(const char *dir, const char *name, bool optional,
                    GString **text, char **path, Error **errp);

/* @text, for GnuTLS. */
gnutls_datum_t tls_creds_datum(const GString *text);

/*
 * Whether the certificates of an endpoint are what they must be: CAs that are
 * valid and may sign, and (if @cert) one that is valid, serves the purpose of
 * @endpoint and is signed by them.
 */
bool tls_creds_check_x509(QCryptoTLSCredsEndpoint endpoint, const GString *ca,
                          const char *ca_path, const GString *cert,
                          const char *cert_path, Error **errp);

#endif
