/*
 * What --help and --version print.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "daemon.h"

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
    "  --chardev help         list the kinds of character devices\n"
    "  --chardev <backend>,help\n"
    "                         list the options of a kind\n"
    "\n"
    "  --daemonize            go on in the background; the command returns\n"
    "                         once startup is complete\n"
    "\n"
    "  --export [type=]nbd,id=<id>,node-name=<name>[,name=<export name>]\n"
    "           [,writable=on|off][,description=<text>][,iothread=<id>]\n"
    "                         serve a block node over NBD; needs --nbd-server\n"
    "  --export help          list the types of exports\n"
    "  --export <type>,help   list the options of a type\n"
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
    "  --object tls-creds-x509,id=<id>,dir=<path>[,endpoint=client|server]\n"
    "           [,verify-peer=on|off][,priority=<text>]\n"
    "           [,sanity-check=on|off][,passwordid=<id>]\n"
    "                         add TLS credentials that are certificates\n"
    "  --object tls-creds-psk,id=<id>,dir=<path>[,endpoint=client|server]\n"
    "           [,verify-peer=on|off][,priority=<text>][,username=<name>]\n"
    "                         add TLS credentials that are keys shared\n"
    "                         beforehand\n"
    "  --object help          list the types of objects\n"
    "  --object <type>,help   list the options of a type\n"
    "\n"
    "  --pidfile <path>       write the process id to a file after startup\n"
    "\n"
    "  --shutdown-timeout <seconds>\n"
    "                         how long the end may take before peers that do\n"
    "                         not answer are cut off; 10 when left out\n";

void help_print(void)
{
    printf(help_text, g_get_prgname());
}

void help_print_version(void)
{
    printf("yankd version %s\n", YANKD_VERSION);
}
