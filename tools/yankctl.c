/*
 * yankctl: the table of verbs, the command line, and the end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include "json.h"
#include "output.h"
#include "suggest.h"
#include "verb.h"
#include "wire-error.h"

static ExitCode help(const Options *options, char **arguments, GError **errp);

static const Verb verb_help = {
    .name = "help",
    .arguments = "[VERB]",
    .summary = "The verbs, or the options of one",
    .max_arguments = 1,
    .run = help,
};

/* clang-format off */
const Verb *const verbs[] = {
    &verb_list,
    &verb_status,
    &verb_yank,
    &verb_watch,
    &verb_migrate,
    &verb_shell,
    &verb_events,
    &verb_raw,
    &verb_libvirt_snippet,
    &verb_help,
    NULL,
};
/* clang-format on */

static const Verb *find_verb(const char *name, GError **errp)
{
    const char *names[G_N_ELEMENTS(verbs)] = {NULL};
    const char *near;

    for (int i = 0; verbs[i]; i++) {
        if (g_str_equal(verbs[i]->name, name)) {
            return verbs[i];
        }
        names[i] = verbs[i]->name;
    }
    near = suggest(name, names);
    g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                near ? "there is no verb '%s', did you mean '%s'? See "
                       "yankctl --help"
                     : "there is no verb '%s'; see yankctl --help",
                name, near);
    return NULL;
}

static char *describe_verbs(void)
{
    GString *text = g_string_new("Verbs:\n");

    for (int i = 0; verbs[i]; i++) {
        g_string_append_printf(text, "  %-16s %s\n", verbs[i]->name,
                               verbs[i]->summary);
    }
    g_string_append(text, "\n'yankctl VERB --help' tells more of each.\n");
    return g_string_free(text, FALSE);
}

static char *describe_exit_codes(void)
{
    GString *text = g_string_new("Exit codes:\n");

    for (int i = 0; i < EXIT__MAX; i++) {
        g_string_append_printf(text, "  %d  %s\n", i, exit_code_meaning(i));
    }
    return g_string_free(text, FALSE);
}

static gboolean print_version(const char *name, const char *value, void *data,
                              GError **errp)
{
    puts("yankctl " YANKD_VERSION);
    exit(EXIT_OK);
}

static GOptionContext *make_context(const Verb *verb, Options *options)
{
    const GOptionEntry version[] = {
        {"version", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK,
         print_version, "Print the version", NULL},
        {NULL},
    };
    g_autofree char *usage =
        verb ? g_strdup_printf("%s %s", verb->name, verb->arguments)
             : g_strdup("VERB [ARGUMENT...]");
    g_autofree char *listed = verb ? NULL : describe_verbs();
    g_autofree char *codes = describe_exit_codes();
    g_autofree GOptionEntry *entries = options_entries(options);
    GOptionContext *context = g_option_context_new(usage);

    g_option_context_set_summary(context, verb ? verb->summary : listed);
    g_option_context_set_description(context, codes);
    g_option_context_add_main_entries(context, entries, NULL);
    if (verb && verb->options) {
        g_option_context_add_main_entries(context, verb->options, NULL);
    }
    if (!verb) {
        g_option_context_add_main_entries(context, version, NULL);
        /* What follows the verb is the verb's. */
        g_option_context_set_strict_posix(context, true);
    }
    return context;
}

static ExitCode help(const Options *options, char **arguments, GError **errp)
{
    const Verb *verb = arguments[0] ? find_verb(arguments[0], errp) : NULL;
    g_autofree char *text = NULL;
    GOptionContext *context;
    Options unused;

    if (arguments[0] && !verb) {
        return EXIT_USAGE;
    }
    context = make_context(verb, &unused);
    text = g_option_context_get_help(context, true, NULL);
    g_option_context_free(context);
    fputs(text, stdout);
    return EXIT_OK;
}

static bool parse(const Verb *verb, Options *options, char ***args,
                  GError **errp)
{
    GOptionContext *context = make_context(verb, options);
    bool ok = g_option_context_parse_strv(context, args, errp);

    g_option_context_free(context);
    return ok;
}

/* The verb, which is the first argument that is no option. */
static const Verb *look_for_verb(char **argv, GError **errp)
{
    g_auto(GStrv) args = g_strdupv(argv);
    Options options = {0};
    const Verb *verb = NULL;

    if (parse(NULL, &options, &args, errp)) {
        if (args[1]) {
            verb = find_verb(args[1], errp);
        } else {
            g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                        "a verb is missing; see yankctl --help");
        }
    }
    options_clear(&options);
    return verb;
}

static bool check_count(const Verb *verb, char **args, GError **errp)
{
    int n = g_strv_length(args);

    if (n < verb->min_arguments ||
        (verb->max_arguments >= 0 && n > verb->max_arguments)) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "%s arguments; usage: yankctl %s %s",
                    n < verb->min_arguments ? "too few" : "too many",
                    verb->name, verb->arguments);
        return false;
    }
    return true;
}

static ExitCode run(Options *options, char ***args, GError **errp)
{
    const Verb *verb = look_for_verb(*args, errp);

    /* The second pass takes the options on both sides of the verb. */
    if (!verb || !parse(verb, options, args, errp) ||
        !options_finish(options, errp) || !check_count(verb, *args + 2, errp)) {
        return EXIT_USAGE;
    }
    return verb->run(options, *args + 2, errp);
}

static void tell_error(const Options *options, const GError *err)
{
    g_autofree char *safe = output_safe(err->message);

    fflush(stdout);
    fprintf(stderr, "yankctl: %s\n", safe);
    if (options->json) {
        g_autoptr(json_object) reply = json_object_new_object();

        json_set(reply, "error", wire_error_to_json(err));
        output_json(reply, false);
    }
}

/*
 * Whether JSON is asked for, found out without the parser: what it has read of
 * a command line that is wrong, it forgets.
 */
static bool wants_json(char **args)
{
    for (; *args && !g_str_equal(*args, "--"); args++) {
        if (g_str_equal(*args, "--json") || g_str_equal(*args, "-j")) {
            return true;
        }
    }
    return false;
}

/* A reader that has left, such as a pager, has seen what it wanted. */
static bool reader_has_left(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

/* What was printed and got lost makes a failure of a success. */
static ExitCode check_output(ExitCode code)
{
    if ((fflush(stdout) == 0 && !ferror(stdout)) || reader_has_left()) {
        return code;
    }
    fputs("yankctl: cannot write all to standard output\n", stderr);
    return code == EXIT_OK ? EXIT_FAILED : code;
}

int main(int argc, char **argv)
{
    g_auto(GStrv) args = g_strdupv(argv);
    Options options = {0};
    GError *err = NULL;
    ExitCode code;

    setlocale(LC_CTYPE, "");
    /* A pager that is left ends a write with an error. */
    signal(SIGPIPE, SIG_IGN);
    code = run(&options, &args, &err);
    if (err) {
        options.json = options.json || wants_json(argv + 1);
        tell_error(&options, err);
        code = exit_code_of(err);
        g_error_free(err);
    }
    options_clear(&options);
    return check_output(code);
}
