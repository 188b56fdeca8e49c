/*
 * The migration stream: each field, each limit, and every flipped bit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/stream.h"

#define SOURCE STREAM_FROM_SOURCE
#define DESTINATION STREAM_FROM_DESTINATION

/* ---- The hello. ---- */

static const StreamHello good_hello = {
    .flags = STREAM_HELLO_RESUME,
    .channel = 3,
    .channels = 8,
    .process = "process-abcdefg",
    .session = "session-hijklmn",
};

static void check_hello(const uint8_t *bytes, const char *message)
{
    g_autoptr(Error) err = NULL;
    StreamHello hello;

    memset(&hello, 0xaa, sizeof(hello));
    g_assert_false(stream_hello_unpack(bytes, &hello, &err));
    g_assert_nonnull(err);
    if (message) {
        g_assert_cmpstr(error_get_pretty(err), ==, message);
    }
    g_assert_cmpint(hello.channel, ==, 0xaaaa);
    g_assert_false(stream_hello_unpack(bytes, &hello, NULL));
}

static void refuse_hello(StreamHello hello, const char *message)
{
    uint8_t bytes[STREAM_HELLO_SIZE];

    stream_hello_pack(&hello, bytes);
    check_hello(bytes, message);
}

static void accept_hello(StreamHello hello)
{
    uint8_t bytes[STREAM_HELLO_SIZE];
    StreamHello out;

    stream_hello_pack(&hello, bytes);
    g_assert_true(stream_hello_unpack(bytes, &out, &error_abort));
    g_assert_cmpmem(&out, sizeof(out), &hello, sizeof(hello));
}

static void test_hello_good(void)
{
    StreamHello hello = good_hello;

    accept_hello(hello);
    accept_hello((StreamHello){});
    hello.flags = STREAM_HELLO__ALL;
    hello.channel = hello.channels = STREAM_MAX_CHANNELS;
    accept_hello(hello);
    memset(hello.process, 0xff, sizeof(hello.process));
    memset(hello.session, 0, sizeof(hello.session));
    accept_hello(hello);
}

static void test_hello_layout(void)
{
    static const char expected[] = "YANKDMIG"
                                   "\0\0\0\1"
                                   "\0\0\0\1"
                                   "\0\3"
                                   "\0\10"
                                   "process-abcdefg\0"
                                   "session-hijklmn\0"
                                   "\0\0\0\0"
                                   "\x40\xb2\xe9\x0a\x79\xf8\x25\x72";
    uint8_t bytes[STREAM_HELLO_SIZE];

    stream_hello_pack(&good_hello, bytes);
    g_assert_cmpmem(bytes, sizeof(bytes), expected, sizeof(expected) - 1);
}

static void test_hello_limits(void)
{
    StreamHello hello = good_hello;

    hello.flags = STREAM_HELLO__ALL + 1;
    refuse_hello(hello, "Unknown flags 0x4 in the hello of the migration "
                        "stream; allowed are 0x3");
    hello.flags = 0;
    hello.channel = 9;
    refuse_hello(hello, "Channel 9 of migration is out of range; allowed are "
                        "0 to 8");
    hello.channels = STREAM_MAX_CHANNELS + 1;
    refuse_hello(hello, "256 additional channels of migration are too many; "
                        "allowed are 255");
}

/* Puts a number at @at and sets the checksum right. */
static void refuse_hello_with(size_t at, uint32_t v, const char *message)
{
    uint8_t bytes[STREAM_HELLO_SIZE];
    uint64_t sum;

    stream_hello_pack(&good_hello, bytes);
    v = GUINT32_TO_BE(v);
    memcpy(bytes + at, &v, sizeof(v));
    sum = GUINT64_TO_BE(stream_checksum(bytes, sizeof(bytes) - sizeof(sum)));
    memcpy(bytes + sizeof(bytes) - sizeof(sum), &sum, sizeof(sum));
    check_hello(bytes, message);
}

