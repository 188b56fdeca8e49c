/*
 * QMP as people type it: a request, or just a command and its arguments.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_QMP_TEXT_H
#define TOOLS_QMP_TEXT_H

#include <stdbool.h>
#include <json-c/json.h>
#include <glib.h>

typedef struct QmpText {
    char *command;
    json_object *arguments; /* or NULL */
    bool oob;
} QmpText;

/*
 * Reads one of
 *   {"execute": "COMMAND", "arguments": {...}}    also with "exec-oob"
 *   COMMAND
 *   COMMAND {...}
 *   COMMAND key=value key.inner=value ...         values are JSON, or strings
 * NULL with EXIT_USAGE.
 */
QmpText *qmp_text_parse(const char *text, GError **errp);
/* The same, already in words, which may be changed. */
QmpText *qmp_text_from_words(char **words, GError **errp);
void qmp_text_free(QmpText *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpText, qmp_text_free)

#endif
