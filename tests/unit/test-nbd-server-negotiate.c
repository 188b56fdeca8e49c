/*
 * NBD handshake: each option, good and hostile, in one piece and split at
 * every byte.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/export/nbd-negotiate.h"
#include "qemu/bswap.h"
#include "test-nbd-server-block.h"
#include "test-nbd-server-client.h"

#define FIXED NBD_FLAG_FIXED_NEWSTYLE
#define NO_ZEROES NBD_FLAG_NO_ZEROES
#define EXPORT_FLAGS                                                           \
    (NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |            \
     NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES |                         \
     NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_FAST_ZERO)
#define DISK_SIZE (64 * KiB)

/* What the client says, and what it must hear; both after the greeting. */
typedef struct Script {
    GByteArray *in;
    GByteArray *out;
} Script;

static void reply(Script *s, uint32_t option, uint32_t type, const void *data,
                  uint32_t len)
{
    wire_be64(s->out, NBD_OPTION_REPLY_MAGIC);
    wire_be32(s->out, option);
    wire_be32(s->out, type);
    wire_be32(s->out, len);
    wire_bytes(s->out, data, len);
}

static void refusal(Script *s, uint32_t option, uint32_t type, const char *text)
{
    reply(s, option, type, text, strlen(text));
}

static void reply_export(Script *s, uint32_t option)
{
    g_autoptr(GByteArray) info = g_byte_array_new();

    wire_be16(info, NBD_INFO_EXPORT);
    wire_be64(info, DISK_SIZE);
    wire_be16(info, EXPORT_FLAGS);
    reply(s, option, NBD_REP_INFO, info->data, info->len);
    reply(s, option, NBD_REP_ACK, NULL, 0);
}

static void say_flags(Script *s, uint32_t flags)
{
    wire_be32(s->in, flags);
}

static void case_go(Script *s)
{
    say_flags(s, FIXED | NO_ZEROES);
    wire_info_option(s->in, NBD_OPT_GO, "disk", NULL, 0);
    reply_export(s, NBD_OPT_GO);
}

static void reply_all_infos(Script *s, uint32_t option)
{
    static const char name[] = "\0\1disk";
    static const char description[] = "\0\2a disk";
    g_autoptr(GByteArray) sizes = g_byte_array_new();

    reply(s, option, NBD_REP_INFO, name, sizeof(name) - 1);
    reply(s, option, NBD_REP_INFO, description, sizeof(description) - 1);
    wire_be16(sizes, NBD_INFO_BLOCK_SIZE);
    wire_be32(sizes, 1);
    wire_be32(sizes, 4096);
    wire_be32(sizes, 32 * MiB);
    reply(s, option, NBD_REP_INFO, sizes->data, sizes->len);
    reply_export(s, option);
}

static void case_info_then_go(Script *s)
{
    static const uint16_t all[] = {NBD_INFO_EXPORT, NBD_INFO_NAME,
                                   NBD_INFO_DESCRIPTION, NBD_INFO_BLOCK_SIZE,
                                   4711};

    say_flags(s, FIXED);
    wire_info_option(s->in, NBD_OPT_INFO, "disk", all, G_N_ELEMENTS(all));
    reply_all_infos(s, NBD_OPT_INFO);
    wire_info_option(s->in, NBD_OPT_GO, "disk", all, G_N_ELEMENTS(all));
    reply_all_infos(s, NBD_OPT_GO);
}

static void case_export_name(Script *s)
{
    static const uint8_t zeroes[NBD_EXPORT_NAME_PADDING];

    say_flags(s, 0);
    wire_option(s->in, NBD_OPT_EXPORT_NAME, "disk", 4);
    wire_be64(s->out, DISK_SIZE);
    wire_be16(s->out, EXPORT_FLAGS);
    wire_bytes(s->out, zeroes, sizeof(zeroes));
}

static void case_export_name_no_zeroes(Script *s)
{
    say_flags(s, FIXED | NO_ZEROES);
    wire_option(s->in, NBD_OPT_EXPORT_NAME, "disk", 4);
    wire_be64(s->out, DISK_SIZE);
    wire_be16(s->out, EXPORT_FLAGS);
}

static void case_export_name_unknown(Script *s)
{
    say_flags(s, FIXED);
    wire_option(s->in, NBD_OPT_EXPORT_NAME, "disc", 4);
}

static void case_export_name_too_long(Script *s)
{
    g_autofree uint8_t *name = g_malloc0(NBD_MAX_OPTION_DATA + 1);

    say_flags(s, FIXED);
    wire_option(s->in, NBD_OPT_EXPORT_NAME, name, NBD_MAX_OPTION_DATA + 1);
}

