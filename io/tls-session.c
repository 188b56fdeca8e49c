/*
 * TLS sessions, by GnuTLS.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <arpa/inet.h>
#include <gnutls/x509.h>
#include "qemu/lockable.h"
#include "qom/tls-creds-gnutls.h"
#include "tls-session.h"

/* Some records, so that few system calls move many. */
#define INPUT_SIZE (128 * KiB)

struct TLSSession {
    QCryptoTLSCreds *creds;
    const char *peer; /* the channel's */
    char *hostname;
    gnutls_typed_vdata_st wanted[2]; /* of the peer's certificate */

    /* The receiver's: what the peer sent and GnuTLS did not take yet. */
    unsigned char *input;
    size_t input_start;
    size_t input_end;
    bool input_ended;

    /*
     * Guards the handle (cryptography takes its time: so it is slow) and
     * output.  Nothing is taken under it, and nobody waits for a peer.
     */
    QemuMutex lock;
    gnutls_session_t handle;
    GByteArray *output;
};

static ssize_t push(gnutls_transport_ptr_t opaque, const void *data, size_t len)
{
    TLSSession *session = opaque;

    g_byte_array_append(session->output, data, len);
    return len;
}

static ssize_t pull(gnutls_transport_ptr_t opaque, void *data, size_t len)
{
    TLSSession *session = opaque;
    size_t n = MIN(len, session->input_end - session->input_start);

    if (n == 0 && !session->input_ended) {
        gnutls_transport_set_errno(session->handle, EAGAIN);
        return -1;
    }
    memcpy(data, session->input + session->input_start, n);
    session->input_start += n;
    return n;
}

static bool is_ip_address(const char *text)
{
    struct in6_addr addr;

    return inet_pton(AF_INET, text, &addr) > 0 ||
           inet_pton(AF_INET6, text, &addr) > 0;
}

/* The certificate must be for @purpose, and (if any) for the host name. */
static void want_certificate(TLSSession *session, const char *purpose)
{
    session->wanted[0] = (gnutls_typed_vdata_st){
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)purpose,
    };
    session->wanted[1] = (gnutls_typed_vdata_st){
        .type = GNUTLS_DT_DNS_HOSTNAME,
        .data = (unsigned char *)session->hostname,
    };
    gnutls_session_set_verify_cert2(session->handle, session->wanted,
                                    session->hostname ? 2 : 1, 0);
}

static int set_up_client(TLSSession *session)
{
    const char *name = session->hostname;

    if (session->creds->type == GNUTLS_CRD_CERTIFICATE &&
        session->creds->verify_peer) {
        want_certificate(session, GNUTLS_KP_TLS_WWW_SERVER);
    }
    if (!name || is_ip_address(name)) {
        return 0;
    }
    return gnutls_server_name_set(session->handle, GNUTLS_NAME_DNS, name,
                                  strlen(name));
}

static int set_up_server(TLSSession *session)
{
    if (session->creds->type == GNUTLS_CRD_CERTIFICATE &&
        session->creds->verify_peer) {
        want_certificate(session, GNUTLS_KP_TLS_WWW_CLIENT);
        gnutls_certificate_server_set_request(session->handle,
                                              GNUTLS_CERT_REQUIRE);
    }
    return 0;
}

static int set_up(TLSSession *session)
{
    QCryptoTLSCreds *creds = session->creds;
    bool server = creds->endpoint == QCRYPTO_TLS_CREDS_ENDPOINT_SERVER;
    int ret =
        gnutls_init(&session->handle, (server ? GNUTLS_SERVER : GNUTLS_CLIENT) |
                                          GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS);

    if (ret < 0) {
        session->handle = NULL;
        return ret;
    }
    gnutls_session_set_ptr(session->handle, creds);
    gnutls_transport_set_ptr(session->handle, session);
    gnutls_transport_set_push_function(session->handle, push);
    gnutls_transport_set_pull_function(session->handle, pull);
    ret = gnutls_priority_set(session->handle, creds->priority);
    if (ret == 0) {
        ret =
            gnutls_credentials_set(session->handle, creds->type, creds->handle);
    }
    if (ret < 0) {
        return ret;
    }
    return server ? set_up_server(session) : set_up_client(session);
}

