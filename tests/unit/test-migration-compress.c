/*
 * Compression of content: round trips, and content that is not what it says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <zstd.h>
#include "migration/compress.h"
#include "migration/stream.h"

/* Text-like: compresses well, and no two places are the same. */
static uint8_t *make_content(size_t len)
{
    uint8_t *content = g_malloc(len);

    for (size_t i = 0; i < len; i++) {
        content[i] = "0123456789abcdef"[(i / 7 * 2654435761u >> 13) % 16];
    }
    return content;
}

static void make_noise(uint8_t *out, size_t len)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);

    for (size_t i = 0; i < len; i++) {
        out[i] = g_rand_int(rand);
    }
}

static void check_round_trip(Compressor *pack, Compressor *unpack,
                             const uint8_t *content, size_t len)
{
    const void *packed = NULL;
    size_t size = compressor_pack(pack, content, len, &packed);
    /* Exact copies, so that the sanitizers see each byte too much. */
    g_autofree uint8_t *in = g_memdup2(packed, size);
    g_autofree uint8_t *out = g_malloc(len);

    g_assert_cmpint(size, >, 0);
    g_assert_cmpint(size, <, len);
    g_assert_true(compressor_unpack(unpack, in, size, out, len, &error_abort));
    g_assert_cmpmem(out, len, content, len);
}

static void test_round_trip(void)
{
    static const size_t sizes[] = {64,   512,           4096,
                                   4097, STREAM_STRIPE, STREAM_STRIPE - 1};
    g_autoptr(Compressor) pack = compressor_new();
    g_autoptr(Compressor) unpack = compressor_new();
    g_autofree uint8_t *content = make_content(STREAM_STRIPE);
    g_autofree uint8_t *zeroes = g_malloc0(STREAM_STRIPE);

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        check_round_trip(pack, unpack, content, sizes[i]);
        check_round_trip(pack, unpack, zeroes, sizes[i]);
        check_round_trip(pack, pack, content, sizes[i]);
    }
}

static void test_incompressible(void)
{
    g_autoptr(Compressor) c = compressor_new();
    g_autofree uint8_t *noise = g_malloc(STREAM_STRIPE);
    g_autofree uint8_t *content = make_content(4096);
    const void *out = NULL;

    make_noise(noise, STREAM_STRIPE);
    for (size_t len = 1; len <= STREAM_STRIPE; len *= 2) {
        g_assert_cmpint(compressor_pack(c, noise, len, &out), ==, 0);
        g_assert_null(out);
    }
    /* Goes on with what can be made smaller. */
    check_round_trip(c, c, content, 4096);
}

/* As large as before is not smaller. */
static void test_never_larger(void)
{
    g_autoptr(Compressor) c = compressor_new();
    g_autofree uint8_t *content = g_malloc0(200);
    const void *out = NULL;
    size_t smaller = 0;

    for (size_t noise = 0; noise < 200; noise++) {
        make_noise(content, noise);
        for (size_t len = noise + 1; len <= 200; len++) {
            size_t size = compressor_pack(c, content, len, &out);

            g_assert_cmpint(size, <, len);
            smaller += size > 0;
        }
    }
    g_assert_cmpint(smaller, >, 1000);
}

static void refuse(Compressor *c, const void *in, size_t len, size_t out_len,
                   const char *message)
{
    g_autofree uint8_t *exact = len ? g_memdup2(in, len) : NULL;
    g_autofree uint8_t *out = g_malloc(MAX(out_len, 1));
    g_autoptr(Error) err = NULL;

    g_assert_false(compressor_unpack(c, exact, len, out, out_len, &err));
    g_assert_nonnull(err);
    if (message) {
        g_assert_cmpstr(error_get_pretty(err), ==, message);
    }
}

#define NO_FRAME "Compressed content is not one frame of zstd"

static void test_sizes(void)
{
    g_autoptr(Compressor) c = compressor_new();
    g_autoptr(Compressor) pack = compressor_new();
    g_autofree uint8_t *content = make_content(4096);
    g_autofree uint8_t *twice = NULL;
    const void *in = NULL;
    size_t size = compressor_pack(pack, content, 4096, &in);

    refuse(c, in, size, 4095,
           "Compressed content is not said to hold 4095 bytes as it should");
    refuse(c, in, size, 4097,
           "Compressed content is not said to hold 4097 bytes as it should");
    refuse(c, in, 0, 4096, "Compressed content of 0 bytes is too short");
    refuse(c, in, 3, 4096, "Compressed content of 3 bytes is too short");
    for (size_t len = 4; len < size; len++) {
        refuse(c, in, len, 4096, NO_FRAME);
    }
    twice = g_malloc0(2 * size);
    memcpy(twice, in, size);
    refuse(c, twice, size + 1, 4096, NO_FRAME);
    memcpy(twice + size, in, size);
    refuse(c, twice, 2 * size, 4096, NO_FRAME);
    refuse(c, twice, 2 * size, 8192, NO_FRAME);
    check_round_trip(pack, c, content, 4096);
}