static void test_hello_frame(void)
{
    uint8_t bytes[STREAM_HELLO_SIZE];

    refuse_hello_with(0, 0x5145564d,
                      "Not a migration stream of yankd: it does "
                      "not begin with YANKDMIG");
    refuse_hello_with(8, 2,
                      "Version 2 of the migration stream is not "
                      "supported; allowed is 1");
    refuse_hello_with(52, 0x80,
                      "Reserved bytes in the hello of the migration "
                      "stream are 0x00000080 instead of zeroes");
    stream_hello_pack(&good_hello, bytes);
    bytes[20] ^= 1;
    check_hello(bytes, "Checksum mismatch in the hello of the migration "
                       "stream");
}

static void test_hello_flips(void)
{
    uint8_t bytes[STREAM_HELLO_SIZE];

    stream_hello_pack(&good_hello, bytes);
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] ^= 1 << bit % 8;
        check_hello(bytes, NULL);
        bytes[bit / 8] ^= 1 << bit % 8;
    }
    g_assert_true(stream_hello_unpack(bytes, &(StreamHello){}, &error_abort));
}

/* ---- Sections. ---- */

typedef struct GoodSection {
    const char *name;
    StreamSide side;
    Section section;
} GoodSection;

/* One of each type, with members as large as they may be. */
static const GoodSection good_sections[] = {
    {"volume",
     SOURCE,
     {SECTION_VOLUME, .volume = STREAM_MAX_VOLUMES - 1,
      .payload_size = STREAM_VOLUME_MAX_SIZE, .payload_checksum = 1}},
    {"setup-end", SOURCE, {SECTION_SETUP_END, .length = STREAM_MAX_VOLUMES}},
    {"data",
     SOURCE,
     {SECTION_DATA, .volume = 7, .offset = 5 * STREAM_STRIPE,
      .length = STREAM_STRIPE, .payload_size = STREAM_STRIPE,
      .payload_checksum = UINT64_MAX}},
    {"zero",
     SOURCE,
     {SECTION_ZERO, .volume = 7, .offset = 1, .length = INT64_MAX - 1}},
    {"pass-end", SOURCE, {SECTION_PASS_END, .offset = UINT64_MAX}},
    {"missing",
     SOURCE,
     {SECTION_MISSING, .volume = 1, .offset = INT64_MAX - 1, .length = 1}},
    {"hand-over", SOURCE, {SECTION_HAND_OVER, .flags = SECTION_FLAG_POSTCOPY}},
    {"go", SOURCE, {SECTION_GO}},
    {"push-end", SOURCE, {SECTION_PUSH_END}},
    {"abort",
     SOURCE,
     {SECTION_ABORT, .payload_size = STREAM_MAX_MESSAGE,
      .payload_checksum = 5}},
    {"bye", SOURCE, {SECTION_BYE}},
    {"accept", DESTINATION, {SECTION_ACCEPT}},
    {"pass-ack", DESTINATION, {SECTION_PASS_ACK, .offset = UINT64_MAX}},
    {"ready", DESTINATION, {SECTION_READY}},
    {"started", DESTINATION, {SECTION_STARTED}},
    {"fetch",
     DESTINATION,
     {SECTION_FETCH, .volume = 2, .offset = 3, .length = 4}},
    {"lacks",
     DESTINATION,
     {SECTION_LACKS, .volume = 2, .offset = 3, .length = 4}},
    {"lacks-end", DESTINATION, {SECTION_LACKS_END}},
    {"complete", DESTINATION, {SECTION_COMPLETE}},
    {"error",
     DESTINATION,
     {SECTION_ERROR, .payload_size = STREAM_MAX_MESSAGE,
      .payload_checksum = 5}},
};

static const Section *good_section(SectionType type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(good_sections); i++) {
        if (good_sections[i].section.type == type) {
            return &good_sections[i].section;
        }
    }
    g_assert_not_reached();
}

