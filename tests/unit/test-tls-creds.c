/*
 * Tests of TLS credentials: what is refused when they are made, and why.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io-fixture.h"
#include "qom/object.h"
#include "tls-fixture.h"

/* @expected has "%s" where the folder @dir is named. */
static void check_fails(ObjectOptions *options, const char *dir,
                        const char *expected)
{
    g_autofree char *folder = io_fixture_path(dir);
    g_auto(GStrv) parts = g_strsplit(expected, "%s", -1);
    g_autofree char *message = g_strjoinv(folder, parts);
    g_autoptr(Error) err = NULL;

    g_assert_null(tls_fixture_creds(options, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, message);
}

static void check_x509_fails(const char *dir, bool server, const char *expected)
{
    ObjectOptions options = tls_fixture_x509(dir, server);

    check_fails(&options, dir, expected);
    tls_fixture_options_clear(&options);
}

static void check_x509_works(const char *dir, bool server)
{
    tls_creds_unref(tls_fixture_x509_creds(dir, server));
}

static void write_special(const char *dir, bool server,
                          const TLSFixtureSpec *spec)
{
    TLSFixtureCert cert = tls_fixture_cert(spec);

    tls_fixture_write_x509(dir, server ? "server" : "client", tls_fixture_ca(),
                           &cert);
    tls_fixture_cert_free(&cert);
}

static void check_special_fails(bool server, TLSFixtureSpec spec,
                                const char *expected)
{
    spec.signer = spec.signer ?: tls_fixture_ca();
    write_special("special", server, &spec);
    check_x509_fails("special", server, expected);
}

static void test_usual(void)
{
    tls_fixture_start();
    check_x509_works(TLS_FIXTURE_SERVER, true);
    check_x509_works(TLS_FIXTURE_CLIENT, false);
    check_x509_works(TLS_FIXTURE_BARE, false);
    /* A folder for both sides serves both. */
    check_x509_works(TLS_FIXTURE_SERVER, false);
    tls_fixture_finish();
}

static void test_defaults(void)
{
    ObjectOptions options;
    g_autoptr(Error) err = NULL;
    QCryptoTLSCreds *creds;

    tls_fixture_start();
    options = tls_fixture_x509(TLS_FIXTURE_CLIENT, false);
    options.u.tls_creds_x509.has_endpoint = false;
    object_add(&options, &error_abort);
    creds = tls_creds_find("creds", QCRYPTO_TLS_CREDS_ENDPOINT_CLIENT,
                           &error_abort);
    tls_creds_unref(creds);
    g_assert_null(
        tls_creds_find("creds", QCRYPTO_TLS_CREDS_ENDPOINT_SERVER, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Expecting TLS credentials with a server endpoint");
    tls_fixture_options_clear(&options);
    tls_fixture_finish();
}

static void test_not_found(void)
{
    ObjectOptions secret = {.qom_type = OBJECT_TYPE_SECRET, .id = (char *)"s"};
    g_autoptr(Error) unknown = NULL;
    g_autoptr(Error) other = NULL;

    tls_fixture_start();
    secret.u.secret.data = (char *)"x";
    object_add(&secret, &error_abort);
    g_assert_null(
        tls_creds_find("nope", QCRYPTO_TLS_CREDS_ENDPOINT_CLIENT, &unknown));
    g_assert_cmpstr(error_get_pretty(unknown), ==,
                    "No TLS credentials with id 'nope'");
    g_assert_null(
        tls_creds_find("s", QCRYPTO_TLS_CREDS_ENDPOINT_CLIENT, &other));
    g_assert_nonnull(other);
    tls_fixture_finish();
}

static void test_missing(void)
{
    ObjectOptions options;

    tls_fixture_start();
    options = tls_fixture_x509(TLS_FIXTURE_SERVER, true);
    g_clear_pointer(&options.u.tls_creds_x509.dir, g_free);
    check_fails(&options, "", "Missing 'dir' property value");
    check_x509_fails("nowhere", true,
                     "Unable to access credentials %s/ca-cert.pem: "
                     "No such file or directory");
    check_x509_fails(TLS_FIXTURE_CLIENT, true,
                     "Unable to access credentials %s/server-cert.pem: "
                     "No such file or directory");
    tls_fixture_write("half", "ca-cert.pem", "x");
    tls_fixture_write("half", "client-cert.pem", "x");
    check_x509_fails("half", false,
                     "Unable to access credentials %s/client-key.pem: "
                     "No such file or directory");
    tls_fixture_finish();
}

static void test_times(void)
{
    TLSFixtureSpec past = {.from_days = -3, .to_days = -1};
    TLSFixtureSpec future = {.from_days = 1, .to_days = 3};
    ObjectOptions options;

    tls_fixture_start();
    check_special_fails(
        true, past, "The server certificate %s/server-cert.pem has expired");
    check_special_fails(
        false, past, "The client certificate %s/client-cert.pem has expired");
    check_special_fails(
        true, future,
        "The server certificate %s/server-cert.pem is not yet active");
    /* Who asks for no check gets none. */
    options = tls_fixture_x509("special", true);
    options.u.tls_creds_x509.has_sanity_check = true;
    tls_creds_unref(tls_fixture_creds(&options, &error_abort));
    tls_fixture_options_clear(&options);
    tls_fixture_finish();
}

static void test_use(void)
{
    TLSFixtureSpec ca = {.ca = true};
    TLSFixtureSpec client = {.purpose = GNUTLS_KP_TLS_WWW_CLIENT};
    TLSFixtureSpec server = {.purpose = GNUTLS_KP_TLS_WWW_SERVER};
    TLSFixtureSpec signer = {.usage = GNUTLS_KEY_KEY_CERT_SIGN};
    TLSFixtureSpec any = {.purpose = GNUTLS_KP_ANY};

    tls_fixture_start();
    check_special_fails(
        true, ca,
        "The certificate %s/server-cert.pem basic constraints show a CA, but "
        "we need one for a server");
    check_special_fails(
        true, client,
        "Certificate %s/server-cert.pem purpose does not allow use with a TLS "
        "server");
    check_special_fails(
        false, server,
        "Certificate %s/client-cert.pem purpose does not allow use with a TLS "
        "client");
    check_special_fails(
        true, signer,
        "Certificate %s/server-cert.pem usage does not permit digital "
        "signature");
    any.signer = tls_fixture_ca();
    write_special("any", true, &any);
    check_x509_works("any", true);
    tls_fixture_finish();
}

static void check_ca_fails(TLSFixtureSpec spec, const char *expected)
{
    TLSFixtureCert ca = tls_fixture_cert(&spec);

    tls_fixture_write_x509("ca", "client", &ca, NULL);
    tls_fixture_cert_free(&ca);
    check_x509_fails("ca", false, expected);
}

static void test_ca(void)
{
    TLSFixtureSpec no_ca = {};
    TLSFixtureSpec no_signer = {.ca = true, .usage = GNUTLS_KEY_CRL_SIGN};
    TLSFixtureSpec past = {.ca = true, .from_days = -3, .to_days = -1};

    tls_fixture_start();
    check_ca_fails(no_ca, "The certificate %s/ca-cert.pem basic constraints do "
                          "not show a CA");
    check_ca_fails(no_signer, "Certificate %s/ca-cert.pem usage does not "
                              "permit certificate signing");
    check_ca_fails(past, "The CA certificate %s/ca-cert.pem has expired");
    tls_fixture_finish();
}

static void test_other_ca(void)
{
    TLSFixtureSpec other = {.ca = true, .host = "another CA"};
    TLSFixtureSpec spec = {};
    TLSFixtureCert ca;

    tls_fixture_start();
    ca = tls_fixture_cert(&other);
    spec.signer = &ca;
    check_special_fails(
        true, spec,
        "Our own certificate %s/server-cert.pem failed validation against "
        "%s/ca-cert.pem: The certificate hasn't got a known issuer");
    tls_fixture_cert_free(&ca);
    tls_fixture_finish();
}

static void test_garbage(void)
{
    TLSFixtureSpec spec = {};

    tls_fixture_start();
    spec.signer = tls_fixture_ca();
    write_special("g", true, &spec);
    tls_fixture_write("g", "ca-crl.pem", "garbage");
    check_x509_fails("g", true,
                     "Cannot load CRL '%s/ca-crl.pem': "
                     "Base64 decoding error.");
    tls_fixture_write("g", "server-key.pem", "garbage");
    check_x509_fails("g", true,
                     "Cannot load certificate '%s/server-cert.pem' & key "
                     "'%s/server-key.pem': The requested data were not "
                     "available.");
    tls_fixture_write("g", "server-cert.pem", "garbage");
    check_x509_fails("g", true,
                     "Unable to import server certificate "
                     "%s/server-cert.pem: No certificate was found.");
    tls_fixture_write("g", "ca-cert.pem", "garbage");
    check_x509_fails("g", true,
                     "Unable to import CA certificate list %s/ca-cert.pem");
    tls_fixture_write("g", "ca-cert.pem", "");
    check_x509_fails("g", true,
                     "Unable to import CA certificate list %s/ca-cert.pem");
    tls_fixture_finish();
}

static void test_priority(void)
{
    ObjectOptions options;

    tls_fixture_start();
    options = tls_fixture_x509(TLS_FIXTURE_SERVER, true);
    options.u.tls_creds_x509.priority = (char *)"FOO";
    check_fails(&options, "",
                "Unable to set TLS session priority FOO: "
                "The request is invalid.");
    options.u.tls_creds_x509.priority = (char *)"NORMAL:%SERVER_PRECEDENCE";
    tls_creds_unref(tls_fixture_creds(&options, &error_abort));
    tls_fixture_options_clear(&options);
    tls_fixture_finish();
}

/* The server's key in @dir, under @password. */
static void write_protected(const char *dir, const char *password)
{
    TLSFixtureSpec spec = {.signer = tls_fixture_ca()};
    TLSFixtureCert cert = tls_fixture_cert(&spec);
    g_autofree char *text = NULL;
    gnutls_datum_t pem;

    tls_fixture_write_x509(dir, "server", tls_fixture_ca(), &cert);
    g_assert_cmpint(gnutls_x509_privkey_export2_pkcs8(
                        cert.key, GNUTLS_X509_FMT_PEM, password,
                        GNUTLS_PKCS_PBES2_AES_128, &pem),
                    ==, 0);
    text = g_strndup((const char *)pem.data, pem.size);
    gnutls_free(pem.data);
    tls_fixture_write(dir, "server-key.pem", text);
    tls_fixture_cert_free(&cert);
}

static void test_password(void)
{
    static const char failed[] =
        "Cannot load certificate '%s/server-cert.pem' & key "
        "'%s/server-key.pem': Decryption has failed.";
    ObjectOptions secret = {.qom_type = OBJECT_TYPE_SECRET, .id = (char *)"s"};
    ObjectOptions options;

    tls_fixture_start();
    write_protected("p", "letmein");
    options = tls_fixture_x509("p", true);
    check_fails(&options, "p", failed);
    options.u.tls_creds_x509.passwordid = (char *)"s";
    check_fails(&options, "p", "No secret with id 's'");
    secret.u.secret.data = (char *)"guess";
    object_add(&secret, &error_abort);
    check_fails(&options, "p", failed);
    object_del("s", &error_abort);
    secret.u.secret.data = (char *)"letmein";
    object_add(&secret, &error_abort);
    tls_creds_unref(tls_fixture_creds(&options, &error_abort));
    tls_fixture_options_clear(&options);
    tls_fixture_finish();
}

static void check_psk_fails(const char *text, bool server, const char *expected)
{
    ObjectOptions options = tls_fixture_psk("k", server);

    tls_fixture_write("k", "keys.psk", text);
    check_fails(&options, "k", expected);
    tls_fixture_options_clear(&options);
}

static void test_psk(void)
{
    static const char line1[] = "Line 1 of PSK file %s/keys.psk is no user "
                                "name, colon and key in hexadecimal digits";
    ObjectOptions options;

    tls_fixture_start();
    tls_creds_unref(tls_fixture_psk_creds(TLS_FIXTURE_PSK, true));
    tls_creds_unref(tls_fixture_psk_creds(TLS_FIXTURE_PSK, false));
    options = tls_fixture_psk("nowhere", true);
    check_fails(&options, "nowhere",
                "Unable to access credentials %s/keys.psk: "
                "No such file or directory");
    options.u.tls_creds_psk.username = (char *)"qemu";
    check_fails(&options, "nowhere",
                "username should not be set when endpoint=server");
    tls_fixture_options_clear(&options);
    check_psk_fails("other:00\n", false,
                    "Username qemu not found in PSK file %s/keys.psk");
    check_psk_fails("", false,
                    "Username qemu not found in PSK file %s/keys.psk");
    check_psk_fails("qemu", true, line1);
    check_psk_fails("qemu:", false, line1);
    check_psk_fails(":00", true, line1);
    check_psk_fails("qemu:abc", false, line1);
    check_psk_fails("qemu:zz", true, line1);
    check_psk_fails("qemu:00\n\nqemu=00", true,
                    "Line 3 of PSK file %s/keys.psk is no user name, colon "
                    "and key in hexadecimal digits");
    tls_fixture_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tls-creds/usual", test_usual);
    g_test_add_func("/tls-creds/defaults", test_defaults);
    g_test_add_func("/tls-creds/not-found", test_not_found);
    g_test_add_func("/tls-creds/missing", test_missing);
    g_test_add_func("/tls-creds/times", test_times);
    g_test_add_func("/tls-creds/use", test_use);
    g_test_add_func("/tls-creds/ca", test_ca);
    g_test_add_func("/tls-creds/other-ca", test_other_ca);
    g_test_add_func("/tls-creds/garbage", test_garbage);
    g_test_add_func("/tls-creds/priority", test_priority);
    g_test_add_func("/tls-creds/password", test_password);
    g_test_add_func("/tls-creds/psk", test_psk);
    return g_test_run();
}
