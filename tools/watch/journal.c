/*
 * The journal of an earlier service: the numbers that it has used.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <fcntl.h>
#include <sys/stat.h>
#include "tools/json.h"
#include "journal.h"

/* How much is read at first, and at most. */
#define MIN_TAIL (64 * KiB)
#define MAX_TAIL (64 * MiB)

/*
 * Notes the number of @line in @last.  True: no earlier line has a higher one,
 * for numbers are given in the order in which incidents begin.
 */
static bool take_line(const char *text, guint64 *last)
{
    g_autoptr(json_object) line = json_parse(text, "a line", NULL);
    gint64 number = json_get_int(line, "incident", 0);
    const char *event = json_get_string(line, "event");

    if (number <= 0) {
        return false;
    }
    *last = MAX(*last, (guint64)number);
    return g_strcmp0(event, "begin") == 0 || g_strcmp0(event, "continue") == 0;
}

/* The same of all lines of @tail, from the last one on. */
static bool take_lines(char *tail, guint64 *last)
{
    char *newline;

    while ((newline = strrchr(tail, '\n'))) {
        if (take_line(newline + 1, last)) {
            return true;
        }
        *newline = '\0';
    }
    return take_line(tail, last);
}

/* NULL when it cannot be read. */
static char *read_tail(int fd, off_t size, size_t len)
{
    g_autofree char *tail = g_malloc(len + 1);
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, tail + done, len - done, size - len + done);

        if (n <= 0) {
            return NULL;
        }
        done += n;
    }
    tail[len] = '\0';
    return g_steal_pointer(&tail);
}

guint64 journal_last_incident(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    guint64 last = 0;
    bool found = fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode);

    for (off_t len = MIN_TAIL; !found && len <= MAX_TAIL; len *= 4) {
        size_t part = MIN(len, status.st_size);
        g_autofree char *tail = read_tail(fd, status.st_size, part);

        found = !tail || take_lines(tail, &last) || part < (size_t)len;
    }
    if (fd >= 0) {
        close(fd);
    }
    return last;
}
