/*
 * The hello of the migration stream: each field, limit and flipped bit
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/stream.h"

static const StreamHello good_hello = {
    .flags = STREAM_HELLO_RESUME,
    .channel = 3,
    .channels = 8,
    .attempt = 0x04030201,
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
    hello.attempt = UINT32_MAX;
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
                                   "\4\3\2\1"
                                   "\xf3\x32\xd5\x19\x64\x49\xcf\xc7";
    uint8_t bytes[STREAM_HELLO_SIZE];

    stream_hello_pack(&good_hello, bytes);
    g_assert_cmpmem(bytes, sizeof(bytes), expected, sizeof(expected) - 1);
}

static void test_hello_limits(void)
{
    StreamHello hello = good_hello;

    hello.flags = STREAM_HELLO__ALL + 1;
    refuse_hello(hello, "Unknown flags 0x2 in the hello of the migration "
                        "stream; allowed are 0x1");
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hello/good", test_hello_good);
    g_test_add_func("/hello/layout", test_hello_layout);
    g_test_add_func("/hello/limits", test_hello_limits);
    g_test_add_func("/hello/frame", test_hello_frame);
    g_test_add_func("/hello/flips", test_hello_flips);
    return g_test_run();
}
