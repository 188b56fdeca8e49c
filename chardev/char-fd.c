/*
 * Descriptors of devices other than sockets: opening, writing, closing.
 *
 * A FIFO, a pipe or a terminal is written without blocking, and polled while it
 * accepts no data.  Opening any path, and all I/O of a file, may block where
 * nothing can interrupt it: a FIFO without a peer, a dead file system.  These
 * calls run on a side thread.
 *
 * While one of these waits lasts, the device is a yank instance (also a device
 * that is not one otherwise), and a yank ends the wait.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "char-fd.h"
#include "qemu/activity.h"
#include "qemu/aside.h"
#include "qemu/oob.h"
#include "qemu/yank.h"

/*
 * A wait of the main thread.  Constant while the yank function is registered.
 */
typedef struct CharWait {
    Chardev *chr;
    const char *what; /* "opening '/x'" */
    AsideCall *call;  /* a yank cancels this call; or, if it is NULL, ... */
    int wake_fd;      /* ... writes to this eventfd */
    Activity *activity;
    ActivityRequest request;
} CharWait;

/* A yank function.  OOB-safe; any thread. */
static void wait_yank(void *opaque)
{
    CharWait *wait = opaque;

    if (wait->call ? aside_cancel(wait->call)
                   : eventfd_write(wait->wake_fd, 1) == 0) {
        yank_report_cut(wait->what);
    }
}

/* Registers the yank function, so that a yank ends the waits from here on. */
static bool wait_begin(CharWait *wait, const char *phase, Error **errp)
{
    g_autofree char *name =
        yank_instance_name(CHARDEV_YANK_INSTANCE(wait->chr->id));

    if (!chardev_register_yank(wait->chr, wait_yank, wait, errp)) {
        return false;
    }
    wait->activity = activity_new(name);
    activity_set_phase(wait->activity, phase);
    activity_set_peer(wait->activity, wait->what);
    activity_begin(wait->activity, &wait->request);
    return true;
}

static void wait_end(CharWait *wait)
{
    chardev_unregister_yank(wait->chr, wait_yank, wait);
    activity_end(wait->activity, &wait->request);
    activity_free(wait->activity);
}

/*
 * Waits for the call and ends the wait.  Returns true if the call has returned,
 * false if it was yanked.
 */
static bool wait_returned(CharWait *wait)
{
    OOB_WAIT_YANK("chardev", wait->chr->id);
    bool returned = aside_wait(wait->call, -1, NULL);

    wait_end(wait);
    return returned;
}

/*
 * Runs @fn(@opaque) on a side thread, and waits until it returns or a yank ends
 * the wait.  On success returns the call; until the caller drops it, the caller
 * may read @opaque.  Returns NULL with errp set otherwise.
 */
static AsideCall *run_aside(Chardev *chr, const char *phase, const char *what,
                            AsideFn *fn, void *opaque,
                            GDestroyNotify free_opaque, Error **errp)
{
    g_autoptr(AsideCall) call =
        aside_start(what, fn, opaque, free_opaque, errp);
    CharWait wait = {.chr = chr, .what = what, .call = call, .wake_fd = -1};

    if (!call || !wait_begin(&wait, phase, errp)) {
        return NULL;
    }
    if (!wait_returned(&wait)) {
        error_setg(errp, "Chardev '%s' was yanked while %s", chr->id, what);
        return NULL;
    }
    return g_steal_pointer(&call);
}

/* ---- Opening. ---- */

typedef struct OpenJob {
    char *path;      /* NULL: use standard_fd */
    int standard_fd; /* number of standard input or output */
    int flags;
    int fd; /* -1 on failure, with err set */
    int err;
    mode_t mode;
    bool shared; /* other processes share the descriptor's flags */
} OpenJob;

static void open_job_free(void *opaque)
{
    OpenJob *job = opaque;

    if (job->fd >= 0) {
        close(job->fd);
    }
    g_free(job->path);
    g_free(job);
}

