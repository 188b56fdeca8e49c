/*
 * Content on its way out: zeroes are told apart, the rest may be compressed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "source.h"
#include "stats.h"

static bool is_zero(const uint8_t *buf, size_t len)
{
    uint64_t first;

    if (len < sizeof(first)) {
        static const uint8_t zeroes[sizeof(first)];

        return memcmp(buf, zeroes, len) == 0;
    }
    memcpy(&first, buf, sizeof(first));
    /* All is zero when the first bytes are, and each equals one before. */
    return first == 0 &&
           memcmp(buf, buf + sizeof(first), len - sizeof(first)) == 0;
}

/* Bytes of granules from @done on that are zero, or not, as the first is. */
static uint64_t run_length(const SourceContent *c, uint64_t done, bool *zero)
{
    uint64_t len = 0;

    while (done + len < c->bytes) {
        uint64_t n = MIN((uint64_t)VOLUME_GRANULARITY, c->bytes - done - len);
        bool z = is_zero(c->buf + done + len, n);

        if (len == 0) {
            *zero = z;
        } else if (z != *zero) {
            break;
        }
        len += n;
    }
    return len;
}

static bool send_data(MigrationChannel *channel, Compressor *compressor,
                      Section *section, const void *content, Error **errp)
{
    size_t packed = 0;

    section->type = SECTION_DATA;
    section->payload_size = section->length;
    if (compressor) {
        const void *out;

        packed = compressor_pack(compressor, content, section->length, &out);
        if (packed) {
            section->flags = SECTION_FLAG_ZSTD;
            section->payload_size = packed;
            content = out;
        }
    }
    stats_count_normal(section->length);
    return migration_channel_send(channel, section, content, errp);
}

static bool send_run(MigrationChannel *channel, Compressor *compressor,
                     Section *section, const void *content, bool zero,
                     Error **errp)
{
    if (zero) {
        section->type = SECTION_ZERO;
        stats_count_zeroes(section->length);
        return migration_channel_send(channel, section, NULL, errp);
    }
    return send_data(channel, compressor, section, content, errp);
}

static void count_sent(Source *s, const MigrationChannel *channel,
                       SourceContent *c, uint64_t bytes)
{
    c->sent += bytes;
    stats_sent(bytes, channel->index != 0);
    activity_progress(s->activity);
}

bool source_send_content(Source *s, MigrationChannel *channel,
                         Compressor *compressor, SourceContent *c, Error **errp)
{
    uint64_t done = 0;

    while (done < c->bytes) {
        bool zero = false;
        Section section = {
            .volume = c->volume - s->set->volumes,
            .offset = c->offset + done,
            .length = run_length(c, done, &zero),
        };

        if (!send_run(channel, compressor, &section, c->buf + done, zero,
                      errp)) {
            return false;
        }
        count_sent(s, channel, c, STREAM_HEADER_SIZE + section.payload_size);
        done += section.length;
    }
    return true;
}
