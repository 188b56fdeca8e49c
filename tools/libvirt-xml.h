/*
 * The XML of a domain of libvirt: its second monitor.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_LIBVIRT_XML_H
#define TOOLS_LIBVIRT_XML_H

#include <glib.h>

/*
 * The address ("unix:PATH" or "HOST:PORT") of the first QMP monitor that @xml
 * declares through the QEMU command-line namespace; g_free() it.  NULL, with
 * no error, when there is none; with one, when @xml is not well-formed.
 */
char *libvirt_second_monitor(const char *xml, GError **errp);

#endif