static void check_section(const uint8_t *bytes, StreamSide side,
                          const char *message)
{
    g_autoptr(Error) err = NULL;
    Section section = {.volume = 0xaaaa};

    g_assert_false(section_unpack(bytes, side, &section, &err));
    g_assert_nonnull(err);
    if (message) {
        g_assert_cmpstr(error_get_pretty(err), ==, message);
    }
    g_assert_cmpint(section.volume, ==, 0xaaaa);
    g_assert_false(section_unpack(bytes, side, &section, NULL));
}

static void refuse_from(StreamSide side, Section section, const char *message)
{
    uint8_t bytes[STREAM_HEADER_SIZE];

    section_pack(&section, bytes);
    check_section(bytes, side, message);
}

static void refuse(Section section, const char *message)
{
    refuse_from(SOURCE, section, message);
}

static void accept_from(StreamSide side, Section section)
{
    uint8_t bytes[STREAM_HEADER_SIZE];
    Section out;

    section_pack(&section, bytes);
    g_assert_true(section_unpack(bytes, side, &out, &error_abort));
    g_assert_cmpint(out.type, ==, section.type);
    g_assert_cmpint(out.flags, ==, section.flags);
    g_assert_cmpint(out.volume, ==, section.volume);
    g_assert_cmpuint(out.offset, ==, section.offset);
    g_assert_cmpuint(out.length, ==, section.length);
    g_assert_cmpint(out.payload_size, ==, section.payload_size);
    g_assert_cmpuint(out.payload_checksum, ==, section.payload_checksum);
}

static void test_section_good(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(good_sections); i++) {
        accept_from(good_sections[i].side, good_sections[i].section);
    }
    accept_from(SOURCE, (Section){SECTION_ABORT});
    accept_from(DESTINATION, (Section){SECTION_ERROR});
    accept_from(SOURCE, (Section){SECTION_HAND_OVER});
    accept_from(SOURCE, (Section){SECTION_SETUP_END});
}

static void test_section_layout(void)
{
    static const char expected[] = "YSEC"
                                   "\0\3"
                                   "\0\1"
                                   "\1\2\3\4"
                                   "\5\6\7\10"
                                   "\11\12\13\14\15\16\17\20"
                                   "\21\22\23\24\25\26\27\30"
                                   "\31\32\33\34\35\36\37\40"
                                   "\x11\xf8\xe4\xfd\xf6\xaf\x0e\x1c";
    const Section section = {
        .type = SECTION_DATA,
        .flags = SECTION_FLAG_ZSTD,
        .volume = 0x01020304,
        .payload_size = 0x05060708,
        .offset = 0x090a0b0c0d0e0f10,
        .length = 0x1112131415161718,
        .payload_checksum = 0x191a1b1c1d1e1f20,
    };
    uint8_t bytes[STREAM_HEADER_SIZE];

    section_pack(&section, bytes);
    g_assert_cmpmem(bytes, sizeof(bytes), expected, sizeof(expected) - 1);
}

/* Every number is known under its name, by the one side that may send it. */
static void test_section_types(void)
{
    size_t known = 0;

    for (unsigned type = 0; type <= UINT16_MAX; type++) {
        g_autofree char *message = NULL;
        bool is_good = known < G_N_ELEMENTS(good_sections) &&
                       good_sections[known].section.type == type;

        if (is_good) {
            const GoodSection *good = &good_sections[known++];

            g_assert_cmpstr(section_type_name(type), ==, good->name);
            message = g_strdup_printf(
                "Section '%s' of the migration stream is not for the %s to "
                "send",
                good->name, good->side == SOURCE ? "destination" : "source");
            refuse_from(good->side == SOURCE ? DESTINATION : SOURCE,
                        good->section, message);
        } else {
            message = g_strdup_printf(
                "Unknown section %u in the migration stream", type);
            g_assert_cmpstr(section_type_name(type), ==, "unknown");
            refuse_from(SOURCE, (Section){type}, message);
            refuse_from(DESTINATION, (Section){type}, message);
        }
    }
    g_assert_cmpint(known, ==, G_N_ELEMENTS(good_sections));
}

