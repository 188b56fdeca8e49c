/*
 * What generated types are made of: enum names, lists, JSON's null.
 *
 * All functions here may be called on any thread and are OOB-safe.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_UTIL_H
#define QAPI_UTIL_H

#include "qapi/error.h"

/* The names of an enum, indexed by value. */
typedef struct QEnumLookup {
    const char *const *array;
    int size;
} QEnumLookup;

/* JSON type of an alternate's value. */
typedef enum QType {
    QTYPE_NONE,
    QTYPE_QNULL,
    QTYPE_QNUM,
    QTYPE_QSTRING,
    QTYPE_QDICT,
    QTYPE_QLIST,
    QTYPE_QBOOL,
    QTYPE__MAX,
} QType;

/* What a member of type null points at when it is there; nobody frees it. */
typedef struct QNull QNull;
QNull *qnull(void);

/* The name of value @val; "" where @val is none of the enum's. */
const char *qapi_enum_lookup(const QEnumLookup *lookup, int val);

/*
 * The value whose name is @buf.  Where @buf is NULL, or no name (then errp is
 * set), returns @def.
 */
int qapi_enum_parse(const QEnumLookup *lookup, const char *buf, int def,
                    Error **errp);

/*
 * How a command line writes these; @name is the parameter, for the error.
 * A bool is on, yes, true, y, off, no, false or n.  A size is a number of
 * bytes below 2^64: hexadecimal, or decimal with an optional suffix B, k, M,
 * G, T, P or E; with a suffix from k on it may have a fraction, and is rounded
 * down to whole bytes.
 */
bool qapi_bool_parse(const char *name, const char *value, bool *obj,
                     Error **errp);
bool qapi_size_parse(const char *name, const char *value, uint64_t *obj,
                     Error **errp);

/* Puts @element before @list, a pointer to FOOList. */
#define QAPI_LIST_PREPEND(list, element)                                       \
    do {                                                                       \
        typeof(list) qapi_node_ = g_malloc(sizeof(*(list)));                   \
        qapi_node_->value = (element);                                         \
        qapi_node_->next = (list);                                             \
        (list) = qapi_node_;                                                   \
    } while (0)

/*
 * Puts @element at the end of a list.  @tail is a FOOList **: the address of
 * the list at first, moved on by every use.
 */
#define QAPI_LIST_APPEND(tail, element)                                        \
    do {                                                                       \
        *(tail) = g_malloc0(sizeof(**(tail)));                                 \
        (*(tail))->value = (element);                                          \
        (tail) = &(*(tail))->next;                                             \
    } while (0)

#endif
