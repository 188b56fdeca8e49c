/*
 * Output: tables for people, JSON for programs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include <stdbool.h>
#include <json-c/json.h>
#include <glib.h>

typedef enum Colour {
    COLOUR_NONE,
    COLOUR_GOOD,
    COLOUR_WARN,
    COLOUR_BAD,
    COLOUR_DIM,
} Colour;

/* Colours are wanted: a terminal that has some, and NO_COLOR is not set. */
bool output_has_colours(void);

/*
 * What a server or a user wrote, for a terminal: control characters as \xNN,
 * what is no UTF-8 too.  g_free() it.
 */
char *output_safe(const char *text);

/* Prints @text (NULL: "?"), made safe, in @colour; no line end. */
void output_text(Colour colour, const char *text);

/*
 * Prints @value as one line, or indented with @pretty.  Does not take it.
 * Characters that a terminal might obey are escaped as JSON does it.
 */
void output_json(json_object *value, bool pretty);

/*
 * A table: columns as wide as they must be, but for what is very wide; the last
 * one as it comes.
 */
typedef struct Table Table;

/* @headings: NULL-terminated, static strings */
Table *table_new(const char *const *headings);
void table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)
/* The next cell, row by row; takes @text (NULL: "-") and makes it safe. */
void table_add(Table *table, Colour colour, char *text);
void table_print(const Table *table);

/* "0.12 ms", "3.4 s", "12 min"; g_free() them. */
char *output_duration(gint64 us);
/* The same of milliseconds, which may be whatever a server says. */
char *output_duration_ms(gint64 ms);
/* "1.5 GiB" */
char *output_bytes(double bytes);

#endif
