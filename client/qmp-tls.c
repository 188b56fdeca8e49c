/*
 * QMP client: its credentials for TLS.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qmp-internal.h"

static QCryptoTLSCreds *creds_new(const char *dir, GError **errp)
{
    ObjectOptions options = {.qom_type = OBJECT_TYPE_TLS_CREDS_X509};
    Error *err = NULL;
    QCryptoTLSCreds *creds;

    options.u.tls_creds_x509.dir = (char *)dir;
    creds = tls_creds_new(&options, &err);
    if (!creds) {
        yc_error_take(errp, YC_ERROR_INVALID, err);
    }
    return creds;
}

bool yc_qmp_client_set_tls(YcQmpClient *client, const char *dir,
                           const char *hostname, GError **errp)
{
    if (!hostname && client->addr->type == SOCKET_ADDRESS_TYPE_INET) {
        hostname = client->addr->u.inet.host;
    }
    if (!hostname) {
        g_set_error(errp, YC_ERROR, YC_ERROR_INVALID,
                    "%s: TLS needs the name of the host whose certificate "
                    "the server is to show",
                    client->addr_text);
        return false;
    }
    client->tls.creds = creds_new(dir, errp);
    if (!client->tls.creds) {
        return false;
    }
    client->tls.hostname = g_strdup(hostname);
    return true;
}
