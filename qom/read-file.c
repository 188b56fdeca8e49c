/*
 * Reading the small files that objects are made of.
 *
 * A path may lead to a file on a hung file system, to a FIFO without a writer,
 * or to a pipe of a shell (file=/dev/fd/63).  Therefore a side thread reads it,
 * and the wait for that thread has a time limit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/stat.h>
#include "qemu/aside.h"
#include "read-file.h"

/* Passwords and keys are short; a path to a device must not fill memory. */
#define MAX_FILE (1 * MiB)

/* How long to wait until a FIFO is opened for writing, in milliseconds. */
#define WRITER_TIMEOUT_MS 2000

/*
 * Additional time for the side thread to report the time-out of a pipe, in ms.
 */
#define GRACE_MS 2000

typedef struct ReadJob {
    char *path;
    char *buf; /* of MAX_FILE + 1 bytes */
    size_t len;
    int err;           /* errno, or 0 */
    const char *error; /* an error without an errno, or NULL */
} ReadJob;

void object_wipe_string(GString *text)
{
    if (text) {
        explicit_bzero(text->str, text->allocated_len);
        g_string_free(text, true);
    }
}

static void read_job_free(void *opaque)
{
    ReadJob *job = opaque;

    explicit_bzero(job->buf, job->len);
    g_free(job->buf);
    g_free(job->path);
    g_free(job);
}

/* Polls @fd until it is readable.  Returns false at @end_us. */
static bool wait_readable(int fd, int64_t end_us, short *revents)
{
    struct pollfd pfd = {fd, POLLIN, 0};
    int64_t left_us = MAX(end_us - g_get_monotonic_time(), 0);
    bool ready = poll(&pfd, 1, left_us / 1000 + 1) != 0;

    *revents = pfd.revents;
    return ready;
}

/*
 * A FIFO that was not opened for writing yet reads as if at its end.  Returns
 * true if a writer may have come, and false if the end is real or the time is
 * over.
 */
static bool wait_for_writer(ReadJob *job, int fd, int64_t begin_us)
{
    int64_t end_us = begin_us + WRITER_TIMEOUT_MS * 1000;
    struct stat st;
    short revents;

    if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)) {
        return false;
    }
    if (g_get_monotonic_time() > end_us) {
        job->error = "nothing has opened the FIFO for writing";
        return false;
    }
    /* POLLHUP without POLLIN: a writer has come and gone. */
    return !wait_readable(fd, end_us, &revents) || (revents & POLLIN);
}

/* Returns true if the caller must read again after a read that returned @n. */
static bool read_on(ReadJob *job, int fd, ssize_t n, int64_t begin_us,
                    bool *has_writer)
{
    int64_t end_us = begin_us + ASIDE_TIMEOUT_MS * 1000;
    short revents;

    if (n > 0) {
        job->len += n;
        return job->len <= MAX_FILE;
    }
    if (n == 0) {
        return !job->len && !*has_writer && wait_for_writer(job, fd, begin_us);
    }
    if (errno != EAGAIN && errno != EINTR) {
        job->err = errno;
        return false;
    }
    *has_writer = true;
    if (!wait_readable(fd, end_us, &revents)) {
        job->err = ETIMEDOUT;
        return false;
    }
    return true;
}

static void read_job_run(void *opaque)
{
    ReadJob *job = opaque;
    int64_t begin_us = g_get_monotonic_time();
    int fd = open(job->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool has_writer = false;
    ssize_t n;

    if (fd < 0) {
        job->err = errno;
        return;
    }
    do {
        n = read(fd, job->buf + job->len, MAX_FILE + 1 - job->len);
    } while (read_on(job, fd, n, begin_us, &has_writer));
    close(fd);
}

GString *object_read_file(const char *path, const char *what, bool *absent,
                          Error **errp)
{
    g_autofree char *call_text = g_strdup_printf("reading '%s'", path);
    g_autoptr(AsideCall) call = NULL;
    ReadJob *job = g_new0(ReadJob, 1);

    job->path = g_strdup(path);
    job->buf = g_malloc(MAX_FILE + 1);
    call = aside_start(call_text, read_job_run, job, read_job_free, errp);
    if (!call || !aside_wait(call, ASIDE_TIMEOUT_MS + GRACE_MS, errp)) {
        return NULL;
    }
    if (absent && job->err == ENOENT) {
        *absent = true;
    } else if (job->err) {
        error_setg_errno(errp, job->err, "Unable to read %s", path);
    } else if (job->error) {
        error_setg(errp, "Unable to read %s: %s", path, job->error);
    } else if (job->len > MAX_FILE) {
        error_setg(errp, "Unable to read %s: %s has at most 1 MiB", path, what);
    } else {
        return g_string_new_len(job->buf, job->len);
    }
    return NULL;
}
