/*
 * A hook: starting, looking after, killing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include "tools/exit-code.h"
#include "hook.h"

#define SAFE_PATH "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

struct Hook {
    pid_t pid; /* also of its group; 0 once it was waited for */
    gint64 deadline;
    gint64 timeout_us;
    bool killed;
};

static char **make_environment(char *const *env)
{
    GStrvBuilder *builder = g_strv_builder_new();
    char **all;

    g_strv_builder_add(builder, SAFE_PATH);
    g_strv_builder_addv(builder, (const char **)env);
    all = g_strv_builder_end(builder);
    g_strv_builder_unref(builder);
    return all;
}

/* Signals as at the start of any program, in a group of its own. */
static void set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t signals;

    posix_spawnattr_init(attributes);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
                                             POSIX_SPAWN_SETSIGDEF |
                                             POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(attributes, 0);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(attributes, &signals);
    sigaddset(&signals, SIGPIPE);
    sigaddset(&signals, SIGXFSZ);
    posix_spawnattr_setsigdefault(attributes, &signals);
}

Hook *hook_start(char *const *argv, char *const *env, gint64 timeout_us,
                 GError **errp)
{
    g_auto(GStrv) environment = make_environment(env);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    Hook *hook;
    pid_t pid;
    int error;

    set_attributes(&attributes);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    error =
        posix_spawn(&pid, argv[0], &actions, &attributes, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error) {
        g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                    "hook %s cannot be started: %s", argv[0],
                    g_strerror(error));
        return NULL;
    }
    hook = g_new0(Hook, 1);
    hook->pid = pid;
    hook->timeout_us = timeout_us;
    hook->deadline = g_get_monotonic_time() + timeout_us;
    return hook;
}

static char *describe(const Hook *hook, int status)
{
    if (hook->killed) {
        return g_strdup_printf("killed after %.1f s",
                               (double)hook->timeout_us / G_USEC_PER_SEC);
    }
    return WIFEXITED(status)
               ? g_strdup_printf("exit status %d", WEXITSTATUS(status))
               : g_strdup_printf("signal %d", WTERMSIG(status));
}

bool hook_ended(Hook *hook, char **result)
{
    int status;

    if (!hook->killed && g_get_monotonic_time() >= hook->deadline) {
        hook->killed = true;
        kill(-hook->pid, SIGKILL);
    }
    if (waitpid(hook->pid, &status, WNOHANG) != hook->pid) {
        return false;
    }
    *result = describe(hook, status);
    hook->pid = 0;
    return true;
}

void hook_free(Hook *hook)
{
    if (hook && hook->pid) {
        kill(-hook->pid, SIGKILL);
        waitpid(hook->pid, NULL, 0);
    }
    g_free(hook);
}
