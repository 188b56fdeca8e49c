/*
 * QMP client: its credentials for TLS.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qmp-internal.h"

static bool client_set_creds(YcQmpClient *client, const ObjectOptions *options,
                             GError **errp)
{
    Error *err = NULL;

    client->tls.creds = tls_creds_new(options, &err);
    if (!client->tls.creds) {
        yc_error_take(errp, YC_ERROR_INVALID, err);
        return false;
    }
    return true;
}

bool yc_qmp_client_set_tls(YcQmpClient *client, const char *dir,
                           const char *hostname, GError **errp)
{
    ObjectOptions options = {.qom_type = OBJECT_TYPE_TLS_CREDS_X509};

    options.u.tls_creds_x509.dir = (char *)dir;
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
    if (!client_set_creds(client, &options, errp)) {
        return false;
    }
    client->tls.hostname = g_strdup(hostname);
    return true;
}

bool yc_qmp_client_set_tls_psk(YcQmpClient *client, const char *dir,
                               const char *username, GError **errp)
{
    ObjectOptions options = {.qom_type = OBJECT_TYPE_TLS_CREDS_PSK};

    options.u.tls_creds_psk.dir = (char *)dir;
    options.u.tls_creds_psk.username = (char *)username;
    return client_set_creds(client, &options, errp);
}
