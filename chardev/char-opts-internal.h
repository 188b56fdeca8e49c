/*
 * The options of --chardev: what each kind takes, and where it goes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHAR_OPTS_INTERNAL_H
#define CHAR_OPTS_INTERNAL_H

#include <json-c/json.h>
#include "qapi/error.h"

typedef enum CharOptionType {
    OPTION_TEXT,
    OPTION_SWITCH,
    OPTION_NUMBER,
    OPTION_PORT,
    OPTION_SIZE, /* with a suffix, which chardev-add does not take */
} CharOptionType;

typedef enum CharOptionPlace {
    IN_DATA,
    IN_UNIX, /* and so on: in "addr" of this type */
    IN_INET,
    IN_FD,
} CharOptionPlace;

/* Where an option of a kind goes. */
typedef struct CharOption {
    const char *name;
    const char *member;
    CharOptionPlace place;
    CharOptionType type;
} CharOption;

typedef struct CharKind {
    const char *name;
    const CharOption *options; /* ended by an empty one */
} CharKind;

const CharKind *char_kind_find(const char *name, Error **errp);
/* Calls @fn for each kind, in the order of the schema. */
void char_kind_foreach(void (*fn)(const CharKind *kind, void *opaque),
                       void *opaque);
const CharOption *char_kind_option(const CharKind *kind, const char *name,
                                   Error **errp);

/* Checks @value, a string, and puts it into the form of chardev-add. */
bool char_option_check(const CharOption *o, json_object *value, Error **errp);

/* Checks what is in @options together, and adds what is left out. */
bool char_kind_check(const CharKind *kind, json_object *options, Error **errp);

/* The value of @name in @options, or NULL. */
const char *char_options_get(json_object *options, const char *name);

#endif
