/*
 * blkdebug's config file: groups of key = "value" lines, one group a rule.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/aside.h"
#include "qemu/oob.h"
#include "qemu/yank.h"
#include "blkdebug-internal.h"

#define CONFIG_MAX (1 * MiB)

bool blkdebug_add_error(GArray *rules, const BlkdebugInjectErrorOptions *opts,
                        Error **errp)
{
    BlkdebugRule rule = {
        .event = opts->event,
        .has_iotype = opts->has_iotype,
        .iotype = opts->iotype,
        .error = opts->has_q_errno ? opts->q_errno : EIO,
        .sector = opts->has_sector ? opts->sector : -1,
        .once = opts->once,
    };

    if (opts->has_q_errno && (opts->q_errno < 1 || opts->q_errno > 4095)) {
        error_setg(errp, "Invalid errno %" PRIi64 ", it must be 1 to 4095",
                   opts->q_errno);
        return false;
    }
    g_array_append_val(rules, rule);
    return true;
}

bool blkdebug_add_delay(GArray *rules, const BlkdebugDelayOptions *opts,
                        Error **errp)
{
    BlkdebugRule rule = {
        .event = opts->event,
        .has_iotype = opts->has_iotype,
        .iotype = opts->iotype,
        .sector = -1,
        .latency_ns = opts->latency_ns,
    };

    g_array_append_val(rules, rule);
    return true;
}

/* ---- One group, as it is read. ---- */

typedef struct Group {
    bool is_delay;
    bool has_event;
    BlkdebugInjectErrorOptions error;
    BlkdebugDelayOptions delay;
    bool has_latency;
} Group;

static bool parse_enum(const QEnumLookup *lookup, const char *value, int *out,
                       Error **errp)
{
    for (int i = 0; i < lookup->size; i++) {
        if (strcmp(lookup->array[i], value) == 0) {
            *out = i;
            return true;
        }
    }
    error_setg(errp, "invalid parameter value: %s", value);
    return false;
}

static bool parse_number(const char *key, const char *value, int64_t *out,
                         Error **errp)
{
    if (!g_ascii_string_to_signed(value, 10, INT64_MIN, INT64_MAX, out, NULL)) {
        error_setg(errp, "Parameter '%s' expects a number", key);
        return false;
    }
    return true;
}

static bool parse_bool(const char *key, const char *value, bool *out,
                       Error **errp)
{
    *out = strcmp(value, "on") == 0;
    if (!*out && strcmp(value, "off") != 0) {
        error_setg(errp, "Parameter '%s' expects 'on' or 'off'", key);
        return false;
    }
    return true;
}

static bool set_error_key(Group *group, const char *key, const char *value,
                          Error **errp)
{
    BlkdebugInjectErrorOptions *opts = &group->error;

    if (strcmp(key, "errno") == 0) {
        opts->has_q_errno = true;
        return parse_number(key, value, &opts->q_errno, errp);
    }
    if (strcmp(key, "sector") == 0) {
        opts->has_sector = true;
        return parse_number(key, value, &opts->sector, errp);
    }
    if (strcmp(key, "once") == 0) {
        opts->has_once = true;
        return parse_bool(key, value, &opts->once, errp);
    }
    error_setg(errp, "Invalid parameter '%s'", key);
    return false;
}

static bool set_delay_key(Group *group, const char *key, const char *value,
                          Error **errp)
{
    int64_t ns;

    if (strcmp(key, "latency-ns") != 0) {
        error_setg(errp, "Invalid parameter '%s'", key);
        return false;
    }
    if (!parse_number(key, value, &ns, errp)) {
        return false;
    }
    if (ns < 0) {
        error_setg(errp, "Parameter '%s' must not be negative", key);
        return false;
    }
    group->has_latency = true;
    group->delay.latency_ns = ns;
    return true;
}

static bool set_key(Group *group, const char *key, const char *value,
                    Error **errp)
{
    int number;

    if (strcmp(key, "event") == 0) {
        if (!parse_enum(&BlkdebugEvent_lookup, value, &number, errp)) {
            return false;
        }
        group->has_event = true;
        group->error.event = group->delay.event = number;
        return true;
    }
    if (strcmp(key, "iotype") == 0) {
        if (!parse_enum(&BlkdebugIOType_lookup, value, &number, errp)) {
            return false;
        }
        group->error.has_iotype = group->delay.has_iotype = true;
        group->error.iotype = group->delay.iotype = number;
        return true;
    }
    return group->is_delay ? set_delay_key(group, key, value, errp)
                           : set_error_key(group, key, value, errp);
}

