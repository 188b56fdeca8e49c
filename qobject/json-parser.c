/*
 * JSON parser: makes a value of tokens as they come.
 *
 * json-c keeps the values; its own parser is not used, because it lets pass
 * what QMP must refuse (duplicate keys, which it overwrites, and NUL in keys,
 * which it cuts off) and would scan each message a second time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <math.h>
#include "qapi/error.h"
#include "json-internal.h"

typedef struct JSONParserFrame {
    json_object *container;
    char *key; /* of the member at hand; NULL in an array */
} JSONParserFrame;

static JSONParserFrame *parser_top(JSONParser *parser)
{
    guint depth = parser->stack->len;

    return depth ? &g_array_index(parser->stack, JSONParserFrame, depth - 1)
                 : NULL;
}

static bool parser_in_object(JSONParser *parser)
{
    return json_object_is_type(parser_top(parser)->container, json_type_object);
}

/* Adds @value, which it consumes, to what it stands in. */
static void parser_add(JSONParser *parser, json_object *value)
{
    JSONParserFrame *top = parser_top(parser);

    if (!top) {
        parser->value = value;
        parser->state = JSON_PARSE_DONE;
        return;
    }
    if (top->key) {
        json_object_object_add_ex(top->container, top->key, value,
                                  JSON_C_OBJECT_ADD_KEY_IS_NEW);
        g_clear_pointer(&top->key, g_free);
    } else {
        json_object_array_add(top->container, value);
    }
    parser->state = JSON_PARSE_SEPARATOR;
}

static void parser_open(JSONParser *parser, json_object *container,
                        JSONParserState state)
{
    JSONParserFrame frame = {.container = container};

    g_array_append_val(parser->stack, frame);
    parser->state = state;
}

static void parser_close(JSONParser *parser)
{
    json_object *container = parser_top(parser)->container;

    g_array_set_size(parser->stack, parser->stack->len - 1);
    parser_add(parser, container);
}

static void parse_float(JSONParser *parser, const char *text)
{
    double value = g_ascii_strtod(text, NULL);

    if (!isfinite(value)) {
        error_setg(&parser->err,
                   "JSON parse error, number %.40s%s is too large", text,
                   strlen(text) > 40 ? "..." : "");
        return;
    }
    parser_add(parser, json_object_new_double(value));
}

/* As QEMU has it: what fits no 64-bit integer becomes a double. */
static void parse_integer(JSONParser *parser, const char *text)
{
    int64_t value;
    uint64_t magnitude;

    if (g_ascii_string_to_signed(text, 10, INT64_MIN, INT64_MAX, &value,
                                 NULL)) {
        parser_add(parser, json_object_new_int64(value));
    } else if (g_ascii_string_to_unsigned(text, 10, 0, UINT64_MAX, &magnitude,
                                          NULL)) {
        parser_add(parser, json_object_new_uint64(magnitude));
    } else {
        parse_float(parser, text);
    }
}

/* Returns false with err set when @text is no keyword of JSON. */
static bool parse_keyword(JSONParser *parser, const char *text,
                          json_object **value)
{
    if (!strcmp(text, "true")) {
        *value = json_object_new_boolean(true);
    } else if (!strcmp(text, "false")) {
        *value = json_object_new_boolean(false);
    } else if (!strcmp(text, "null")) {
        *value = NULL;
    } else {
        error_setg(&parser->err, "JSON parse error, invalid keyword '%.40s%s'",
                   text, strlen(text) > 40 ? "..." : "");
        return false;
    }
    return true;
}

static void parse_string(JSONParser *parser, const char *text, size_t len)
{
    g_autofree char *string = json_unquote(text, len, &parser->err);

    if (string) {
        parser_add(parser, json_object_new_string(string));
    }
}

static void parse_value(JSONParser *parser, JSONTokenType type,
                        const char *text, size_t len)
{
    json_object *value;

    switch (type) {
    case JSON_LBRACE:
        parser_open(parser, json_object_new_object(), JSON_PARSE_FIRST_KEY);
        break;
    case JSON_LBRACKET:
        parser_open(parser, json_object_new_array(), JSON_PARSE_FIRST_ELEMENT);
        break;
    case JSON_STRING:
        parse_string(parser, text, len);
        break;
    case JSON_INTEGER:
        parse_integer(parser, text);
        break;
    case JSON_FLOAT:
        parse_float(parser, text);
        break;
    case JSON_KEYWORD:
        if (parse_keyword(parser, text, &value)) {
            parser_add(parser, value);
        }
        break;
    default:
        error_setg(&parser->err, "JSON parse error, expecting value");
        break;
    }
}

