/*
 * NBD handshake: the options and the replies to them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-options.h"
#include "qemu/bswap.h"

/*
 * At most this many bytes of a name are shown in a message, which may have
 * NBD_MAX_STRING bytes, like the name.
 */
#define NAME_IN_MESSAGE 4000

void nbd_out_be16(GByteArray *out, uint16_t v)
{
    v = GUINT16_TO_BE(v);
    g_byte_array_append(out, (const guint8 *)&v, sizeof(v));
}

void nbd_out_be32(GByteArray *out, uint32_t v)
{
    v = GUINT32_TO_BE(v);
    g_byte_array_append(out, (const guint8 *)&v, sizeof(v));
}

void nbd_out_be64(GByteArray *out, uint64_t v)
{
    v = GUINT64_TO_BE(v);
    g_byte_array_append(out, (const guint8 *)&v, sizeof(v));
}

static void out_string(GByteArray *out, const char *s)
{
    g_byte_array_append(out, (const guint8 *)s, strlen(s));
}

/* The head of a reply to the present option; @len bytes have to follow. */
static void out_reply(NbdNegotiation *n, uint32_t type, size_t len)
{
    nbd_out_be64(n->out, NBD_OPTION_REPLY_MAGIC);
    nbd_out_be32(n->out, n->option);
    nbd_out_be32(n->out, type);
    nbd_out_be32(n->out, len);
}

NbdNegotiationState nbd_option_refuse(NbdNegotiation *n, uint32_t error,
                                      const char *why)
{
    out_reply(n, error, strlen(why));
    out_string(n->out, why);
    return NBD_NEGOTIATION_OPTION;
}

/*
 * The @len bytes of a name; NULL when no export can have it, for it is too
 * long, no UTF-8, or has a NUL in it.
 */
static char *get_name(const uint8_t *data, size_t len)
{
    if (len > NBD_MAX_STRING ||
        !g_utf8_validate((const char *)data, len, NULL)) {
        return NULL;
    }
    return g_strndup((const char *)data, len);
}

/* The only option without error replies: it ends in success or a close. */
static NbdNegotiationState opt_export_name(NbdNegotiation *n,
                                           const uint8_t *data, size_t len)
{
    static const guint8 padding[NBD_EXPORT_NAME_PADDING];
    g_autofree char *name = get_name(data, len);

    n->exp = name ? nbd_export_attach(name, &n->info) : NULL;
    if (!n->exp) {
        return NBD_NEGOTIATION_CLOSE;
    }
    nbd_out_be64(n->out, n->info.size);
    nbd_out_be16(n->out, n->info.flags);
    if (!(n->client_flags & NBD_FLAG_NO_ZEROES)) {
        g_byte_array_append(n->out, padding, sizeof(padding));
    }
    return NBD_NEGOTIATION_DONE;
}

static NbdNegotiationState opt_abort(NbdNegotiation *n, const uint8_t *data,
                                     size_t len)
{
    out_reply(n, NBD_REP_ACK, 0);
    return NBD_NEGOTIATION_CLOSE;
}

static void list_one(const NbdExport *exp, void *opaque)
{
    NbdNegotiation *n = opaque;
    const char *description = exp->description ? exp->description : "";
    uint32_t name_len = strlen(exp->name);

    out_reply(n, NBD_REP_SERVER, 4 + name_len + strlen(description));
    nbd_out_be32(n->out, name_len);
    out_string(n->out, exp->name);
    out_string(n->out, description);
}

static NbdNegotiationState opt_list(NbdNegotiation *n, const uint8_t *data,
                                    size_t len)
{
    if (len > 0) {
        return nbd_option_refuse(n, NBD_REP_ERR_INVALID,
                                 "option LIST takes no data");
    }
    nbd_export_foreach(list_one, n);
    out_reply(n, NBD_REP_ACK, 0);
    return NBD_NEGOTIATION_OPTION;
}

static void info_text(NbdNegotiation *n, uint16_t type, const char *text)
{
    out_reply(n, NBD_REP_INFO, 2 + strlen(text));
    nbd_out_be16(n->out, type);
    out_string(n->out, text);
}

static void info_export(NbdNegotiation *n, const NbdExportInfo *info)
{
    out_reply(n, NBD_REP_INFO, 12);
    nbd_out_be16(n->out, NBD_INFO_EXPORT);
    nbd_out_be64(n->out, info->size);
    nbd_out_be16(n->out, info->flags);
}

static void info_block_size(NbdNegotiation *n, const NbdExportInfo *info)
{
    out_reply(n, NBD_REP_INFO, 14);
    nbd_out_be16(n->out, NBD_INFO_BLOCK_SIZE);
    nbd_out_be32(n->out, info->min_block);
    nbd_out_be32(n->out, info->preferred_block);
    nbd_out_be32(n->out, info->max_block);
}

