/*
 * Payloads of the migration stream: checksums, volumes and messages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/stream.h"

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
    g_test_add_func("/stream/checksum", test_checksum);
    g_test_add_func("/stream/payload", test_payload_checksum);
    g_test_add_func("/stream/volume/good", test_volume_good);
    g_test_add_func("/stream/volume/bad", test_volume_bad);
    g_test_add_func("/stream/volume/short", test_volume_short);
    g_test_add_func("/stream/message", test_message);
    return g_test_run();
}
