/*
 * The second monitor of a domain of libvirt, by its XML.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "tools/libvirt-xml.h"

#define NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"

/* A domain with these arguments, which are separated by '|'. */
static char *make_xml(const char *arguments)
{
    g_auto(GStrv) list = g_strsplit(arguments, "|", -1);
    GString *xml = g_string_new("<domain type='kvm' xmlns:q='" NAMESPACE "'>"
                                "<name>vm</name><q:commandline>");

    for (int i = 0; list[i]; i++) {
        g_autofree char *arg =
            g_markup_printf_escaped("<q:arg value='%s'/>", list[i]);

        g_string_append(xml, arg);
    }
    g_string_append(xml, "</q:commandline></domain>");
    return g_string_free(xml, FALSE);
}

static void check(const char *arguments, const char *address)
{
    g_autofree char *xml = make_xml(arguments);
    g_autoptr(GError) err = NULL;
    g_autofree char *found = libvirt_second_monitor(xml, &err);

    g_assert_no_error(err);
    g_assert_cmpstr(found, ==, address);
}

static void test_found(void)
{
    check("-chardev|socket,id=y,path=/a,server=on,wait=off|"
          "-mon|chardev=y,mode=control",
          "unix:/a");
    check("-mon|y,mode=control|-chardev|socket,path=/a&b,id=y", "unix:/a&b");
    check("-chardev|socket,id=y,path=/a,,b|-mon|mode=control,chardev=y",
          "unix:/a,b");
    check("-device|foo|-chardev|socket,id=x,path=/x|-mon|chardev=x|"
          "-chardev|socket,id=y,path=/y|-mon|chardev=y,mode=control",
          "unix:/y");
    check("--chardev|socket,id=y,host=h,port=1|--mon|chardev=y,mode=control",
          "h:1");
    check("-qmp|unix:/run/x,server=on,wait=off", "unix:/run/x");
    check("-qmp-pretty|tcp::4444,server=on", "localhost:4444");
    check("-qmp|tcp:h:4444,server=on", "h:4444");
    check("-chardev|socket,id=z,path=/z|-qmp|chardev:z", "unix:/z");
}

static void test_not_found(void)
{
    check("", NULL);
    check("-chardev|socket,id=y,path=/a", NULL);
    check("-mon|chardev=y,mode=control", NULL);
    check("-chardev|socket,id=y,path=/a|-mon|chardev=y,mode=readline", NULL);
    check("-chardev|pty,id=y|-mon|chardev=y,mode=control", NULL);
    check("-chardev|socket,id=y,fd=3|-mon|chardev=y,mode=control", NULL);
    check("-chardev|", NULL);
    check("-chardev", NULL);
    check("-mon|mode=control", NULL);
    check("-qmp|stdio", NULL);
    check("mon|chardev=y,mode=control", NULL);
}

static void check_xml(const char *xml, const char *address)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *found = libvirt_second_monitor(xml, &err);

    g_assert_no_error(err);
    g_assert_cmpstr(found, ==, address);
}

static void test_xml(void)
{
    static const char *const broken[] = {"", "<domain>", "no XML",
                                         "<domain></other>", "<a/><b/>"};

    /* Another namespace, and another place. */
    check_xml("<domain><commandline><arg value='-qmp'/>"
              "<arg value='unix:/a'/></commandline></domain>",
              NULL);
    check_xml("<domain xmlns:qemu='http://example.com'><qemu:commandline>"
              "<qemu:arg value='-qmp'/><qemu:arg value='unix:/a'/>"
              "</qemu:commandline></domain>",
              NULL);
    check_xml("<domain xmlns:qemu='" NAMESPACE "'><metadata><qemu:commandline>"
              "<qemu:arg value='-qmp'/><qemu:arg value='unix:/a'/>"
              "</qemu:commandline></metadata></domain>",
              NULL);
    /* The namespace where "libvirt-snippet" has it; arguments as text. */
    check_xml("<domain><q:commandline xmlns:q='" NAMESPACE "'>"
              "<q:arg value='-qmp'/><q:arg value='unix:/a&amp;&#98;'/>"
              "</q:commandline></domain>",
              "unix:/a&b");
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autoptr(GError) err = NULL;

        g_assert_null(libvirt_second_monitor(broken[i], &err));
        g_assert_nonnull(err);
    }
}

/* Nothing is read that the XML points to, and nothing grows. */
static void test_entities(void)
{
    check_xml("<!DOCTYPE domain [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"
              "<domain xmlns:q='" NAMESPACE "'><q:commandline>"
              "<q:arg value='-qmp'/><q:arg value='unix:/a'/></q:commandline>"
              "<name>&e;</name></domain>",
              "unix:/a");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tools/libvirt/found", test_found);
    g_test_add_func("/tools/libvirt/not-found", test_not_found);
    g_test_add_func("/tools/libvirt/xml", test_xml);
    g_test_add_func("/tools/libvirt/entities", test_entities);
    return g_test_run();
}
