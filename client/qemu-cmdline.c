/*
 * Reader of QEMU's command line.
 *
 * What it cannot read with certainty it reports as unread: callers must not
 * conclude anything from what is missing then.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <fcntl.h>
#include <sys/stat.h>
#include "client/qemu-cmdline.h"

/* No file of options is that long. */
#define MAX_CONFIG (1 << 20)

/* Options of QEMU 7.2 without an argument; all others have one. */
static const char *const flags[] = {
    "?",
    "S",
    "alt-grab",
    "async-teardown",
    "audio-help",
    "ctrl-grab",
    "curses",
    "daemonize",
    "enable-fips",
    "enable-kvm",
    "enable-sync-profile",
    "full-screen",
    "h",
    "help",
    "mem-prealloc",
    "no-acpi",
    "no-fd-bootchk",
    "no-hpet",
    "no-quit",
    "no-reboot",
    "no-shutdown",
    "no-user-config",
    "nodefaults",
    "nodefconfig",
    "nographic",
    "old-param",
    "only-migratable",
    "portrait",
    "preconfig",
    "s",
    "semihosting",
    "singlestep",
    "snapshot",
    "usb",
    "version",
    "win2k-hack",
    "xen-attach",
    "xen-domid-restrict",
    NULL,
};

/* What the reader keeps beside its result. */
typedef struct Reader {
    QemuCmdline *cmdline;
    /* How many devices of each kind QEMU has named by their number. */
    unsigned n_monitors;
    unsigned n_serials;
    unsigned n_parallels;
} Reader;

typedef void ReadFn(Reader *reader, const char *value);

static ReadFn read_chardev, read_mon, read_qmp, read_monitor, read_serial,
    read_parallel, read_debugcon, read_blockdev, read_drive, read_device,
    read_object, read_config, read_set;

static const struct {
    const char *name;
    ReadFn *fn;
} options[] = {
    {"chardev", read_chardev},   {"mon", read_mon},
    {"qmp", read_qmp},           {"qmp-pretty", read_qmp},
    {"monitor", read_monitor},   {"serial", read_serial},
    {"parallel", read_parallel}, {"debugcon", read_debugcon},
    {"blockdev", read_blockdev}, {"drive", read_drive},
    {"device", read_device},     {"object", read_object},
    {"readconfig", read_config}, {"set", read_set},
};

static void set_unread(Reader *reader, const char *option, const char *value)
{
    if (!reader->cmdline->unread) {
        reader->cmdline->unread = g_strdup_printf("-%s %s", option, value);
    }
}

static const char *get_string(json_object *obj, const char *key)
{
    json_object *value = NULL;

    return json_object_object_get_ex(obj, key, &value) &&
                   json_object_is_type(value, json_type_string)
               ? json_object_get_string(value)
               : NULL;
}

static void set_string(json_object *obj, const char *key, const char *value)
{
    json_object_object_add(obj, key, json_object_new_string(value));
}

/* Takes text up to a comma off *@text; two commas stand for one. */
static char *take_part(const char **text)
{
    GString *part = g_string_new(NULL);
    const char *p = *text;

    for (; *p && (*p != ',' || p[1] == ','); p++) {
        p += *p == ',';
        g_string_append_c(part, *p);
    }
    *text = *p ? p + 1 : p;
    return g_string_free(part, FALSE);
}

json_object *qemu_options_parse(const char *text, const char *implied)
{
    json_object *obj = json_object_new_object();
    bool first = true;

    for (; *text || first; first = false) {
        g_autofree char *part = take_part(&text);
        char *equals = strchr(part, '=');

        if (equals && strcspn(part, ",") > (size_t)(equals - part)) {
            *equals = '\0';
            set_string(obj, part, equals + 1);
        } else if (first && implied) {
            set_string(obj, implied, part);
        } else if (g_str_has_prefix(part, "no")) {
            set_string(obj, part + 2, "off");
        } else if (*part) {
            set_string(obj, part, "on");
        }
    }
    return obj;
}

