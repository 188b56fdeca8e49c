/*
 * The shell's line: editing, history and completion, by readline.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <readline/history.h>
#include <readline/readline.h>
#include <sys/stat.h>
#include "shell-line.h"

#define MAX_HISTORY 1000

/* readline is one a process, and knows no data of its users. */
static ShellLineFn *line_fn;
static void *line_data;
static Schema *line_schema;
static char **candidates;

static char *history_path(void)
{
    return g_build_filename(g_get_user_state_dir(), "yankctl", "history", NULL);
}

static void take_line(char *line)
{
    if (line && line[0]) {
        add_history(line);
    }
    line_fn(line, line_data);
}

/* One candidate after the other, as readline wants them. */
static char *next_candidate(const char *text, int state)
{
    static int i;

    if (state == 0) {
        i = 0;
    }
    return candidates && candidates[i] ? strdup(candidates[i++]) : NULL;
}

/* Of what is before column @start: the command, and the words after it. */
static char **words_before(int start)
{
    g_autofree char *before = g_strndup(rl_line_buffer, start);
    g_autofree char *plain = g_strstrip(g_strdup(before));

    return g_strsplit_set(plain[0] == '!' ? plain + 1 : plain, " \t", -1);
}

static char **complete(const char *text, int start, int end)
{
    g_auto(GStrv) words = words_before(start);
    bool oob = rl_line_buffer[0] == '!';

    rl_attempted_completion_over = 1;
    if (!line_schema) {
        return NULL;
    }
    g_strfreev(candidates);
    if (!words[0] || !words[0][0]) {
        candidates = schema_commands(line_schema, text, oob);
    } else {
        candidates = schema_arguments(line_schema, words[0],
                                      (const char *const *)words + 1, text);
    }
    if (candidates[0]) {
        char last = candidates[0][strlen(candidates[0]) - 1];

        /* After "key=" and "object." typing goes on in the same word. */
        rl_completion_append_character = strchr("=.", last) ? '\0' : ' ';
    }
    return rl_completion_matches(text, next_candidate);
}

void shell_line_begin(const char *prompt, ShellLineFn *fn, void *data)
{
    g_autofree char *path = history_path();

    line_fn = fn;
    line_data = data;
    rl_readline_name = "yankctl";
    rl_attempted_completion_function = complete;
    rl_completer_word_break_characters = " \t!";
    rl_catch_signals = 0;
    using_history();
    stifle_history(MAX_HISTORY);
    read_history(path);
    rl_callback_handler_install(prompt, take_line);
}

void shell_line_end(void)
{
    g_autofree char *path = history_path();
    g_autofree char *dir = g_path_get_dirname(path);

    rl_callback_handler_remove();
    /* What was typed may be secret. */
    if (g_mkdir_with_parents(dir, 0700) == 0) {
        mode_t mask = umask(077);

        write_history(path);
        umask(mask);
    }
    g_clear_pointer(&candidates, g_strfreev);
    line_schema = NULL;
}

void shell_line_read(void)
{
    rl_callback_read_char();
}

void shell_line_drop(void)
{
    rl_callback_sigcleanup();
    rl_replace_line("", 0);
    puts("^C");
    shell_line_show();
}

void shell_line_resume(void)
{
    /* Whoever had the terminal in between has set it up for itself. */
    rl_cleanup_after_signal();
    rl_reset_after_signal();
    shell_line_show();
}

void shell_line_hide(void)
{
    rl_clear_visible_line();
    fflush(stdout);
}

void shell_line_show(void)
{
    fflush(stdout);
    rl_on_new_line();
    rl_redisplay();
}

void shell_line_set_schema(Schema *schema)
{
    line_schema = schema;
}
