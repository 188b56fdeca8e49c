/*
 * The XML of a domain of libvirt: its second monitor, by libxml2.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include "client/qemu-cmdline.h"
#include "exit-code.h"
#include "libvirt-xml.h"

#define NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"
#define ARGUMENTS "/domain/qemu:commandline/qemu:arg/@value"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlXPathContext, xmlXPathFreeContext)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlXPathObject, xmlXPathFreeObject)

/* The values of the attributes in @found. */
static char **values_of(xmlXPathObject *found)
{
    int n = found && found->nodesetval ? found->nodesetval->nodeNr : 0;
    char **values = g_new0(char *, n + 1);

    for (int i = 0; i < n; i++) {
        xmlChar *text = xmlNodeGetContent(found->nodesetval->nodeTab[i]);

        values[i] = g_strdup(text ? (char *)text : "");
        xmlFree(text);
    }
    return values;
}

static char **read_arguments(xmlDoc *doc)
{
    g_autoptr(xmlXPathContext) context = xmlXPathNewContext(doc);
    g_autoptr(xmlXPathObject) found = NULL;

    xmlXPathRegisterNs(context, BAD_CAST "qemu", BAD_CAST NAMESPACE);
    found = xmlXPathEvalExpression(BAD_CAST ARGUMENTS, context);
    return values_of(found);
}

/* Where the first QMP monitor of @cmdline that has an address is, or NULL. */
static char *first_monitor(const QemuCmdline *cmdline)
{
    for (guint i = 0; i < cmdline->monitors->len; i++) {
        const QemuCmdlineMonitor *monitor = cmdline->monitors->pdata[i];
        const QemuCmdlineChardev *chardev =
            qemu_cmdline_chardev(cmdline, monitor->chardev);

        if (monitor->qmp && chardev && chardev->address) {
            return g_strdup(chardev->address);
        }
    }
    return NULL;
}

char *libvirt_second_monitor(const char *xml, GError **errp)
{
    g_autoptr(xmlDoc) doc = xmlReadMemory(xml, strlen(xml), "domain.xml", NULL,
                                          XML_PARSE_NONET | XML_PARSE_NOERROR |
                                              XML_PARSE_NOWARNING);
    g_autoptr(QemuCmdline) cmdline = NULL;
    g_auto(GStrv) argv = NULL;

    if (!doc) {
        g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                    "libvirt's XML of the domain is not well-formed");
        return NULL;
    }
    argv = read_arguments(doc);
    cmdline = qemu_cmdline_parse(argv);
    return first_monitor(cmdline);
}