/* An object out of JSON, all of @text; NULL when it is none. */
static json_object *parse_json(const char *text)
{
    enum json_tokener_error err;
    json_object *value = json_tokener_parse_verbose(text, &err);

    if (err != json_tokener_success ||
        !json_object_is_type(value, json_type_object)) {
        json_object_put(value);
        return NULL;
    }
    return value;
}

/* The object for @key in @obj, made when it is missing; NULL: no object. */
static json_object *enter(json_object *obj, const char *key)
{
    json_object *inner = NULL;

    if (!json_object_object_get_ex(obj, key, &inner)) {
        inner = json_object_new_object();
        json_object_object_add(obj, key, inner);
    }
    return json_object_is_type(inner, json_type_object) ? inner : NULL;
}

/* "a.b": "c" becomes "a": {"b": "c"}; NULL when members contradict. */
static json_object *nest(json_object *flat)
{
    json_object *root = json_object_new_object();

    json_object_object_foreach(flat, key, value)
    {
        g_auto(GStrv) path = g_strsplit(key, ".", -1);
        json_object *obj = root;
        int i;

        for (i = 0; path[i] && path[i + 1] && obj; i++) {
            obj = enter(obj, path[i]);
        }
        if (!obj || !path[i] || json_object_object_get_ex(obj, path[i], NULL)) {
            json_object_put(root);
            return NULL;
        }
        json_object_object_add(obj, path[i], json_object_get(value));
    }
    return root;
}

/* JSON, or key=value with dots; NULL: neither.  The caller frees it. */
static json_object *parse_nested(const char *value, const char *implied)
{
    json_object *flat;
    json_object *nested;

    if (value[0] == '{') {
        return parse_json(value);
    }
    flat = qemu_options_parse(value, implied);
    nested = nest(flat);
    json_object_put(flat);
    return nested;
}

/* The same without the nesting of key=value. */
static json_object *parse_flat(const char *value, const char *implied)
{
    return value[0] == '{' ? parse_json(value)
                           : qemu_options_parse(value, implied);
}

static char *inet_address(const char *host, const char *port)
{
    const char *shown = host && *host ? host : "localhost";

    return strchr(shown, ':') ? g_strdup_printf("[%s]:%s", shown, port)
                              : g_strdup_printf("%s:%s", shown, port);
}

static void add_chardev(Reader *reader, const char *id, char *address)
{
    QemuCmdlineChardev *chardev = g_new0(QemuCmdlineChardev, 1);

    chardev->id = g_strdup(id);
    chardev->address = address;
    g_ptr_array_add(reader->cmdline->chardevs, chardev);
}

static void add_monitor(Reader *reader, const char *chardev, bool qmp)
{
    QemuCmdlineMonitor *monitor = g_new0(QemuCmdlineMonitor, 1);

    monitor->chardev = g_strdup(chardev);
    monitor->qmp = qmp;
    g_ptr_array_add(reader->cmdline->monitors, monitor);
}

static void add_socket(Reader *reader, json_object *opts)
{
    const char *path = get_string(opts, "path");
    const char *port = get_string(opts, "port");
    char *address = NULL;

    if (g_strcmp0(get_string(opts, "backend"), "socket") == 0) {
        if (path && g_strcmp0(get_string(opts, "abstract"), "on") != 0) {
            address = g_strconcat("unix:", path, NULL);
        } else if (!path && port) {
            address = inet_address(get_string(opts, "host"), port);
        }
    }
    add_chardev(reader, get_string(opts, "id"), address);
}

static void read_chardev(Reader *reader, const char *value)
{
    json_object *opts = parse_flat(value, "backend");

    /* QEMU takes no JSON here; what it would mean is not known. */
    if (!opts || value[0] == '{' || !get_string(opts, "id")) {
        set_unread(reader, "chardev", value);
    } else {
        add_socket(reader, opts);
    }
    json_object_put(opts);
}

static void add_mon(Reader *reader, json_object *opts)
{
    const char *chardev = get_string(opts, "chardev");

    if (chardev) {
        add_monitor(reader, chardev,
                    g_strcmp0(get_string(opts, "mode"), "control") == 0);
    }
}

