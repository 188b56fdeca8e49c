/*
 * --chardev: what the options of a command line become.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev/char-opts.h"
#include "qapi/qapi-visit-char.h"
#include "qobject/json.h"

typedef struct Good {
    const char *option;
    const char *json; /* the backend */
} Good;

static const Good good[] = {
    {"null,id=c", "{\"type\": \"null\", \"data\": {}}"},
    {"backend=null,id=c", "{\"type\": \"null\", \"data\": {}}"},
    {"id=c,backend=null", "{\"type\": \"null\", \"data\": {}}"},
    {"null,id=d,id=c", "{\"type\": \"null\", \"data\": {}}"},
    {"stdio,id=c,signal=off",
     "{\"type\": \"stdio\", \"data\": {\"signal\": false}}"},
    {"file,id=c,path=a,,b,append=on",
     "{\"type\": \"file\", \"data\": {\"out\": \"a,b\", \"append\": true}}"},
    {"file,id=c,path=o,input-path=i",
     "{\"type\": \"file\", \"data\": {\"in\": \"i\", \"out\": \"o\"}}"},
    {"ringbuf,id=c,size=64k",
     "{\"type\": \"ringbuf\", \"data\": {\"size\": 65536}}"},
    {"socket,id=c,path=/s",
     "{\"type\": \"socket\", \"data\": {\"addr\": {\"type\": \"unix\", "
     "\"data\": {\"path\": \"/s\"}}, \"server\": false}}"},
    {"socket,id=c,path=s,server=on,wait=off",
     "{\"type\": \"socket\", \"data\": {\"addr\": {\"type\": \"unix\", "
     "\"data\": {\"path\": \"s\"}}, \"server\": true, \"wait\": false}}"},
    {"socket,id=c,path=s,server=on",
     "{\"type\": \"socket\", \"data\": {\"addr\": {\"type\": \"unix\", "
     "\"data\": {\"path\": \"s\"}}, \"server\": true, \"wait\": true}}"},
    {"socket,id=c,host=h,port=1,ipv4=on,to=9,reconnect=5",
     "{\"type\": \"socket\", \"data\": {\"addr\": {\"type\": \"inet\", "
     "\"data\": {\"host\": \"h\", \"port\": \"1\", \"to\": 9, "
     "\"ipv4\": true}}, \"server\": false, \"reconnect\": 5}}"},
    {"socket,id=c,port=1,server=on,wait=off",
     "{\"type\": \"socket\", \"data\": {\"addr\": {\"type\": \"inet\", "
     "\"data\": {\"host\": \"\", \"port\": \"1\"}}, \"server\": true, "
     "\"wait\": false}}"},
    {"socket,id=c,fd=5",
     "{\"type\": \"socket\", \"data\": {\"addr\": {\"type\": \"fd\", "
     "\"data\": {\"str\": \"5\"}}, \"server\": false}}"},
    {"socket,id=c,path=s,abstract=on,tight=off",
     "{\"type\": \"socket\", \"data\": {\"addr\": {\"type\": \"unix\", "
     "\"data\": {\"path\": \"s\", \"abstract\": true, \"tight\": false}}, "
     "\"server\": false}}"},
    {"{\"id\": \"c\", \"backend\": {\"type\": \"null\", \"data\": {}}}",
     "{\"type\": \"null\", \"data\": {}}"},
};

static void test_good(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(ChardevBackend) backend = NULL;
        g_autofree char *id = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(Visitor) v = json_output_visitor_new(text);

        g_assert_true(
            chardev_parse_opts(good[i].option, &id, &backend, &error_abort));
        g_assert_cmpstr(id, ==, "c");
        visit_type_ChardevBackend(v, NULL, &backend, &error_abort);
        g_assert_cmpstr(text->str, ==, good[i].json);
    }
}

typedef struct Bad {
    const char *option;
    const char *error;
} Bad;

static const Bad bad[] = {
    {"", "chardev: no id specified"},
    {"null", "chardev: no id specified"},
    {"id=c", "chardev: \"c\" missing backend"},
    {"id=c,path=x", "chardev: \"c\" missing backend"},
    {"id=c,backend=x", "'x' is not a valid char driver name"},
    {"bogus,id=c", "'bogus' is not a valid char driver name"},
    {"null,id=c,foo=1", "Invalid parameter 'foo'"},
    {"null,id=c,foo", "Invalid parameter 'foo'"},
    {"socket,id=c,path=s,noserver=on", "Invalid parameter 'noserver'"},
    {"file,id=c", "chardev: file: no filename given"},
    {"socket,id=c,host=h", "chardev: socket: no port given"},
    {"socket,id=c,path=s,host=h,port=1",
     "chardev: socket: exactly one of 'path', 'host' with 'port', and 'fd' "
     "must be given"},
    {"socket,id=c",
     "chardev: socket: exactly one of 'path', 'host' with 'port', and 'fd' "
     "must be given"},
    {"socket,id=c,path=s,port=1", "Parameter 'port' does not go with 'path'"},
    {"socket,id=c,fd=3,tight=on", "Parameter 'tight' does not go with 'fd'"},
    {"socket,id=c,path=s,server=maybe",
     "Parameter 'server' expects 'on' or 'off'"},
    {"socket,id=c,path=s,server=on,wait=maybe",
     "Parameter 'wait' expects 'on' or 'off'"},
    {"file,id=c,path=f,append=x", "Parameter 'append' expects 'on' or 'off'"},
    {"socket,id=c,path=s,reconnect=x",
     "Parameter 'reconnect' expects a number"},
    {"socket,id=c,host=h,port=1,to=70000",
     "Parameter 'to' expects a number from 0 to 65535"},
    {"ringbuf,id=c,size=4x",
     "Parameter 'size' expects a size: a non-negative number below 2^64 with "
     "an optional suffix k, M, G, T, P or E"},
    {"ringbuf,id=c,size=-4",
     "Parameter 'size' expects a size: a non-negative number below 2^64 with "
     "an optional suffix k, M, G, T, P or E"},
    {"{\"id\": \"c\"}", "Parameter 'backend' is missing"},
    {"{\"id\": \"c\", \"backend\": {\"type\": \"null\", \"data\": {}}, "
     "\"x\": 1}",
     "Parameter 'x' is unexpected"},
    {"{\"id\":", "JSON parse error, premature EOI"},
};

static void test_bad(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(ChardevBackend) backend = NULL;
        g_autofree char *id = NULL;
        g_autoptr(Error) err = NULL;

        g_assert_false(chardev_parse_opts(bad[i].option, &id, &backend, &err));
        g_assert_cmpstr(error_get_pretty(err), ==, bad[i].error);
        g_assert_null(id);
        g_assert_null(backend);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/char-opts/good", test_good);
    g_test_add_func("/char-opts/bad", test_bad);
    return g_test_run();
}
