/*
 * Domains of libvirt: those that run and have a second monitor.
 *
 * libvirt has no deadlines.  So it is asked on a thread which is left behind
 * if it does not come back.  Until it does, no other one asks the same.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include "domains.h"
#include "exit-code.h"
#include "libvirt-xml.h"

#define DEADLINE_MS 10000

/* Shared by who waits and who asks; the last of the two frees it. */
typedef struct Inquiry {
    int refs;
    char *uri;

    /* Guards these; taken alone. */
    GMutex lock;
    GCond ended;
    bool done;
    GPtrArray *domains; /* DomainSpec */
    GError *error;
} Inquiry;

/* Inquiries left behind: URI -> Inquiry.  Guarded by the lock; taken alone. */
static GMutex left_behind_lock;
static GHashTable *left_behind;

static void inquiry_unref(Inquiry *inquiry)
{
    if (g_atomic_int_dec_and_test(&inquiry->refs)) {
        g_free(inquiry->uri);
        g_ptr_array_unref(inquiry->domains);
        g_clear_error(&inquiry->error);
        g_mutex_clear(&inquiry->lock);
        g_cond_clear(&inquiry->ended);
        g_free(inquiry);
    }
}

static void set_libvirt_error(const char *uri, const char *what, GError **errp)
{
    g_set_error(errp, EXIT_ERROR, EXIT_UNREACHABLE, "libvirt at %s: %s: %s",
                uri, what, virGetLastErrorMessage());
}

/* A domain that ends just now is none any more, and no error. */
static bool add_domain(GPtrArray *domains, const char *uri, virDomainPtr dom,
                       GError **errp)
{
    char *xml = virDomainGetXMLDesc(dom, 0);
    g_autofree char *monitor = NULL;
    g_autofree char *origin = NULL;
    GError *err = NULL;

    if (!xml) {
        return true;
    }
    monitor = libvirt_second_monitor(xml, &err);
    free(xml);
    if (err) {
        g_propagate_prefixed_error(
            errp, err, "domain '%s' of %s: ", virDomainGetName(dom), uri);
        return false;
    }
    if (monitor) {
        origin = g_strdup_printf("libvirt at %s", uri);
        g_ptr_array_add(
            domains, domain_spec_new(virDomainGetName(dom), monitor, origin));
    }
    return true;
}

static bool add_all(GPtrArray *domains, const char *uri, virConnectPtr conn,
                    GError **errp)
{
    virDomainPtr *list = NULL;
    int n =
        virConnectListAllDomains(conn, &list, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    bool ok = true;

    if (n < 0) {
        set_libvirt_error(uri, "cannot list domains", errp);
        return false;
    }
    for (int i = 0; i < n; i++) {
        ok = ok && add_domain(domains, uri, list[i], errp);
        virDomainFree(list[i]);
    }
    free(list);
    return ok;
}

static void be_quiet(void *opaque, virErrorPtr error)
{
    /* libvirt prints errors unless it is told not to. */
}

static void inquire(Inquiry *inquiry, GPtrArray *domains, GError **errp)
{
    virConnectPtr conn;

    virSetErrorFunc(NULL, be_quiet);
    conn = virConnectOpenReadOnly(inquiry->uri);
    if (!conn) {
        set_libvirt_error(inquiry->uri, "cannot connect", errp);
        return;
    }
    add_all(domains, inquiry->uri, conn, errp);
    virConnectClose(conn);
}

static void *run(void *opaque)
{
    Inquiry *inquiry = opaque;
    GPtrArray *domains =
        g_ptr_array_new_with_free_func((GDestroyNotify)domain_spec_free);
    GError *err = NULL;

    inquire(inquiry, domains, &err);
    g_mutex_lock(&inquiry->lock);
    g_ptr_array_unref(inquiry->domains);
    inquiry->domains = domains;
    inquiry->error = err;
    inquiry->done = true;
    g_cond_signal(&inquiry->ended);
    g_mutex_unlock(&inquiry->lock);
    inquiry_unref(inquiry);
    return NULL;
}

static Inquiry *inquiry_start(const char *uri, GError **errp)
{
    Inquiry *inquiry = g_new0(Inquiry, 1);
    GError *err = NULL;
    GThread *thread;

    inquiry->refs = 2;
    inquiry->uri = g_strdup(uri);
    inquiry->domains =
        g_ptr_array_new_with_free_func((GDestroyNotify)domain_spec_free);
    g_mutex_init(&inquiry->lock);
    g_cond_init(&inquiry->ended);
    thread = g_thread_try_new("libvirt", run, inquiry, &err);
    if (!thread) {
        g_set_error(errp, EXIT_ERROR, EXIT_UNREACHABLE,
                    "libvirt at %s cannot be asked: %s", uri, err->message);
        g_error_free(err);
        inquiry_unref(inquiry);
        inquiry_unref(inquiry);
        return NULL;
    }
    g_thread_unref(thread);
    return inquiry;
}

/* The inquiry about @uri that was left behind, the caller's; or NULL. */
static Inquiry *take_left_behind(const char *uri)
{
    void *inquiry = NULL;

    g_mutex_lock(&left_behind_lock);
    if (left_behind) {
        g_hash_table_steal_extended(left_behind, uri, NULL, &inquiry);
    }
    g_mutex_unlock(&left_behind_lock);
    return inquiry;
}

/* Takes the reference. */
static void leave_behind(Inquiry *inquiry)
{
    g_mutex_lock(&left_behind_lock);
    if (!left_behind) {
        left_behind = g_hash_table_new(g_str_hash, g_str_equal);
    }
    g_hash_table_replace(left_behind, inquiry->uri, inquiry);
    g_mutex_unlock(&left_behind_lock);
}

bool domains_from_libvirt(GPtrArray *domains, const char *uri, GError **errp)
{
    Inquiry *inquiry = take_left_behind(uri);
    gint64 deadline =
        g_get_monotonic_time() + (inquiry ? 0 : DEADLINE_MS * 1000LL);
    bool ok = false, done;

    if (!inquiry) {
        inquiry = inquiry_start(uri, errp);
    }
    if (!inquiry) {
        return false;
    }
    g_mutex_lock(&inquiry->lock);
    while (!inquiry->done &&
           g_cond_wait_until(&inquiry->ended, &inquiry->lock, deadline)) {
    }
    done = inquiry->done;
    if (!done) {
        g_set_error(errp, EXIT_ERROR, EXIT_TIMEOUT,
                    "libvirt at %s does not answer within %d s", uri,
                    DEADLINE_MS / 1000);
    } else if (inquiry->error) {
        g_propagate_error(errp, g_error_copy(inquiry->error));
    } else {
        g_ptr_array_extend_and_steal(domains, inquiry->domains);
        inquiry->domains = g_ptr_array_new();
        ok = true;
    }
    g_mutex_unlock(&inquiry->lock);
    if (done) {
        inquiry_unref(inquiry);
    } else {
        leave_behind(inquiry);
    }
    return ok;
}
