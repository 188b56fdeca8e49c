/*
 * Reading the small files that objects are made of.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "read-file.h"

/* Passwords and keys are short; a path to a device must not fill memory. */
#define MAX_FILE (1 * MiB)

void object_wipe_string(GString *text)
{
    if (text) {
        explicit_bzero(text->str, text->allocated_len);
        g_string_free(text, true);
    }
}

GString *object_read_file(const char *path, const char *what, Error **errp)
{
    g_autofree char *buf = g_malloc(MAX_FILE + 1);
    GString *text = NULL;
    size_t len;
    FILE *file = fopen(path, "re");

    if (!file) {
        error_setg_errno(errp, errno, "Unable to read %s", path);
        return NULL;
    }
    len = fread(buf, 1, MAX_FILE + 1, file);
    if (ferror(file)) {
        error_setg_errno(errp, errno, "Unable to read %s", path);
    } else if (len > MAX_FILE) {
        error_setg(errp, "Unable to read %s: %s has at most 1 MiB", path, what);
    } else {
        text = g_string_new_len(buf, len);
    }
    fclose(file);
    explicit_bzero(buf, len);
    return text;
}
