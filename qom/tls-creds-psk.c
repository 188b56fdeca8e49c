/*
 * The object "tls-creds-psk": keys that both sides were given beforehand.
 *
 * keys.psk has a line USERNAME:KEY for each, with the key in hexadecimal
 * digits, as psktool writes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "read-file.h"
#include "tls-creds-internal.h"

#define KEYS_FILE "keys.psk"
#define DEFAULT_USERNAME "qemu"

static void wipe_key(void *opaque)
{
    object_wipe_string(opaque);
}

/* NULL when @hex is empty or no hexadecimal number of whole bytes. */
static GBytes *key_from_hex(const char *hex)
{
    size_t len = strlen(hex) / 2;
    GString *key;

    if (len == 0 || strlen(hex) % 2 ||
        strspn(hex, "0123456789abcdefABCDEF") != 2 * len) {
        return NULL;
    }
    key = g_string_sized_new(len);
    for (size_t i = 0; i < len; i++) {
        g_string_append_c(key, g_ascii_xdigit_value(hex[2 * i]) << 4 |
                                   g_ascii_xdigit_value(hex[2 * i + 1]));
    }
    return g_bytes_new_with_free_func(key->str, key->len, wipe_key, key);
}

static bool add_key(GHashTable *keys, char *line)
{
    char *colon = strrchr(line, ':');
    GBytes *key = colon ? key_from_hex(colon + 1) : NULL;

    if (!key || colon == line) {
        g_clear_pointer(&key, g_bytes_unref);
        return false;
    }
    g_hash_table_replace(keys, g_strndup(line, colon - line), key);
    return true;
}

/* Takes @text apart. */
static GHashTable *parse_keys(GString *text, const char *path, Error **errp)
{
    g_autoptr(GHashTable) keys = g_hash_table_new_full(
        g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    char *next = text->str;
    unsigned number = 0;
    char *line;

    while ((line = strsep(&next, "\n"))) {
        number++;
        g_strchomp(line);
        if (*line && !add_key(keys, line)) {
            error_setg(errp,
                       "Line %u of PSK file %s is no user name, colon and key "
                       "in hexadecimal digits",
                       number, path);
            return NULL;
        }
    }
    return g_steal_pointer(&keys);
}

static GHashTable *load_keys(const char *dir, char **path, Error **errp)
{
    GHashTable *keys;
    GString *text;

    if (!tls_creds_read(dir, KEYS_FILE, false, &text, path, errp)) {
        return NULL;
    }
    keys = parse_keys(text, *path, errp);
    object_wipe_string(text);
    return keys;
}

/* Called by a handshake, with @key for GnuTLS to free. */
static int find_key(gnutls_session_t session, const gnutls_datum_t *username,
                    gnutls_datum_t *key)
{
    QCryptoTLSCreds *creds = gnutls_session_get_ptr(session);
    g_autofree char *name =
        g_strndup((const char *)username->data, username->size);
    GBytes *bytes = g_hash_table_lookup(creds->psk_keys, name);

    if (!bytes) {
        /* GnuTLS goes on with a random one, which tells the peer nothing. */
        return 1;
    }
    key->size = g_bytes_get_size(bytes);
    key->data = gnutls_malloc(key->size);
    if (!key->data) {
        return -1;
    }
    memcpy(key->data, g_bytes_get_data(bytes, NULL), key->size);
    return 0;
}

static bool load_server(QCryptoTLSCreds *creds,
                        const TlsCredsPskProperties *props, Error **errp)
{
    g_autofree char *path = NULL;
    gnutls_psk_server_credentials_t server;
    int ret;

    if (props->username) {
        error_setg(errp, "username should not be set when endpoint=server");
        return false;
    }
    creds->psk_keys = load_keys(props->dir, &path, errp);
    if (!creds->psk_keys) {
        return false;
    }
    ret = gnutls_psk_allocate_server_credentials(&server);
    if (ret < 0) {
        error_setg(errp, "Cannot allocate credentials: %s",
                   gnutls_strerror(ret));
        return false;
    }
    creds->handle = server;
    gnutls_psk_set_server_credentials_function2(server, find_key);
    return true;
}

static bool load_client(QCryptoTLSCreds *creds,
                        const TlsCredsPskProperties *props, Error **errp)
{
    g_autofree char *path = NULL;
    g_autoptr(GHashTable) keys = load_keys(props->dir, &path, errp);
    const char *name = props->username ?: DEFAULT_USERNAME;
    GBytes *key = keys ? g_hash_table_lookup(keys, name) : NULL;
    gnutls_psk_client_credentials_t client;
    gnutls_datum_t datum;
    int ret;

    if (!key) {
        if (keys) {
            error_setg(errp, "Username %s not found in PSK file %s", name,
                       path);
        }
        return false;
    }
    datum.data = (unsigned char *)g_bytes_get_data(key, NULL);
    datum.size = g_bytes_get_size(key);
    ret = gnutls_psk_allocate_client_credentials(&client);
    if (ret == 0) {
        creds->handle = client;
        ret = gnutls_psk_set_client_credentials(client, name, &datum,
                                                GNUTLS_PSK_KEY_RAW);
    }
    if (ret < 0) {
        error_setg(errp, "Cannot set PSK client credentials: %s",
                   gnutls_strerror(ret));
        return false;
    }
    return true;
}

static bool psk_load(QCryptoTLSCreds *creds, const void *props, Error **errp)
{
    return creds->endpoint == QCRYPTO_TLS_CREDS_ENDPOINT_SERVER
               ? load_server(creds, props, errp)
               : load_client(creds, props, errp);
}

static Object *psk_create(const ObjectOptions *options, Error **errp)
{
    const TlsCredsPskProperties *props = &options->u.tls_creds_psk;

    return tls_creds_create(qapi_TlsCredsPskProperties_base(props),
                            GNUTLS_CRD_PSK, ":-KX-ALL:+ECDHE-PSK:+DHE-PSK:+PSK",
                            psk_load, props, errp);
}

const ObjectClass object_class_tls_creds_psk = {
    .type = OBJECT_TYPE_TLS_CREDS_PSK,
    .create = psk_create,
    .destroy = tls_creds_destroy,
};
