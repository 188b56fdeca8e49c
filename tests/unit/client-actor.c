/*
 * A thread that does as a test tells it; and mistakes that must be caught.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-fake-domain.h"
#include "qemu/lockable.h"

struct Actor {
    QemuThread thread;
    QemuMutex lock; /* guards what follows */
    QemuCond cond;
    ActorFn *fn; /* NULL: idle */
    void *arg;
    pid_t id;
    bool ended;
};

/* False when there is no more to do. */
static bool actor_next(Actor *actor, ActorFn **fn, void **arg)
{
    QEMU_LOCK_GUARD(&actor->lock);
    while (!actor->fn && !actor->ended) {
        qemu_cond_wait(&actor->cond, &actor->lock);
    }
    *fn = actor->fn;
    *arg = actor->arg;
    return *fn != NULL;
}

static void *actor_main(void *opaque)
{
    Actor *actor = opaque;
    ActorFn *fn;
    void *arg;

    WITH_QEMU_LOCK_GUARD(&actor->lock) {
        actor->id = gettid();
        qemu_cond_broadcast(&actor->cond);
    }
    while (actor_next(actor, &fn, &arg)) {
        fn(arg);
        QEMU_LOCK_GUARD(&actor->lock);
        actor->fn = NULL;
        qemu_cond_broadcast(&actor->cond);
    }
    return NULL;
}

static void wait_for_change(Actor *actor)
{
    g_assert_true(
        qemu_cond_timedwait(&actor->cond, &actor->lock, FAKE_DEADLINE_MS));
}

Actor *actor_new(void)
{
    Actor *actor = g_new0(Actor, 1);

    qemu_mutex_init(&actor->lock);
    qemu_cond_init(&actor->cond);
    qemu_thread_create(&actor->thread, "actor", actor_main, actor,
                       QEMU_THREAD_JOINABLE);
    QEMU_LOCK_GUARD(&actor->lock);
    while (!actor->id) {
        wait_for_change(actor);
    }
    return actor;
}

void actor_free(Actor *actor)
{
    if (!actor) {
        return;
    }
    actor_wait(actor);
    WITH_QEMU_LOCK_GUARD(&actor->lock) {
        actor->ended = true;
        qemu_cond_broadcast(&actor->cond);
    }
    qemu_thread_join(&actor->thread);
    qemu_cond_destroy(&actor->cond);
    qemu_mutex_destroy(&actor->lock);
    g_free(actor);
}

void actor_start(Actor *actor, ActorFn *fn, void *arg)
{
    QEMU_LOCK_GUARD(&actor->lock);
    g_assert_null(actor->fn);
    actor->fn = fn;
    actor->arg = arg;
    qemu_cond_broadcast(&actor->cond);
}

void actor_wait(Actor *actor)
{
    QEMU_LOCK_GUARD(&actor->lock);
    while (actor->fn) {
        wait_for_change(actor);
    }
}

void actor_do(Actor *actor, ActorFn *fn, void *arg)
{
    actor_start(actor, fn, arg);
    actor_wait(actor);
}

pid_t actor_id(Actor *actor)
{
    return actor->id;
}

typedef struct Misuse {
    MisuseFn *fn;
    const char *text;
} Misuse;

#ifdef CONFIG_DEBUG_CHECKS
/* Removes @path with the folders of one socket each that are in it. */
static void remove_leftovers(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *folder = g_build_filename(path, name, NULL);
        g_autofree char *sock = g_build_filename(folder, "sock", NULL);

        unlink(sock);
        g_assert_cmpint(rmdir(folder), ==, 0);
    }
    g_assert_cmpint(rmdir(path), ==, 0);
}

static void run_in_subprocess(void)
{
    g_autofree char *before = g_strdup(g_getenv("TMPDIR"));
    g_autofree char *tmp = g_dir_make_tmp("misuse-XXXXXX", NULL);

    g_setenv("TMPDIR", tmp, true);
    g_test_trap_subprocess(NULL, 0, 0);
    if (before) {
        g_setenv("TMPDIR", before, true);
    } else {
        g_unsetenv("TMPDIR");
    }
    remove_leftovers(tmp);
}

static void test_misuse(const void *opaque)
{
    const Misuse *misuse = opaque;
    g_autofree char *pattern = NULL;

    if (g_test_subprocess()) {
        misuse->fn(fake_domain_new("vm1", FAKE_DOMAIN_AGENT));
        return;
    }
    pattern = g_strdup_printf("*%s*", misuse->text);
    run_in_subprocess();
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(pattern);
}
#else
static void test_misuse(const void *opaque)
{
    const Misuse *misuse = opaque;
    g_autoptr(FakeDomain) fake = fake_domain_new("vm1", FAKE_DOMAIN_AGENT);
    GError *err = misuse->fn(fake);

    /* Only a debug build knows of the order. */
    if (g_str_has_prefix(misuse->text, "lock order")) {
        g_assert_no_error(err);
        return;
    }
    g_assert_error(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_MISUSE);
    g_assert_nonnull(strstr(err->message, misuse->text));
    g_error_free(err);
}
#endif

void test_add_misuse(const char *path, MisuseFn *fn, const char *text)
{
    Misuse *misuse = g_new(Misuse, 1);

    *misuse = (Misuse){fn, text};
    g_test_add_data_func_full(path, misuse, test_misuse, g_free);
}
