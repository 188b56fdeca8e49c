/*
 * JSON framer: a byte stream in, one call per value or error out.
 *
 * A value ends when its brackets are balanced, right or wrong; only then is
 * an error in it reported, so that one bad request gets one answer.  Stray
 * bytes are reported at once and end what they stand in.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "json-internal.h"

/* Bounds the memory of a message that is all brackets and commas. */
#define MAX_TOKENS (2 * MiB)
/* How much of what was stray an error message shows. */
#define MAX_STRAY 80

struct JSONFramer {
    JSONFramerFn *fn;
    void *opaque;
    JSONLexer lexer;
    JSONParser parser;
    /*
     * After too large a message: its end is looked for, nothing is kept and
     * what else is wrong with it is no news.
     */
    bool discarding;
    /*
     * Brackets that were open in messages too deep: as many may be closed
     * without its being news.
     */
    int64_t n_forgotten;
    /* The value at hand, from its first token on. */
    bool in_value;
    uint64_t start; /* lexer.pos at its first byte */
    uint64_t n_tokens;
    int64_t n_braces;   /* open ones */
    int64_t n_brackets; /* open ones */
};

static void framer_reset(JSONFramer *framer)
{
    json_parser_reset(&framer->parser);
    framer->in_value = false;
    framer->n_tokens = 0;
    framer->n_braces = 0;
    framer->n_brackets = 0;
    framer->discarding = false;
    framer->lexer.discard = false;
}

static void framer_error(JSONFramer *framer, Error *err)
{
    framer->fn(NULL, err, framer->opaque);
}

static void framer_stray(JSONFramer *framer, const char *text, size_t len)
{
    Error *err = NULL;

    framer_reset(framer);
    framer->n_forgotten = 0;
    error_setg(&err, "JSON parse error, stray '%.*s%s'",
               (int)MIN(len, MAX_STRAY), text, len > MAX_STRAY ? "..." : "");
    framer_error(framer, err);
}

static void framer_count(JSONFramer *framer, JSONTokenType type)
{
    switch (type) {
    case JSON_LBRACE:
        framer->n_braces++;
        break;
    case JSON_RBRACE:
        framer->n_braces--;
        break;
    case JSON_LBRACKET:
        framer->n_brackets++;
        break;
    case JSON_RBRACKET:
        framer->n_brackets--;
        break;
    default:
        break;
    }
    framer->n_tokens++;
}

static bool framer_at_end(JSONFramer *framer)
{
    return framer->n_braces < 0 || framer->n_brackets < 0 ||
           (framer->n_braces == 0 && framer->n_brackets == 0);
}

/* Too large for memory: drops what there is and the rest as it comes. */
static void framer_check_size(JSONFramer *framer)
{
    Error *err = NULL;

    if (framer->discarding) {
        return;
    }
    if (framer->lexer.pos - framer->start > JSON_MAX_MESSAGE) {
        error_setg(&err, "JSON message size limit (%d MiB) exceeded",
                   (int)(JSON_MAX_MESSAGE / MiB));
    } else if (framer->n_tokens > MAX_TOKENS) {
        error_setg(&err, "JSON token count limit (%d) exceeded",
                   (int)MAX_TOKENS);
    } else {
        return;
    }
    json_parser_reset(&framer->parser);
    framer->discarding = true;
    framer->lexer.discard = true;
    g_string_truncate(framer->lexer.token, 0);
    framer_error(framer, err);
}

static bool framer_check_nesting(JSONFramer *framer)
{
    Error *err = NULL;

    if (framer->n_braces + framer->n_brackets <= JSON_MAX_NESTING) {
        return true;
    }
    framer->n_forgotten += framer->n_braces + framer->n_brackets;
    framer_reset(framer);
    error_setg(&err, "JSON nesting depth limit (%d) exceeded",
               JSON_MAX_NESTING);
    framer_error(framer, err);
    return false;
}

static void framer_end_value(JSONFramer *framer)
{
    Error *err = NULL;
    json_object *value = json_parser_take(&framer->parser, &err);

    framer_reset(framer);
    framer->fn(value, err, framer->opaque);
}

static bool framer_closes_forgotten(JSONFramer *framer, JSONTokenType type)
{
    if (framer->in_value || framer->n_forgotten == 0 ||
        (type != JSON_RBRACE && type != JSON_RBRACKET)) {
        return false;
    }
    framer->n_forgotten--;
    return true;
}

static void framer_begin(JSONFramer *framer)
{
    if (!framer->in_value) {
        framer->in_value = true;
        framer->start = framer->lexer.pos - framer->lexer.token_len;
    }
}

static void framer_token(JSONTokenType type, const char *text, size_t len,
                         void *opaque)
{
    JSONFramer *framer = opaque;

    if (type == JSON_STRAY) {
        framer_stray(framer, text, len);
        return;
    }
    if (framer_closes_forgotten(framer, type)) {
        return;
    }
    framer_begin(framer);
    framer_count(framer, type);
    framer_check_size(framer);
    if (framer->discarding) {
        if (framer_at_end(framer)) {
            framer_reset(framer);
        }
        return;
    }
    if (!framer_check_nesting(framer)) {
        return;
    }
    json_parser_token(&framer->parser, type, text, len);
    if (framer_at_end(framer)) {
        framer_end_value(framer);
    }
}

void json_framer_feed(JSONFramer *framer, const char *buf, size_t len)
{
    json_lexer_feed(&framer->lexer, buf, len);
    /* A token that is still growing must not outgrow the limit. */
    if (framer->lexer.token_len) {
        framer_begin(framer);
        framer_check_size(framer);
    }
}

uint64_t json_framer_pending(const JSONFramer *framer)
{
    return framer->in_value ? framer->lexer.pos - framer->start : 0;
}

void json_framer_flush(JSONFramer *framer)
{
    json_lexer_flush(&framer->lexer);
    if (framer->in_value && !framer->discarding) {
        framer_end_value(framer);
    }
    framer_reset(framer);
    framer->n_forgotten = 0;
}

JSONFramer *json_framer_new(JSONFramerFn *fn, void *opaque)
{
    JSONFramer *framer = g_new0(JSONFramer, 1);

    framer->fn = fn;
    framer->opaque = opaque;
    json_lexer_init(&framer->lexer, framer_token, framer);
    json_parser_init(&framer->parser);
    return framer;
}

void json_framer_free(JSONFramer *framer)
{
    if (framer) {
        json_lexer_cleanup(&framer->lexer);
        json_parser_cleanup(&framer->parser);
        g_free(framer);
    }
}
