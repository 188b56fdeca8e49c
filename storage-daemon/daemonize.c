/*
 * Going on in the background.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/stat.h>
#include "daemon.h"
#include "qemu/message-thread.h"
#include "qemu/oob.h"

/* Where the parent waits; -1 when there is none. */
static int status_fd = -1;

bool standard_streams_init(Error **errp)
{
    int fd;

    /* open() uses the lowest free number. */
    do {
        fd = open("/dev/null", O_RDWR);
        if (fd < 0) {
            error_setg_errno(errp, errno, "Cannot open /dev/null");
            return false;
        }
    } while (fd <= STDERR_FILENO);
    close(fd);
    return true;
}

/* The parent's part: exits with what becomes of the child. */
static void G_GNUC_NORETURN wait_for_child(int fd)
{
    char byte;
    ssize_t len;

    do {
        len = read(fd, &byte, 1);
    } while (len < 0 && errno == EINTR);
    _exit(len == 1 ? 0 : 1);
}

bool daemonize_start(Error **errp)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        error_setg_errno(errp, errno, "Cannot daemonize");
        return false;
    }
    pid = fork();
    if (pid < 0) {
        error_setg_errno(errp, errno, "Cannot daemonize");
        close(fds[0]);
        close(fds[1]);
        return false;
    }
    if (pid > 0) {
        close(fds[1]);
        wait_for_child(fds[0]);
    }

    close(fds[0]);
    status_fd = fds[1];
    setsid();
    /* Who leads a session could be given a terminal again. */
    pid = fork();
    if (pid < 0) {
        error_setg_errno(errp, errno, "Cannot daemonize");
        return false;
    }
    if (pid > 0) {
        _exit(0);
    }
    umask(027);
    return true;
}

bool daemonize_complete(Error **errp)
{
    OOB_WAIT_BOUND("the root folder and /dev answer, or nothing does");
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int fd;

    if (null_fd < 0) {
        error_setg_errno(errp, errno, "Cannot open /dev/null");
        return false;
    }
    if (chdir("/") < 0) {
        error_setg_errno(errp, errno, "Cannot change to folder /");
        close(null_fd);
        return false;
    }
    /* Write queued messages to the old standard error. */
    message_thread_flush(MESSAGE_FLUSH_MS);
    for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        dup2(null_fd, fd);
    }
    close(null_fd);
    /* A parent that was killed meanwhile changes nothing. */
    if (write(status_fd, "", 1) != 1) {
        warn_report("nobody waits for the end of startup");
    }
    close(status_fd);
    status_fd = -1;
    return true;
}
