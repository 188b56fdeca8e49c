/*
 * Sections: their headers, and what each type may be.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "stream.h"

enum {
    SECTION_MAGIC = 0,
    SECTION_TYPE = 4,
    SECTION_FLAGS = 6,
    SECTION_VOLUME_INDEX = 8,
    SECTION_PAYLOAD_SIZE = 12,
    SECTION_OFFSET = 16,
    SECTION_LENGTH = 24,
    SECTION_PAYLOAD_CHECKSUM = 32,
    SECTION_CHECKSUM = 40,
};

#define SECTION_MAGIC_VALUE 0x59534543 /* "YSEC" */

/* Members that a type uses; the others are zero. */
enum {
    USES_VOLUME = 1 << 0,
    USES_OFFSET = 1 << 1,
    USES_LENGTH = 1 << 2,
    USES_RANGE = USES_VOLUME | USES_OFFSET | USES_LENGTH,
};

typedef struct SectionKind {
    const char *name; /* NULL: no such type */
    StreamSide side;
    unsigned uses;
    uint16_t flags; /* those allowed */
    uint32_t min_payload, max_payload;
} SectionKind;

#define SOURCE STREAM_FROM_SOURCE
#define DESTINATION STREAM_FROM_DESTINATION

static const SectionKind kinds[] = {
    [SECTION_VOLUME] = {"volume", SOURCE, USES_VOLUME, 0,
                        STREAM_VOLUME_MIN_SIZE, STREAM_VOLUME_MAX_SIZE},
    [SECTION_SETUP_END] = {"setup-end", SOURCE, USES_LENGTH},
    [SECTION_DATA] = {"data", SOURCE, USES_RANGE, SECTION_FLAG_ZSTD, 1,
                      STREAM_STRIPE},
    [SECTION_ZERO] = {"zero", SOURCE, USES_RANGE},
    [SECTION_PASS_END] = {"pass-end", SOURCE, USES_OFFSET},
    [SECTION_MISSING] = {"missing", SOURCE, USES_RANGE},
    [SECTION_HAND_OVER] = {"hand-over", SOURCE, USES_OFFSET,
                           SECTION_FLAG_POSTCOPY},
    [SECTION_GO] = {"go", SOURCE},
    [SECTION_PUSH_END] = {"push-end", SOURCE},
    [SECTION_ABORT] = {"abort", SOURCE, 0, 0, 0, STREAM_MAX_MESSAGE},
    [SECTION_BYE] = {"bye", SOURCE},
    [SECTION_ACCEPT] = {"accept", DESTINATION},
    [SECTION_PASS_ACK] = {"pass-ack", DESTINATION, USES_OFFSET},
    [SECTION_READY] = {"ready", DESTINATION},
    [SECTION_STARTED] = {"started", DESTINATION},
    [SECTION_FETCH] = {"fetch", DESTINATION, USES_RANGE},
    [SECTION_LACKS] = {"lacks", DESTINATION, USES_RANGE},
    [SECTION_LACKS_END] = {"lacks-end", DESTINATION},
    [SECTION_COMPLETE] = {"complete", DESTINATION},
    [SECTION_ERROR] = {"error", DESTINATION, 0, 0, 0, STREAM_MAX_MESSAGE},
    [SECTION_AGAIN] = {"again", DESTINATION, USES_RANGE},
};

static const SectionKind *find_kind(unsigned type)
{
    if (type >= G_N_ELEMENTS(kinds) || !kinds[type].name) {
        return NULL;
    }
    return &kinds[type];
}

const char *section_type_name(unsigned type)
{
    const SectionKind *kind = find_kind(type);

    return kind ? kind->name : "unknown";
}