static void parse_key_string(JSONParser *parser, const char *text, size_t len)
{
    JSONParserFrame *top = parser_top(parser);

    top->key = json_unquote(text, len, &parser->err);
    if (!top->key) {
        return;
    }
    if (json_object_object_get_ex(top->container, top->key, NULL)) {
        error_setg(&parser->err, "JSON parse error, duplicate key");
        return;
    }
    parser->state = JSON_PARSE_COLON;
}

static void parse_key(JSONParser *parser, JSONTokenType type, const char *text,
                      size_t len)
{
    json_object *ignored = NULL;

    switch (type) {
    case JSON_STRING:
        parse_key_string(parser, text, len);
        break;
    case JSON_RBRACE:
    case JSON_RBRACKET:
    case JSON_COLON:
    case JSON_COMMA:
        error_setg(&parser->err, "JSON parse error, expecting value");
        break;
    case JSON_KEYWORD:
        if (!parse_keyword(parser, text, &ignored)) {
            break;
        }
        json_object_put(ignored);
        /* fall through */
    default:
        error_setg(&parser->err,
                   "JSON parse error, key is not a string in object");
        break;
    }
}

static void parse_colon(JSONParser *parser, JSONTokenType type)
{
    if (type != JSON_COLON) {
        error_setg(&parser->err, "JSON parse error, missing : in object pair");
        return;
    }
    parser->state = JSON_PARSE_VALUE;
}

static void parse_separator(JSONParser *parser, JSONTokenType type)
{
    bool in_object = parser_in_object(parser);

    if (type == JSON_COMMA) {
        parser->state = in_object ? JSON_PARSE_KEY : JSON_PARSE_VALUE;
    } else if (type == (in_object ? JSON_RBRACE : JSON_RBRACKET)) {
        parser_close(parser);
    } else {
        error_setg(&parser->err, "JSON parse error, expected separator in %s",
                   in_object ? "dict" : "list");
    }
}

void json_parser_token(JSONParser *parser, JSONTokenType type, const char *text,
                       size_t len)
{
    if (parser->err) {
        return;
    }
    switch (parser->state) {
    case JSON_PARSE_FIRST_ELEMENT:
        if (type == JSON_RBRACKET) {
            parser_close(parser);
            break;
        }
        /* fall through */
    case JSON_PARSE_VALUE:
        parse_value(parser, type, text, len);
        break;
    case JSON_PARSE_FIRST_KEY:
        if (type == JSON_RBRACE) {
            parser_close(parser);
            break;
        }
        /* fall through */
    case JSON_PARSE_KEY:
        parse_key(parser, type, text, len);
        break;
    case JSON_PARSE_COLON:
        parse_colon(parser, type);
        break;
    case JSON_PARSE_SEPARATOR:
        parse_separator(parser, type);
        break;
    case JSON_PARSE_DONE:
        g_assert_not_reached();
    }
}

json_object *json_parser_take(JSONParser *parser, Error **errp)
{
    json_object *value = NULL;

    if (parser->err) {
        error_propagate(errp, g_steal_pointer(&parser->err));
    } else if (parser->state != JSON_PARSE_DONE) {
        error_setg(errp, "JSON parse error, premature EOI");
    } else {
        value = g_steal_pointer(&parser->value);
    }
    json_parser_reset(parser);
    return value;
}

static void frame_clear(JSONParserFrame *frame)
{
    json_object_put(frame->container);
    g_free(frame->key);
}

void json_parser_init(JSONParser *parser)
{
    *parser = (JSONParser){.state = JSON_PARSE_VALUE};
    parser->stack = g_array_new(FALSE, FALSE, sizeof(JSONParserFrame));
}

void json_parser_reset(JSONParser *parser)
{
    for (guint i = 0; i < parser->stack->len; i++) {
        frame_clear(&g_array_index(parser->stack, JSONParserFrame, i));
    }
    g_array_set_size(parser->stack, 0);
    g_clear_pointer(&parser->value, json_object_put);
    g_clear_pointer(&parser->err, error_free);
    parser->state = JSON_PARSE_VALUE;
}

void json_parser_cleanup(JSONParser *parser)
{
    json_parser_reset(parser);
    g_array_unref(parser->stack);
}
