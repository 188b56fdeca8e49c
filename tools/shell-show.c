/*
 * What the shell prints.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "json.h"
#include "output.h"
#include "shell-show.h"
#include "wire-error.h"

/* Times from this on are worth telling. */
#define SLOW_US (100 * 1000)

static void show_json(const ShellItem *item)
{
    g_autoptr(json_object) line = json_object_new_object();

    json_set_string(line, "command", item->command);
    if (item->error) {
        json_set(line, "error", wire_error_to_json(item->error));
    } else {
        json_set(line, item->kind == SHELL_EVENT ? "event" : "return",
                 json_object_get(item->result));
    }
    output_json(line, false);
}

static void show_event(json_object *event)
{
    const char *name = json_get_string(event, "event");
    json_object *data = json_get(event, "data");

    output_text(COLOUR_WARN, name ? name : "?");
    putchar(data ? ' ' : '\n');
    if (data) {
        output_json(data, true);
    }
}

static void show_error_text(const GError *err)
{
    output_text(COLOUR_BAD, err->message);
    putchar('\n');
}

static void show_answer(const ShellItem *item)
{
    if (item->error) {
        show_error_text(item->error);
    } else {
        output_json(item->result, true);
    }
    if (item->us >= SLOW_US) {
        g_autofree char *time = output_duration(item->us);
        g_autofree char *text =
            g_strdup_printf("(%s, after %s)", item->command, time);

        output_text(COLOUR_DIM, text);
        putchar('\n');
    }
}

void shell_show(const ShellItem *item, bool json)
{
    if (item->kind == SHELL_LOST || item->kind == SHELL_SCHEMA) {
        return;
    }
    if (json) {
        show_json(item);
    } else if (item->kind == SHELL_EVENT) {
        show_event(item->result);
    } else {
        show_answer(item);
    }
    fflush(stdout);
}

void shell_show_error(const GError *err, bool json)
{
    if (json) {
        const ShellItem item = {.kind = SHELL_ANSWER, .error = (GError *)err};

        show_json(&item);
    } else {
        show_error_text(err);
    }
}

void shell_show_help(void)
{
    puts("COMMAND                     run a QMP command\n"
         "COMMAND key=value a.b=c     with arguments\n"
         "COMMAND {\"key\": \"value\"}    with arguments as JSON\n"
         "{\"execute\": ...}            a whole request\n"
         "!COMMAND ...                out-of-band: at once, whatever hangs\n"
         "help                        this\n"
         "exit, Ctrl-D                leave\n"
         "Tab completes commands, arguments and values.");
}
