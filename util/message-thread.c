/*
 * The thread that writes messages to standard error; see qemu/message-thread.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "qemu/lockable.h"
#include "qemu/message-thread.h"
#include "qemu/oob.h"
#include "qemu/thread.h"

/* Size limit of the queue. */
#define QUEUE_MAX_BYTES (256 * 1024)

static struct {
    /* Guards the members below.  Fast; no lock is taken under it. */
    QemuMutex lock;
    QemuCond queued;  /* signalled when a line is queued or stopping is set */
    QemuCond written; /* signalled when n_written grows */
    GQueue lines;     /* of char * */
    size_t bytes;     /* sum of the lines' lengths */
    unsigned lost;    /* lines dropped after the last line of the queue */
    uint64_t n_queued;
    uint64_t n_written;
    bool running;
    bool stopping;
    QemuThread thread;
} messages;

static void __attribute__((constructor)) message_thread_init(void)
{
    qemu_mutex_init(&messages.lock);
    qemu_cond_init(&messages.queued);
    qemu_cond_init(&messages.written);
    g_queue_init(&messages.lines);
}

/* Consumes @line.  Call with the lock held. */
static void put_locked(char *line)
{
    messages.bytes += strlen(line);
    messages.n_queued++;
    g_queue_push_tail(&messages.lines, line);
    qemu_cond_signal(&messages.queued);
}

/* Queues a warning about dropped lines.  Call with the lock held. */
static void put_lost_locked(void)
{
    const char *program = g_get_prgname();

    put_locked(g_strdup_printf("%s%swarning: %u messages were lost: standard "
                               "error does not accept them\n",
                               program ? program : "", program ? ": " : "",
                               messages.lost));
    messages.lost = 0;
}

bool message_thread_put(const char *line)
{
    QEMU_LOCK_GUARD(&messages.lock);

    if (!messages.running) {
        return false;
    }
    if (messages.bytes + strlen(line) > QUEUE_MAX_BYTES) {
        messages.lost++;
        return true;
    }
    if (messages.lost) {
        put_lost_locked();
    }
    put_locked(g_strdup(line));
    return true;
}

/* Waits for a line.  Returns NULL when the thread is to end. */
static char *next_line(void)
{
    char *line;

    QEMU_LOCK_GUARD(&messages.lock);
    if (!messages.lines.length && messages.lost) {
        put_lost_locked();
    }
    while (!messages.lines.length && !messages.stopping) {
        qemu_cond_wait(&messages.queued, &messages.lock);
    }
    line = g_queue_pop_head(&messages.lines);
    if (line) {
        messages.bytes -= strlen(line);
    }
    return line;
}

static void line_written(void)
{
    QEMU_LOCK_GUARD(&messages.lock);
    messages.n_written++;
    qemu_cond_broadcast(&messages.written);
}

/*
 * Drops a line that standard error refuses (the disk is full, the reader is
 * gone), since it could not be reported anywhere else.
 */
static void write_line(const char *line)
{
    struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};
    size_t left = strlen(line);

    while (left) {
        ssize_t len = write(STDERR_FILENO, line, left);

        if (len >= 0) {
            line += len;
            left -= len;
        } else if (errno == EAGAIN) {
            poll(&pfd, 1, -1);
        } else if (errno != EINTR) {
            return;
        }
    }
}

static void *message_thread_main(void *unused)
{
    char *line;

    while ((line = next_line())) {
        write_line(line);
        g_free(line);
        line_written();
    }
    return NULL;
}

/* For warnings by GLib and by code that uses GLib's logging functions. */
static void queue_glib_message(const char *domain, GLogLevelFlags level,
                               const char *message, void *unused)
{
    if (level & (G_LOG_FLAG_FATAL | G_LOG_FLAG_RECURSION)) {
        g_log_default_handler(domain, level, message, NULL);
    } else if (level & (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING |
                        G_LOG_LEVEL_MESSAGE)) {
        warn_report("%s", message);
    }
}

bool message_thread_start(Error **errp)
{
    WITH_QEMU_LOCK_GUARD(&messages.lock) {
        messages.running = true;
        messages.stopping = false;
    }
    if (!qemu_thread_try_create(&messages.thread, "messages",
                                message_thread_main, NULL, QEMU_THREAD_JOINABLE,
                                errp)) {
        QEMU_LOCK_GUARD(&messages.lock);
        messages.running = false;
        return false;
    }
    g_log_set_default_handler(queue_glib_message, NULL);
    return true;
}

static bool flush_locked(int timeout_ms)
{
    int64_t end_us = g_get_monotonic_time() + timeout_ms * INT64_C(1000);
    uint64_t until;

    if (messages.lost) {
        put_lost_locked();
    }
    until = messages.n_queued;
    while (messages.n_written < until) {
        int64_t left_us = end_us - g_get_monotonic_time();

        if (left_us <= 0) {
            return false;
        }
        qemu_cond_timedwait(&messages.written, &messages.lock,
                            left_us / 1000 + 1);
    }
    return true;
}

bool message_thread_flush(int timeout_ms)
{
    oob_assert_may_block("message_thread_flush");
    QEMU_LOCK_GUARD(&messages.lock);
    return messages.running && flush_locked(timeout_ms);
}

bool message_thread_stop(int timeout_ms)
{
    WITH_QEMU_LOCK_GUARD(&messages.lock) {
        if (!messages.running || !flush_locked(timeout_ms)) {
            return false;
        }
        messages.running = false;
        messages.stopping = true;
        qemu_cond_signal(&messages.queued);
    }
    g_log_set_default_handler(g_log_default_handler, NULL);
    qemu_thread_join(&messages.thread);
    return true;
}
