/*
 * Tests of identifiers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/id.h"

static void test_good(void)
{
    g_assert_true(id_wellformed("a"));
    g_assert_true(id_wellformed("Z9"));
    g_assert_true(id_wellformed("a-b.c_d"));
}

static void test_bad(void)
{
    static const char *const bad[] = {
        "",    "1a",  "-a",  ".a",       "_a",        "#block0",
        "a b", "a/b", "a,b", "\xc3\xa4", "a\xc3\xa4", "a\n",
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(id_wellformed(bad[i]));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/id/good", test_good);
    g_test_add_func("/id/bad", test_bad);
    return g_test_run();
}
