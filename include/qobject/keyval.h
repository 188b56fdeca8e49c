/*
 * key=value options of a command line as JSON values.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOBJECT_KEYVAL_H
#define QOBJECT_KEYVAL_H

#include <json-c/json.h>
#include "qapi/error.h"

/*
 * Parses @params, such as "nbd,server.type=unix,server.path=/s": a dot starts
 * a member of an object, or with numbers (list.0=x,list.1=y) a member of a
 * list; ",," is a comma within a value; the last of equal keys counts.  All
 * scalars of the result are strings; qobject_input_visitor_new_keyval() reads
 * them.
 *
 * @implied_key: key of the first value when that has none; may be NULL
 * @help: set when a key "help" or "?" without a value is there; may be NULL,
 *     and then that is an error
 *
 * Returns an object, the caller's; NULL with errp set.  Any thread.
 */
json_object *keyval_parse(const char *params, const char *implied_key,
                          bool *help, Error **errp);

#endif
