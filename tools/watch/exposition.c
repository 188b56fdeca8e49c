/*
 * OpenMetrics, or Prometheus's text format: a family after the other, of each
 * all domains.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exposition.h"

/* The quality that @accept gives to @type, from 0 to 1; -1: it is not named. */
static double quality(const char *accept, const char *type)
{
    g_auto(GStrv) ranges = g_strsplit(accept, ",", -1);
    double best = -1;

    for (int i = 0; ranges[i]; i++) {
        g_auto(GStrv) words = g_strsplit(ranges[i], ";", -1);
        double q = 1;

        if (!words[0] || g_ascii_strcasecmp(g_strstrip(words[0]), type) != 0) {
            continue;
        }
        for (int j = 1; words[j]; j++) {
            g_strstrip(words[j]);
            if (g_ascii_strncasecmp(words[j], "q=", 2) == 0) {
                q = g_ascii_strtod(words[j] + 2, NULL);
            }
        }
        best = MAX(best, CLAMP(q, 0, 1));
    }
    return best;
}

ExpositionFormat exposition_choose(const char *accept)
{
    double openmetrics =
        accept ? quality(accept, "application/openmetrics-text") : -1;
    double text = accept ? quality(accept, "text/plain") : -1;

    return openmetrics > 0 && openmetrics >= text ? EXPOSITION_OPENMETRICS
                                                  : EXPOSITION_TEXT;
}

