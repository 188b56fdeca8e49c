/*
 * How a migration goes: what query-migrate tells, of yankd and of stock QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "json.h"
#include "migration-progress.h"
#include "output.h"

/* Columns of the bar, its ends among them. */
#define MIN_BAR 5
#define MAX_BAR 33

/* Several answers in a row in which nothing has moved. */
#define STILL_MS 2000

/* Of bytes, a second too. */
#define MAX_NUMBER 1e18

/* What of a migration has statistics of its own. */
static const char *const parts[] = {"ram", "disk"};

/* Within what an integer holds, whatever the server says. */
static double number(json_object *obj, const char *key)
{
    json_object *value = json_get(obj, key);

    return value ? CLAMP(json_object_get_double(value), 0, MAX_NUMBER) : 0;
}

/* Sums up over the parts. */
static double sum(json_object *info, const char *key)
{
    double total = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        total += number(json_get_object(info, parts[i]), key);
    }
    return total;
}

static double percent(json_object *info)
{
    double total = sum(info, "total");
    double remaining = sum(info, "remaining");

    if (json_get(info, "percent")) {
        return CLAMP(number(info, "percent"), 0, 100);
    }
    if (g_strcmp0(json_get_string(info, "status"), "completed") == 0) {
        return 100;
    }
    /* Nothing is left either where nothing was begun. */
    if (remaining == 0 && sum(info, "transferred") == 0) {
        return -1;
    }
    return total > 0 ? CLAMP(100 * (total - remaining) / total, 0, 100) : -1;
}

/* Stock does not tell: as long as the rest takes, at this rate. */
static gint64 remaining_ms(json_object *info, double rate)
{
    gint64 told = json_get_int(info, "expected-remaining-time", -1);

    if (told >= 0 || rate <= 0) {
        return told;
    }
    return MIN(1000 * sum(info, "remaining") / rate, 1e15);
}

void migration_progress_read(MigrationProgress *progress, json_object *info)
{
    const char *status = json_get_string(info, "status");

    migration_progress_clear(progress);
    progress->status = g_strdup(status ? status : "none");
    progress->error = g_strdup(json_get_string(info, "error-desc"));
    progress->percent = percent(info);
    progress->rate = MIN(sum(info, "mbps") * 1e6 / 8, MAX_NUMBER);
    progress->transferred = sum(info, "transferred");
    progress->remaining_ms = remaining_ms(info, progress->rate);
    progress->downtime_ms = json_get_int(
        info, "downtime", json_get_int(info, "expected-downtime", -1));
    progress->total_ms = json_get_int(info, "total-time", -1);
    progress->passes = sum(info, "dirty-sync-count");
}

void migration_progress_clear(MigrationProgress *progress)
{
    g_clear_pointer(&progress->status, g_free);
    g_clear_pointer(&progress->error, g_free);
}

bool migration_progress_completed(const MigrationProgress *progress)
{
    return g_strcmp0(progress->status, "completed") == 0;
}

bool migration_progress_ended(const MigrationProgress *progress)
{
    static const char *const ends[] = {"none",      "completed",       "failed",
                                       "cancelled", "postcopy-paused", NULL};

    return progress->status && g_strv_contains(ends, progress->status);
}

bool migration_progress_is_still(const MigrationProgress *progress)
{
    return progress->still_ms >= STILL_MS;
}

bool migration_progress_moved(const MigrationProgress *before,
                              const MigrationProgress *now)
{
    return g_strcmp0(before->status, now->status) != 0 ||
           before->transferred != now->transferred ||
           before->percent != now->percent || before->passes != now->passes;
}

/* As "[###---]", to the columns @width and up to MAX_BAR. */
static void append_bar(GString *text, double done, int width)
{
    int inner = MIN(width, MAX_BAR) - 3;
    int filled = done < 0 ? 0 : done * inner / 100;

    if (inner < MIN_BAR) {
        return;
    }
    g_string_append_c(text, '[');
    for (int i = 0; i < inner; i++) {
        g_string_append_c(text, i < filled ? '#' : '-');
    }
    g_string_append(text, "] ");
}

static void append_time(GString *text, const char *format, gint64 ms)
{
    g_autofree char *time = ms < 0 ? NULL : output_duration_ms(ms);

    if (time) {
        g_string_append_printf(text, format, time);
    }
}

/* All but the bar. */
static char *words(const MigrationProgress *progress)
{
    GString *text = g_string_new(NULL);
    g_autofree char *rate = output_bytes(progress->rate);

    if (progress->percent >= 0) {
        g_string_append_printf(text, "%3.0f %% ", progress->percent);
    }
    g_string_append(text, progress->status);
    if (migration_progress_is_still(progress)) {
        /* The rate that was measured last is not true any more. */
        append_time(text,
                    progress->unanswered ? ", no answer; nothing moved for %s"
                                         : ", nothing moved for %s",
                    progress->still_ms);
        return g_string_free(text, FALSE);
    }
    if (progress->rate > 0) {
        g_string_append_printf(text, ", %s/s", rate);
    }
    append_time(text, ", %s left", progress->remaining_ms);
    append_time(text, ", downtime %s", progress->downtime_ms);
    return g_string_free(text, FALSE);
}

char *migration_progress_text(const MigrationProgress *progress, int width)
{
    g_autofree char *rest = words(progress);
    g_autofree char *safe = output_safe(rest);
    g_autoptr(GString) text = g_string_new(NULL);
    glong len;

    append_bar(text, progress->percent, width - g_utf8_strlen(safe, -1));
    g_string_append(text, safe);
    len = g_utf8_strlen(text->str, -1);
    /* A line that is broken cannot be written over. */
    return g_utf8_substring(text->str, 0, MIN(len, width));
}

json_object *migration_progress_to_json(const MigrationProgress *progress)
{
    json_object *json = json_object_new_object();

    json_set_string(json, "status", progress->status);
    json_set_string(json, "error-desc", progress->error);
    if (progress->percent >= 0) {
        json_set(json, "percent", json_object_new_double(progress->percent));
    }
    json_set_int(json, "bytes-per-second", progress->rate);
    json_set_int(json, "transferred", progress->transferred);
    json_set_int(json, "passes", progress->passes);
    json_set_int(json, "still-ms", progress->still_ms);
    json_set_bool(json, "answered", !progress->unanswered);
    if (progress->remaining_ms >= 0) {
        json_set_int(json, "remaining-ms", progress->remaining_ms);
    }
    if (progress->downtime_ms >= 0) {
        json_set_int(json, "downtime-ms", progress->downtime_ms);
    }
    if (progress->total_ms >= 0) {
        json_set_int(json, "total-ms", progress->total_ms);
    }
    return json;
}
