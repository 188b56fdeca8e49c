/*
 * yankctl shell: QMP, line by line.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/signalfd.h>
#include "interrupt.h"
#include "json.h"
#include "lane.h"
#include "shell-line.h"
#include "shell-session.h"
#include "shell-show.h"
#include "verb.h"

static gboolean force;

static const GOptionEntry entries[] = {
    {"force", 'f', 0, G_OPTION_ARG_NONE, &force,
     "Send commands also when the main loop hangs, to be carried out later",
     NULL},
    {NULL},
};

typedef struct Shell {
    const Options *options;
    ShellSession *session;
    Schema *schema;
    /*
     * signalfd: Ctrl-C drops the line, not the shell; what ends the shell
     * leaves the terminal as it was.
     */
    int signals;
    bool over;   /* the user leaves */
    bool lost;   /* the connection is gone */
    bool failed; /* some request did */
} Shell;

/* Who wants to leave the shell must not end the process at the other end. */
static bool is_meant(const QmpText *request, const char *line, GError **errp)
{
    if (g_str_equal(request->command, "quit") && !strchr(line, '{')) {
        g_set_error(errp, EXIT_ERROR, EXIT_REFUSED,
                    "quit would end the process: leave with exit or Ctrl-D, "
                    "or say {\"execute\": \"quit\"}");
        return false;
    }
    return true;
}

/* "!" in front, or "exec-oob" within. */
static QmpText *read_request(const char *line, GError **errp)
{
    bool oob = line[0] == '!';
    g_autoptr(QmpText) request = qmp_text_parse(line + oob, errp);

    if (!request || !is_meant(request, line, errp)) {
        return NULL;
    }
    request->oob = request->oob || oob;
    return g_steal_pointer(&request);
}

static void submit(Shell *shell, const char *line)
{
    g_autoptr(GError) err = NULL;
    QmpText *request = read_request(line, &err);

    if (request) {
        shell_session_submit(shell->session, request);
    } else {
        shell_show_error(err, shell->options->json);
        shell->failed = true;
    }
}

/* NULL: the end of input. */
static void take_line(char *line, void *opaque)
{
    Shell *shell = opaque;
    g_autofree char *stripped = line ? g_strstrip(g_strdup(line)) : NULL;

    free(line);
    if (!stripped || g_str_equal(stripped, "exit")) {
        shell->over = true;
    } else if (g_str_equal(stripped, "help")) {
        shell_show_help();
    } else if (stripped[0] && stripped[0] != '#') {
        submit(shell, stripped);
    }
}

/* A request may find the connection gone before anybody tells of it. */
static bool is_lost(const ShellItem *item)
{
    return item->kind == SHELL_LOST ||
           (item->error && exit_code_of(item->error) == EXIT_UNREACHABLE);
}

static void take_item(Shell *shell, ShellItem *item)
{
    if (item->kind == SHELL_SCHEMA && item->result) {
        schema_free(shell->schema);
        shell->schema = schema_new(g_steal_pointer(&item->result));
        shell_line_set_schema(shell->schema);
    }
    shell->lost = shell->lost || is_lost(item);
    shell->failed =
        shell->failed || (item->error && item->kind == SHELL_ANSWER);
    shell_show(item, shell->options->json);
    shell_item_free(item);
}

static void take_items(Shell *shell)
{
    ShellItem *item;

    shell_line_hide();
    while ((item = shell_session_take(shell->session))) {
        take_item(shell, item);
    }
    shell_line_show();
}

static void take_signal(Shell *shell)
{
    struct signalfd_siginfo info;

    if (read(shell->signals, &info, sizeof(info)) <= 0) {
        return;
    }
    if (info.ssi_signo == SIGINT) {
        shell_line_drop();
    } else if (info.ssi_signo == SIGCONT) {
        shell_line_resume();
    } else {
        shell->over = true;
    }
}

/* On a terminal: what is typed, and what comes, at any time. */
static void run_interactive(Shell *shell, const char *domain)
{
    g_autofree char *prompt = g_strdup_printf("%s> ", domain);
    struct pollfd fds[] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = shell_session_fd(shell->session), .events = POLLIN},
        {.fd = shell->signals, .events = POLLIN},
    };

    shell_session_ask_schema(shell->session);
    shell_line_begin(prompt, take_line, shell);
    while (!shell->over && !shell->lost) {
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0) {
            continue;
        }
        if (fds[1].revents) {
            take_items(shell);
        }
        if (fds[2].revents) {
            take_signal(shell);
        }
        if (fds[0].revents) {
            shell_line_read();
        }
    }
    shell_line_end();
    putchar('\n');
}

/* From a file: one line, and all that comes of it, after the other. */
static void run_lines(Shell *shell)
{
    char *line = NULL;
    size_t size = 0;

    while (!shell->over && !shell->lost && getline(&line, &size, stdin) > 0) {
        ShellItem *item;

        take_line(strdup(line), shell);
        while ((item = shell_session_wait(shell->session))) {
            take_item(shell, item);
        }
    }
    free(line);
}

/* False: the connection is lost. */
static bool run_shell(Shell *shell, const char *domain)
{
    unsigned left;

    if (shell->signals >= 0) {
        run_interactive(shell, domain);
        close(shell->signals);
        shell->failed = false;
    } else {
        run_lines(shell);
    }
    left = shell_session_leave(shell->session);
    if (left) {
        g_printerr("yankctl: not answered: %u; what was sent may still be "
                   "carried out later\n",
                   left);
    }
    schema_free(shell->schema);
    return !shell->lost;
}

static ExitCode run(const Options *options, char **arguments, GError **errp)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGCONT, 0};
    bool interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    sigset_t caught = interactive ? interrupt_begin(signals) : (sigset_t){0};
    Shell shell = {.options = options, .signals = -1};
    g_autoptr(Lanes) lanes = lanes_new(options, errp);
    g_autoptr(Lane) lane =
        lanes ? lane_open_name(lanes, arguments[0], errp) : NULL;
    g_autoptr(ShellSession) session =
        lane ? shell_session_new(lane, force, errp) : NULL;

    if (!session) {
        return EXIT_FAILED;
    }
    if (interactive) {
        interrupt_ready();
        shell.signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    shell.session = session;
    if (!run_shell(&shell, arguments[0])) {
        g_set_error(errp, EXIT_ERROR, EXIT_UNREACHABLE,
                    "the connection to '%s' is lost", arguments[0]);
    }
    return shell.failed ? EXIT_FAILED : EXIT_OK;
}

const Verb verb_shell = {
    .name = "shell",
    .arguments = "DOMAIN",
    .summary = "QMP line by line, with completion; ! in front is out-of-band",
    .options = entries,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