static void test_section_frame(void)
{
    uint8_t bytes[STREAM_HEADER_SIZE];

    section_pack(good_section(SECTION_GO), bytes);
    bytes[0] = 'Z';
    check_section(bytes, SOURCE,
                  "No section of the migration stream begins with 0x5a534543; "
                  "expected is 0x59534543");
    section_pack(good_section(SECTION_GO), bytes);
    bytes[5] = SECTION_PUSH_END;
    check_section(bytes, SOURCE,
                  "Checksum mismatch in the header of a section of the "
                  "migration stream");
}

static void test_section_flips(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(good_sections); i++) {
        uint8_t bytes[STREAM_HEADER_SIZE];

        section_pack(&good_sections[i].section, bytes);
        for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
            bytes[bit / 8] ^= 1 << bit % 8;
            check_section(bytes, good_sections[i].side, NULL);
            bytes[bit / 8] ^= 1 << bit % 8;
        }
    }
}

static void test_section_flags(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(good_sections); i++) {
        const GoodSection *good = &good_sections[i];

        for (int bit = 0; bit < 16; bit++) {
            Section section = good->section;

            section.flags = 1 << bit;
            if (section.type == SECTION_DATA && bit == 0) {
                section.payload_size--;
                accept_from(good->side, section);
            } else if (section.type == SECTION_HAND_OVER && bit == 1) {
                accept_from(good->side, section);
            } else {
                refuse_from(good->side, section, NULL);
            }
        }
    }
    refuse((Section){SECTION_GO, .flags = 0x12},
           "Section 'go' of the migration stream (volume 0, offset 0, length "
           "0): unknown flags 0x12; allowed are 0x0");
    refuse((Section){SECTION_HAND_OVER, .flags = 0x12},
           "Section 'hand-over' of the migration stream (volume 0, offset 0, "
           "length 0): unknown flags 0x10; allowed are 0x2");
}

/* @member must be zero where its largest good value is. */
static void check_member_unused(const GoodSection *good, Section section,
                                bool used)
{
    if (used) {
        accept_from(good->side, good->section);
    } else {
        refuse_from(good->side, section, NULL);
    }
}

static void test_section_unused(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(good_sections); i++) {
        const GoodSection *good = &good_sections[i];
        Section section = good->section;

        section.volume = section.volume ?: 1;
        check_member_unused(good, section, good->section.volume);
        section = good->section;
        section.offset = section.offset ?: 1;
        check_member_unused(good, section, good->section.offset);
        section = good->section;
        section.length = section.length ?: 1;
        check_member_unused(good, section, good->section.length);
        section = good->section;
        section.payload_checksum = section.payload_checksum ?: 1;
        check_member_unused(good, section, good->section.payload_checksum);
    }
    refuse((Section){SECTION_GO, .offset = 9},
           "Section 'go' of the migration stream (volume 0, offset 9, length "
           "0): members that it does not use are not zero");
    refuse((Section){SECTION_GO, .payload_checksum = 9},
           "Section 'go' of the migration stream (volume 0, offset 0, length "
           "0): checksum 0x0000000000000009 of no payload; expected is 0");
}

static void test_section_payload_size(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(good_sections); i++) {
        Section section = good_sections[i].section;

        section.payload_size++;
        refuse_from(good_sections[i].side, section, NULL);
        section.payload_size = UINT32_MAX;
        refuse_from(good_sections[i].side, section, NULL);
    }
    refuse((Section){SECTION_VOLUME, .payload_size = 16},
           "Section 'volume' of the migration stream (volume 0, offset 0, "
           "length 0): payload of 16 bytes; allowed are 17 to 271");
    refuse((Section){SECTION_ABORT, .payload_size = 1025},
           "Section 'abort' of the migration stream (volume 0, offset 0, "
           "length 0): payload of 1025 bytes; allowed are 0 to 1024");
    refuse((Section){SECTION_GO, .payload_size = 1},
           "Section 'go' of the migration stream (volume 0, offset 0, length "
           "0): payload of 1 bytes; allowed are 0 to 0");
}

