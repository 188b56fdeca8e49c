/*
 * Between the files of the operations: one function each.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_OPS_INTERNAL_H
#define TOOLS_OPS_INTERNAL_H

#include "ops.h"

typedef json_object *OpFn(const OpTarget *target, json_object *request,
                          int timeout_ms, GError **errp);

OpFn op_status;
OpFn op_instances;
OpFn op_ping;
OpFn op_execute;
OpFn op_oob;
OpFn op_yank;
OpFn op_facts;

/* An array of instances as JSON. */
json_object *ops_instances_to_json(GPtrArray *instances);
/*
 * The instances that @dom has now, so; "own" is set for that of the connection
 * by which it is asked.  NULL on error.
 */
json_object *ops_ask_instances(YcDomain *dom, int timeout_ms, GError **errp);

/*
 * Whether the QMP arguments of a yank, which somebody wants to send as they
 * are, cut neither the connection that it goes by nor another monitor, and
 * @dom would run it at once.  Returns the names of what it yanks; NULL on
 * error.  g_strfreev() them.  Blocks up to @timeout_ms.
 */
char **ops_check_yank(YcDomain *dom, json_object *arguments, int timeout_ms,
                      GError **errp);

/* Around a yank of @names: tell who wants to know.  @err: NULL: it is done */
void ops_yank_begin(const OpTarget *target, const char *const *names);
void ops_yank_end(const OpTarget *target, const GError *err);

/*
 * Whether @command changes nothing: a main loop that carries it out late does
 * no harm, and one that hangs does not hang in it.
 */
bool ops_only_asks(const char *command);

/* Runs @command in-band under a job; NULL on error. */
json_object *ops_in_band(YcDomain *dom, const char *command,
                         json_object *arguments, int timeout_ms, GError **errp);

/*
 * What runs in-band ("command", "running-ms"), by the server's own word, which
 * only yankd has; else NULL.
 */
json_object *ops_ask_running(YcDomain *dom, int timeout_ms);

#endif
