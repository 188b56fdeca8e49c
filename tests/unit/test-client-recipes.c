/*
 * The recipes of docs/devel/client-threads.rst, each as it stands there, and
 * run.  tests/docs/check-recipes.py holds the two against each other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include "client-fake-domain.h"
#include "client/driver.h"
#include "client/yank.h"

/* recipe: what is known */
static bool is_paused(YcDomain *dom)
{
    g_auto(YcDomainStatus) status = {0};

    yc_domain_get_status(dom, &status);
    return status.alive && g_strcmp0(status.run_state, "paused") == 0;
}
/* end */

/* recipe: read something */
static char *read_version(YcDriver *driver, const char *name, GError **errp)
{
    YcDomain *dom = yc_driver_lookup(driver, name, errp);
    json_object *result = NULL;
    char *version = NULL;

    if (!dom) {
        return NULL;
    }
    if (yc_domain_begin_job(dom, YC_JOB_QUERY, "query-version", YC_WAIT_DEFAULT,
                            errp)) {
        if (yc_domain_command(dom, "query-version", NULL, 5000, &result,
                              errp)) {
            version = g_strdup(json_object_to_json_string(result));
            json_object_put(result);
        }
        yc_domain_end_job(dom, NULL);
    }
    yc_domain_release(&dom);
    return version;
}
/* end */

/* recipe: change something */
static bool delete_node(YcDomain *dom, const char *node, GError **errp)
{
    json_object *arguments = json_object_new_object();
    bool ok;

    json_object_object_add(arguments, "node-name",
                           json_object_new_string(node));
    yc_domain_lock(dom);
    ok = yc_domain_begin_job(dom, YC_JOB_MODIFY, "blockdev-del",
                             YC_WAIT_DEFAULT, errp);
    if (ok) {
        ok =
            yc_domain_command(dom, "blockdev-del", arguments, 5000, NULL, errp);
        yc_domain_end_job(dom, NULL);
    }
    yc_domain_unlock(dom);
    json_object_put(arguments);
    return ok;
}
/* end */

/* recipe: run monitor commands */
static bool stop_and_go(YcDomain *dom, GError **errp)
{
    YcQmpClient *monitor = yc_domain_enter_monitor(dom, "stop, cont", errp);
    bool ok;

    if (!monitor) {
        return false; /* still locked, still with the job */
    }
    ok = yc_qmp_client_execute(monitor, YC_QMP_IN_BAND, "stop", NULL, 5000,
                               NULL, errp) &&
         yc_qmp_client_execute(monitor, YC_QMP_IN_BAND, "cont", NULL, 5000,
                               NULL, errp);
    /* Of two errors the first one counts. */
    return yc_domain_exit_monitor(dom, ok ? errp : NULL) && ok;
}
/* end */

/* recipe: run an agent command */
static bool freeze_guest(YcDomain *dom, GError **errp)
{
    bool ok;

    yc_domain_lock(dom);
    ok = yc_domain_begin_agent_job(dom, "guest-fsfreeze-freeze",
                                   YC_WAIT_DEFAULT, errp);
    if (ok) {
        ok = yc_domain_agent_command(dom, "guest-fsfreeze-freeze", NULL, 5000,
                                     NULL, errp);
        yc_domain_end_agent_job(dom, NULL);
    }
    yc_domain_unlock(dom);
    return ok;
}
/* end */

/* recipe: an asynchronous job */
static void note_migration(YcDomain *dom, const char *name, json_object *event,
                           void *fd)
{
    g_auto(YcDomainStatus) status = {0};

    yc_domain_get_status(dom, &status);
    if (g_strcmp0(status.migration, "completed") == 0) {
        eventfd_write(GPOINTER_TO_INT(fd), 1);
    }
}

static void close_fd(void *fd)
{
    close(GPOINTER_TO_INT(fd));
}

