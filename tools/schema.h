/*
 * The schema of a server (query-qmp-schema), for those who type.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_SCHEMA_H
#define TOOLS_SCHEMA_H

#include <stdbool.h>
#include <json-c/json.h>
#include <glib.h>

typedef struct Schema Schema;

/* Takes @entities, what query-qmp-schema returned.  One thread at a time. */
Schema *schema_new(json_object *entities);
/* NULL is fine. */
void schema_free(Schema *schema);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Schema, schema_free)

/* The commands that begin with @prefix; g_strfreev() them. */
char **schema_commands(Schema *schema, const char *prefix, bool oob_only);

/*
 * What may stand where @word is being typed, among the arguments of @command:
 * "key=", "key." of an object, or "key=value" where there are a few values.
 * @words: the arguments that are there already, which may say which variant
 * of an object is meant; g_strfreev() the result.
 */
char **schema_arguments(Schema *schema, const char *command,
                        const char *const *words, const char *word);

#endif
