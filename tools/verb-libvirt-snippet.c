/*
 * yankctl libvirt-snippet: what to add to a domain of libvirt, so that it can
 * be rescued.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/un.h>
#include "json.h"
#include "output.h"
#include "verb.h"

/* QEMU's user may make sockets there, by the rules of libvirt's packages. */
#define DIR "/var/lib/libvirt/qemu"

/* The path of the socket of domain @name; what a path cannot hold, is '_'. */
static char *socket_path(const char *name, GError **errp)
{
    g_autofree char *file = g_strdup(name);
    g_autofree char *path = NULL;
    struct sockaddr_un address;

    if (!name[0]) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "the name of the domain is empty");
        return NULL;
    }
    g_strdelimit(file, "/,", '_');
    path = g_strdup_printf(DIR "/yankctl-%s.sock", file);
    if (strlen(path) >= sizeof(address.sun_path)) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "the name '%s' is too long for the path of a socket, %s",
                    name, path);
        return NULL;
    }
    return g_steal_pointer(&path);
}

static char *snippet(const char *path)
{
    return g_markup_printf_escaped(
        "<qemu:commandline"
        " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
        "  <qemu:arg value='-chardev'/>\n"
        "  <qemu:arg value='socket,id=yankctl,path=%s,server=on,wait=off'/>\n"
        "  <qemu:arg value='-mon'/>\n"
        "  <qemu:arg value='chardev=yankctl,mode=control'/>\n"
        "</qemu:commandline>\n",
        path);
}

static ExitCode run(const Options *options, char **arguments, GError **errp)
{
    g_autofree char *path = socket_path(arguments[0], errp);
    g_autofree char *xml = NULL;

    if (!path) {
        return EXIT_USAGE;
    }
    xml = snippet(path);
    if (options->json) {
        g_autoptr(json_object) report = json_object_new_object();

        json_set_string(report, "domain", arguments[0]);
        json_set_string(report, "socket", path);
        json_set_string(report, "xml", xml);
        output_json(report, true);
    } else {
        fputs("<!-- the last element of <domain>; in effect from the next "
              "start on -->\n",
              stdout);
        fputs(xml, stdout);
    }
    return EXIT_OK;
}

const Verb verb_libvirt_snippet = {
    .name = "libvirt-snippet",
    .arguments = "DOMAIN",
    .summary = "The XML that gives a domain of libvirt a second monitor",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