/* Under the asynchronous job: its commands are nested jobs. */
static bool migrate_in_job(YcDomain *dom, json_object *arguments, int fd,
                           GError **errp)
{
    struct pollfd completed = {.fd = fd, .events = POLLIN};

    if (!yc_domain_command(dom, "migrate", arguments, 5000, NULL, errp) ||
        !yc_domain_enter_remote(dom, "migrate", errp)) {
        return false;
    }
    /* Neither the lock nor a nested job is held: queries come through. */
    poll(&completed, 1, 60000);
    if (!yc_domain_exit_remote(dom, errp)) {
        return false;
    }
    return yc_domain_command(
        dom, completed.revents ? "query-migrate" : "migrate_cancel", NULL, 5000,
        NULL, errp);
}

static bool migrate(YcDomain *dom, json_object *arguments, GError **errp)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    guint handler = yc_domain_add_handler(dom, note_migration, NULL,
                                          GINT_TO_POINTER(fd), close_fd);
    bool ok;

    yc_domain_lock(dom);
    ok = yc_domain_begin_async_job(dom, "migrate", YC_JOB_MASK_DEFAULT,
                                   YC_WAIT_DEFAULT, errp);
    if (ok) {
        ok = migrate_in_job(dom, arguments, fd, errp);
        yc_domain_end_async_job(dom, NULL);
    }
    yc_domain_unlock(dom);
    /* The handler may be running, and has the descriptor until its end. */
    yc_domain_remove_handler(dom, handler);
    return ok;
}
/* end */

/* recipe: a remote operation */
/* Under the asynchronous job of @source. */
static bool hand_over_in_job(YcDomain *source, YcDomain *destination,
                             GError **errp)
{
    bool ok;

    if (!yc_domain_enter_remote(source, "hand-over to another", errp)) {
        return false;
    }
    /* The other domain has a lock and jobs of its own. */
    ok = delete_node(destination, "spare", errp);
    /* The source may have gone meanwhile. */
    return yc_domain_exit_remote(source, ok ? errp : NULL) && ok &&
           yc_domain_command(source, "stop", NULL, 5000, NULL, errp);
}

static bool hand_over(YcDomain *source, YcDomain *destination, GError **errp)
{
    bool ok;

    yc_domain_lock(source);
    ok = yc_domain_begin_async_job(source, "hand-over", YC_JOB_MASK_DEFAULT,
                                   YC_WAIT_DEFAULT, errp);
    if (ok) {
        ok = hand_over_in_job(source, destination, errp);
        yc_domain_end_async_job(source, NULL);
    }
    yc_domain_unlock(source);
    return ok;
}
/* end */

/* recipe: the rescue */
static bool rescue(YcDomain *dom, const char *instance, GError **errp)
{
    const char *const instances[] = {instance, NULL};

    /* No lock and no job, whoever holds them and hangs with them. */
    return yc_domain_yank(dom, instances, 0, 5000, NULL, errp);
}
/* end */

static FakeDomain *fake;

static void setup(void)
{
    fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
}

static void teardown(void)
{
    g_clear_pointer(&fake, fake_domain_free);
}

static void test_known(void)
{
    setup();
    g_assert_false(is_paused(fake->dom));
    fake_domain_emit(fake, "{\"event\": \"STOP\"}\r\n");
    while (!is_paused(fake->dom)) {
        g_thread_yield();
    }
    teardown();
}

static void test_read(void)
{
    g_autoptr(YcDriver) driver = yc_driver_new();
    g_autofree char *version = NULL;
    GError *err = NULL;

    setup();
    g_assert_true(yc_driver_add(driver, fake->dom, NULL));
    version = read_version(driver, "vm1", &err);
    g_assert_no_error(err);
    g_assert_cmpstr(version, ==, "{ }");
    g_assert_null(read_version(driver, "vm2", &err));
    expect_domain_error(err, YC_DOMAIN_ERROR_NOT_FOUND,
                        "there is no domain 'vm2' (there are: vm1)");
    yc_driver_close(driver);
    teardown();
}

