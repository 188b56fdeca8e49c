/*
 * Commands that every QMP server has.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"
#include "qapi/qapi-commands-control.h"
#include "qapi/qapi-commands-introspect.h"
#include "qemu/shutdown.h"
#include "version.h"

/*
 * Runs on the monitor thread while its session negotiates.  From the main
 * thread it comes out of the in-band queue: too late.
 */
void qmp_qmp_capabilities(QMPCapabilityList *enable, Error **errp)
{
    MonSession *session = mon_session_current();
    bool oob = false;

    if (!session) {
        error_set(errp, ERROR_CLASS_COMMAND_NOT_FOUND,
                  "Capabilities negotiation is already complete, command "
                  "ignored");
        return;
    }
    for (; enable; enable = enable->next) {
        oob = oob || enable->value == QMP_CAPABILITY_OOB;
    }
    mon_session_negotiated(session, oob);
}

VersionInfo *qmp_query_version(Error **errp)
{
    VersionInfo *info = g_new0(VersionInfo, 1);
    MonVersion version = mon_version();

    info->qemu = g_new0(VersionTriple, 1);
    info->qemu->major = version.major;
    info->qemu->minor = version.minor;
    info->qemu->micro = version.micro;
    info->package = g_strdup(MON_PACKAGE);
    return info;
}

CommandInfoList *qmp_query_commands(Error **errp)
{
    CommandInfoList *list = NULL, **tail = &list;

    for (size_t i = 0; i < qmp_n_commands; i++) {
        CommandInfo *info = g_new0(CommandInfo, 1);

        info->name = g_strdup(qmp_commands[i].name);
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

/* There is no option that gives yankd a name. */
NameInfo *qmp_query_name(Error **errp)
{
    return g_new0(NameInfo, 1);
}

/*
 * When it runs out-of-band, the main thread must not send SHUTDOWN before this
 * thread has sent the reply.
 */
void qmp_quit(Error **errp)
{
    MonSession *session = mon_session_current();

    if (session) {
        mon_session_quit(session);
    } else {
        shutdown_request(SHUTDOWN_CAUSE_HOST_QMP_QUIT);
    }
}

anyList *qmp_query_qmp_schema(Error **errp)
{
    g_autoptr(json_object) schema = json_parse(qmp_schema_json, &error_abort);
    anyList *list = NULL, **tail = &list;

    for (size_t i = 0; i < json_object_array_length(schema); i++) {
        json_object *entity = json_object_array_get_idx(schema, i);

        QAPI_LIST_APPEND(tail, json_object_get(entity));
    }
    return list;
}
