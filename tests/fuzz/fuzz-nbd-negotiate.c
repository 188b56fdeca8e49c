/*
 * Fuzz target: an NBD client's side of the handshake.  Any bytes, fed in any
 * pieces, get the same replies, which are well-formed and bounded.
 *
 * The first byte of the input says how the rest is cut.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/export/nbd-negotiate.h"
#include "fuzz.h"
#include "qemu/bswap.h"
#include "test-nbd-server-block.h"
#include "test-nbd-server-client.h"

#define GREETING_SIZE 18
#define REPLY_HEADER_SIZE 20
/* What the answer to NBD_OPT_EXPORT_NAME is: size and flags, and zeroes. */
#define EXPORT_NAME_SIZE 10
/* Beyond it no option is looked at until something has been sent. */
#define MAX_OUT (128 * 1024)

static void on_gone(void)
{
}

/* One export, for as long as the program runs. */
static void set_up(void)
{
    static bool done;
    BlockExportOptions options = {
        .type = BLOCK_EXPORT_TYPE_NBD,
        .id = (char *)"e0",
        .node_name = (char *)"disk",
        .u.nbd.name = (char *)"disk",
        .u.nbd.description = (char *)"a disk",
    };

    if (!done) {
        nbd_export_new(&options, test_node_new("disk", 64 * KiB), on_gone,
                       &error_abort);
        done = true;
    }
}

/* Moves what is to be sent into @heard. */
static void hear(NbdNegotiation *n, GByteArray *heard)
{
    g_assert_cmpint(n->out->len, <=, MAX_OUT);
    wire_bytes(heard, n->out->data, n->out->len);
    g_byte_array_set_size(n->out, 0);
}

/* Offers all that was left again, until nothing is taken any more. */
static void offer(NbdNegotiation *n, GByteArray *left, GByteArray *heard)
{
    size_t taken;

    do {
        g_autofree uint8_t *exact =
            left->len ? g_memdup2(left->data, left->len) : NULL;

        taken = nbd_negotiation_feed(n, exact, left->len);
        g_assert_cmpint(taken, <=, left->len);
        g_byte_array_remove_range(left, 0, taken);
        hear(n, heard);
    } while (taken > 0 && left->len > 0);
    g_assert_true(nbd_negotiation_ended(n) || left->len < NBD_MAX_OPTION_DATA);
}

/* Returns what the client heard; @state: how it ended. */
static GByteArray *talk(const uint8_t *data, size_t size, size_t step,
                        NbdNegotiationState *state)
{
    g_autoptr(GByteArray) left = g_byte_array_new();
    GByteArray *heard = g_byte_array_new();
    NbdNegotiation n;

    nbd_negotiation_init(&n);
    hear(&n, heard);
    for (size_t at = 0; at < size && !nbd_negotiation_ended(&n); at += step) {
        wire_bytes(left, data + at, MIN(step, size - at));
        offer(&n, left, heard);
    }
    g_assert_cmpint(n.state == NBD_NEGOTIATION_DONE, ==, n.exp != NULL);
    *state = n.state;
    nbd_negotiation_destroy(&n);
    return heard;
}

/* Replies to options, and at the end maybe that to NBD_OPT_EXPORT_NAME. */
static void check_replies(const GByteArray *heard, NbdNegotiationState state)
{
    const uint8_t *p = heard->data + GREETING_SIZE;
    const uint8_t *end = heard->data + heard->len;

    g_assert_cmpint(heard->len, >=, GREETING_SIZE);
    while (end - p >= REPLY_HEADER_SIZE &&
           ldq_be_p(p) == NBD_OPTION_REPLY_MAGIC) {
        uint32_t len = ldl_be_p(p + 16);

        g_assert_cmpint(len, <=, end - p - REPLY_HEADER_SIZE);
        p += REPLY_HEADER_SIZE + len;
    }
    if (p != end) {
        g_assert_cmpint(state, ==, NBD_NEGOTIATION_DONE);
        g_assert_true(end - p == EXPORT_NAME_SIZE ||
                      end - p == EXPORT_NAME_SIZE + NBD_EXPORT_NAME_PADDING);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GByteArray) whole = NULL;
    g_autoptr(GByteArray) pieces = NULL;
    NbdNegotiationState state, state_in_pieces;

    set_up();
    if (size < 2) {
        return 0;
    }
    whole = talk(data + 1, size - 1, size, &state);
    check_replies(whole, state);
    pieces = talk(data + 1, size - 1, 1 + data[0], &state_in_pieces);
    g_assert_cmpmem(pieces->data, pieces->len, whole->data, whole->len);
    g_assert_cmpint(state_in_pieces, ==, state);
    return 0;
}

/* ---- What to begin with. ---- */

#define FIXED NBD_FLAG_FIXED_NEWSTYLE

static void seed_go(GByteArray *out)
{
    static const uint16_t infos[] = {NBD_INFO_NAME, NBD_INFO_DESCRIPTION,
                                     NBD_INFO_BLOCK_SIZE, 4711};

    wire_be32(out, FIXED | NBD_FLAG_NO_ZEROES);
    wire_option(out, NBD_OPT_LIST, NULL, 0);
    wire_info_option(out, NBD_OPT_INFO, "disk", infos, 4);
    wire_info_option(out, NBD_OPT_GO, "disc", NULL, 0);
    wire_info_option(out, NBD_OPT_GO, "disk", infos, 2);
}

static void seed_export_name(GByteArray *out)
{
    wire_be32(out, 0);
    wire_option(out, NBD_OPT_EXPORT_NAME, "disk", 4);
}

static void seed_other_options(GByteArray *out)
{
    wire_be32(out, FIXED);
    wire_option(out, NBD_OPT_STARTTLS, NULL, 0);
    wire_option(out, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
    wire_option(out, 4711, "some data", 9);
    wire_option(out, NBD_OPT_LIST, "data", 4);
    wire_option(out, NBD_OPT_EXPORT_NAME, "disk", 4);
}

static void seed_abort(GByteArray *out)
{
    wire_be32(out, FIXED);
    wire_option(out, NBD_OPT_ABORT, NULL, 0);
}

/* An option whose data is too long to be looked at, and the most of it. */
static void seed_too_long(GByteArray *out)
{
    g_autofree uint8_t *data = g_malloc0(NBD_MAX_OPTION_DATA + 1);

    wire_be32(out, FIXED);
    wire_option(out, NBD_OPT_GO, data, NBD_MAX_OPTION_DATA + 1);
    wire_option(out, NBD_OPT_LIST, NULL, 0);
}

GByteArray *fuzz_seed(size_t n)
{
    static const struct {
        uint8_t step;
        void (*fill)(GByteArray *out);
    } seeds[] = {
        {6, seed_go},    {0, seed_export_name}, {16, seed_other_options},
        {3, seed_abort}, {255, seed_too_long},
    };
    GByteArray *out;

    if (n >= G_N_ELEMENTS(seeds)) {
        return NULL;
    }
    out = g_byte_array_new();
    g_byte_array_append(out, &seeds[n].step, 1);
    seeds[n].fill(out);
    return out;
}