static void test_change(void)
{
    GError *err = NULL;

    setup();
    g_assert_true(delete_node(fake->dom, "n", &err));
    g_assert_no_error(err);
    fake_domain_die(fake);
    g_assert_false(delete_node(fake->dom, "n", &err));
    g_assert_error(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE);
    g_clear_error(&err);
    teardown();
}

static void test_commands(void)
{
    GError *err = NULL;

    setup();
    yc_domain_lock(fake->dom);
    g_assert_true(yc_domain_begin_job(fake->dom, YC_JOB_SUSPEND, "stop-and-go",
                                      YC_WAIT_DEFAULT, NULL));
    g_assert_true(stop_and_go(fake->dom, &err));
    g_assert_no_error(err);
    g_assert_true(yc_domain_end_job(fake->dom, NULL));
    yc_domain_unlock(fake->dom);
    g_assert_cmpint(fake->n_in_band, ==, 2);
    teardown();
}

static void test_agent(void)
{
    GError *err = NULL;

    setup();
    g_assert_true(freeze_guest(fake->dom, &err));
    g_assert_no_error(err);
    teardown();
}

typedef struct Call {
    bool ok;
    GError *err;
} Call;

static void call_migrate(void *opaque)
{
    g_autoptr(json_object) arguments = json_object_new_object();
    Call *call = opaque;

    call->ok = migrate(fake->dom, arguments, &call->err);
}

static void test_async(void)
{
    g_autoptr(Actor) actor = actor_new();
    g_autoptr(YcDriver) driver = yc_driver_new();
    Call call = {0};

    setup();
    g_assert_true(yc_driver_add(driver, fake->dom, NULL));
    actor_start(actor, call_migrate, &call);
    fake_domain_wait_in_band(fake, 1);
    /* Queries come through meanwhile. */
    g_free(read_version(driver, "vm1", &call.err));
    g_assert_no_error(call.err);
    fake_domain_emit(fake, "{\"event\": \"MIGRATION\", \"data\": {\"status\": "
                           "\"active\"}}\r\n{\"event\": \"MIGRATION\", "
                           "\"data\": {\"status\": \"completed\"}}\r\n");
    actor_wait(actor);
    g_assert_no_error(call.err);
    g_assert_true(call.ok);
    yc_driver_close(driver);
    teardown();
}

static void test_remote(void)
{
    FakeDomain *other = fake_domain_new("vm2", 0);
    GError *err = NULL;

    setup();
    g_assert_true(hand_over(fake->dom, other->dom, &err));
    g_assert_no_error(err);
    g_assert_cmpint(fake->n_in_band, ==, 1);
    g_assert_cmpint(other->n_in_band, ==, 1);
    fake_domain_free(other);
    teardown();
}

static void call_delete_node(void *opaque)
{
    Call *call = opaque;

    call->ok = delete_node(fake->dom, "n", &call->err);
}

static void test_rescue(void)
{
    g_autoptr(Actor) actor = actor_new();
    Call call = {0};
    GError *err = NULL;

    setup();
    fake_domain_set_hangs(fake, true);
    actor_start(actor, call_delete_node, &call);
    fake_domain_wait_in_band(fake, 1);
    g_assert_true(rescue(fake->dom, "blockdev:nbd0", &err));
    g_assert_no_error(err);
    actor_wait(actor);
    g_assert_no_error(call.err);
    g_assert_true(call.ok);
    teardown();
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/recipes/known", test_known);
    g_test_add_func("/client/recipes/read", test_read);
    g_test_add_func("/client/recipes/change", test_change);
    g_test_add_func("/client/recipes/commands", test_commands);
    g_test_add_func("/client/recipes/agent", test_agent);
    g_test_add_func("/client/recipes/async", test_async);
    g_test_add_func("/client/recipes/remote", test_remote);
    g_test_add_func("/client/recipes/rescue", test_rescue);
    failed = g_test_run();
    expect_nothing_left();
    return failed;
}