/*
 * Opens a pipe or a terminal again, so that its flags are not shared with the
 * program that started this one.  Does not open a file again, since that would
 * start at offset 0.
 */
static int open_standard(OpenJob *job)
{
    int flags = job->standard_fd == STDIN_FILENO ? O_RDONLY : O_WRONLY;
    g_autofree char *path =
        g_strdup_printf("/proc/self/fd/%d", job->standard_fd);
    struct stat st;
    int fd = -1;

    if (fstat(job->standard_fd, &st) < 0) {
        return -1;
    }
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    job->shared = fd < 0;
    return fd >= 0 ? fd : fcntl(job->standard_fd, F_DUPFD_CLOEXEC, 3);
}

static void open_job_run(void *opaque)
{
    OpenJob *job = opaque;
    struct stat st;

    job->fd = job->path
                  ? open(job->path, job->flags | O_NOCTTY | O_CLOEXEC, 0666)
                  : open_standard(job);
    if (job->fd < 0 || fstat(job->fd, &st) < 0) {
        job->err = errno;
    } else {
        job->mode = st.st_mode;
    }
}

/*
 * Opens what @job describes, under the name @name in messages.  Consumes @job.
 */
static bool open_any(Chardev *chr, CharFd *file, OpenJob *job, const char *name,
                     Error **errp)
{
    g_autofree char *what = g_strdup_printf("opening %s", name);
    g_autoptr(AsideCall) call = NULL;

    job->fd = -1;
    call =
        run_aside(chr, "opening", what, open_job_run, job, open_job_free, errp);
    if (!call) {
        return false;
    }
    if (job->err) {
        error_setg_errno(errp, job->err, "Could not open %s", name);
        return false;
    }
    *file = (CharFd){
        .chr = chr,
        .fd = job->fd,
        .is_file = S_ISREG(job->mode) || S_ISBLK(job->mode),
        .shared_flags = job->shared ? fcntl(job->fd, F_GETFL) : -1,
    };
    job->fd = -1;
    if (!file->is_file) {
        g_unix_set_fd_nonblocking(file->fd, TRUE, NULL);
    }
    return true;
}

bool char_fd_open(Chardev *chr, CharFd *file, const char *path, int flags,
                  Error **errp)
{
    g_autofree char *name = g_strdup_printf("'%s'", path);
    OpenJob *job = g_new0(OpenJob, 1);

    job->path = g_strdup(path);
    job->flags = flags;
    return open_any(chr, file, job, name, errp);
}

bool char_fd_open_standard(Chardev *chr, CharFd *file, int fd, Error **errp)
{
    OpenJob *job = g_new0(OpenJob, 1);

    job->standard_fd = fd;
    return open_any(chr, file, job,
                    fd == STDIN_FILENO ? "standard input" : "standard output",
                    errp);
}

/* ---- Writing. ---- */

typedef struct WriteJob {
    int fd; /* a duplicate, or -1 when it is closed */
    char *data;
    size_t len;
    int err;
} WriteJob;

static void write_job_free(void *opaque)
{
    WriteJob *job = opaque;

    if (job->fd >= 0) {
        close(job->fd);
    }
    g_free(job->data);
    g_free(job);
}

static void write_job_run(void *opaque)
{
    WriteJob *job = opaque;
    const char *p = job->data;
    size_t len = job->len;

    while (len && !job->err) {
        ssize_t n = write(job->fd, p, len);

        if (n < 0 && errno != EINTR) {
            job->err = errno;
        }
        p += MAX(n, 0);
        len -= MAX(n, 0);
    }
    /* The side thread closes it, since closing a file may block. */
    close(job->fd);
    job->fd = -1;
}

/*
 * Uses a duplicate of the descriptor and a copy of the data, so that the call
 * can be abandoned.
 */