TLSSession *tls_session_new(QCryptoTLSCreds *creds, const char *hostname,
                            const char *peer, Error **errp)
{
    TLSSession *session = g_new0(TLSSession, 1);
    int ret;

    session->creds = tls_creds_ref(creds);
    session->peer = peer;
    session->hostname = g_strdup(hostname);
    session->input = g_malloc(INPUT_SIZE);
    session->output = g_byte_array_new();
    qemu_mutex_init_slow(&session->lock);
    ret = set_up(session);
    if (ret < 0) {
        error_setg(errp, "Unable to set up TLS with %s: %s", peer,
                   gnutls_strerror(ret));
        tls_session_free(session);
        return NULL;
    }
    return session;
}

void tls_session_free(TLSSession *session)
{
    if (session->handle) {
        gnutls_deinit(session->handle);
    }
    qemu_mutex_destroy(&session->lock);
    g_byte_array_unref(session->output);
    g_free(session->input);
    g_free(session->hostname);
    tls_creds_unref(session->creds);
    g_free(session);
}

/* A failure of GnuTLS in words. */
static const char *reason(TLSSession *session, int ret)
{
    switch (ret) {
    case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
        return tls_creds_verify_reason(
            gnutls_session_get_verify_cert_status(session->handle));
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
        return gnutls_alert_get_name(gnutls_alert_get(session->handle))
                   ?: gnutls_strerror(ret);
    default:
        return gnutls_strerror(ret);
    }
}

static void set_error(Error **errp, TLSSession *session, const char *what,
                      int ret)
{
    error_setg(errp, "%s %s failed: %s%s", what, session->peer,
               ret == GNUTLS_E_FATAL_ALERT_RECEIVED ? "the peer says: " : "",
               reason(session, ret));
}

/*
 * Whether @ret says no more than "again": after a warning, and after what is
 * the session's own, such as new keys, though there is more input.
 */
static bool should_repeat(TLSSession *session, int ret)
{
    return ret == GNUTLS_E_INTERRUPTED ||
           ret == GNUTLS_E_WARNING_ALERT_RECEIVED ||
           (ret == GNUTLS_E_AGAIN && session->input_start < session->input_end);
}

int tls_session_handshake(TLSSession *session, Error **errp)
{
    int ret;

    QEMU_LOCK_GUARD(&session->lock);
    do {
        ret = gnutls_handshake(session->handle);
    } while (should_repeat(session, ret));
    if (ret == GNUTLS_E_AGAIN) {
        return TLS_SESSION_NEEDS_INPUT;
    }
    if (ret < 0) {
        set_error(errp, session, "TLS handshake with", ret);
        gnutls_alert_send_appropriate(session->handle, ret);
        return -1;
    }
    return 0;
}

void *tls_session_input(TLSSession *session, size_t *size)
{
    g_assert(session->input_start == session->input_end);
    *size = INPUT_SIZE;
    return session->input;
}

void tls_session_feed(TLSSession *session, size_t len)
{
    session->input_start = 0;
    session->input_end = len;
    session->input_ended = len == 0;
}

ssize_t tls_session_receive(TLSSession *session, void *buf, size_t len,
                            Error **errp)
{
    ssize_t ret;

    QEMU_LOCK_GUARD(&session->lock);
    do {
        ret = gnutls_record_recv(session->handle, buf, len);
    } while (should_repeat(session, ret));
    switch (ret) {
    case GNUTLS_E_AGAIN:
        return TLS_SESSION_NEEDS_INPUT;
    case GNUTLS_E_PREMATURE_TERMINATION:
        return TLS_SESSION_CUT;
    default:
        if (ret < 0) {
            set_error(errp, session, "Reading TLS of", ret);
            return -1;
        }
        return ret;
    }
}

bool tls_session_send(TLSSession *session, const void *buf, size_t len,
                      Error **errp)
{
    ssize_t ret;

    QEMU_LOCK_GUARD(&session->lock);
    ret = gnutls_record_send(session->handle, buf, len);
    if (ret < 0) {
        set_error(errp, session, "Writing TLS to", ret);
        return false;
    }
    /* The output takes all, so a record is never cut short. */
    g_assert((size_t)ret == len);
    return true;
}

void tls_session_bye(TLSSession *session)
{
    QEMU_LOCK_GUARD(&session->lock);

    gnutls_bye(session->handle, GNUTLS_SHUT_WR);
}

void tls_session_take_output(TLSSession *session, GByteArray **out)
{
    QEMU_LOCK_GUARD(&session->lock);
    GByteArray *output = session->output;

    session->output = *out;
    *out = output;
}
