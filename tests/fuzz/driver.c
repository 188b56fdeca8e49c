/*
 * Runs a fuzz target without libFuzzer: its seeds, and mutations of them that
 * are the same each time.
 *
 *   PROGRAM COUNT        the seeds and COUNT mutations
 *   PROGRAM --only N     mutation N, to see again how it ends
 *   PROGRAM --write DIR  writes the seeds, for libFuzzer to begin with
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <signal.h>
#include "fuzz.h"

#define MAX_SIZE (64 * KiB)

/* The mutation that runs, for the last words. */
static volatile guint64 current;

static void say_last_words(void)
{
    char text[80];
    int len =
        snprintf(text, sizeof(text),
                 "# died of mutation %" PRIu64 "; see it by --only\n", current);

    if (write(STDERR_FILENO, text, len) < 0) {
        return;
    }
}

static void on_abort(int sig)
{
    say_last_words();
}

/* There when the sanitizers are. */
extern void __sanitizer_set_death_callback(void (*fn)(void))
    __attribute__((weak));

static GPtrArray *all_seeds(void)
{
    GPtrArray *seeds =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    GByteArray *seed;

    while ((seed = fuzz_seed(seeds->len))) {
        g_ptr_array_add(seeds, seed);
    }
    return seeds;
}

/* Numbers at which checks tend to be wrong. */
static uint64_t odd_number(GRand *rand)
{
    uint64_t one = UINT64_C(1) << g_rand_int_range(rand, 0, 64);

    switch (g_rand_int_range(rand, 0, 4)) {
    case 0:
        return one;
    case 1:
        return one - 1;
    case 2:
        return -one;
    default:
        return g_rand_int_range(rand, 0, 300);
    }
}

static void overwrite_number(GRand *rand, GByteArray *bytes, size_t at)
{
    uint64_t v = odd_number(rand);
    size_t width = 1 << g_rand_int_range(rand, 0, 4);

    width = MIN(width, bytes->len - at);
    v = g_rand_boolean(rand) ? GUINT64_TO_BE(v << (64 - 8 * width))
                             : GUINT64_TO_LE(v);
    memcpy(bytes->data + at, &v, width);
}

static void insert_from(GRand *rand, GByteArray *bytes, size_t at,
                        const GByteArray *other)
{
    size_t from = g_rand_int_range(rand, 0, other->len);
    size_t len = g_rand_int_range(rand, 0, other->len - from + 1);
    g_autofree uint8_t *piece = g_memdup2(other->data + from, len);
    g_autofree uint8_t *rest = g_memdup2(bytes->data + at, bytes->len - at);
    size_t rest_len = bytes->len - at;

    g_byte_array_set_size(bytes, at);
    g_byte_array_append(bytes, piece, len);
    g_byte_array_append(bytes, rest, rest_len);
}

static void mutate_once(GRand *rand, GByteArray *bytes, const GPtrArray *seeds)
{
    size_t at = g_rand_int_range(rand, 0, bytes->len);
    size_t len = g_rand_int_range(rand, 1, bytes->len - at + 1);

    switch (g_rand_int_range(rand, 0, 8)) {
    case 0:
        g_byte_array_remove_range(bytes, at, len);
        break;
    case 1:
        g_byte_array_set_size(bytes, at);
        break;
    case 2:
        insert_from(rand, bytes, at, bytes);
        break;
    case 3:
        insert_from(rand, bytes, at,
                    seeds->pdata[g_rand_int_range(rand, 0, seeds->len)]);
        break;
    case 4:
    case 5:
        bytes->data[at] ^= 1 << g_rand_int_range(rand, 0, 8);
        break;
    default:
        overwrite_number(rand, bytes, at);
    }
}

static void run(const uint8_t *data, size_t size)
{
    /* Of the exact size, so that the sanitizers see what is read beyond. */
    g_autofree uint8_t *exact = g_memdup2(data, size);

    LLVMFuzzerTestOneInput(exact, size);
}

static void run_mutation(const GPtrArray *seeds, guint64 number)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(number);
    const GByteArray *seed = seeds->pdata[number % seeds->len];
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    g_byte_array_append(bytes, seed->data, seed->len);
    for (int n = g_rand_int_range(rand, 1, 9); n > 0 && bytes->len; n--) {
        mutate_once(rand, bytes, seeds);
    }
    current = number;
    run(bytes->data, MIN(bytes->len, (size_t)MAX_SIZE));
}

static void run_all(const GPtrArray *seeds, guint64 count)
{
    run(NULL, 0);
    for (guint i = 0; i < seeds->len; i++) {
        const GByteArray *seed = seeds->pdata[i];

        run(seed->data, seed->len);
    }
    for (guint64 i = 0; i < count; i++) {
        run_mutation(seeds, i);
    }
    printf("1..1\nok 1 - %u seeds and %" PRIu64 " mutations of them\n",
           seeds->len, count);
}

static void write_seeds(const GPtrArray *seeds, const char *dir)
{
    for (guint i = 0; i < seeds->len; i++) {
        g_autofree char *path = g_strdup_printf("%s/seed-%u", dir, i);
        g_autoptr(GError) err = NULL;
        const GByteArray *seed = seeds->pdata[i];

        if (!g_file_set_contents(path, (const char *)seed->data, seed->len,
                                 &err)) {
            fprintf(stderr, "%s\n", err->message);
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) seeds = all_seeds();

    if (argc == 3 && !strcmp(argv[1], "--write")) {
        write_seeds(seeds, argv[2]);
        return 0;
    }
    if (&__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(say_last_words);
    }
    signal(SIGABRT, on_abort);
    if (argc == 3 && !strcmp(argv[1], "--only")) {
        run_mutation(seeds, g_ascii_strtoull(argv[2], NULL, 10));
    } else if (argc == 2) {
        run_all(seeds, g_ascii_strtoull(argv[1], NULL, 10));
    } else {
        fprintf(stderr, "usage: %s COUNT | --only N | --write DIR\n", argv[0]);
        return 1;
    }
    return 0;
}