static int write_file(Chardev *chr, CharFd *file, const void *buf, size_t len,
                      Error **errp)
{
    int fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 3);
    g_autofree char *what =
        g_strdup_printf("writing to the file of chardev '%s'", chr->id);
    g_autoptr(AsideCall) call = NULL;
    WriteJob *job;

    if (fd < 0) {
        return errno;
    }
    job = g_new0(WriteJob, 1);
    job->fd = fd;
    job->data = g_memdup2(buf, len);
    job->len = len;
    call = run_aside(chr, "writing", what, write_job_run, job, write_job_free,
                     errp);
    return call ? job->err : -1;
}

/*
 * Writes what is taken at once.  Another process that shares an inherited
 * socket may have cleared O_NONBLOCK.
 */
static ssize_t write_now(int fd, const void *buf, size_t len)
{
    ssize_t n = send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    return n < 0 && errno == ENOTSOCK ? write(fd, buf, len) : n;
}

/*
 * Polls until all is written or a yank ends the wait.  Returns 0, a positive
 * errno, or -1 with errp set.
 */
static int write_slowly(CharWait *wait, CharFd *file, const char *p, size_t len,
                        Error **errp)
{
    struct pollfd pfds[] = {
        {wait->wake_fd, POLLIN, 0},
        {file->fd, POLLOUT, 0},
    };

    while (len) {
        OOB_WAIT_YANK("chardev", wait->chr->id);
        ssize_t n;

        poll(pfds, G_N_ELEMENTS(pfds), -1);
        if (pfds[0].revents) {
            error_setg(errp, "Chardev '%s' was yanked while %s", wait->chr->id,
                       wait->what);
            return -1;
        }
        n = write_now(file->fd, p, len);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return errno;
        }
        if (n > 0) {
            p += n;
            len -= n;
            activity_progress(wait->activity);
        }
    }
    return 0;
}

static int write_polled(Chardev *chr, CharFd *file, const char *p, size_t len,
                        Error **errp)
{
    CharWait wait = {.chr = chr, .what = "writing"};
    ssize_t n = write_now(file->fd, p, len);
    int ret = -1;

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        return errno;
    }
    n = MAX(n, 0);
    if ((size_t)n == len) {
        return 0;
    }
    wait.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wait.wake_fd < 0) {
        return errno;
    }
    if (wait_begin(&wait, "writing", errp)) {
        ret = write_slowly(&wait, file, p + n, len - n, errp);
        wait_end(&wait);
    }
    close(wait.wake_fd);
    return ret;
}

bool char_fd_write_all(Chardev *chr, CharFd *file, const void *buf, size_t len,
                       Error **errp)
{
    int ret = file->is_file ? write_file(chr, file, buf, len, errp)
                            : write_polled(chr, file, buf, len, errp);

    if (ret > 0) {
        error_setg_errno(errp, ret, "Unable to write to chardev '%s'", chr->id);
    }
    return ret == 0;
}

/* ---- Closing. ---- */

static void close_job_run(void *opaque)
{
    close(GPOINTER_TO_INT(opaque));
}

/* Closing a file may write its remaining data to the file system, and block. */
static void close_file(const CharFd *file)
{
    g_autofree char *what =
        g_strdup_printf("closing the file of chardev '%s'", file->chr->id);
    g_autoptr(Error) err = NULL;
    g_autoptr(AsideCall) call =
        aside_start(what, close_job_run, GINT_TO_POINTER(file->fd), NULL, &err);

    if (call) {
        aside_wait(call, ASIDE_TIMEOUT_MS, NULL);
    } else {
        /* Leaking a descriptor is better than waiting for dead storage. */
        warn_report("%s failed: %s", what, error_get_pretty(err));
    }
}

void char_fd_close(CharFd *file)
{
    if (file->fd < 0) {
        return;
    }
    if (file->shared_flags >= 0) {
        fcntl(file->fd, F_SETFL, file->shared_flags);
    }
    if (file->is_file) {
        close_file(file);
    } else {
        close(file->fd);
    }
    file->fd = -1;
}