static void test_section_data(void)
{
    Section section = {SECTION_DATA, .volume = 1, .offset = STREAM_STRIPE - 8,
                       .length = 8, .payload_size = 8};

    accept_from(SOURCE, section);
    section.length = section.payload_size = 9;
    refuse(section, "Section 'data' of the migration stream (volume 1, offset "
                    "1048568, length 9): the range is not within one stripe "
                    "of 1048576 bytes");
    section.length = 8;
    refuse(section, "Section 'data' of the migration stream (volume 1, offset "
                    "1048568, length 8): payload of 9 bytes; expected are as "
                    "many as its length");
    section.payload_size = 7;
    refuse(section, "Section 'data' of the migration stream (volume 1, offset "
                    "1048568, length 8): payload of 7 bytes; expected are as "
                    "many as its length");
    section.flags = SECTION_FLAG_ZSTD;
    accept_from(SOURCE, section);
    section.payload_size = 8;
    refuse(section, "Section 'data' of the migration stream (volume 1, offset "
                    "1048568, length 8): compressed payload of 8 bytes; "
                    "allowed are less than its length");
    section.payload_size = 0;
    refuse(section, "Section 'data' of the migration stream (volume 1, offset "
                    "1048568, length 8): payload of 0 bytes; allowed are 1 to "
                    "1048576");
}

static void test_section_bounds(void)
{
    Section section = {SECTION_ZERO, .offset = 5, .length = INT64_MAX - 5};

    accept_from(SOURCE, section);
    section.length++;
    refuse(section, "Section 'zero' of the migration stream (volume 0, offset "
                    "5, length 9223372036854775803): the range ends beyond "
                    "9223372036854775807");
    section.offset = (uint64_t)INT64_MAX + 1;
    section.length = 1;
    refuse(section, NULL);
    section.offset = 0;
    section.length = 0;
    refuse(section, "Section 'zero' of the migration stream (volume 0, offset "
                    "0, length 0): the range is empty");
    section.length = 1;
    section.volume = STREAM_MAX_VOLUMES;
    refuse(section, "Section 'zero' of the migration stream (volume 4096, "
                    "offset 0, length 1): the volume is out of range; allowed "
                    "are 0 to 4095");
    refuse((Section){SECTION_SETUP_END, .length = STREAM_MAX_VOLUMES + 1},
           "Section 'setup-end' of the migration stream (volume 0, offset 0, "
           "length 4097): too many volumes; allowed are 4096");
}

