/*
 * The command table that the generator writes, and how to call into it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_QMP_COMMAND_H
#define QAPI_QMP_COMMAND_H

#include <json-c/json.h>
#include "qapi/error.h"

/*
 * Checks @args against the schema, calls the handler, and appends the reply to
 * @ret as JSON text on one line ({} when the command returns nothing).  With
 * errp set the text appended to @ret is to be discarded.
 */
typedef void QmpCommandFn(json_object *args, GString *ret, Error **errp);

typedef enum QmpCommandOptions {
    QCO_NO_OPTIONS = 0,
    /* May run on the monitor thread: obeys include/qemu/oob.h. */
    QCO_ALLOW_OOB = 1 << 0,
} QmpCommandOptions;

typedef struct QmpCommand {
    const char *name;
    QmpCommandFn *fn;
    QmpCommandOptions options;
} QmpCommand;

/* Generated; sorted by name. */
extern const QmpCommand qmp_commands[];
extern const size_t qmp_n_commands;

/* NULL when there is none.  Any thread, OOB-safe. */
const QmpCommand *qmp_find_command(const char *name);

/* Generated: the introspection data of query-qmp-schema as JSON text. */
extern const char qmp_schema_json[];

#endif
