/*
 * What the service says: log and journal, written by a thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <fcntl.h>
#include "tools/exit-code.h"
#include "tools/output.h"
#include "log.h"

/* What may wait to be written; more is dropped. */
#define MAX_LINES 10000
#define STOP_US (2 * G_USEC_PER_SEC)

typedef enum Where {
    TO_STDERR,
    TO_JOURNAL,
    REOPEN,
    STOP,
} Where;

typedef struct Line {
    Where where;
    char *text;
} Line;

static struct {
    char *path;
    GThread *thread;
    /* Guards what follows; taken alone. */
    GMutex lock;
    GCond changed;
    GQueue lines;
    guint64 dropped;
    bool ended;
} writer;

static void line_free(Line *line)
{
    g_free(line->text);
    g_free(line);
}

static void put(Where where, char *text)
{
    Line *line = g_new0(Line, 1);

    line->where = where;
    line->text = text;
    g_mutex_lock(&writer.lock);
    if (where != STOP && writer.lines.length >= MAX_LINES) {
        writer.dropped++;
        line_free(line);
    } else {
        g_queue_push_tail(&writer.lines, line);
        g_cond_broadcast(&writer.changed);
    }
    g_mutex_unlock(&writer.lock);
}

static Line *take(guint64 *dropped)
{
    Line *line;

    g_mutex_lock(&writer.lock);
    while (!(line = g_queue_pop_head(&writer.lines))) {
        g_cond_wait(&writer.changed, &writer.lock);
    }
    *dropped = writer.dropped;
    writer.dropped = 0;
    g_mutex_unlock(&writer.lock);
    return line;
}

static int open_journal(GError **errp)
{
    int fd = open(writer.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

    if (fd < 0) {
        g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                    "journal %s cannot be opened: %s", writer.path,
                    g_strerror(errno));
    }
    return fd;
}

static void reopen(int *fd)
{
    g_autoptr(GError) err = NULL;
    int other = open_journal(&err);

    if (other < 0) {
        fprintf(stderr, "yankctl watch: %s; the old one is kept\n",
                err->message);
        return;
    }
    close(*fd);
    *fd = other;
}

/* How much of it was written; less than all on error, as errno says. */
static size_t write_all(int fd, const char *text, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = write(fd, text + done, len - done);

        if (n >= 0) {
            done += n;
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
    fprintf(stderr, "yankctl watch: journal %s: a line was lost: %s\n",
            writer.path, g_strerror(errno));
}

static void write_line(int *fd, const Line *line)
{
    if (line->where == TO_STDERR) {
        fputs(line->text, stderr);
    } else if (line->where == TO_JOURNAL) {
        write_journal(*fd, line->text);
    } else if (line->where == REOPEN) {
        reopen(fd);
    }
}

static void *run(void *opaque)
{
    int fd = GPOINTER_TO_INT(opaque);
    Where where;

    do {
        guint64 dropped;
        Line *line = take(&dropped);

        if (dropped) {
            fprintf(stderr,
                    "yankctl watch: %" G_GUINT64_FORMAT " lines were dropped\n",
                    dropped);
        }
        where = line->where;
        write_line(&fd, line);
        line_free(line);
    } while (where != STOP);
    if (fd >= 0) {
        close(fd);
    }
    g_mutex_lock(&writer.lock);
    writer.ended = true;
    g_cond_broadcast(&writer.changed);
    g_mutex_unlock(&writer.lock);
    return NULL;
}

bool watch_log_start(const char *journal, GError **errp)
{
    int fd = -1;

    writer.path = g_strdup(journal);
    if (journal && (fd = open_journal(errp)) < 0) {
        return false;
    }
    writer.thread = g_thread_new("log", run, GINT_TO_POINTER(fd));
    return true;
}

void watch_log_stop(void)
{
    gint64 deadline = g_get_monotonic_time() + STOP_US;
    bool ended;

    if (!writer.thread) {
        return;
    }
    put(STOP, NULL);
    g_mutex_lock(&writer.lock);
    while (!writer.ended &&
           g_cond_wait_until(&writer.changed, &writer.lock, deadline)) {
    }
    ended = writer.ended;
    g_mutex_unlock(&writer.lock);
    if (ended) {
        g_thread_join(g_steal_pointer(&writer.thread));
        g_clear_pointer(&writer.path, g_free);
    }
}

void watch_log_reopen(void)
{
    if (writer.path) {
        put(REOPEN, NULL);
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
    put(TO_STDERR, g_strdup_printf("yankctl watch: %s\n", safe));
}

void watch_journal(json_object *line)
{
    if (writer.path) {
        const char *text = json_object_to_json_string_ext(
            line, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

        put(TO_JOURNAL, g_strconcat(text, "\n", NULL));
    }
}

char *watch_time(void)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();

    return g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ");
}
