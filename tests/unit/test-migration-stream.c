/*
 * Sections of the migration stream: each member, limit and flipped bit
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/stream.h"

#define SOURCE STREAM_FROM_SOURCE
#define DESTINATION STREAM_FROM_DESTINATION

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
    {"hand-over",
     SOURCE,
     {SECTION_HAND_OVER, .flags = SECTION_FLAG_POSTCOPY, .offset = UINT64_MAX}},
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
    {"again",
     DESTINATION,
     {SECTION_AGAIN, .volume = 2, .offset = 3, .length = 4}},
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

static const uint64_t sizes[] = {0, 3 * STREAM_BLOCK + 512};

static void accept_range(uint64_t offset, uint64_t length)
{
    Section section = {SECTION_FETCH, .volume = 1, .offset = offset,
                       .length = length};

    g_assert_true(section_check_range(&section, sizes, 2, &error_abort));
}

static void refuse_range(uint32_t volume, uint64_t offset, uint64_t length,
                         const char *why)
{
    Section section = {SECTION_FETCH, .volume = volume, .offset = offset,
                       .length = length};
    g_autoptr(Error) err = NULL;
    g_autofree char *message = g_strdup_printf(
        "Section 'fetch' of the migration stream (volume %u, offset %" PRIu64
        ", length %" PRIu64 "): %s",
        volume, offset, length, why);

    g_assert_false(section_check_range(&section, sizes, 2, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, message);
}

static void test_range(void)
{
    static const char beyond[] = "the range ends beyond the volume of 49664 "
                                 "bytes";

    accept_range(0, 49664);
    accept_range(STREAM_BLOCK, STREAM_BLOCK);
    refuse_range(1, 0, 49665, beyond);
    refuse_range(1, 0, UINT64_MAX, beyond);
    refuse_range(1, 49664, 1, beyond);
    refuse_range(1, UINT64_MAX, 1, beyond);
    refuse_range(1, UINT64_MAX - STREAM_BLOCK + 1, STREAM_BLOCK, beyond);
    refuse_range(1, 0, 0, "the range is empty");
    refuse_range(0, 0, 1, "the range ends beyond the volume of 0 bytes");
    refuse_range(2, 0, 1, "there is no such volume among 2");
    g_assert_false(
        section_check_range(&(Section){SECTION_FETCH}, NULL, 0, NULL));
}

static void test_range_blocks(void)
{
    static const char halves[] = "the range is not made of whole blocks of "
                                 "16384 bytes";

    accept_range(3 * STREAM_BLOCK, 512);
    accept_range(2 * STREAM_BLOCK, STREAM_BLOCK + 512);
    refuse_range(1, 0, STREAM_BLOCK - 1, halves);
    refuse_range(1, 0, STREAM_BLOCK + 1, halves);
    refuse_range(1, 1, STREAM_BLOCK - 1, halves);
    refuse_range(1, STREAM_BLOCK / 2, STREAM_BLOCK, halves);
    refuse_range(1, 3 * STREAM_BLOCK, 511, halves);
    refuse_range(1, 3 * STREAM_BLOCK + 1, 511, halves);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
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
    g_test_add_func("/stream/range/blocks", test_range_blocks);
    return g_test_run();
}
