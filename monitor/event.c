/*
 * Events: from whoever sends one to every session in command mode.
 *
 * An event takes its place in the output of each session behind the replies
 * that are there; the monitor thread writes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"
#include "qapi/qmp-event.h"

typedef struct Event {
    const char *name;
    const char *data; /* JSON text, or NULL */
    int64_t time_us;
    bool wanted[2];   /* a compact ([0]) or pretty ([1]) session exists */
    MonText *text[2]; /* NULL unless wanted */
} Event;

static void event_want(MonSession *session, void *opaque)
{
    Event *event = opaque;

    event->wanted[mon_session_pretty(session)] = true;
}

static void event_make_text(Event *event)
{
    for (int pretty = 0; pretty < 2; pretty++) {
        GString *text;

        if (event->wanted[pretty]) {
            text = g_string_sized_new(256);
            mon_message_event(text, event->name, event->data, event->time_us,
                              pretty);
            event->text[pretty] = mon_text_new(text);
        }
    }
}

static void event_free_text(Event *event)
{
    g_clear_pointer(&event->text[false], mon_text_unref);
    g_clear_pointer(&event->text[true], mon_text_unref);
}

/*
 * Skips a session for which event_want() did not run, since there is no text
 * for it.
 */
static void event_send(MonSession *session, void *opaque)
{
    Event *event = opaque;
    MonText *text = event->text[mon_session_pretty(session)];

    if (text) {
        mon_output_event(mon_session_output(session), text);
    }
}

static void event_emit(const char *name, const char *data, void *opaque)
{
    Event event = {
        .name = name,
        .data = data,
        .time_us = g_get_real_time(),
    };

    /* Makes the text without the lock of the list, since it may be long. */
    mon_sessions_foreach(event_want, &event);
    event_make_text(&event);
    mon_sessions_foreach(event_send, &event);
    event_free_text(&event);
}

void mon_event_command_dropped(MonSession *session, const MonRequest *req)
{
    g_autoptr(GString) data = g_string_new("{");
    Event event = {
        .name = "COMMAND_DROPPED",
        .time_us = g_get_real_time(),
    };

    if (req->has_id) {
        g_string_append(data, "\"id\": ");
        json_write(data, req->id, false);
    }
    if (req->name) {
        g_string_append(data,
                        req->has_id ? ", \"command\": " : "\"command\": ");
        json_write_string(data, req->name, strlen(req->name));
    }
    g_string_append_c(data, '}');
    event.data = data->str;
    event_want(session, &event);
    event_make_text(&event);
    event_send(session, &event);
    event_free_text(&event);
}

void mon_events_init(void)
{
    qmp_event_set_emitter(event_emit, NULL);
}
