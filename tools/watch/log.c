/*
 * What the service says: log and journal, each written by a thread of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include "tools/exit-code.h"
#include "tools/output.h"
#include "log.h"

/* Lines that may wait to be written; more are dropped. */
#define MAX_LINES 10000
#define STOP_US (2 * G_USEC_PER_SEC)
/* What the log has after a journal that took all of that. */
#define LOG_STOP_US (G_USEC_PER_SEC / 4)

typedef enum Kind {
    WRITE,
    REOPEN, /* the journal */
    STOP,
} Kind;

typedef struct Line {
    Kind kind;
    char *text;
} Line;

/* One of the two things that are written. */
typedef struct Writer {
    GThread *thread;
    int fd; /* the thread's, once it runs */
    /* Guards what follows; taken alone. */
    GMutex lock;
    GCond changed;
    GQueue lines;
    guint64 dropped; /* since that was last told */
    bool ended;
} Writer;

static Writer log_writer, journal_writer;
static char *journal_path; /* NULL: no journal is kept */

static void line_free(Line *line)
{
    g_free(line->text);
    g_free(line);
}

/* Takes @text. */
static void put(Writer *writer, Kind kind, char *text)
{
    Line *line = g_new0(Line, 1);

    line->kind = kind;
    line->text = text;
    g_mutex_lock(&writer->lock);
    if (kind == WRITE && writer->lines.length >= MAX_LINES) {
        writer->dropped++;
        line_free(line);
    } else {
        g_queue_push_tail(&writer->lines, line);
        g_cond_broadcast(&writer->changed);
    }
    g_mutex_unlock(&writer->lock);
}

static Line *take(Writer *writer, guint64 *dropped)
{
    Line *line;

    g_mutex_lock(&writer->lock);
    while (!(line = g_queue_pop_head(&writer->lines))) {
        g_cond_wait(&writer->changed, &writer->lock);
    }
    *dropped = writer->dropped;
    writer->dropped = 0;
    g_mutex_unlock(&writer->lock);
    return line;
}

static int open_journal(GError **errp)
{
    int fd =
        open(journal_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

    if (fd < 0) {
        g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                    "journal %s cannot be opened: %s", journal_path,
                    g_strerror(errno));
    }
    return fd;
}

/*
 * Returns how much of it was written; less than all on error, as errno says.
 * Whoever shares standard error may have made it non-blocking.
 */
static size_t write_all(int fd, const char *text, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = write(fd, text + done, len - done);

        if (n >= 0) {
            done += n;
        } else if (errno == EAGAIN) {
            struct pollfd room = {.fd = fd, .events = POLLOUT};

            poll(&room, 1, -1);
        } else if (errno != EINTR) {
            break;
        }
    }
    return done;
}

/* What broke off in the middle of a line does not take the next one along. */
static void write_journal(int fd, const char *text)
{
    static bool torn; /* the thread's */
    g_autofree char *line = g_strconcat(torn ? "\n" : "", text, NULL);
    size_t len = strlen(line);
    size_t done = write_all(fd, line, len);

    if (done == len) {
        torn = false;
        return;
    }
    torn = torn || done > 0;
    watch_log("journal %s: a line was lost: %s", journal_path,
              g_strerror(errno));
}

/* @first: the line that an empty file begins with, or NULL */
static void reopen(Writer *writer, const char *first)
{
    g_autoptr(GError) err = NULL;
    struct stat status;
    int other = open_journal(&err);

    if (other < 0) {
        watch_log("%s; the old one is kept", err->message);
        return;
    }
    close(writer->fd);
    writer->fd = other;
    watch_log("journal %s: opened anew", journal_path);
    if (first && fstat(other, &status) == 0 && status.st_size == 0) {
        write_journal(other, first);
    }
}

static void tell_dropped(const Writer *writer, guint64 dropped)
{
    if (dropped && writer == &log_writer) {
        g_autofree char *text = g_strdup_printf(
            "yankctl watch: %" G_GUINT64_FORMAT " lines were dropped\n",
            dropped);

        write_all(writer->fd, text, strlen(text));
    } else if (dropped) {
        watch_log("journal %s: %" G_GUINT64_FORMAT " lines were dropped",
                  journal_path, dropped);
    }
}

static void write_line(Writer *writer, const Line *line)
{
    if (line->kind == REOPEN) {
        reopen(writer, line->text);
    } else if (line->kind == WRITE && writer == &journal_writer) {
        write_journal(writer->fd, line->text);
    } else if (line->kind == WRITE) {
        write_all(writer->fd, line->text, strlen(line->text));
    }
}

static void *run(void *opaque)
{
    Writer *writer = opaque;
    Kind kind;

    do {
        guint64 dropped;
        Line *line = take(writer, &dropped);

        tell_dropped(writer, dropped);
        kind = line->kind;
        write_line(writer, line);
        line_free(line);
    } while (kind != STOP);
    if (writer == &journal_writer) {
        close(writer->fd);
    }
    g_mutex_lock(&writer->lock);
    writer->ended = true;
    g_cond_broadcast(&writer->changed);
    g_mutex_unlock(&writer->lock);
    return NULL;
}

bool watch_log_start(const char *journal, GError **errp)
{
    if (journal) {
        journal_path = g_strdup(journal);
        journal_writer.fd = open_journal(errp);
        if (journal_writer.fd < 0) {
            g_clear_pointer(&journal_path, g_free);
            return false;
        }
        journal_writer.thread =
            g_thread_try_new("journal", run, &journal_writer, errp);
        if (!journal_writer.thread) {
            return false;
        }
    }
    log_writer.fd = STDERR_FILENO;
    log_writer.thread = g_thread_try_new("log", run, &log_writer, errp);
    return log_writer.thread != NULL;
}

/* False: it still writes at @deadline, and is left behind. */
static bool stop(Writer *writer, gint64 deadline)
{
    bool ended;

    if (!writer->thread) {
        return true;
    }
    put(writer, STOP, NULL);
    g_mutex_lock(&writer->lock);
    while (!writer->ended &&
           g_cond_wait_until(&writer->changed, &writer->lock, deadline)) {
    }
    ended = writer->ended;
    g_mutex_unlock(&writer->lock);
    if (ended) {
        g_thread_join(g_steal_pointer(&writer->thread));
    }
    return ended;
}

void watch_log_stop(void)
{
    gint64 deadline = g_get_monotonic_time() + STOP_US;

    /* The log last: the journal's errors are told there. */
    if (stop(&journal_writer, deadline)) {
        g_clear_pointer(&journal_path, g_free);
    }
    stop(&log_writer, deadline + LOG_STOP_US);
}

/* A line of the journal; NULL of NULL. */
static char *journal_text(json_object *line)
{
    return line ? g_strconcat(json_object_to_json_string_ext(
                                  line, JSON_C_TO_STRING_PLAIN |
                                            JSON_C_TO_STRING_NOSLASHESCAPE),
                              "\n", NULL)
                : NULL;
}

void watch_log_reopen(json_object *first)
{
    if (journal_path) {
        put(&journal_writer, REOPEN, journal_text(first));
    }
}

void watch_log(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *safe = NULL;
    va_list args;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);
    safe = output_safe(text);
    put(&log_writer, WRITE, g_strdup_printf("yankctl watch: %s\n", safe));
}

void watch_journal(json_object *line)
{
    if (journal_path) {
        put(&journal_writer, WRITE, journal_text(line));
    }
}

char *watch_time(void)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();

    return g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ");
}