static void reply_server(Script *s, const char *name, const char *description)
{
    g_autoptr(GByteArray) data = g_byte_array_new();

    wire_be32(data, strlen(name));
    wire_bytes(data, name, strlen(name));
    wire_bytes(data, description, strlen(description));
    reply(s, NBD_OPT_LIST, NBD_REP_SERVER, data->data, data->len);
}

static void case_list_and_abort(Script *s)
{
    say_flags(s, FIXED);
    wire_option(s->in, NBD_OPT_LIST, "x", 1);
    refusal(s, NBD_OPT_LIST, NBD_REP_ERR_INVALID, "option LIST takes no data");
    wire_option(s->in, NBD_OPT_LIST, NULL, 0);
    reply_server(s, "disk", "a disk");
    reply_server(s, "", "");
    reply(s, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
    wire_option(s->in, NBD_OPT_ABORT, NULL, 0);
    reply(s, NBD_OPT_ABORT, NBD_REP_ACK, NULL, 0);
}

static void case_unsupported(Script *s)
{
    static const uint32_t options[] = {
        0,  4,  NBD_OPT_STARTTLS, NBD_OPT_STRUCTURED_REPLY, 9,
        10, 11, 0xffffffff};

    say_flags(s, FIXED);
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        wire_option(s->in, options[i], "some data", i);
        refusal(s, options[i], NBD_REP_ERR_UNSUP, "unsupported option");
    }
    wire_info_option(s->in, NBD_OPT_GO, "disk", NULL, 0);
    reply_export(s, NBD_OPT_GO);
}

static void case_unknown_names(Script *s)
{
    g_autofree char *longest = g_strnfill(NBD_MAX_STRING, 'n');
    g_autofree char *cut =
        g_strdup_printf("export '%.4000s...' not present", longest);
    /* Characters of two bytes, one of which is across the limit. */
    g_autofree char *umlauts = g_strnfill(4002, 'u');
    g_autofree char *cut_umlauts =
        g_strdup_printf("export '%.3999s...' not present", umlauts);

    memcpy(umlauts + 3999, "\u00fc", 2);
    say_flags(s, FIXED);
    wire_info_option(s->in, NBD_OPT_GO, umlauts, NULL, 0);
    refusal(s, NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, cut_umlauts);
    wire_info_option(s->in, NBD_OPT_INFO, "disc", NULL, 0);
    refusal(s, NBD_OPT_INFO, NBD_REP_ERR_UNKNOWN, "export 'disc' not present");
    wire_info_option(s->in, NBD_OPT_GO, longest, NULL, 0);
    refusal(s, NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, cut);
    wire_option(s->in, NBD_OPT_GO, "\0\0\0\4di\0k\0\0", 10);
    refusal(s, NBD_OPT_GO, NBD_REP_ERR_UNKNOWN,
            "export not present: its name is no text");
    wire_option(s->in, NBD_OPT_INFO, "\0\0\0\5disk\0\0\0", 11);
    refusal(s, NBD_OPT_INFO, NBD_REP_ERR_UNKNOWN,
            "export not present: its name is no text");
    wire_option(s->in, NBD_OPT_GO, "\0\0\0\4di\xffk\0\0", 10);
    refusal(s, NBD_OPT_GO, NBD_REP_ERR_UNKNOWN,
            "export not present: its name is no text");
}

static void malformed_go(Script *s, const void *data, size_t len,
                         const char *why)
{
    wire_option(s->in, NBD_OPT_GO, data, len);
    refusal(s, NBD_OPT_GO, NBD_REP_ERR_INVALID, why);
}

static void case_malformed_go(Script *s)
{
    g_autofree char *too_long = g_strnfill(NBD_MAX_STRING + 1, 'n');
    static const char count[] = "number of requests does not fit the option "
                                "data";
    static const char length[] = "name length exceeds the option data";

    say_flags(s, FIXED);
    malformed_go(s, "", 0, "option data is too short");
    malformed_go(s, "\0\0\0\0\0", 5, "option data is too short");
    malformed_go(s, "\0\0\0\4dis\0\0", 9, length);
    malformed_go(s,
                 "\xff\xff\xff\xff"
                 "disk\0\0",
                 10, length);
    malformed_go(s, "\0\0\0\4disk\0\1", 10, count);
    malformed_go(s, "\0\0\0\4disk\0\0\0", 11, count);
    malformed_go(s, "\0\0\0\4disk\xff\xff\0\0", 12, count);
    wire_info_option(s->in, NBD_OPT_GO, too_long, NULL, 0);
    refusal(s, NBD_OPT_GO, NBD_REP_ERR_INVALID, "name is too long");
    wire_info_option(s->in, NBD_OPT_GO, "disk", NULL, 0);
    reply_export(s, NBD_OPT_GO);
}