/* "chardev=ID,mode=control", or "ID,mode=control". */
static void read_mon(Reader *reader, const char *value)
{
    json_object *opts = parse_flat(value, "chardev");

    if (opts) {
        add_mon(reader, opts);
    } else {
        set_unread(reader, "mon", value);
    }
    json_object_put(opts);
}

/* Where "unix:PATH,server=on" or "tcp:HOST:PORT,server=on" is; or NULL. */
static char *compat_address(const char *value)
{
    static const char *const inet[] = {"tcp:", "telnet:", "websocket:"};
    g_autofree char *part = take_part(&value);

    if (g_str_has_prefix(part, "unix:")) {
        return g_steal_pointer(&part);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(inet); i++) {
        if (g_str_has_prefix(part, inet[i])) {
            const char *address = part + strlen(inet[i]);

            return g_strconcat(address[0] == ':' ? "localhost" : "", address,
                               NULL);
        }
    }
    return NULL;
}

/* A monitor on a device in the old form, which QEMU gives a number. */
static void add_compat(Reader *reader, const char *value, bool qmp)
{
    g_autofree char *id =
        g_strdup_printf("compat_monitor%u", reader->n_monitors++);

    if (g_str_has_prefix(value, "chardev:")) {
        add_monitor(reader, value + strlen("chardev:"), qmp);
    } else {
        add_chardev(reader, id, compat_address(value));
        add_monitor(reader, id, qmp);
    }
}

static void read_qmp(Reader *reader, const char *value)
{
    add_compat(reader, value, true);
}

/*
 * Of QEMU a device in the old form, of qemu-storage-daemon and yankd the same
 * as -mon.  Both are assumed where the value leaves it open: rather one
 * monitor too many than one too few.
 */
static void read_monitor(Reader *reader, const char *value)
{
    size_t len = strcspn(value, ",:");

    if (value[0] == '{' || value[len] != ':') {
        read_mon(reader, value);
    }
    if (!g_str_has_prefix(value, "none")) {
        add_compat(reader, value, false);
    }
}

/* "mon:" in front of a device gives it a monitor beside its other user. */
static void read_mux(Reader *reader, const char *value, const char *id)
{
    if (g_str_has_prefix(value, "mon:chardev:")) {
        add_monitor(reader, value + strlen("mon:chardev:"), false);
    } else if (g_str_has_prefix(value, "mon:")) {
        add_monitor(reader, id, false);
    }
}

static void read_numbered(Reader *reader, const char *value, const char *kind,
                          unsigned *n)
{
    if (!g_str_equal(value, "none")) {
        g_autofree char *id = g_strdup_printf("%s%u", kind, (*n)++);

        read_mux(reader, value, id);
    }
}

static void read_serial(Reader *reader, const char *value)
{
    read_numbered(reader, value, "serial", &reader->n_serials);
}

static void read_parallel(Reader *reader, const char *value)
{
    read_numbered(reader, value, "parallel", &reader->n_parallels);
}

static void read_debugcon(Reader *reader, const char *value)
{
    read_mux(reader, value, "debugcon");
}

/* Adds @opts, which it takes, to @list; NULL: they could not be read. */
static void add_options(Reader *reader, GPtrArray *list, json_object *opts,
                        const char *option, const char *value)
{
    if (opts) {
        g_ptr_array_add(list, opts);
    } else {
        set_unread(reader, option, value);
    }
}

static void read_blockdev(Reader *reader, const char *value)
{
    add_options(reader, reader->cmdline->nodes, parse_nested(value, "driver"),
                "blockdev", value);
}

static void read_drive(Reader *reader, const char *value)
{
    add_options(reader, reader->cmdline->drives, parse_flat(value, NULL),
                "drive", value);
}

static void read_device(Reader *reader, const char *value)
{
    add_options(reader, reader->cmdline->devices, parse_flat(value, "driver"),
                "device", value);
}

static void read_object(Reader *reader, const char *value)
{
    add_options(reader, reader->cmdline->objects,
                parse_nested(value, "qom-type"), "object", value);
}

/* It changes options that were read already. */
static void read_set(Reader *reader, const char *value)
{
    set_unread(reader, "set", value);
}

