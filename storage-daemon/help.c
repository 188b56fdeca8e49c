/*
 * What --help, --version and the help of objects print.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "daemon.h"
#include "qapi/qapi-types-qom.h"

static const char help_text[] =
    "Usage: %s [options]\n"
    "A storage daemon that a silent peer cannot hang for good.\n"
    "\n"
    "Options are carried out in the order in which they stand.  Most take\n"
    "either key=value,sub.key=value or an object in JSON.\n"
    "\n"
    "  -h, --help             print this and exit\n"
    "  -V, --version          print the version and exit\n"
    "\n"
    "  --blockdev [driver=]nbd,node-name=<name>,\n"
    "             server.type=unix,server.path=<path>\n"
    "  --blockdev [driver=]nbd,node-name=<name>,\n"
    "             server.type=inet,server.host=<host>,server.port=<port>\n"
    "             [,export=<name>][,reconnect-delay=<seconds>]\n"
    "             [,open-timeout=<seconds>]\n"
    "  --blockdev [driver=]file,node-name=<name>,filename=<path>\n"
    "  --blockdev [driver=]ram,node-name=<name>,size=<bytes>\n"
    "  --blockdev [driver=]null-co,node-name=<name>[,size=<bytes>]\n"
    "             [,latency-ns=<ns>][,read-zeroes=on|off]\n"
    "  --blockdev [driver=]blkdebug,node-name=<name>,image=<node-name>\n"
    "             [,config=<file>]\n"
    "                         add a block node; all take\n"
    "                         [,read-only=on|off][,discard=ignore|unmap]\n"
    "\n"
    "  --chardev <backend>,id=<id>[,<option>=<value>...]\n"
    "                         add a character device: socket, stdio, file,\n"
    "                         null or ringbuf\n"
    "\n"
    "  --daemonize            go on in the background; the command returns\n"
    "                         once startup is complete\n"
    "\n"
    "  --export [type=]nbd,id=<id>,node-name=<name>[,name=<export name>]\n"
    "           [,writable=on|off][,description=<text>][,iothread=<id>]\n"
    "                         serve a block node over NBD; needs --nbd-server\n"
    "\n"
    "  --incoming <uri>|defer\n"
    "                         expect a migration, and serve nothing until it\n"
    "                         has come: tcp:<host>:<port>, unix:<path> or\n"
    "                         fd:<number>; defer: wait for migrate-incoming\n"
    "\n"
    "  --monitor [chardev=]<id>[,mode=control][,pretty=on|off]\n"
    "                         speak QMP on a character device\n"
    "\n"
    "  --nbd-server addr.type=unix,addr.path=<path>[,max-connections=<n>]\n"
    "  --nbd-server addr.type=inet,addr.host=<host>,addr.port=<port>\n"
    "               [,max-connections=<n>]\n"
    "                         start the NBD server\n"
    "\n"
    "  --object iothread,id=<id>[,poll-max-ns=<ns>]\n"
    "                         add a thread for I/O\n"
    "  --object secret,id=<id>,data=<text>|file=<path>[,format=raw|base64]\n"
    "                         add a password or key\n"
    "  --object help          list the types of objects\n"
    "  --object <type>,help   list the options of a type\n"
    "\n"
    "  --pidfile <path>       write the process id to a file after startup\n"
    "\n"
    "  --shutdown-timeout <seconds>\n"
    "                         how long the end may take before peers that do\n"
    "                         not answer are cut off; 10 when left out\n";

typedef struct ObjectHelp {
    const char *const *properties; /* in the order of the alphabet */
} ObjectHelp;

static const ObjectHelp object_help[OBJECT_TYPE__MAX] = {
    [OBJECT_TYPE_IOTHREAD] = {(const char *const[]){
        "poll-max-ns=<int>",
        NULL,
    }},
    [OBJECT_TYPE_SECRET] = {(const char *const[]){
        "data=<string>",
        "file=<string>",
        "format=<raw|base64>",
        NULL,
    }},
};

void help_print(void)
{
    printf(help_text, g_get_prgname());
}

void help_print_version(void)
{
    printf("yankd version %s\n", YANKD_VERSION);
}

void help_print_object_types(void)
{
    int i;

    printf("Object types:\n");
    for (i = 0; i < OBJECT_TYPE__MAX; i++) {
        printf("  %s\n", ObjectType_str(i));
    }
}

bool help_print_object_properties(const char *qom_type)
{
    const char *const *property;
    int i;

    for (i = 0; i < OBJECT_TYPE__MAX; i++) {
        if (g_str_equal(ObjectType_str(i), qom_type)) {
            printf("%s options:\n", qom_type);
            for (property = object_help[i].properties; *property; property++) {
                printf("  %s\n", *property);
            }
            return true;
        }
    }
    return false;
}