/* Whatever a byte is changed to: an error, or as many bytes as expected. */
static void test_corrupt(void)
{
    g_autoptr(Compressor) c = compressor_new();
    g_autoptr(Compressor) pack = compressor_new();
    g_autofree uint8_t *content = make_content(512);
    g_autofree uint8_t *out = g_malloc(512);
    g_autofree uint8_t *in = NULL;
    const void *packed = NULL;
    size_t size = compressor_pack(pack, content, 512, &packed);
    size_t refused = 0;

    in = g_memdup2(packed, size);
    for (size_t bit = 0; bit < size * 8; bit++) {
        in[bit / 8] ^= 1 << bit % 8;
        refused += !compressor_unpack(c, in, size, out, 512, NULL);
        in[bit / 8] ^= 1 << bit % 8;
    }
    g_assert_cmpint(refused, >, 100);
    check_round_trip(pack, c, content, 512);
}

/* A few bytes that hold a gigabyte. */
static void test_bomb(void)
{
    g_autoptr(Compressor) c = compressor_new();
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    g_autofree uint8_t *zeroes = g_malloc0(64 * MiB);
    g_autofree uint8_t *bomb = g_malloc(STREAM_STRIPE);
    size_t size;

    size = ZSTD_compressCCtx(zstd, bomb, STREAM_STRIPE, zeroes, 64 * MiB, 1);
    g_assert_false(ZSTD_isError(size));
    refuse(c, bomb, size, STREAM_STRIPE,
           "Compressed content is not said to hold 1048576 bytes as it "
           "should");
    /* The same without saying how much it is. */
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 0);
    size = ZSTD_compress2(zstd, bomb, STREAM_STRIPE, zeroes, 64 * MiB);
    g_assert_false(ZSTD_isError(size));
    refuse(c, bomb, size, STREAM_STRIPE,
           "Compressed content is not said to hold 1048576 bytes as it "
           "should");
    ZSTD_freeCCtx(zstd);
}

/* Says that it holds a little, and holds much: the size is 2 bytes at 5. */
static void test_lie(void)
{
    g_autoptr(Compressor) c = compressor_new();
    g_autoptr(Compressor) pack = compressor_new();
    g_autofree uint8_t *zeroes = g_malloc0(60000);
    g_autofree uint8_t *in = NULL;
    const void *packed = NULL;
    size_t size = compressor_pack(pack, zeroes, 60000, &packed);
    uint16_t lie = GUINT16_TO_LE(1000 - 256);

    in = g_memdup2(packed, size);
    /* One segment, size in 2 bytes. */
    g_assert_cmphex(in[4], ==, 0x60);
    memcpy(in + 5, &lie, sizeof(lie));
    g_assert_cmpint(ZSTD_getFrameContentSize(in, size), ==, 1000);
    refuse(c, in, size, 1000, NULL);
}

/* What zstd would skip, what old versions made. */
static void test_other_frames(void)
{
    static const uint8_t skippable[] = "\x50\x2a\x4d\x18\x04\0\0\0zstd";
    static const uint8_t old[] = "\x27\xb5\x2f\xfd\0\0\0\0\0\0\0\0";
    g_autoptr(Compressor) c = compressor_new();

    refuse(c, skippable, sizeof(skippable) - 1, 4096, NO_FRAME);
    refuse(c, old, sizeof(old) - 1, 4096, NO_FRAME);
}

/* Asks for a dictionary, by one byte behind the descriptor at 4. */
static void test_dictionary(void)
{
    g_autoptr(Compressor) c = compressor_new();
    g_autoptr(Compressor) pack = compressor_new();
    g_autofree uint8_t *content = make_content(4096);
    g_autofree uint8_t *in = NULL;
    const void *packed = NULL;
    size_t size = compressor_pack(pack, content, 4096, &packed);

    in = g_malloc(size + 1);
    memcpy(in, packed, 5);
    in[4] |= 1;
    in[5] = 77;
    memcpy(in + 6, (const uint8_t *)packed + 5, size - 5);
    refuse(c, in, size + 1, 4096,
           "Cannot decompress content: Dictionary mismatch");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/compress/round-trip", test_round_trip);
    g_test_add_func("/compress/incompressible", test_incompressible);
    g_test_add_func("/compress/never-larger", test_never_larger);
    g_test_add_func("/compress/sizes", test_sizes);
    g_test_add_func("/compress/corrupt", test_corrupt);
    g_test_add_func("/compress/bomb", test_bomb);
    g_test_add_func("/compress/lie", test_lie);
    g_test_add_func("/compress/other-frames", test_other_frames);
    g_test_add_func("/compress/dictionary", test_dictionary);
    compressor_free(NULL);
    return g_test_run();
}
