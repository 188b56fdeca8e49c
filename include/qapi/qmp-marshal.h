/*
 * What generated command and event code is built on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_QMP_MARSHAL_H
#define QAPI_QMP_MARSHAL_H

#include "qapi/visitor.h"

/* Visits the members of the arguments of one command or event. */
typedef bool QmpVisitArgs(Visitor *v, void *args, Error **errp);

/*
 * Fills @c_args, all zero before, from the object @args (NULL is {}).  With
 * @visit NULL no member is allowed.  On failure nothing is left to free.
 * Any thread, OOB-safe.
 */
bool qmp_args_take(json_object *args, QmpVisitArgs *visit, void *c_args,
                   Error **errp);

/* Frees what @c_args points to.  Any thread, OOB-safe. */
void qmp_args_free(QmpVisitArgs *visit, void *c_args);

/*
 * Emits event @name; @c_args stay the caller's, none where @visit is NULL.
 * Any thread, OOB-safe.
 */
void qmp_event_send(const char *name, QmpVisitArgs *visit, const void *c_args);

#endif
