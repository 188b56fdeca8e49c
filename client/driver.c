/*
 * The driver: a list of domains.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client/driver.h"
#include "domain-internal.h"

struct YcDriver {
    YcLock lock; /* the list's; guards all of this */
    GPtrArray *domains;
    bool closed;
    int wait_limit_ms;
    unsigned max_waiters;
};

static void domain_unref(void *dom)
{
    yc_domain_unref(dom);
}

static void *domain_ref(const void *dom, void *unused)
{
    return yc_domain_ref((YcDomain *)dom);
}

YcDriver *yc_driver_new(void)
{
    YcDriver *driver = g_new0(YcDriver, 1);

    yc_lock_init(&driver->lock, YC_RANK_DRIVER, "the list of", "domains");
    driver->domains = g_ptr_array_new();
    driver->wait_limit_ms = YC_WAIT_LIMIT_MS;
    return driver;
}

void yc_driver_free(YcDriver *driver)
{
    if (driver) {
        yc_driver_close(driver);
        yc_lock_destroy(&driver->lock);
        g_ptr_array_free(driver->domains, true);
        g_free(driver);
    }
}

void yc_driver_set_wait_limit(YcDriver *driver, int ms)
{
    YC_LOCK_GUARD(&driver->lock);
    g_return_if_fail(ms > 0);
    driver->wait_limit_ms = ms;
}

void yc_driver_set_max_waiters(YcDriver *driver, unsigned n)
{
    YC_LOCK_GUARD(&driver->lock);
    driver->max_waiters = n;
}

/* Under the lock; NULL: not there. */
static YcDomain *find(YcDriver *driver, const char *name)
{
    for (guint i = 0; i < driver->domains->len; i++) {
        YcDomain *dom = g_ptr_array_index(driver->domains, i);

        if (g_str_equal(yc_domain_name(dom), name)) {
            return dom;
        }
    }
    return NULL;
}

bool yc_driver_add(YcDriver *driver, YcDomain *dom, GError **errp)
{
    YC_LOCK_GUARD(&driver->lock);
    if (driver->closed) {
        g_set_error(errp, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE,
                    "no domain '%s' can be added: the driver is closed",
                    yc_domain_name(dom));
        return false;
    }
    if (find(driver, yc_domain_name(dom))) {
        g_set_error(errp, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_EXISTS,
                    "there is a domain '%s' already", yc_domain_name(dom));
        return false;
    }
    yc_domain_set_wait_limit(dom, driver->wait_limit_ms);
    yc_domain_set_max_waiters(dom, driver->max_waiters);
    g_ptr_array_add(driver->domains, yc_domain_ref(dom));
    return true;
}

static bool list_remove(YcDriver *driver, YcDomain *dom)
{
    YC_LOCK_GUARD(&driver->lock);
    return g_ptr_array_remove(driver->domains, dom);
}

bool yc_driver_remove(YcDriver *driver, YcDomain *dom, const char *reason)
{
    if (!list_remove(driver, dom)) {
        return false;
    }
    yc_domain_close(dom, reason);
    yc_domain_unref(dom);
    return true;
}

/* Under the lock: "vm1, vm2"; g_free() it. */
static char *names(YcDriver *driver)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < driver->domains->len; i++) {
        g_string_append_printf(
            text, "%s%s", i ? ", " : "",
            yc_domain_name(g_ptr_array_index(driver->domains, i)));
    }
    if (!text->len) {
        g_string_assign(text, "none");
    }
    return g_string_free(g_steal_pointer(&text), false);
}

static YcDomain *find_ref(YcDriver *driver, const char *name, GError **errp)
{
    YcDomain *dom;

    YC_LOCK_GUARD(&driver->lock);
    dom = find(driver, name);
    if (!dom) {
        g_autofree char *there = names(driver);

        g_set_error(errp, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_NOT_FOUND,
                    "there is no domain '%s' (there are: %s)", name, there);
        return NULL;
    }
    return yc_domain_ref(dom);
}

/*
 * Locked once the list no longer is: one removed in between is closed, which
 * whoever begins a job is told.
 */
YcDomain *yc_driver_lookup(YcDriver *driver, const char *name, GError **errp)
{
    YcDomain *dom = find_ref(driver, name, errp);

    if (dom) {
        yc_domain_lock(dom);
    }
    return dom;
}

GPtrArray *yc_driver_list(YcDriver *driver)
{
    GPtrArray *list;

    YC_LOCK_GUARD(&driver->lock);
    list = g_ptr_array_copy(driver->domains, domain_ref, NULL);
    g_ptr_array_set_free_func(list, domain_unref);
    return list;
}

static GPtrArray *steal_all(YcDriver *driver)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(domain_unref);

    YC_LOCK_GUARD(&driver->lock);
    driver->closed = true;
    g_ptr_array_extend(all, driver->domains, NULL, NULL);
    g_ptr_array_set_size(driver->domains, 0);
    return all;
}

void yc_driver_close(YcDriver *driver)
{
    g_autoptr(GPtrArray) all = steal_all(driver);

    for (guint i = 0; i < all->len; i++) {
        yc_domain_close(g_ptr_array_index(all, i), "the driver is closed");
    }
}