/* What an INFO or GO option asks for. */
typedef struct InfoRequest {
    char *name; /* NULL: no export can have it */
    bool want_name;
    bool want_description;
    bool want_block_size;
} InfoRequest;

/* NULL when all is well, else what is not. */
static const char *parse_info_request(InfoRequest *req, const uint8_t *data,
                                      size_t len)
{
    uint32_t name_len;
    uint16_t n_requests;

    if (len < 6) {
        return "option data is too short";
    }
    name_len = ldl_be_p(data);
    if (name_len > len - 6) {
        return "name length exceeds the option data";
    }
    n_requests = lduw_be_p(data + 4 + name_len);
    if (len != 6 + name_len + 2 * (size_t)n_requests) {
        return "number of requests does not fit the option data";
    }
    if (name_len > NBD_MAX_STRING) {
        return "name is too long";
    }
    req->name = get_name(data + 4, name_len);
    for (uint16_t i = 0; i < n_requests; i++) {
        uint16_t type = lduw_be_p(data + 6 + name_len + 2 * i);

        req->want_name |= type == NBD_INFO_NAME;
        req->want_description |= type == NBD_INFO_DESCRIPTION;
        req->want_block_size |= type == NBD_INFO_BLOCK_SIZE;
    }
    return NULL;
}

/* Who is told no block size counts on 1, so a larger one is told unasked. */
static void reply_infos(NbdNegotiation *n, const InfoRequest *req,
                        const NbdExportInfo *info)
{
    if (req->want_name) {
        info_text(n, NBD_INFO_NAME, req->name);
    }
    if (req->want_description && info->description) {
        info_text(n, NBD_INFO_DESCRIPTION, info->description);
    }
    if (req->want_block_size || info->min_block > 1) {
        info_block_size(n, info);
    }
    info_export(n, info);
    out_reply(n, NBD_REP_ACK, 0);
}

/*
 * Shortens a name so that it fits into a message.  Returns NULL for a name that
 * is not valid text.
 */
static char *short_name(const char *name)
{
    const char *end;

    if (!name || strlen(name) <= NAME_IN_MESSAGE) {
        return g_strdup(name);
    }
    end = g_utf8_find_prev_char(name, name + NAME_IN_MESSAGE + 1);
    return g_strdup_printf("%.*s...", (int)(end - name), name);
}

static NbdNegotiationState refuse_name(NbdNegotiation *n, const char *name,
                                       const NbdExportInfo *info)
{
    g_autofree char *shown = short_name(name);
    g_autofree char *why = NULL;

    if (info->handed_over) {
        return nbd_option_refuse(n, NBD_REP_ERR_SHUTDOWN,
                                 "export is served elsewhere now");
    }
    if (!shown) {
        return nbd_option_refuse(n, NBD_REP_ERR_UNKNOWN,
                                 "export not present: its name is no text");
    }
    why = g_strdup_printf("export '%s' not present", shown);
    return nbd_option_refuse(n, NBD_REP_ERR_UNKNOWN, why);
}

static NbdNegotiationState opt_info(NbdNegotiation *n, const uint8_t *data,
                                    size_t len)
{
    InfoRequest req = {};
    const char *why = parse_info_request(&req, data, len);
    g_autofree char *name = req.name;
    NbdExportInfo info = {};

    if (why) {
        return nbd_option_refuse(n, NBD_REP_ERR_INVALID, why);
    }
    if (!name || !nbd_export_get_info(name, &info)) {
        return refuse_name(n, name, &info);
    }
    reply_infos(n, &req, &info);
    nbd_export_info_clear(&info);
    return NBD_NEGOTIATION_OPTION;
}

static NbdNegotiationState opt_go(NbdNegotiation *n, const uint8_t *data,
                                  size_t len)
{
    InfoRequest req = {};
    const char *why = parse_info_request(&req, data, len);
    g_autofree char *name = req.name;

    if (why) {
        return nbd_option_refuse(n, NBD_REP_ERR_INVALID, why);
    }
    n->exp = name ? nbd_export_attach(name, &n->info) : NULL;
    if (!n->exp) {
        return refuse_name(n, name, &n->info);
    }
    reply_infos(n, &req, &n->info);
    return NBD_NEGOTIATION_DONE;
}

static const struct {
    uint32_t option;
    NbdOptionFn *fn;
} known_options[] = {
    {NBD_OPT_EXPORT_NAME, opt_export_name},
    {NBD_OPT_ABORT, opt_abort},
    {NBD_OPT_LIST, opt_list},
    {NBD_OPT_INFO, opt_info},
    {NBD_OPT_GO, opt_go},
};

NbdOptionFn *nbd_option_find(uint32_t option)
{
    for (size_t i = 0; i < G_N_ELEMENTS(known_options); i++) {
        if (known_options[i].option == option) {
            return known_options[i].fn;
        }
    }
    return NULL;
}
