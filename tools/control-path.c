/*
 * Where the control socket of the service is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "control-path.h"

#define SYSTEM_PATH "/run/yankctl/control"

char **control_paths(const Options *options)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    GStrvBuilder *builder = g_strv_builder_new();
    char **paths;

    if (options->control) {
        g_strv_builder_add(builder, options->control);
    } else {
        if (runtime && runtime[0]) {
            g_autofree char *path =
                g_build_filename(runtime, "yankctl", "control", NULL);

            g_strv_builder_add(builder, path);
        }
        g_strv_builder_add(builder, SYSTEM_PATH);
    }
    paths = g_strv_builder_end(builder);
    g_strv_builder_unref(builder);
    return paths;
}
