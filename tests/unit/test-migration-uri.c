/*
 * URIs of migration: what they mean, and what is wrong with them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/uri.h"
#include "qapi/qapi-visit-sockets.h"
#include "qobject/json.h"

static void check_good(const char *uri, const char *expected)
{
    g_autoptr(SocketAddress) addr = migration_uri_parse(uri, &error_abort);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(Visitor) v = json_output_visitor_new(text);

    visit_type_SocketAddress(v, NULL, &addr, &error_abort);
    g_assert_cmpstr(text->str, ==, expected);
}

static void check_bad(const char *uri, const char *message)
{
    g_autoptr(Error) err = NULL;

    g_assert_null(migration_uri_parse(uri, &err));
    g_assert_nonnull(err);
    g_assert_cmpstr(error_get_pretty(err), ==, message);
    g_assert_null(migration_uri_parse(uri, NULL));
}

#define INET "{\"type\": \"inet\", "

static void test_tcp(void)
{
    check_good("tcp:192.0.2.7:4446",
               INET "\"host\": \"192.0.2.7\", \"port\": \"4446\"}");
    check_good("tcp:host.example:ssh",
               INET "\"host\": \"host.example\", \"port\": \"ssh\"}");
    check_good("tcp::0", INET "\"host\": \"\", \"port\": \"0\"}");
    check_good("tcp:[::1]:4446", INET "\"host\": \"::1\", \"port\": \"4446\"}");
    check_good("tcp:[fe80::1%lo]:1",
               INET "\"host\": \"fe80::1%lo\", \"port\": \"1\"}");
    check_good("tcp:[192.0.2.7]:1",
               INET "\"host\": \"192.0.2.7\", \"port\": \"1\"}");
}

static void test_tcp_bad(void)
{
    check_bad("tcp:", "error parsing address ''");
    check_bad("tcp:1", "error parsing address '1'");
    check_bad("tcp:a:", "error parsing address 'a:'");
    check_bad("tcp::", "error parsing port in address ':'");
    check_bad("tcp:,ipv4", "error parsing address ''");
    check_bad("tcp:a:,ipv4", "error parsing address 'a:'");
    check_bad("tcp:[", "error parsing IPv6 address '['");
    check_bad("tcp:[]:1", "error parsing IPv6 address '[]:1'");
    check_bad("tcp:[::1:1", "error parsing IPv6 address '[::1:1'");
    check_bad("tcp:[::1]", "error parsing IPv6 address '[::1]'");
    check_bad("tcp:[::1]:", "error parsing IPv6 address '[::1]:'");
    check_bad("tcp:[::1]1", "error parsing IPv6 address '[::1]1'");
    check_bad("tcp:[::1]:1:2", "error parsing IPv6 address '[::1]:1:2'");
    check_bad("tcp:::1:1", "error parsing address '::1:1'");
}

static void test_tcp_options(void)
{
    check_good("tcp:a:1,to=65535", INET "\"host\": \"a\", \"port\": \"1\", "
                                        "\"to\": 65535}");
    check_good("tcp:a:1,ipv4,ipv6=off",
               INET "\"host\": \"a\", \"port\": \"1\", \"ipv4\": true, "
                    "\"ipv6\": false}");
    check_good("tcp:[::1]:1,ipv4=off,keep-alive=on",
               INET "\"host\": \"::1\", \"port\": \"1\", \"ipv4\": false, "
                    "\"keep-alive\": true}");
    check_good("tcp:a:1,keep-alive=on,keep-alive=off",
               INET "\"host\": \"a\", \"port\": \"1\", \"keep-alive\": "
                    "false}");
    check_bad("tcp:a:1,ipv4=foo", "error parsing 'ipv4' flag '=foo'");
    check_bad("tcp:a:1,ipv6=", "error parsing 'ipv6' flag '='");
    check_bad("tcp:a:1,to", "error parsing to= argument");
    check_bad("tcp:a:1,to=", "error parsing to= argument");
    check_bad("tcp:a:1,to=xx", "error parsing to= argument");
    check_bad("tcp:a:1,to=-1", "error parsing to= argument");
    check_bad("tcp:a:1,to=65536", "error parsing to= argument");
    check_bad("tcp:a:1,foo=bar", "unknown option 'foo' of an address; allowed "
                                 "are to, ipv4, ipv6 and keep-alive");
    check_bad("tcp:a:1,", "unknown option '' of an address; allowed are to, "
                          "ipv4, ipv6 and keep-alive");
}

static void test_unix(void)
{
    check_good("unix:/run/m.sock",
               "{\"type\": \"unix\", \"path\": \"/run/m.sock\"}");
    check_good("unix:a,b:c", "{\"type\": \"unix\", \"path\": \"a,b:c\"}");
    check_bad("unix:", "invalid Unix socket address");
}

static void test_fd(void)
{
    check_good("fd:7", "{\"type\": \"fd\", \"str\": \"7\"}");
    check_good("fd:2147483647", "{\"type\": \"fd\", \"str\": \"2147483647\"}");
    check_bad("fd:", "File descriptor named '' has not been found");
    check_bad("fd:abc", "File descriptor named 'abc' has not been found");
    check_bad("fd:-1", "File descriptor named '-1' has not been found");
    check_bad("fd:7x", "File descriptor named '7x' has not been found");
    check_bad("fd:2147483648",
              "File descriptor named '2147483648' has not been found");
}

static void test_others(void)
{
    static const char message[] =
        "Parameter 'uri' expects a valid migration protocol";

    check_bad("", message);
    check_bad("1", message);
    check_bad("tcp", message);
    check_bad("TCP:a:1", message);
    check_bad("exec:true", message);
    check_bad("rdma:a:1", message);
    check_bad(" tcp:a:1", message);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uri/tcp", test_tcp);
    g_test_add_func("/uri/tcp/bad", test_tcp_bad);
    g_test_add_func("/uri/tcp/options", test_tcp_options);
    g_test_add_func("/uri/unix", test_unix);
    g_test_add_func("/uri/fd", test_fd);
    g_test_add_func("/uri/others", test_others);
    return g_test_run();
}
