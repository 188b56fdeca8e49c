/*
 * Between the stages of reading JSON: bytes -> lexer -> tokens -> framer and
 * parser -> values.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOBJECT_JSON_INTERNAL_H
#define QOBJECT_JSON_INTERNAL_H

#include "qobject/json.h"

typedef enum JSONTokenType {
    JSON_LBRACE,
    JSON_RBRACE,
    JSON_LBRACKET,
    JSON_RBRACKET,
    JSON_COLON,
    JSON_COMMA,
    JSON_STRING, /* with its quotes */
    JSON_INTEGER,
    JSON_FLOAT,
    JSON_KEYWORD,
    JSON_STRAY, /* bytes that begin no token, or break one off */
} JSONTokenType;

/* json-lexer.c */

/* @text: the bytes of the token, NUL-terminated; none when it was discarded. */
typedef void JSONLexerFn(JSONTokenType type, const char *text, size_t len,
                         void *opaque);

typedef struct JSONLexer {
    int state;
    GString *token;     /* begun and not ended */
    uint64_t token_len; /* its length, kept or not */
    uint64_t pos;       /* bytes taken so far */
    bool discard;       /* report tokens without their text */
    JSONLexerFn *fn;
    void *opaque;
} JSONLexer;

void json_lexer_init(JSONLexer *lexer, JSONLexerFn *fn, void *opaque);
void json_lexer_cleanup(JSONLexer *lexer);
void json_lexer_feed(JSONLexer *lexer, const char *buf, size_t len);
/* Ends the token at hand, if any. */
void json_lexer_flush(JSONLexer *lexer);

/* json-parser.c */

typedef enum JSONParserState {
    JSON_PARSE_VALUE,
    JSON_PARSE_FIRST_ELEMENT, /* or the end of the array */
    JSON_PARSE_FIRST_KEY,     /* or the end of the object */
    JSON_PARSE_KEY,
    JSON_PARSE_COLON,
    JSON_PARSE_SEPARATOR, /* or the end of what it is in */
    JSON_PARSE_DONE,
} JSONParserState;

/* Takes tokens of one value; after an error it ignores the rest. */
typedef struct JSONParser {
    JSONParserState state;
    GArray *stack; /* of JSONParserFrame: the open objects and arrays */
    json_object *value;
    Error *err;
} JSONParser;

void json_parser_init(JSONParser *parser);
/* Forgets the value at hand. */
void json_parser_reset(JSONParser *parser);
void json_parser_cleanup(JSONParser *parser);
void json_parser_token(JSONParser *parser, JSONTokenType type, const char *text,
                       size_t len);
/* The value (NULL is null) or, with errp set, why there is none. */
json_object *json_parser_take(JSONParser *parser, Error **errp);

/* json-string.c */

/*
 * What the quoted string @text (@len bytes, either quotes) stands for, in
 * modified UTF-8; g_free() it.  NULL with errp set when it is malformed.
 */
char *json_unquote(const char *text, size_t len, Error **errp);

#endif
