/*
 * Errors on the control socket and in --json: a code, a class, a text.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WIRE_ERROR_H
#define TOOLS_WIRE_ERROR_H

#include <json-c/json.h>
#include <glib.h>

/* {"code": "timeout", "desc": "..."}, with "class" when a server answered. */
json_object *wire_error_to_json(const GError *err);
/* The reverse; what is odd becomes EXIT_FAILED. */
GError *wire_error_from_json(json_object *error);

#endif