/* A path of the process @pid, as this process has to open it. */
static char *path_from_here(pid_t pid, const char *path)
{
    return g_strdup_printf("/proc/%d/%s%s", (int)pid,
                           g_path_is_absolute(path) ? "root" : "cwd/", path);
}

static gint64 clock_us(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec * G_USEC_PER_SEC + ts.tv_nsec / 1000;
}

/* When the process began, in microseconds since the epoch; 0: not known. */
static gint64 process_start_us(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *stat = NULL;
    g_auto(GStrv) fields = NULL;
    const char *comm_end;

    if (!g_file_get_contents(path, &stat, NULL, NULL)) {
        return 0;
    }
    comm_end = strrchr(stat, ')');
    fields = g_strsplit(comm_end ? comm_end + 1 : "", " ", -1);
    /* Field 22 of the file, in ticks since boot; the name is the second. */
    return g_strv_length(fields) > 20
               ? g_ascii_strtoll(fields[20], NULL, 10) * G_USEC_PER_SEC /
                         sysconf(_SC_CLK_TCK) +
                     clock_us(CLOCK_REALTIME) - clock_us(CLOCK_BOOTTIME)
               : 0;
}

/* Whether the file was changed after @pid began; ticks are that coarse. */
static bool is_newer(const struct stat *st, pid_t pid)
{
    gint64 changed_us =
        st->st_ctim.tv_sec * G_USEC_PER_SEC + st->st_ctim.tv_nsec / 1000;

    return changed_us > process_start_us(pid) + 20000;
}

