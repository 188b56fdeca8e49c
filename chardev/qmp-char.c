/*
 * The QMP commands of character devices.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev-internal.h"
#include "qapi/qapi-commands-char.h"

/* Only what comes from opening the device is about the device. */
static ChardevReturn *add_result(bool ok, bool opening, const char *id,
                                 Error *err, Error **errp)
{
    if (ok) {
        return g_new0(ChardevReturn, 1);
    }
    if (opening) {
        error_prepend(&err, "Failed to add chardev '%s': ", id);
    }
    error_propagate(errp, err);
    return NULL;
}

ChardevReturn *qmp_chardev_add(const char *id, ChardevBackend *backend,
                               Error **errp)
{
    Error *err = NULL;
    bool exists = chardev_find(id, NULL);
    bool ok = chardev_add(id, backend, &err);

    return add_result(ok, !exists, id, err, errp);
}

ChardevReturn *qmp_chardev_change(const char *id, ChardevBackend *backend,
                                  Error **errp)
{
    Error *err = NULL;
    Chardev *old = chardev_find(id, NULL);
    bool opening = old && !old->iothread;
    bool ok = chardev_change(id, backend, &err);

    return add_result(ok, opening, id, err, errp);
}

void qmp_chardev_remove(const char *id, Error **errp)
{
    chardev_remove(id, errp);
}

static void append_info(Chardev *chr, void *opaque)
{
    ChardevInfoList ***tail = opaque;
    ChardevInfo *info = g_new0(ChardevInfo, 1);

    info->label = g_strdup(chr->id);
    info->filename = chr->cls->filename(chr);
    info->frontend_open = chr->iothread;
    QAPI_LIST_APPEND(*tail, info);
}

ChardevInfoList *qmp_query_chardev(Error **errp)
{
    ChardevInfoList *list = NULL, **tail = &list;

    chardev_foreach(append_info, &tail);
    return list;
}

ChardevBackendInfoList *qmp_query_chardev_backends(Error **errp)
{
    ChardevBackendInfoList *list = NULL, **tail = &list;

    for (int kind = 0; kind < CHARDEV_BACKEND_KIND__MAX; kind++) {
        ChardevBackendInfo *info = g_new0(ChardevBackendInfo, 1);

        info->name = g_strdup(ChardevBackendKind_str(kind));
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

static Chardev *find_device(const char *device, Error **errp)
{
    Chardev *chr = chardev_find(device, NULL);

    if (!chr) {
        error_setg(errp, "Device '%s' not found", device);
    }
    return chr;
}

static Chardev *find_ringbuf(const char *device, Error **errp)
{
    Chardev *chr = find_device(device, errp);

    if (chr && chr->cls != &chardev_ringbuf) {
        error_setg(errp, "%s is not a ringbuf device", device);
        return NULL;
    }
    return chr;
}

/* g_base64_decode() passes over what is wrong; QEMU does not. */
static bool is_base64(const char *data)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t digits = strspn(data, alphabet);
    size_t padding = strspn(data + digits, "=");

    return data[digits + padding] == '\0' && padding <= 2 &&
           (digits + padding) % 4 == 0;
}

static bool write_data(Chardev *chr, const char *data, bool has_format,
                       DataFormat format, Error **errp)
{
    g_autofree guchar *decoded = NULL;
    size_t len = strlen(data);

    if (has_format && format == DATA_FORMAT_BASE64) {
        if (!is_base64(data)) {
            error_setg(errp, "Base64 data contains invalid characters");
            return false;
        }
        decoded = g_base64_decode(data, &len);
    }
    return chardev_write_all(chr, decoded ? (void *)decoded : (void *)data, len,
                             errp);
}

void qmp_ringbuf_write(const char *device, const char *data, bool has_format,
                       DataFormat format, Error **errp)
{
    Chardev *chr = find_ringbuf(device, errp);

    if (chr) {
        write_data(chr, data, has_format, format, errp);
    }
}

void qmp_chardev_write(const char *device, const char *data, bool has_format,
                       DataFormat format, Error **errp)
{
    Chardev *chr = find_device(device, errp);

    if (!chr) {
        return;
    }
    if (chr->iothread) {
        error_setg(errp, "Chardev '%s' is busy", device);
        return;
    }
    write_data(chr, data, has_format, format, errp);
}

char *qmp_ringbuf_read(const char *device, int64_t size, bool has_format,
                       DataFormat format, Error **errp)
{
    Chardev *chr = find_ringbuf(device, errp);
    g_autofree uint8_t *data = NULL;
    size_t len;

    if (!chr) {
        return NULL;
    }
    if (size <= 0) {
        error_setg(errp, "size must be greater than zero");
        return NULL;
    }
    len = MIN((uint64_t)size, chardev_ringbuf_count(chr));
    data = g_malloc(len + 1);
    len = chardev_ringbuf_read(chr, data, len);
    if (has_format && format == DATA_FORMAT_BASE64) {
        return g_base64_encode(data, len);
    }
    data[len] = '\0';
    /* What is no text is replaced, as JSON has no other way. */
    return g_utf8_make_valid((char *)data, strlen((char *)data));
}
