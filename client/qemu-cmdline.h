/*
 * Reader of QEMU's command line: the character devices, monitors, block nodes,
 * drives, devices and objects that a process was started with.  It also reads
 * the command line of yankd and qemu-storage-daemon.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_QEMU_CMDLINE_H
#define CLIENT_QEMU_CMDLINE_H

#include <stdbool.h>
#include <sys/types.h>
#include <json-c/json.h>
#include <glib.h>

typedef struct QemuCmdlineChardev {
    char *id;
    char *address; /* "unix:PATH" or "HOST:PORT"; NULL: no socket with one */
} QemuCmdlineChardev;

typedef struct QemuCmdlineMonitor {
    char *chardev; /* its id */
    bool qmp;      /* false: HMP, or yankd's default */
} QemuCmdlineMonitor;

/*
 * Options are objects.  Those that were given as JSON are as they were given.
 * The values of others are strings.  Members of @nodes and @objects are nested
 * ("server": {"path": ...}), those of @drives and @devices are not
 * ("server.path").
 */
typedef struct QemuCmdline {
    pid_t pid; /* 0: not that of a process */
    GPtrArray *chardevs;
    GPtrArray *monitors;
    GPtrArray *nodes;   /* of -blockdev; json_object */
    GPtrArray *drives;  /* of -drive */
    GPtrArray *devices; /* of -device */
    GPtrArray *objects; /* of -object */
    /*
     * An option whose effect is not known, such as a -readconfig whose file
     * has changed since; NULL: all of the command line was understood.
     */
    char *unread;
} QemuCmdline;

/*
 * Reads the command line of the process @pid, with the files that it names;
 * NULL when that cannot be read.  Any thread.
 */
QemuCmdline *qemu_cmdline_of_process(pid_t pid);
/* Reads the command line @argv (NULL-terminated, without a process). */
QemuCmdline *qemu_cmdline_parse(char **argv);
/* NULL is fine. */
void qemu_cmdline_free(QemuCmdline *cmdline);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuCmdline, qemu_cmdline_free)

/* The chardev @id, or NULL.  It belongs to @cmdline. */
const QemuCmdlineChardev *qemu_cmdline_chardev(const QemuCmdline *cmdline,
                                               const char *id);
/* Whether the chardev @id carries a monitor. */
bool qemu_cmdline_is_monitor(const QemuCmdline *cmdline, const char *id);
/* The options of the node @name, wherever it is defined; NULL: nowhere. */
json_object *qemu_cmdline_node(const QemuCmdline *cmdline, const char *name);

/*
 * The ids of the chardevs that listen at the unix socket @path of this
 * process, which may have been given to the other one as a relative path or as
 * one in another mount namespace.  Returns an empty array for a path that no
 * chardev is known to have.  g_strfreev() it.
 */
char **qemu_cmdline_chardevs_at(const QemuCmdline *cmdline, const char *path);

/*
 * "socket,id=x,path=a,,b" as an object of strings; a double comma stands for
 * one.  @implied: the key of the first value when it has none, or NULL
 * A word without a value is a switch: "server" is "on", "nowait" is wait=off.
 */
json_object *qemu_options_parse(const char *text, const char *implied);

#endif