static bool end_group(GArray *rules, Group *group, Error **errp)
{
    if (!group->has_event) {
        error_setg(errp, "Missing event name for rule");
        return false;
    }
    if (!group->is_delay) {
        return blkdebug_add_error(rules, &group->error, errp);
    }
    if (!group->has_latency) {
        error_setg(errp, "Parameter 'latency-ns' is missing");
        return false;
    }
    return blkdebug_add_delay(rules, &group->delay, errp);
}

static bool begin_group(Group *group, const char *name, Error **errp)
{
    *group = (Group){.is_delay = strcmp(name, "delay") == 0};
    if (!group->is_delay && strcmp(name, "inject-error") != 0) {
        error_setg(errp, "There is no option group '%s'", name);
        return false;
    }
    return true;
}

static bool parse_lines(GArray *rules, char **lines, Error **errp)
{
    Group group;
    bool in_group = false;

    for (; *lines; lines++) {
        char *line = g_strstrip(*lines);
        char name[64], value[256] = "";

        if (*line == '\0' || *line == '#') {
            continue;
        }
        if (sscanf(line, "[%63[^]\" ]]", name) == 1) {
            if ((in_group && !end_group(rules, &group, errp)) ||
                !begin_group(&group, name, errp)) {
                return false;
            }
            in_group = true;
        } else if (!in_group) {
            error_setg(errp, "no group defined");
            return false;
        } else if (sscanf(line, "%63[^= ] = \"%255[^\"]\"", name, value) >= 1) {
            if (!set_key(&group, name, value, errp)) {
                return false;
            }
        } else {
            error_setg(errp, "parse error in line '%s'", line);
            return false;
        }
    }
    return !in_group || end_group(rules, &group, errp);
}

/* ---- Reading the file, which may be a FIFO, on a side thread. ---- */

typedef struct ConfigRead {
    char *path;
    GString *text;
    Error *err;
} ConfigRead;

/* By plain blocking calls, as a FIFO wants them. */
static bool read_file(const char *path, GString *text, Error **errp)
{
    char buf[4096];
    ssize_t n;
    int fd;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        error_setg_errno(errp, errno, "Could not read blkdebug config file");
        return false;
    }
    do {
        n = read(fd, buf, sizeof(buf));
        if (n > 0) {
            g_string_append_len(text, buf, n);
        }
    } while ((n > 0 && text->len <= CONFIG_MAX) || (n < 0 && errno == EINTR));
    if (n < 0) {
        error_setg_errno(errp, errno, "Could not read blkdebug config file");
    } else if (n > 0) {
        error_setg(errp,
                   "Could not read blkdebug config file: it has more than "
                   "%" PRIi64 " bytes",
                   CONFIG_MAX);
    }
    close(fd);
    return n == 0;
}

static void config_read(void *opaque)
{
    ConfigRead *r = opaque;

    read_file(r->path, r->text, &r->err);
}

static void config_free(void *opaque)
{
    ConfigRead *r = opaque;

    g_free(r->path);
    g_string_free(r->text, true);
    error_free(r->err);
    g_free(r);
}

/* ---- Waiting for the side thread, on the main thread. ---- */

/* The yank function of the node while its file is read. */
static void config_yank(void *opaque)
{
    if (aside_cancel(opaque)) {
        yank_report_cut("wait for the config file");
    }
}

/* Waits without a time limit; a yank of the node ends the wait. */
static bool config_wait(AsideCall *call, const char *node_name, Error **errp)
{
    const YankInstance *instance = BLOCKDEV_YANK_INSTANCE(node_name);
    bool ok;

    if (!yank_register_instance_with(instance, config_yank, call, errp)) {
        return false;
    }
    {
        OOB_WAIT_YANK("blockdev", node_name);
        ok = aside_wait(call, -1, errp);
    }
    yank_unregister_function(instance, config_yank, call);
    yank_unregister_instance(instance);
    return ok;
}

static bool parse_text(GArray *rules, ConfigRead *r, Error **errp)
{
    g_auto(GStrv) lines = NULL;

    if (r->err) {
        error_propagate(errp, g_steal_pointer(&r->err));
        return false;
    }
    lines = g_strsplit(r->text->str, "\n", -1);
    return parse_lines(rules, lines, errp);
}

bool blkdebug_read_config(GArray *rules, const char *path,
                          const char *node_name, Error **errp)
{
    g_autofree char *what = g_strdup_printf("reading '%s'", path);
    g_autoptr(AsideCall) call = NULL;
    ConfigRead *r = g_new0(ConfigRead, 1);

    r->path = g_strdup(path);
    r->text = g_string_new(NULL);
    call = aside_start(what, config_read, r, config_free, errp);
    return call && config_wait(call, node_name, errp) &&
           parse_text(rules, r, errp);
}