const char *exposition_type(ExpositionFormat format)
{
    return format == EXPOSITION_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

typedef struct Sample {
    char *name; /* of the domain, escaped */
    KeeperStats stats;
} Sample;

typedef void AddFn(GString *text, const char *family, const Sample *sample);

static void sample_free(void *opaque)
{
    Sample *sample = opaque;

    g_free(sample->name);
    g_free(sample);
}

/* A label's value: UTF-8 with \, " and line ends escaped. */
static char *escape(const char *name)
{
    g_autofree char *valid = g_utf8_make_valid(name, -1);
    GString *text = g_string_new(NULL);

    for (const char *p = valid; *p; p++) {
        if (*p == '\n') {
            g_string_append(text, "\\n");
        } else {
            if (*p == '\\' || *p == '"') {
                g_string_append_c(text, '\\');
            }
            g_string_append_c(text, *p);
        }
    }
    return g_string_free(text, FALSE);
}

static GPtrArray *take_samples(Fleet *fleet)
{
    g_autoptr(GPtrArray) keepers = fleet_list(fleet);
    GPtrArray *samples = g_ptr_array_new_with_free_func(sample_free);

    for (guint i = 0; i < keepers->len; i++) {
        Sample *sample = g_new0(Sample, 1);

        sample->name = escape(keeper_spec(keepers->pdata[i])->name);
        keeper_get_stats(keepers->pdata[i], &sample->stats);
        g_ptr_array_add(samples, sample);
    }
    return samples;
}

static void add_value(GString *text, const char *family, const char *suffix,
                      const Sample *sample, const char *label,
                      const char *value, double number)
{
    char buffer[G_ASCII_DTOSTR_BUF_SIZE];

    g_string_append_printf(text, "%s%s{domain=\"%s\"", family, suffix,
                           sample->name);
    if (label) {
        g_string_append_printf(text, ",%s=\"%s\"", label, value);
    }
    g_ascii_formatd(buffer, sizeof(buffer), "%.15g", number);
    g_string_append_printf(text, "} %s\n", buffer);
}

static void add_up(GString *text, const char *family, const Sample *sample)
{
    add_value(text, family, "", sample, NULL, NULL, sample->stats.up);
}

static void add_stalled(GString *text, const char *family, const Sample *sample)
{
    add_value(text, family, "", sample, NULL, NULL, sample->stats.stuck);
}

static void add_silent(GString *text, const char *family, const Sample *sample)
{
    add_value(text, family, "", sample, NULL, NULL,
              (double)sample->stats.stuck_us / G_USEC_PER_SEC);
}

static void add_guest_failed(GString *text, const char *family,
                             const Sample *sample)
{
    add_value(text, family, "", sample, NULL, NULL, sample->stats.guest_failed);
}

/* A ping that was not answered has no time. */
static void add_ping(GString *text, const char *family, const Sample *sample)
{
    const KeeperStats *stats = &sample->stats;

    if (stats->oob_us >= 0) {
        add_value(text, family, "", sample, "lane", "out-of-band",
                  (double)stats->oob_us / G_USEC_PER_SEC);
    }
    if (stats->in_band_us >= 0) {
        add_value(text, family, "", sample, "lane", "in-band",
                  (double)stats->in_band_us / G_USEC_PER_SEC);
    }
}

static void add_stalls(GString *text, const char *family, const Sample *sample)
{
    add_value(text, family, "_total", sample, NULL, NULL,
              sample->stats.counts.stalls);
}

static void add_yanks(GString *text, const char *family, const Sample *sample)
{
    add_value(text, family, "_total", sample, NULL, NULL,
              sample->stats.counts.yanks);
}

static void add_manual_yanks(GString *text, const char *family,
                             const Sample *sample)
{
    add_value(text, family, "_total", sample, NULL, NULL,
              sample->stats.counts.user_yanks);
}

static void add_incidents(GString *text, const char *family,
                          const Sample *sample)
{
    for (int i = 0; i < OUTCOME__MAX; i++) {
        add_value(text, family, "_total", sample, "outcome", outcome_name(i),
                  sample->stats.counts.ends[i]);
    }
}

static const struct {
    const char *name;
    const char *type;
    const char *unit; /* the name ends with it, or NULL */
    const char *help;
    AddFn *add;
} families[] = {
    {"yankctl_domain_up", "gauge", NULL, "Whether there is a connection.",
     add_up},
    {"yankctl_domain_stalled", "gauge", NULL,
     "Whether the main loop is stuck past the threshold.", add_stalled},
    {"yankctl_domain_guest_failed", "gauge", NULL,
     "Whether the guest has stopped on an error, such as io-error.",
     add_guest_failed},
    {"yankctl_domain_silent_seconds", "gauge", "seconds",
     "For how long the main loop has not answered; 0 when it does.",
     add_silent},
    {"yankctl_ping_seconds", "gauge", "seconds",
     "How long the latest answer took; nothing when there was none.", add_ping},
    {"yankctl_stalls", "counter", NULL,
     "Stalls of the main loop past the threshold.", add_stalls},
    {"yankctl_yanks", "counter", NULL,
     "Instances yanked through the service, by its policy or by users.",
     add_yanks},
    {"yankctl_manual_yanks", "counter", NULL,
     "Instances yanked through the service by users.", add_manual_yanks},
    {"yankctl_incidents", "counter", NULL,
     "Stalls that have ended, by what ended them.", add_incidents},
};

char *exposition_of(Fleet *fleet, ExpositionFormat format)
{
    g_autoptr(GPtrArray) samples = take_samples(fleet);
    bool openmetrics = format == EXPOSITION_OPENMETRICS;
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        const char *name = families[i].name;
        /* OpenMetrics names the family, the other format its samples. */
        const char *suffix =
            !openmetrics && g_str_equal(families[i].type, "counter") ? "_total"
                                                                     : "";

        g_string_append_printf(text, "# TYPE %s%s %s\n", name, suffix,
                               families[i].type);
        if (openmetrics && families[i].unit) {
            g_string_append_printf(text, "# UNIT %s %s\n", name,
                                   families[i].unit);
        }
        g_string_append_printf(text, "# HELP %s%s %s\n", name, suffix,
                               families[i].help);
        for (guint j = 0; j < samples->len; j++) {
            families[i].add(text, families[i].name, samples->pdata[j]);
        }
    }
    if (openmetrics) {
        g_string_append(text, "# EOF\n");
    }
    return g_string_free(text, FALSE);
}
