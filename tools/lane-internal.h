/*
 * Between the files of the lanes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_LANE_INTERNAL_H
#define TOOLS_LANE_INTERNAL_H

#include "control-client.h"
#include "lane.h"

struct Lanes {
    const Options *options;
    ControlClient *control; /* or NULL */
    GPtrArray *domains;     /* DomainSpec */
    GHashTable *watched;    /* resolved address -> the service's name */
    /* Guards @subscribed, the service's name -> Lane.  Before a lane's. */
    GMutex lock;
    GHashTable *subscribed;
};

struct Lane {
    int refs; /* the opener's, and that of the handler of events */
    Lanes *lanes;
    char *name;         /* as the user says it */
    const char *remote; /* as the service says it; NULL: not the service's */
    /*
     * Held while an event function runs, so that none does once the lane is
     * closed.  Guards these two.
     */
    GMutex lock;
    LaneEventFn *event_fn; /* NULL after it was told of the loss, too */
    void *event_data;
    /* A connection of its own, when the service has none. */
    YcDomain *dom;
    GError *down; /* why it is none, or NULL */
    guint handler;
};

/* Drops a reference; of type GDestroyNotify. */
void lane_unref(void *lane);

/* A ControlEventFn for events of the service; @lanes: Lanes. */
void lanes_note_event(const char *domain, json_object *event, void *lanes);

#endif