static void refuse_range(Section section, const char *message)
{
    static const uint64_t sizes[] = {0, 4096};
    g_autoptr(Error) err = NULL;

    g_assert_false(section_check_range(&section, sizes, 2, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, message);
}

static void test_range(void)
{
    static const uint64_t sizes[] = {0, 4096};
    Section section = {SECTION_FETCH, .volume = 1, .length = 4096};

    g_assert_true(section_check_range(&section, sizes, 2, &error_abort));
    section.length = 4097;
    refuse_range(section, "Section 'fetch' of the migration stream (volume 1, "
                          "offset 0, length 4097): the range ends beyond the "
                          "volume of 4096 bytes");
    section.length = 1;
    section.offset = 4096;
    refuse_range(section, "Section 'fetch' of the migration stream (volume 1, "
                          "offset 4096, length 1): the range ends beyond the "
                          "volume of 4096 bytes");
    section.offset = UINT64_MAX;
    refuse_range(section, "Section 'fetch' of the migration stream (volume 1, "
                          "offset 18446744073709551615, length 1): the range "
                          "ends beyond the volume of 4096 bytes");
    section.offset = 0;
    section.length = 0;
    refuse_range(section, "Section 'fetch' of the migration stream (volume 1, "
                          "offset 0, length 0): the range is empty");
    section.length = 1;
    section.volume = 0;
    refuse_range(section, "Section 'fetch' of the migration stream (volume 0, "
                          "offset 0, length 1): the range ends beyond the "
                          "volume of 0 bytes");
    section.volume = 2;
    refuse_range(section, "Section 'fetch' of the migration stream (volume 2, "
                          "offset 0, length 1): there is no such volume among "
                          "2");
    g_assert_false(section_check_range(&section, NULL, 0, NULL));
}

/* ---- Checksums and payloads. ---- */

static void test_checksum(void)
{
    g_assert_cmphex(stream_checksum("abc", 3), ==, 0x78af5f94892f3950);
    g_assert_cmphex(stream_checksum("abc", 0), ==, 0);
    g_assert_cmphex(stream_checksum(NULL, 0), ==, 0);
}

static void test_payload_checksum(void)
{
    g_autofree uint8_t *payload = g_malloc(4096);
    g_autoptr(Error) err = NULL;
    Section section = {SECTION_DATA, .volume = 3, .offset = 8192,
                       .length = 4096, .payload_size = 4096};

    for (int i = 0; i < 4096; i++) {
        payload[i] = i * 7 >> 3;
    }
    section.payload_checksum = stream_checksum(payload, 4096);
    g_assert_true(section_check_payload(&section, payload, &error_abort));
    for (int bit = 0; bit < 4096 * 8; bit++) {
        payload[bit / 8] ^= 1 << bit % 8;
        g_assert_false(section_check_payload(&section, payload, NULL));
        payload[bit / 8] ^= 1 << bit % 8;
    }
    payload[0] ^= 1;
    g_assert_false(section_check_payload(&section, payload, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Section 'data' of the migration stream (volume 3, offset "
                    "8192, length 4096): checksum mismatch in its payload");
    g_assert_true(
        section_check_payload(&(Section){SECTION_GO}, NULL, &error_abort));
}

static void accept_volume(const char *name, uint64_t size, bool remote)
{
    uint8_t bytes[STREAM_VOLUME_MAX_SIZE];
    StreamVolume volume = {.size = size, .remote = remote};
    StreamVolume out;
    size_t len;

    g_strlcpy(volume.name, name, sizeof(volume.name));
    len = stream_volume_pack(&volume, bytes);
    g_assert_cmpint(len, ==, 16 + strlen(name));
    g_assert_true(stream_volume_unpack(bytes, len, &out, &error_abort));
    g_assert_cmpstr(out.name, ==, name);
    g_assert_cmpuint(out.size, ==, size);
    g_assert_cmpint(out.remote, ==, remote);
}

static void test_volume_good(void)
{
    g_autofree char *longest = g_strnfill(STREAM_MAX_NAME, 'x');

    accept_volume("a", 0, false);
    accept_volume("disk0", 123456789, true);
    accept_volume("#block123", INT64_MAX, false);
    accept_volume("Br\u00fccke \u6a4b", 512, false);
    accept_volume(longest, 512, true);
}

/* @head: size, flags and length of the name. */
static void refuse_volume(const char *head, const char *name, size_t len,
                          const char *message)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(Error) err = NULL;
    StreamVolume volume = {.size = 7};

    g_byte_array_append(bytes, (const uint8_t *)head, 16);
    g_byte_array_append(bytes, (const uint8_t *)name, len);
    g_assert_false(
        stream_volume_unpack(bytes->data, bytes->len, &volume, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, message);
    g_assert_cmpint(volume.size, ==, 7);
}

static void test_volume_bad(void)
{
    static const char bad_name[] = "The name of a volume in the migration "
                                   "stream is no UTF-8 without control "
                                   "characters";
    g_autofree char *too_long = g_strnfill(STREAM_MAX_NAME + 1, 'x');

    refuse_volume("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "", 0,
                  "A volume of 16 bytes in the migration stream; allowed are "
                  "17 to 271");
    refuse_volume("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0", too_long, 256,
                  "A volume of 272 bytes in the migration stream; allowed are "
                  "17 to 271");
    refuse_volume("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5", "disk", 4,
                  "The name of a volume in the migration stream has 5 bytes "
                  "by its length, and 4 in fact");
    refuse_volume("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\3", "disk", 4,
                  "The name of a volume in the migration stream has 3 bytes "
                  "by its length, and 4 in fact");
    refuse_volume("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\4", "di\0k", 4, bad_name);
    refuse_volume("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\4", "di\nk", 4, bad_name);
    refuse_volume("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\4", "di\x7fk", 4, bad_name);
    refuse_volume("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\4", "d\xc2\x85k", 4,
                  bad_name);
    refuse_volume("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\4", "dis\xc3", 4, bad_name);
    refuse_volume("\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\4", "disk", 4,
                  "Volume 'disk' in the migration stream has "
                  "9223372036854775808 bytes; allowed are up to "
                  "9223372036854775807");
    refuse_volume("\0\0\0\0\0\0\0\0\0\0\0\6\0\0\0\4", "disk", 4,
                  "Unknown flags 0x6 of volume 'disk' in the migration stream; "
                  "allowed are 0x1");
}

/* Reads no further than it may, which the sanitizers see. */
static void test_volume_short(void)
{
    for (size_t len = 0; len <= 16; len++) {
        g_autofree uint8_t *bytes = g_malloc0(len + 1);
        g_autofree uint8_t *exact = len ? g_memdup2(bytes, len) : NULL;

        g_assert_false(
            stream_volume_unpack(exact, len, &(StreamVolume){}, NULL));
    }
}

static void check_message(const char *in, size_t len, const char *out)
{
    g_autofree char *exact = len ? g_memdup2(in, len) : NULL;
    g_autofree char *text = stream_message_unpack((uint8_t *)exact, len);

    g_assert_cmpstr(text, ==, out);
}

static void test_message(void)
{
    g_autofree char *longest = g_strnfill(STREAM_MAX_MESSAGE, 'x');
    g_autofree char *longer = g_strnfill(STREAM_MAX_MESSAGE + 1, 'x');

    check_message("", 0, "");
    check_message("Node 'a' is too small", 21, "Node 'a' is too small");
    check_message("Br\xc3\xbc"
                  "cke",
                  7,
                  "Br\xc3\xbc"
                  "cke");
    check_message("a\0b\n\x1b[1m\x7f", 9,
                  "a\xef\xbf\xbd"
                  "b??[1m?");
    check_message("\xff\xc3", 2, "\xef\xbf\xbd\xef\xbf\xbd");
    check_message("\xe2\x80\xae", 3, "?");
    check_message(longest, STREAM_MAX_MESSAGE, longest);
    check_message(longer, STREAM_MAX_MESSAGE + 1, longest);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream/hello/good", test_hello_good);
    g_test_add_func("/stream/hello/layout", test_hello_layout);
    g_test_add_func("/stream/hello/limits", test_hello_limits);
    g_test_add_func("/stream/hello/frame", test_hello_frame);
    g_test_add_func("/stream/hello/flips", test_hello_flips);
    g_test_add_func("/stream/section/good", test_section_good);
    g_test_add_func("/stream/section/layout", test_section_layout);
    g_test_add_func("/stream/section/types", test_section_types);
    g_test_add_func("/stream/section/frame", test_section_frame);
    g_test_add_func("/stream/section/flips", test_section_flips);
    g_test_add_func("/stream/section/flags", test_section_flags);
    g_test_add_func("/stream/section/unused", test_section_unused);
    g_test_add_func("/stream/section/payload-size", test_section_payload_size);
    g_test_add_func("/stream/section/data", test_section_data);
    g_test_add_func("/stream/section/bounds", test_section_bounds);
    g_test_add_func("/stream/range", test_range);
    g_test_add_func("/stream/checksum", test_checksum);
    g_test_add_func("/stream/payload", test_payload_checksum);
    g_test_add_func("/stream/volume/good", test_volume_good);
    g_test_add_func("/stream/volume/bad", test_volume_bad);
    g_test_add_func("/stream/volume/short", test_volume_short);
    g_test_add_func("/stream/message", test_message);
    return g_test_run();
}