/* The text of a file which is as it was when @pid began; NULL: it is not. */
static char *read_file(pid_t pid, const char *given)
{
    g_autofree char *path = path_from_here(pid, given);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char *text = NULL;
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_size < MAX_CONFIG && !is_newer(&st, pid)) {
        ssize_t n;

        text = g_malloc0(st.st_size + 1);
        n = read(fd, text, st.st_size);
        if (n != st.st_size || strlen(text) != (size_t)n) {
            g_clear_pointer(&text, g_free);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return text;
}

/* Adds a section of a file of options; takes @opts. */
static void add_section(Reader *reader, const char *group, json_object *opts)
{
    QemuCmdline *cmdline = reader->cmdline;

    if (g_str_equal(group, "chardev") && get_string(opts, "id")) {
        add_socket(reader, opts);
    } else if (g_str_equal(group, "mon")) {
        add_mon(reader, opts);
    } else if (g_str_equal(group, "drive")) {
        g_ptr_array_add(cmdline->drives, json_object_get(opts));
    } else if (g_str_equal(group, "device")) {
        g_ptr_array_add(cmdline->devices, json_object_get(opts));
    } else if (g_str_equal(group, "object")) {
        g_ptr_array_add(cmdline->objects, json_object_get(opts));
    }
    json_object_put(opts);
}

/* [group "id"] or [group]; NULL: neither.  *@id: may be NULL */
static char *parse_header(const char *line, char **id)
{
    g_autoptr(GRegex) regex = g_regex_new(
        "^\\[\\s*([^\\s\"\\]]+)\\s*(?:\"([^\"]*)\")?\\s*\\]$", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;

    if (!g_regex_match(regex, line, 0, &match)) {
        return NULL;
    }
    *id = g_match_info_get_match_count(match) > 2 ? g_match_info_fetch(match, 2)
                                                  : NULL;
    return g_match_info_fetch(match, 1);
}

/* key = "value"; false: it is not. */
static bool parse_assignment(const char *line, json_object *opts)
{
    g_autoptr(GRegex) regex =
        g_regex_new("^([^\\s=]+)\\s*=\\s*\"([^\"]*)\"$", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *key = NULL;
    g_autofree char *value = NULL;

    if (!opts || !g_regex_match(regex, line, 0, &match)) {
        return false;
    }
    key = g_match_info_fetch(match, 1);
    value = g_match_info_fetch(match, 2);
    set_string(opts, key, value);
    return true;
}

static bool parse_config(Reader *reader, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *group = NULL;
    json_object *opts = NULL;
    bool ok = true;

    for (int i = 0; lines[i] && ok; i++) {
        const char *line = g_strstrip(lines[i]);

        if (line[0] == '[') {
            g_autofree char *id = NULL;

            if (opts) {
                add_section(reader, group, opts);
            }
            g_free(group);
            group = parse_header(line, &id);
            opts = group ? json_object_new_object() : NULL;
            if (opts && id) {
                set_string(opts, "id", id);
            }
            ok = opts != NULL;
        } else if (line[0] && line[0] != '#') {
            ok = parse_assignment(line, opts);
        }
    }
    if (opts) {
        add_section(reader, group, opts);
    }
    return ok;
}

static void read_config(Reader *reader, const char *value)
{
    pid_t pid = reader->cmdline->pid;
    g_autofree char *text = pid > 0 ? read_file(pid, value) : NULL;

    if (!text || !g_utf8_validate(text, -1, NULL) ||
        !parse_config(reader, text)) {
        set_unread(reader, "readconfig", value);
    }
}

/* How to read the option @name; NULL: nothing of interest. */
static ReadFn *find_option(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        if (g_str_equal(name, options[i].name)) {
            return options[i].fn;
        }
    }
    return NULL;
}

/* @arg without its one or two dashes; NULL when it has none. */
static const char *option_name(const char *arg)
{
    if (arg[0] != '-' || !arg[1]) {
        return NULL;
    }
    return arg[1] == '-' ? arg + 2 : arg + 1;
}

/*
 * Reads one option with its value; returns the number of arguments.
 * @arg, @value: the argument, and the one that follows or NULL
 */
static int read_option(Reader *reader, const char *arg, const char *value)
{
    const char *name = option_name(arg);
    const char *equals = name ? strchr(name, '=') : NULL;
    ReadFn *fn;

    if (!name || g_strv_contains(flags, name)) {
        return 1;
    }
    if (equals) { /* only yankd and qemu-storage-daemon have that */
        g_autofree char *key = g_strndup(name, equals - name);

        fn = find_option(key);
        if (fn) {
            fn(reader, equals + 1);
        }
        return 1;
    }
    fn = find_option(name);
    if (fn && value) {
        fn(reader, value);
    } else if (value && option_name(value) && find_option(option_name(value))) {
        /* A flag that is not known here, or a strange value? */
        set_unread(reader, name, value);
        return 1;
    }
    return 2;
}

static void chardev_free(void *opaque)
{
    QemuCmdlineChardev *chardev = opaque;

    g_free(chardev->id);
    g_free(chardev->address);
    g_free(chardev);
}

static void monitor_free(void *opaque)
{
    QemuCmdlineMonitor *monitor = opaque;

    g_free(monitor->chardev);
    g_free(monitor);
}

static void options_free(void *opaque)
{
    json_object_put(opaque);
}

static QemuCmdline *parse(char **argv, pid_t pid)
{
    QemuCmdline *cmdline = g_new0(QemuCmdline, 1);
    Reader reader = {.cmdline = cmdline};

    cmdline->pid = pid;
    cmdline->chardevs = g_ptr_array_new_with_free_func(chardev_free);
    cmdline->monitors = g_ptr_array_new_with_free_func(monitor_free);
    cmdline->nodes = g_ptr_array_new_with_free_func(options_free);
    cmdline->drives = g_ptr_array_new_with_free_func(options_free);
    cmdline->devices = g_ptr_array_new_with_free_func(options_free);
    cmdline->objects = g_ptr_array_new_with_free_func(options_free);
    for (int i = 0, n = g_strv_length(argv); i < n;) {
        i += read_option(&reader, argv[i], argv[i + 1]);
    }
    return cmdline;
}

QemuCmdline *qemu_cmdline_parse(char **argv)
{
    return parse(argv, 0);
}

/* Whether /proc has the numbers that the kernel gives this process. */
static bool proc_is_ours(void)
{
    g_autofree char *self = g_file_read_link("/proc/self", NULL);

    return self && g_ascii_strtoll(self, NULL, 10) == getpid();
}

QemuCmdline *qemu_cmdline_of_process(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    g_autofree char *text = NULL;
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    gsize len;

    if (pid <= 0 || !proc_is_ours() ||
        !g_file_get_contents(path, &text, &len, NULL) || len == 0) {
        return NULL;
    }
    for (gsize i = 0; i < len; i += strlen(text + i) + 1) {
        g_ptr_array_add(argv, g_strdup(text + i));
    }
    g_ptr_array_add(argv, NULL);
    return parse((char **)argv->pdata, pid);
}

void qemu_cmdline_free(QemuCmdline *cmdline)
{
    if (cmdline) {
        g_ptr_array_unref(cmdline->chardevs);
        g_ptr_array_unref(cmdline->monitors);
        g_ptr_array_unref(cmdline->nodes);
        g_ptr_array_unref(cmdline->drives);
        g_ptr_array_unref(cmdline->devices);
        g_ptr_array_unref(cmdline->objects);
        g_free(cmdline->unread);
        g_free(cmdline);
    }
}

const QemuCmdlineChardev *qemu_cmdline_chardev(const QemuCmdline *cmdline,
                                               const char *id)
{
    for (guint i = 0; i < cmdline->chardevs->len; i++) {
        const QemuCmdlineChardev *chardev = cmdline->chardevs->pdata[i];

        if (g_str_equal(chardev->id, id)) {
            return chardev;
        }
    }
    return NULL;
}

bool qemu_cmdline_is_monitor(const QemuCmdline *cmdline, const char *id)
{
    for (guint i = 0; i < cmdline->monitors->len; i++) {
        const QemuCmdlineMonitor *monitor = cmdline->monitors->pdata[i];

        if (g_str_equal(monitor->chardev, id)) {
            return true;
        }
    }
    return false;
}

/* Looks for the node @name in the options @opts and those within. */
static json_object *find_within(json_object *opts, const char *name)
{
    if (g_strcmp0(get_string(opts, "node-name"), name) == 0) {
        return opts;
    }
    json_object_object_foreach(opts, key, value)
    {
        json_object *found = json_object_is_type(value, json_type_object) && key
                                 ? find_within(value, name)
                                 : NULL;

        if (found) {
            return found;
        }
    }
    return NULL;
}

json_object *qemu_cmdline_node(const QemuCmdline *cmdline, const char *name)
{
    for (guint i = 0; i < cmdline->nodes->len; i++) {
        json_object *found = find_within(cmdline->nodes->pdata[i], name);

        if (found) {
            return found;
        }
    }
    return NULL;
}

/* Both paths lead to the same file, which is reached only if names agree. */
static bool is_same_file(pid_t pid, const char *theirs, const char *name,
                         const struct stat *ours)
{
    g_autofree char *their_name = g_path_get_basename(theirs);
    g_autofree char *path = path_from_here(pid, theirs);
    struct stat st;

    /* Other paths may be on a file system that does not answer. */
    if (!g_str_equal(their_name, name)) {
        return false;
    }
    return (stat(path, &st) == 0 ||
            (g_path_is_absolute(theirs) && stat(theirs, &st) == 0)) &&
           st.st_dev == ours->st_dev && st.st_ino == ours->st_ino;
}

char **qemu_cmdline_chardevs_at(const QemuCmdline *cmdline, const char *path)
{
    GPtrArray *ids = g_ptr_array_new();
    g_autofree char *real = realpath(path, NULL);
    g_autofree char *name = real ? g_path_get_basename(real) : NULL;
    struct stat ours;

    for (guint i = 0;
         name && stat(real, &ours) == 0 && i < cmdline->chardevs->len; i++) {
        const QemuCmdlineChardev *chardev = cmdline->chardevs->pdata[i];

        if (chardev->address && g_str_has_prefix(chardev->address, "unix:") &&
            is_same_file(cmdline->pid, chardev->address + strlen("unix:"), name,
                         &ours)) {
            g_ptr_array_add(ids, g_strdup(chardev->id));
        }
    }
    g_ptr_array_add(ids, NULL);
    return (char **)g_ptr_array_free(ids, FALSE);
}
