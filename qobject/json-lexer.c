/*
 * JSON lexer: cuts a byte stream into tokens, wherever its pieces end.
 *
 * A table maps state and class of byte to the next state.  After a stray
 * byte it skips until a byte from which a client can be expected to make
 * sense again: a structural character, or a control character (line ends
 * among them), FE or FF, none of which can be inside a token.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "json-internal.h"

#define KEEP_ALLOCATED (64 * KiB)

typedef enum ByteClass {
    C_OTHER, /* printable or a part of UTF-8; only in strings */
    C_SPACE,
    C_TAB,
    C_LINE_END,
    C_RESET, /* other control characters, FE, FF */
    C_STRUCTURE,
    C_DOUBLE_QUOTE,
    C_SINGLE_QUOTE,
    C_BACKSLASH,
    C_ZERO,
    C_DIGIT, /* 1 to 9 */
    C_MINUS,
    C_PLUS,
    C_DOT,
    C_EXPONENT_UPPER,
    C_EXPONENT_LOWER, /* also a letter of keywords */
    C_LETTER,         /* other lower-case letters */
    N_CLASSES,
} ByteClass;

typedef enum LexerState {
    NONE, /* the byte does not belong to the token */
    START,
    SKIP, /* after a stray byte */
    IN_DOUBLE,
    IN_DOUBLE_ESCAPE,
    IN_SINGLE,
    IN_SINGLE_ESCAPE,
    AFTER_MINUS,
    AFTER_ZERO,
    IN_INTEGER,
    AFTER_DOT,
    IN_FRACTION,
    AFTER_EXPONENT,
    AFTER_EXPONENT_SIGN,
    IN_EXPONENT,
    IN_KEYWORD,
    END_STRING,    /* with this byte */
    END_STRUCTURE, /* this byte alone */
    STRAY,         /* with this byte, though the token might end before it */
} LexerState;

#define N_STATES (IN_KEYWORD + 1)

static const uint8_t byte_class[256] = {
    [0x00 ... 0x08] = C_RESET,
    ['\t'] = C_TAB,
    ['\n'] = C_LINE_END,
    [0x0b ... 0x0c] = C_RESET,
    ['\r'] = C_LINE_END,
    [0x0e ... 0x1f] = C_RESET,
    [' '] = C_SPACE,
    ['"'] = C_DOUBLE_QUOTE,
    ['\''] = C_SINGLE_QUOTE,
    ['\\'] = C_BACKSLASH,
    ['{'] = C_STRUCTURE,
    ['}'] = C_STRUCTURE,
    ['['] = C_STRUCTURE,
    [']'] = C_STRUCTURE,
    [':'] = C_STRUCTURE,
    [','] = C_STRUCTURE,
    ['0'] = C_ZERO,
    ['1' ... '9'] = C_DIGIT,
    ['-'] = C_MINUS,
    ['+'] = C_PLUS,
    ['.'] = C_DOT,
    ['E'] = C_EXPONENT_UPPER,
    ['e'] = C_EXPONENT_LOWER,
    ['a' ... 'd'] = C_LETTER,
    ['f' ... 'z'] = C_LETTER,
    [0xfe ... 0xff] = C_RESET,
};

/* What means nothing by itself inside a string. */
#define PLAIN_BYTES(next)                                                      \
    [C_OTHER] = next, [C_SPACE] = next, [C_ZERO] = next, [C_DIGIT] = next,     \
    [C_MINUS] = next, [C_PLUS] = next, [C_DOT] = next,                         \
    [C_EXPONENT_UPPER] = next, [C_EXPONENT_LOWER] = next, [C_LETTER] = next

