/*
 * The pid file, which the process keeps locked while it runs.
 *
 * Its file system may hang: side threads create and remove the file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/stat.h>
#include "daemon.h"
#include "qemu/aside.h"

/* How long the end of the process waits for the removal, in milliseconds. */
#define REMOVE_TIMEOUT_MS 2000

typedef struct Pidfile {
    char *path;     /* absolute: the daemon changes its working directory */
    int fd;         /* open and locked, or -1 */
    struct stat st; /* of the open file */
    Error *err;
} Pidfile;

/* The pid file that was created and not removed yet, or NULL.  Atomic. */
static Pidfile *current_pidfile;

static void pidfile_free(void *opaque)
{
    Pidfile *pidfile = opaque;

    if (!pidfile) {
        return;
    }
    if (pidfile->fd >= 0) {
        close(pidfile->fd);
    }
    error_free(pidfile->err);
    g_free(pidfile->path);
    g_free(pidfile);
}

/* Returns true if the path still leads to the open file. */
static bool is_ours(const Pidfile *pidfile)
{
    struct stat st;

    return stat(pidfile->path, &st) == 0 && st.st_dev == pidfile->st.st_dev &&
           st.st_ino == pidfile->st.st_ino;
}

/*
 * Opens and locks the file.  Its previous owner may have removed it between our
 * open and our lock; a lock on a removed file is useless, so try again.
 */
static bool open_locked(Pidfile *pidfile)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    for (;;) {
        int fd = open(pidfile->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        if (fd < 0) {
            error_setg_errno(&pidfile->err, errno, "Could not create '%s'",
                             pidfile->path);
            return false;
        }
        if (fcntl(fd, F_SETLK, &lock) < 0) {
            error_setg_errno(&pidfile->err, errno, "Cannot lock pid file");
            close(fd);
            return false;
        }
        if (fstat(fd, &pidfile->st) == 0 && is_ours(pidfile)) {
            pidfile->fd = fd;
            return true;
        }
        close(fd);
    }
}

/*
 * Resolves symbolic links, so that pidfile_remove() removes the file and not a
 * link that the user made.
 */
static void resolve_links(Pidfile *pidfile)
{
    char *real = realpath(pidfile->path, NULL);

    if (real) {
        g_free(pidfile->path);
        pidfile->path = g_strdup(real);
        free(real);
    }
}

/* Runs on a side thread. */
static void pidfile_make(void *opaque)
{
    Pidfile *pidfile = opaque;
    g_autofree char *text =
        g_strdup_printf("%" PRIdMAX "\n", (intmax_t)getpid());
    ssize_t len = strlen(text);

    if (!open_locked(pidfile)) {
        return;
    }
    if (ftruncate(pidfile->fd, 0) < 0 || write(pidfile->fd, text, len) != len) {
        error_setg_errno(&pidfile->err, errno, "Could not write '%s'",
                         pidfile->path);
        unlink(pidfile->path);
        return;
    }
    resolve_links(pidfile);
}

bool pidfile_create(const char *path, Error **errp)
{
    g_autofree char *what = g_strdup_printf("writing '%s'", path);
    Pidfile *pidfile = g_new0(Pidfile, 1);
    g_autoptr(AsideCall) call = NULL;
    Error *err = NULL;

    pidfile->path = g_canonicalize_filename(path, NULL);
    pidfile->fd = -1;
    call = aside_start(what, pidfile_make, pidfile, pidfile_free, &err);
    if (call && aside_wait(call, ASIDE_TIMEOUT_MS, &err)) {
        err = g_steal_pointer(&pidfile->err);
    }
    if (err) {
        error_propagate(errp, err);
        error_prepend(errp, "cannot create PID file: ");
        return false;
    }
    /* Move the content, since the call frees the original struct. */
    g_atomic_pointer_set(&current_pidfile,
                         g_memdup2(pidfile, sizeof(*pidfile)));
    *pidfile = (Pidfile){.fd = -1};
    return true;
}

void pidfile_remove(void)
{
    Pidfile *pidfile;

    do {
        pidfile = g_atomic_pointer_get(&current_pidfile);
    } while (!g_atomic_pointer_compare_and_exchange(&current_pidfile, pidfile,
                                                    NULL));
    if (pidfile && is_ours(pidfile)) {
        unlink(pidfile->path);
    }
    pidfile_free(pidfile);
}

static void remove_aside(void *opaque)
{
    pidfile_remove();
}

void pidfile_cleanup(void)
{
    g_autoptr(AsideCall) call = NULL;
    Error *err = NULL;

    if (!g_atomic_pointer_get(&current_pidfile)) {
        return;
    }
    call = aside_start("removing the PID file", remove_aside, NULL, NULL, &err);
    if (!call || !aside_wait(call, REMOVE_TIMEOUT_MS, &err)) {
        error_report_err(err);
    }
}