static void case_too_much_data(Script *s)
{
    g_autofree uint8_t *data = g_malloc0(NBD_MAX_OPTION_DATA + 1);

    say_flags(s, FIXED);
    wire_option(s->in, NBD_OPT_GO, data, NBD_MAX_OPTION_DATA + 1);
    refusal(s, NBD_OPT_GO, NBD_REP_ERR_TOO_BIG, "option data is too long");
    wire_info_option(s->in, NBD_OPT_GO, "disk", NULL, 0);
    reply_export(s, NBD_OPT_GO);
}

static void case_endless_option(Script *s)
{
    say_flags(s, FIXED);
    wire_be64(s->in, NBD_OPTION_MAGIC);
    wire_be32(s->in, 12345);
    wire_be32(s->in, NBD_MAX_OPTION_SKIP + 1);
}

static void case_bad_magic(Script *s)
{
    say_flags(s, FIXED);
    wire_be64(s->in, NBD_OPTION_MAGIC + 1);
    wire_be32(s->in, NBD_OPT_LIST);
    wire_be32(s->in, 0);
}

static void case_bad_flags(Script *s)
{
    say_flags(s, 1 << 2);
}

static void case_list_without_fixed(Script *s)
{
    say_flags(s, NO_ZEROES);
    wire_option(s->in, NBD_OPT_LIST, NULL, 0);
}

static const struct {
    const char *name;
    void (*build)(Script *s);
    NbdNegotiationState end;
    unsigned split_step; /* split at each so many bytes */
} cases[] = {
    {"go", case_go, NBD_NEGOTIATION_DONE, 1},
    {"info-then-go", case_info_then_go, NBD_NEGOTIATION_DONE, 1},
    {"export-name", case_export_name, NBD_NEGOTIATION_DONE, 1},
    {"export-name/no-zeroes", case_export_name_no_zeroes, NBD_NEGOTIATION_DONE,
     1},
    {"export-name/unknown", case_export_name_unknown, NBD_NEGOTIATION_CLOSE, 1},
    {"export-name/too-long", case_export_name_too_long, NBD_NEGOTIATION_CLOSE,
     997},
    {"list-and-abort", case_list_and_abort, NBD_NEGOTIATION_CLOSE, 1},
    {"unsupported", case_unsupported, NBD_NEGOTIATION_DONE, 1},
    {"unknown-names", case_unknown_names, NBD_NEGOTIATION_OPTION, 61},
    {"malformed-go", case_malformed_go, NBD_NEGOTIATION_DONE, 61},
    {"too-much-data", case_too_much_data, NBD_NEGOTIATION_DONE, 997},
    {"endless-option", case_endless_option, NBD_NEGOTIATION_CLOSE, 1},
    {"bad-magic", case_bad_magic, NBD_NEGOTIATION_CLOSE, 1},
    {"bad-flags", case_bad_flags, NBD_NEGOTIATION_CLOSE, 1},
    {"list-without-fixed", case_list_without_fixed, NBD_NEGOTIATION_CLOSE, 1},
};

static void on_gone(void)
{
    g_assert_not_reached();
}

static NbdExport *add_export(BlockNode *node, const char *name,
                             const char *description)
{
    BlockExportOptions options = {
        .type = BLOCK_EXPORT_TYPE_NBD,
        .id = (char *)"e",
        .node_name = (char *)"n",
        .writable = true,
        .u.nbd.name = (char *)name,
        .u.nbd.description = (char *)description,
    };

    return nbd_export_new(&options, node, on_gone, &error_abort);
}

static void close_export(NbdExport *exp)
{
    g_assert_true(nbd_export_close(exp));
    nbd_export_free(exp);
}

/* Moves what is to be sent into @heard. */
static void hear(NbdNegotiation *n, GByteArray *heard)
{
    wire_bytes(heard, n->out->data, n->out->len);
    g_byte_array_set_size(n->out, 0);
}

/* Feeds all but the rest that @n wants to see again; returns its size. */
static size_t feed(NbdNegotiation *n, GByteArray *heard, const uint8_t *data,
                   size_t len)
{
    size_t done = 0;
    size_t taken;

    do {
        taken = nbd_negotiation_feed(n, data + done, len - done);
        done += taken;
        hear(n, heard);
    } while (taken > 0);
    return len - done;
}