static const uint8_t next_state[N_STATES][N_CLASSES] = {
    [START] =
        {
            [C_SPACE] = START,
            [C_TAB] = START,
            [C_LINE_END] = START,
            [C_STRUCTURE] = END_STRUCTURE,
            [C_DOUBLE_QUOTE] = IN_DOUBLE,
            [C_SINGLE_QUOTE] = IN_SINGLE,
            [C_MINUS] = AFTER_MINUS,
            [C_ZERO] = AFTER_ZERO,
            [C_DIGIT] = IN_INTEGER,
            [C_EXPONENT_LOWER] = IN_KEYWORD,
            [C_LETTER] = IN_KEYWORD,
        },
    [SKIP] =
        {
            PLAIN_BYTES(SKIP),
            [C_DOUBLE_QUOTE] = SKIP,
            [C_SINGLE_QUOTE] = SKIP,
            [C_BACKSLASH] = SKIP,
            [C_STRUCTURE] = END_STRUCTURE,
            [C_TAB] = SKIP,
            [C_LINE_END] = START,
        },
    [IN_DOUBLE] =
        {
            PLAIN_BYTES(IN_DOUBLE),
            [C_STRUCTURE] = IN_DOUBLE,
            [C_SINGLE_QUOTE] = IN_DOUBLE,
            [C_DOUBLE_QUOTE] = END_STRING,
            [C_BACKSLASH] = IN_DOUBLE_ESCAPE,
        },
    [IN_DOUBLE_ESCAPE] =
        {
            PLAIN_BYTES(IN_DOUBLE),
            [C_STRUCTURE] = IN_DOUBLE,
            [C_DOUBLE_QUOTE] = IN_DOUBLE,
            [C_SINGLE_QUOTE] = IN_DOUBLE,
            [C_BACKSLASH] = IN_DOUBLE,
        },
    [IN_SINGLE] =
        {
            PLAIN_BYTES(IN_SINGLE),
            [C_STRUCTURE] = IN_SINGLE,
            [C_DOUBLE_QUOTE] = IN_SINGLE,
            [C_SINGLE_QUOTE] = END_STRING,
            [C_BACKSLASH] = IN_SINGLE_ESCAPE,
        },
    [IN_SINGLE_ESCAPE] =
        {
            PLAIN_BYTES(IN_SINGLE),
            [C_STRUCTURE] = IN_SINGLE,
            [C_DOUBLE_QUOTE] = IN_SINGLE,
            [C_SINGLE_QUOTE] = IN_SINGLE,
            [C_BACKSLASH] = IN_SINGLE,
        },
    [AFTER_MINUS] =
        {
            [C_ZERO] = AFTER_ZERO,
            [C_DIGIT] = IN_INTEGER,
        },
    [AFTER_ZERO] =
        {
            [C_ZERO] = STRAY,
            [C_DIGIT] = STRAY,
            [C_DOT] = AFTER_DOT,
            [C_EXPONENT_UPPER] = AFTER_EXPONENT,
            [C_EXPONENT_LOWER] = AFTER_EXPONENT,
        },
    [IN_INTEGER] =
        {
            [C_ZERO] = IN_INTEGER,
            [C_DIGIT] = IN_INTEGER,
            [C_DOT] = AFTER_DOT,
            [C_EXPONENT_UPPER] = AFTER_EXPONENT,
            [C_EXPONENT_LOWER] = AFTER_EXPONENT,
        },
    [AFTER_DOT] =
        {
            [C_ZERO] = IN_FRACTION,
            [C_DIGIT] = IN_FRACTION,
        },
    [IN_FRACTION] =
        {
            [C_ZERO] = IN_FRACTION,
            [C_DIGIT] = IN_FRACTION,
            [C_EXPONENT_UPPER] = AFTER_EXPONENT,
            [C_EXPONENT_LOWER] = AFTER_EXPONENT,
        },
    [AFTER_EXPONENT] =
        {
            [C_PLUS] = AFTER_EXPONENT_SIGN,
            [C_MINUS] = AFTER_EXPONENT_SIGN,
            [C_ZERO] = IN_EXPONENT,
            [C_DIGIT] = IN_EXPONENT,
        },
    [AFTER_EXPONENT_SIGN] =
        {
            [C_ZERO] = IN_EXPONENT,
            [C_DIGIT] = IN_EXPONENT,
        },
    [IN_EXPONENT] =
        {
            [C_ZERO] = IN_EXPONENT,
            [C_DIGIT] = IN_EXPONENT,
        },
    [IN_KEYWORD] =
        {
            [C_EXPONENT_LOWER] = IN_KEYWORD,
            [C_LETTER] = IN_KEYWORD,
        },
};