void section_pack(const Section *section, uint8_t out[STREAM_HEADER_SIZE])
{
    stl_be_p(out + SECTION_MAGIC, SECTION_MAGIC_VALUE);
    stw_be_p(out + SECTION_TYPE, section->type);
    stw_be_p(out + SECTION_FLAGS, section->flags);
    stl_be_p(out + SECTION_VOLUME_INDEX, section->volume);
    stl_be_p(out + SECTION_PAYLOAD_SIZE, section->payload_size);
    stq_be_p(out + SECTION_OFFSET, section->offset);
    stq_be_p(out + SECTION_LENGTH, section->length);
    stq_be_p(out + SECTION_PAYLOAD_CHECKSUM, section->payload_checksum);
    stq_be_p(out + SECTION_CHECKSUM, stream_checksum(out, SECTION_CHECKSUM));
}

/* Says what is wrong with @s, by type and place; returns false. */
static bool G_GNUC_PRINTF(3, 4)
    refuse(const Section *s, Error **errp, const char *fmt, ...)
{
    g_autofree char *why = NULL;
    va_list ap;

    va_start(ap, fmt);
    why = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_setg(errp,
               "Section '%s' of the migration stream (volume %" PRIu32
               ", offset %" PRIu64 ", length %" PRIu64 "): %s",
               section_type_name(s->type), s->volume, s->offset, s->length,
               why);
    return false;
}

static bool check_frame(const uint8_t *in, Error **errp)
{
    uint32_t magic = ldl_be_p(in + SECTION_MAGIC);

    if (magic != SECTION_MAGIC_VALUE) {
        error_setg(errp,
                   "No section of the migration stream begins with 0x%08" PRIx32
                   "; expected is 0x%08x",
                   magic, SECTION_MAGIC_VALUE);
        return false;
    }
    if (ldq_be_p(in + SECTION_CHECKSUM) !=
        stream_checksum(in, SECTION_CHECKSUM)) {
        error_setg(errp, "Checksum mismatch in the header of a section of the "
                         "migration stream");
        return false;
    }
    return true;
}

static bool check_unused(const Section *s, const SectionKind *kind,
                         Error **errp)
{
    if (s->flags & ~kind->flags) {
        return refuse(s, errp, "unknown flags 0x%x; allowed are 0x%x",
                      s->flags & ~kind->flags, kind->flags);
    }
    if ((!(kind->uses & USES_VOLUME) && s->volume) ||
        (!(kind->uses & USES_OFFSET) && s->offset) ||
        (!(kind->uses & USES_LENGTH) && s->length)) {
        return refuse(s, errp, "members that it does not use are not zero");
    }
    if (!s->payload_size && s->payload_checksum) {
        return refuse(s, errp,
                      "checksum 0x%016" PRIx64 " of no payload; expected is 0",
                      s->payload_checksum);
    }
    return true;
}

static bool check_payload_size(const Section *s, const SectionKind *kind,
                               Error **errp)
{
    if (s->payload_size < kind->min_payload ||
        s->payload_size > kind->max_payload) {
        return refuse(s, errp,
                      "payload of %" PRIu32 " bytes; allowed are %" PRIu32
                      " to %" PRIu32,
                      s->payload_size, kind->min_payload, kind->max_payload);
    }
    return true;
}

/* What can be said of a range without knowing the volumes. */
static bool check_bounds(const Section *s, const SectionKind *kind,
                         Error **errp)
{
    if (s->volume >= STREAM_MAX_VOLUMES) {
        return refuse(s, errp,
                      "the volume is out of range; allowed are 0 to "
                      "%d",
                      STREAM_MAX_VOLUMES - 1);
    }
    if (s->type == SECTION_SETUP_END && s->length > STREAM_MAX_VOLUMES) {
        return refuse(s, errp, "too many volumes; allowed are %d",
                      STREAM_MAX_VOLUMES);
    }
    if (kind->uses != USES_RANGE) {
        return true;
    }
    if (!s->length) {
        return refuse(s, errp, "the range is empty");
    }
    if (s->offset > INT64_MAX || s->length > INT64_MAX - s->offset) {
        return refuse(s, errp, "the range ends beyond %" PRId64, INT64_MAX);
    }
    return true;
}