/* Says @s in two pieces, the first @split bytes long. */
static void run_script(const Script *s, size_t split, NbdNegotiationState end)
{
    g_autoptr(GByteArray) heard = g_byte_array_new();
    NbdNegotiation n;
    size_t left;

    nbd_negotiation_init(&n);
    g_assert_cmpmem(n.out->data, n.out->len, "NBDMAGICIHAVEOPT\0\3", 18);
    g_byte_array_set_size(n.out, 0);

    left = feed(&n, heard, s->in->data, split);
    left =
        feed(&n, heard, s->in->data + split - left, s->in->len - split + left);

    g_assert_cmpint(n.state, ==, end);
    g_assert_cmpmem(heard->data, heard->len, s->out->data, s->out->len);
    g_assert_true(!n.exp == (end != NBD_NEGOTIATION_DONE));
    if (nbd_negotiation_ended(&n)) {
        g_assert_cmpuint(nbd_negotiation_feed(&n, s->in->data, s->in->len), ==,
                         0);
    } else {
        g_assert_cmpuint(left, ==, 0);
    }
    nbd_negotiation_destroy(&n);
}

static void test_case(gconstpointer opaque)
{
    size_t i = GPOINTER_TO_SIZE(opaque);
    BlockNode *node = test_node_new("n", DISK_SIZE);
    NbdExport *disk = add_export(node, "disk", "a disk");
    NbdExport *unnamed = add_export(node, "", NULL);
    Script s = {g_byte_array_new(), g_byte_array_new()};

    cases[i].build(&s);
    for (size_t split = 0; split <= s.in->len; split += cases[i].split_step) {
        run_script(&s, split, cases[i].end);
    }
    g_byte_array_unref(s.in);
    g_byte_array_unref(s.out);
    close_export(disk);
    close_export(unnamed);
    test_node_free(node);
    iothread_default_cleanup();
}

/* A client that only asks is not answered without bound. */
static void test_output_bounded(void)
{
    g_autofree char *description = g_strnfill(NBD_MAX_STRING, 'd');
    g_autoptr(GByteArray) in = g_byte_array_new();
    BlockNode *node = test_node_new("n", DISK_SIZE);
    NbdExport *exp = add_export(node, "disk", description);
    NbdNegotiation n;

    wire_be32(in, FIXED);
    for (int i = 0; i < 1000; i++) {
        wire_option(in, NBD_OPT_LIST, NULL, 0);
    }
    nbd_negotiation_init(&n);
    g_assert_cmpuint(nbd_negotiation_feed(&n, in->data, in->len), <, in->len);
    g_assert_cmpuint(n.out->len, <, 80 * KiB);
    nbd_negotiation_destroy(&n);
    close_export(exp);
    test_node_free(node);
    iothread_default_cleanup();
}

/* A larger minimum is told to those who did not ask, too. */
static void test_large_blocks(void)
{
    static const BlockNodeCaps caps = {
        .min_block = 512, .preferred_block = 4096, .max_transfer = 64 * KiB};
    g_autoptr(GByteArray) in = g_byte_array_new();
    BlockNode *node = test_node_new("n", DISK_SIZE);
    NbdNegotiation n;
    NbdExport *exp;

    test_node_set_caps(node, &caps);
    exp = add_export(node, "disk", NULL);
    wire_be32(in, FIXED);
    wire_info_option(in, NBD_OPT_GO, "disk", NULL, 0);
    nbd_negotiation_init(&n);
    g_assert_cmpuint(nbd_negotiation_feed(&n, in->data, in->len), ==, in->len);
    g_assert_cmphex(lduw_be_p(n.out->data + NBD_GREETING_SIZE + 20), ==,
                    NBD_INFO_BLOCK_SIZE);
    g_assert_cmpuint(ldl_be_p(n.out->data + NBD_GREETING_SIZE + 22), ==, 512);
    /* The block layer makes up for what the node lacks. */
    g_assert_cmphex(n.info.flags, ==,
                    NBD_FLAG_HAS_FLAGS | NBD_FLAG_CAN_MULTI_CONN |
                        NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
                        NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES);
    nbd_negotiation_destroy(&n);
    close_export(exp);
    test_node_free(node);
    iothread_default_cleanup();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path =
            g_strdup_printf("/nbd-server/negotiate/%s", cases[i].name);

        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_case);
    }
    g_test_add_func("/nbd-server/negotiate/output-bounded",
                    test_output_bounded);
    g_test_add_func("/nbd-server/negotiate/large-blocks", test_large_blocks);
    return g_test_run();
}
