/*
 * QAPI_CLONE(type, src): a deep copy of a QAPI object; NULL gives NULL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_CLONE_VISITOR_H
#define QAPI_CLONE_VISITOR_H

#include "qapi/visitor.h"

#define QAPI_CLONE(type, src)                                                  \
    ((type *)qapi_clone((src), (bool (*)(Visitor *, const char *, void **,     \
                                         Error **))visit_type_##type))

#endif
