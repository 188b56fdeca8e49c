/*
 * Fuzz target: what a peer of a migration sends is refused, or is within the
 * limits that the rest of the code relies on.
 *
 * The first byte of the input says who the peer is, and whether checksums are
 * set right before they are compared; without that few inputs would get far.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "fuzz.h"
#include "migration/compress.h"
#include "qemu/bswap.h"
#include "migration/stream.h"

enum {
    MODE_FROM_DESTINATION = 1 << 0,
    MODE_REPAIR = 1 << 1,
};

/* Where the checksums stand. */
#define HELLO_CHECKSUM (STREAM_HELLO_SIZE - 8)
#define HEADER_PAYLOAD_SIZE 12
#define HEADER_PAYLOAD_CHECKSUM 32
#define HEADER_CHECKSUM 40

typedef struct Peer {
    const uint8_t *in;
    size_t left;
    bool repair;
    StreamSide side;
    uint64_t sizes[STREAM_MAX_VOLUMES];
    uint32_t n_volumes;
    Compressor *compressor;
} Peer;

static const uint8_t *take(Peer *p, size_t n)
{
    const uint8_t *at = p->in;

    if (n > p->left) {
        return NULL;
    }
    p->in += n;
    p->left -= n;
    return at;
}

static bool read_hello(Peer *p)
{
    const uint8_t *in = take(p, STREAM_HELLO_SIZE);
    uint8_t bytes[STREAM_HELLO_SIZE], again[STREAM_HELLO_SIZE];
    StreamHello hello;

    if (!in) {
        return false;
    }
    memcpy(bytes, in, sizeof(bytes));
    if (p->repair) {
        stq_be_p(bytes + HELLO_CHECKSUM,
                 stream_checksum(bytes, HELLO_CHECKSUM));
    }
    if (!stream_hello_unpack(bytes, &hello, NULL)) {
        return false;
    }
    g_assert_cmpint(hello.channels, <=, STREAM_MAX_CHANNELS);
    g_assert_cmpint(hello.channel, <=, hello.channels);
    stream_hello_pack(&hello, again);
    g_assert_cmpmem(again, sizeof(again), bytes, sizeof(bytes));
    return true;
}

static void repair_header(Peer *p, uint8_t *bytes)
{
    uint32_t size = ldl_be_p(bytes + HEADER_PAYLOAD_SIZE);

    if (size <= p->left) {
        stq_be_p(bytes + HEADER_PAYLOAD_CHECKSUM, stream_checksum(p->in, size));
    }
    stq_be_p(bytes + HEADER_CHECKSUM, stream_checksum(bytes, HEADER_CHECKSUM));
}

static bool read_header(Peer *p, Section *section)
{
    const uint8_t *in = take(p, STREAM_HEADER_SIZE);
    uint8_t bytes[STREAM_HEADER_SIZE], again[STREAM_HEADER_SIZE];
    g_autoptr(Error) err = NULL;

    if (!in) {
        return false;
    }
    memcpy(bytes, in, sizeof(bytes));
    if (p->repair) {
        repair_header(p, bytes);
    }
    if (!section_unpack(bytes, p->side, section, &err)) {
        g_assert_true(g_utf8_validate(error_get_pretty(err), -1, NULL));
        return false;
    }
    section_pack(section, again);
    g_assert_cmpmem(again, sizeof(again), bytes, sizeof(bytes));
    return true;
}

static bool has_range(SectionType type)
{
    return type == SECTION_DATA || type == SECTION_ZERO ||
           type == SECTION_MISSING || type == SECTION_FETCH ||
           type == SECTION_LACKS;
}

/* What the rest of the code relies on. */
static void check_limits(const Section *s)
{
    g_assert_cmpstr(section_type_name(s->type), !=, "unknown");
    g_assert_cmpint(s->volume, <, STREAM_MAX_VOLUMES);
    g_assert_cmpint(s->payload_size, <=, STREAM_STRIPE);
    if (has_range(s->type)) {
        g_assert_cmpuint(s->length, >, 0);
        g_assert_cmpuint(s->length, <=, INT64_MAX);
        g_assert_cmpuint(s->offset, <=, INT64_MAX - s->length);
    }
    if (s->type != SECTION_DATA && s->type != SECTION_HAND_OVER) {
        g_assert_cmphex(s->flags, ==, 0);
    }
    if (s->type == SECTION_DATA) {
        g_assert_cmpuint(s->offset / STREAM_STRIPE, ==,
                         (s->offset + s->length - 1) / STREAM_STRIPE);
        g_assert_cmpuint(s->payload_size, <=, s->length);
    }
}