static bool check_data(const Section *s, Error **errp)
{
    if (s->length > STREAM_STRIPE - s->offset % STREAM_STRIPE) {
        return refuse(s, errp,
                      "the range is not within one stripe of %" PRId64 " bytes",
                      STREAM_STRIPE);
    }
    if (s->flags & SECTION_FLAG_ZSTD) {
        if (s->payload_size >= s->length) {
            return refuse(s, errp,
                          "compressed payload of %" PRIu32 " bytes; allowed "
                          "are less than its length",
                          s->payload_size);
        }
    } else if (s->payload_size != s->length) {
        return refuse(s, errp,
                      "payload of %" PRIu32 " bytes; expected are as many as "
                      "its length",
                      s->payload_size);
    }
    return true;
}

static bool check_section(const Section *s, const SectionKind *kind,
                          Error **errp)
{
    return check_unused(s, kind, errp) && check_payload_size(s, kind, errp) &&
           check_bounds(s, kind, errp) &&
           (s->type != SECTION_DATA || check_data(s, errp));
}

static const SectionKind *check_kind(unsigned type, StreamSide side,
                                     Error **errp)
{
    const SectionKind *kind = find_kind(type);

    if (!kind) {
        error_setg(errp, "Unknown section %u in the migration stream", type);
        return NULL;
    }
    if (kind->side != side) {
        error_setg(errp,
                   "Section '%s' of the migration stream is not for the %s to "
                   "send",
                   kind->name,
                   side == STREAM_FROM_SOURCE ? "source" : "destination");
        return NULL;
    }
    return kind;
}

bool section_unpack(const uint8_t in[STREAM_HEADER_SIZE], StreamSide side,
                    Section *section, Error **errp)
{
    const SectionKind *kind;
    Section s = {
        .type = lduw_be_p(in + SECTION_TYPE),
        .flags = lduw_be_p(in + SECTION_FLAGS),
        .volume = ldl_be_p(in + SECTION_VOLUME_INDEX),
        .payload_size = ldl_be_p(in + SECTION_PAYLOAD_SIZE),
        .offset = ldq_be_p(in + SECTION_OFFSET),
        .length = ldq_be_p(in + SECTION_LENGTH),
        .payload_checksum = ldq_be_p(in + SECTION_PAYLOAD_CHECKSUM),
    };

    if (!check_frame(in, errp)) {
        return false;
    }
    kind = check_kind(s.type, side, errp);
    if (!kind || !check_section(&s, kind, errp)) {
        return false;
    }
    *section = s;
    return true;
}

/* What is missing is kept by blocks, so half of one could not be stored. */
static bool is_whole_blocks(const Section *s, uint64_t size)
{
    uint64_t end = s->offset + s->length;

    return s->offset % STREAM_BLOCK == 0 &&
           (end % STREAM_BLOCK == 0 || end == size);
}

bool section_check_range(const Section *section, const uint64_t *sizes,
                         uint32_t n_volumes, Error **errp)
{
    uint64_t size;

    if (section->volume >= n_volumes) {
        return refuse(section, errp, "there is no such volume among %" PRIu32,
                      n_volumes);
    }
    size = sizes[section->volume];
    if (!section->length) {
        return refuse(section, errp, "the range is empty");
    }
    if (section->offset > size || section->length > size - section->offset) {
        return refuse(section, errp,
                      "the range ends beyond the volume of %" PRIu64 " bytes",
                      size);
    }
    if (!is_whole_blocks(section, size)) {
        return refuse(section, errp,
                      "the range is not made of whole blocks of %" PRId64
                      " bytes",
                      STREAM_BLOCK);
    }
    return true;
}

bool section_check_payload(const Section *section, const void *payload,
                           Error **errp)
{
    if (stream_checksum(payload, section->payload_size) !=
        section->payload_checksum) {
        return refuse(section, errp, "checksum mismatch in its payload");
    }
    return true;
}
