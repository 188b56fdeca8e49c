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
    GString *text[2]; /* compact and pretty, made when first needed */
} Event;

static const GString *event_text(Event *event, bool pretty)
{
    GString **text = &event->text[pretty];

    if (!*text) {
        *text = g_string_sized_new(256);
        mon_message_event(*text, event->name, event->data, event->time_us,
                          pretty);
    }
    return *text;
}

static void event_free_text(Event *event)
{
    for (int i = 0; i < 2; i++) {
        if (event->text[i]) {
            g_string_free(event->text[i], TRUE);
        }
    }
}

static void event_send(MonSession *session, void *opaque)
{
    const GString *text = event_text(opaque, mon_session_pretty(session));

    mon_output_event(mon_session_output(session), text->str, text->len);
}

static void event_emit(const char *name, const char *data, void *opaque)
{
    Event event = {
        .name = name,
        .data = data,
        .time_us = g_get_real_time(),
    };

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
    event_send(session, &event);
    event_free_text(&event);
}

void mon_events_init(void)
{
    qmp_event_set_emitter(event_emit, NULL);
}