static bool read_volume(Peer *p, const Section *s, const uint8_t *payload)
{
    uint8_t again[STREAM_VOLUME_MAX_SIZE];
    StreamVolume volume;
    size_t len;

    if (!stream_volume_unpack(payload, s->payload_size, &volume, NULL) ||
        s->volume != p->n_volumes) {
        return false;
    }
    g_assert_true(*volume.name);
    g_assert_true(g_utf8_validate(volume.name, -1, NULL));
    g_assert_cmpuint(volume.size, <=, INT64_MAX);
    len = stream_volume_pack(&volume, again);
    g_assert_cmpmem(again, len, payload, s->payload_size);
    p->sizes[p->n_volumes++] = volume.size;
    return true;
}

static bool read_content(Peer *p, const Section *s, const uint8_t *payload)
{
    g_autofree uint8_t *content = NULL;

    if (!(s->flags & SECTION_FLAG_ZSTD)) {
        return true;
    }
    content = g_malloc(s->length);
    return compressor_unpack(p->compressor, payload, s->payload_size, content,
                             s->length, NULL);
}

static void read_message(const Section *s, const uint8_t *payload)
{
    g_autofree char *text = stream_message_unpack(payload, s->payload_size);

    g_assert_true(g_utf8_validate(text, -1, NULL));
    for (const char *c = text; *c; c = g_utf8_next_char(c)) {
        g_assert_true(g_unichar_isprint(g_utf8_get_char(c)));
    }
}

static bool apply(Peer *p, const Section *s, const uint8_t *payload)
{
    if (has_range(s->type)) {
        if (!section_check_range(s, p->sizes, p->n_volumes, NULL)) {
            return false;
        }
        g_assert_cmpint(s->volume, <, p->n_volumes);
        g_assert_cmpuint(s->offset % STREAM_BLOCK, ==, 0);
        g_assert_cmpuint(s->offset + s->length, <=, p->sizes[s->volume]);
    }
    switch (s->type) {
    case SECTION_VOLUME:
        return read_volume(p, s, payload);
    case SECTION_DATA:
        return read_content(p, s, payload);
    case SECTION_ABORT:
    case SECTION_ERROR:
        read_message(s, payload);
        return false;
    default:
        return true;
    }
}