/* The token that may end in a state, before a byte that is none of its. */
static JSONTokenType ending_token(LexerState state)
{
    switch (state) {
    case AFTER_ZERO:
    case IN_INTEGER:
        return JSON_INTEGER;
    case IN_FRACTION:
    case IN_EXPONENT:
        return JSON_FLOAT;
    case IN_KEYWORD:
        return JSON_KEYWORD;
    default:
        return JSON_STRAY;
    }
}

static JSONTokenType structure_token(char c)
{
    switch (c) {
    case '{':
        return JSON_LBRACE;
    case '}':
        return JSON_RBRACE;
    case '[':
        return JSON_LBRACKET;
    case ']':
        return JSON_RBRACKET;
    case ':':
        return JSON_COLON;
    default:
        return JSON_COMMA;
    }
}

static void lexer_keep(JSONLexer *lexer, const char *buf, size_t len)
{
    lexer->token_len += len;
    if (!lexer->discard) {
        g_string_append_len(lexer->token, buf, len);
    }
}

static void lexer_emit(JSONLexer *lexer, JSONTokenType type)
{
    lexer->state = type == JSON_STRAY ? SKIP : START;
    lexer->fn(type, lexer->token->str, lexer->token->len, lexer->opaque);
    lexer->token_len = 0;
    g_string_truncate(lexer->token, 0);
    /* One huge token does not hold its memory for the rest of a session. */
    if (lexer->token->allocated_len > KEEP_ALLOCATED) {
        g_string_free(lexer->token, TRUE);
        lexer->token = g_string_new(NULL);
    }
}

/* How many of the @len bytes leave a string's state as it is. */
static size_t plain_run(LexerState state, const char *buf, size_t len)
{
    size_t n = 0;

    while (n < len && next_state[state][byte_class[(uint8_t)buf[n]]] == state) {
        n++;
    }
    return n;
}

/* @c belongs nowhere, and spoils what it stands in. */
static void lexer_stray(JSONLexer *lexer, char c)
{
    lexer->pos++;
    lexer->token_len++;
    g_string_append_c(lexer->token, c);
    lexer_emit(lexer, JSON_STRAY);
}

/* Takes the byte @c that does not go on with what the lexer is in. */
static void lexer_break(JSONLexer *lexer, char c)
{
    JSONTokenType type = ending_token(lexer->state);

    if (type != JSON_STRAY) {
        /* It ends before @c, which the caller then looks at anew. */
        lexer_emit(lexer, type);
        return;
    }
    lexer_stray(lexer, c);
}

static void lexer_byte(JSONLexer *lexer, char c)
{
    LexerState next = next_state[lexer->state][byte_class[(uint8_t)c]];

    if (next == NONE) {
        lexer_break(lexer, c);
        return;
    }
    if (next == STRAY) {
        lexer_stray(lexer, c);
        return;
    }
    lexer->pos++;
    if (next == START || next == SKIP) {
        lexer->state = next;
        return;
    }
    lexer_keep(lexer, &c, 1);
    switch (next) {
    case END_STRUCTURE:
        lexer_emit(lexer, structure_token(c));
        break;
    case END_STRING:
        lexer_emit(lexer, JSON_STRING);
        break;
    default:
        lexer->state = next;
        break;
    }
}

void json_lexer_feed(JSONLexer *lexer, const char *buf, size_t len)
{
    uint64_t end = lexer->pos + len;

    while (lexer->pos < end) {
        const char *p = buf + len - (end - lexer->pos);

        if (lexer->state == IN_DOUBLE || lexer->state == IN_SINGLE) {
            size_t n = plain_run(lexer->state, p, end - lexer->pos);

            if (n) {
                lexer_keep(lexer, p, n);
                lexer->pos += n;
                continue;
            }
        }
        lexer_byte(lexer, *p);
    }
}

void json_lexer_flush(JSONLexer *lexer)
{
    if (lexer->state != START && lexer->state != SKIP) {
        lexer_emit(lexer, ending_token(lexer->state));
    }
    lexer->state = START;
}

void json_lexer_init(JSONLexer *lexer, JSONLexerFn *fn, void *opaque)
{
    *lexer = (JSONLexer){.state = START, .fn = fn, .opaque = opaque};
    lexer->token = g_string_new(NULL);
}

void json_lexer_cleanup(JSONLexer *lexer)
{
    g_string_free(lexer->token, TRUE);
}
