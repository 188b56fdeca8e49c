/*
 * A YAML file, read with the place of each value, so that what is wrong can
 * be told by line and column.
 *
 * Used on one thread.  What is wrong is noted, and reading goes on: a user is
 * told of all mistakes at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_YAML_FILE_H
#define TOOLS_WATCH_YAML_FILE_H

#include <stdbool.h>
#include <glib.h>
#include <yaml.h>

typedef struct YamlFile {
    const char *path;
    yaml_document_t document;
    GPtrArray *errors; /* of "path:line:column: message" */
} YamlFile;

/* A key that a mapping may have, and what reads its value into @target. */
typedef struct YamlKey {
    const char *name;
    void (*read)(YamlFile *file, yaml_node_t *value, void *target);
} YamlKey;

/*
 * Loads the file at @path, which has one document or none.  False with an
 * error noted; else yaml_document_delete() what is in @file.
 */
bool yaml_file_load(YamlFile *file, const char *path, GPtrArray *errors);
/* The first value; NULL when the file is empty. */
yaml_node_t *yaml_file_root(YamlFile *file);

/* Notes that @node is wrong. */
void yaml_error(YamlFile *file, const yaml_node_t *node, const char *fmt, ...)
    G_GNUC_PRINTF(3, 4);

/* Reads a mapping; @what names it in errors.  False unless it is one. */
bool yaml_read_mapping(YamlFile *file, yaml_node_t *node, const char *what,
                       const YamlKey *keys, size_t n_keys, void *target);
/* Calls @read for each item of a list. */
void yaml_read_list(YamlFile *file, yaml_node_t *node, const char *what,
                    void (*read)(YamlFile *file, yaml_node_t *item,
                                 void *target),
                    void *target);
/* Text that is not empty; NULL with an error noted. */
const char *yaml_read_text(YamlFile *file, yaml_node_t *node, const char *what);
/* A number of seconds from @min to @max; 0 with an error noted. */
gint64 yaml_read_us(YamlFile *file, yaml_node_t *node, const char *what,
                    double min, double max);
/* A whole number; false with an error noted. */
bool yaml_read_count(YamlFile *file, yaml_node_t *node, const char *what,
                     unsigned max, unsigned *count);

#endif