static bool read_section(Peer *p)
{
    g_autofree uint8_t *payload = NULL;
    const uint8_t *in;
    Section section;

    if (!read_header(p, &section)) {
        return false;
    }
    check_limits(&section);
    in = take(p, section.payload_size);
    if (!in) {
        return false;
    }
    /* Of the exact size, so that the sanitizers see what is read beyond. */
    payload = section.payload_size ? g_memdup2(in, section.payload_size) : NULL;
    return section_check_payload(&section, payload, NULL) &&
           apply(p, &section, payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(Compressor) compressor = compressor_new();
    g_autofree Peer *p = g_new0(Peer, 1);

    if (!size) {
        return 0;
    }
    p->in = data + 1;
    p->left = size - 1;
    p->repair = data[0] & MODE_REPAIR;
    p->compressor = compressor;
    if (data[0] & MODE_FROM_DESTINATION) {
        p->side = STREAM_FROM_DESTINATION;
        p->n_volumes = 2;
        p->sizes[0] = 64 * KiB;
        p->sizes[1] = GiB;
    } else if (!read_hello(p)) {
        return 0;
    }
    while (read_section(p)) {
    }
    return 0;
}

/* ---- What to begin with. ---- */

static void say(GByteArray *out, Section section, const void *payload,
                size_t size)
{
    uint8_t bytes[STREAM_HEADER_SIZE];

    section.payload_size = size;
    section.payload_checksum = stream_checksum(payload, size);
    section_pack(&section, bytes);
    g_byte_array_append(out, bytes, sizeof(bytes));
    g_byte_array_append(out, payload, size);
}

static void say_type(GByteArray *out, SectionType type)
{
    say(out, (Section){type}, NULL, 0);
}

static void say_range(GByteArray *out, SectionType type, uint64_t offset,
                      uint64_t length)
{
    say(out, (Section){type, .volume = 1, .offset = offset, .length = length},
        NULL, 0);
}

static void say_content(GByteArray *out, uint64_t offset, bool zstd)
{
    static const char content[STREAM_BLOCK] = "some content, then zeroes";
    g_autoptr(Compressor) compressor = compressor_new();
    Section section = {SECTION_DATA, .offset = offset,
                       .length = sizeof(content)};
    const void *payload = content;
    size_t size = sizeof(content);

    if (zstd) {
        section.flags = SECTION_FLAG_ZSTD;
        size = compressor_pack(compressor, content, size, &payload);
    }
    say(out, section, payload, size);
}

static void say_volume(GByteArray *out, uint32_t index, const char *name,
                       uint64_t size, bool remote)
{
    uint8_t bytes[STREAM_VOLUME_MAX_SIZE];
    StreamVolume volume = {.size = size, .remote = remote};

    g_strlcpy(volume.name, name, sizeof(volume.name));
    say(out, (Section){SECTION_VOLUME, .volume = index}, bytes,
        stream_volume_pack(&volume, bytes));
}

static void say_hello(GByteArray *out, StreamHello hello)
{
    uint8_t bytes[STREAM_HELLO_SIZE];

    stream_hello_pack(&hello, bytes);
    g_byte_array_append(out, bytes, sizeof(bytes));
}

static void say_setup(GByteArray *out)
{
    say_hello(out, (StreamHello){.channels = 2});
    say_volume(out, 0, "disk0", 64 * KiB, false);
    say_volume(out, 1, "nbd0", GiB, true);
    say(out, (Section){SECTION_SETUP_END, .length = 2}, NULL, 0);
}

static void seed_precopy(GByteArray *out)
{
    say_setup(out);
    say_range(out, SECTION_ZERO, 0, 65536);
    say_content(out, STREAM_BLOCK, false);
    say_content(out, 2 * STREAM_BLOCK, true);
    say(out, (Section){SECTION_PASS_END, .offset = 1}, NULL, 0);
    say(out, (Section){SECTION_HAND_OVER, .offset = 1}, NULL, 0);
    say_type(out, SECTION_GO);
    say_type(out, SECTION_BYE);
}

static void seed_postcopy(GByteArray *out)
{
    say_setup(out);
    say_range(out, SECTION_MISSING, STREAM_BLOCK, STREAM_BLOCK);
    say(out,
        (Section){SECTION_HAND_OVER, .flags = SECTION_FLAG_POSTCOPY,
                  .offset = 1},
        NULL, 0);
    say_type(out, SECTION_GO);
    say_content(out, STREAM_BLOCK, true);
    say_type(out, SECTION_PUSH_END);
    say(out, (Section){SECTION_ABORT}, "the disk\nis on fire", 19);
}

static void seed_channel(GByteArray *out)
{
    say_hello(out, (StreamHello){
                       .flags = STREAM_HELLO_RESUME,
                       .channel = 3,
                       .channels = 3,
                       .attempt = 2,
                       .process = "here",
                       .session = "now",
                   });
    say_type(out, SECTION_BYE);
}

static void seed_replies(GByteArray *out)
{
    say_type(out, SECTION_ACCEPT);
    say(out, (Section){SECTION_PASS_ACK, .offset = 1}, NULL, 0);
    say_type(out, SECTION_READY);
    say_type(out, SECTION_STARTED);
    say_range(out, SECTION_FETCH, 4 * STREAM_BLOCK, STREAM_BLOCK);
    say_range(out, SECTION_LACKS, 0, GiB);
    say_type(out, SECTION_LACKS_END);
    say_type(out, SECTION_COMPLETE);
    say(out, (Section){SECTION_ERROR}, "no \xffroom", 8);
}

GByteArray *fuzz_seed(size_t n)
{
    static const struct {
        uint8_t mode;
        void (*fill)(GByteArray *out);
    } seeds[] = {
        {0, seed_precopy},
        {MODE_REPAIR, seed_precopy},
        {MODE_REPAIR, seed_postcopy},
        {MODE_REPAIR, seed_channel},
        {MODE_FROM_DESTINATION, seed_replies},
        {MODE_FROM_DESTINATION | MODE_REPAIR, seed_replies},
    };
    GByteArray *out;

    if (n >= G_N_ELEMENTS(seeds)) {
        return NULL;
    }
    out = g_byte_array_new();
    g_byte_array_append(out, &seeds[n].mode, 1);
    seeds[n].fill(out);
    return out;
}
