#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Installs the Debian packages that yankd is built and tested with.
#
#   scripts/setup.sh [build|demo|check|libvirt|fuzz]   (check when left out)
#
# Each group takes in the ones before it; fuzz takes in build only.  Changes
# nothing, and is quick, when all are there.  Where there is no apt it looks
# for the programs and libraries themselves, and says which ones are missing.

set -eu

# group, package, what it brings (a program, or pkg:NAME for pkg-config),
# and what it is needed for
packages=$(cat <<'EOF'
build  gcc                 gcc            compile
build  libc6-dev           -              headers of the C library
build  make                make           the commands of the Makefile
build  meson               meson          configure
build  ninja-build         ninja          build what meson configured
build  pkg-config          pkg-config     find libraries
build  python3             python3        generate code from the QAPI schema
build  libglib2.0-dev      pkg:glib-2.0   containers, main loops, unit tests
build  libjson-c-dev       pkg:json-c     JSON values
build  libgnutls28-dev     pkg:gnutls     TLS channels and their credentials
build  libmicrohttpd-dev   pkg:libmicrohttpd  HTTP for the metrics of yankctl watch: GNU's, small, long kept, no other library
build  libmnl-dev          pkg:libmnl     netlink: what the kernel tells yankctl of sockets; small, no other library
build  libnbd-dev          pkg:libnbd     NBD client of the nbd node
build  libxxhash-dev       pkg:libxxhash  checksums of the migration stream
build  libyaml-dev         pkg:yaml-0.1   policy files: the one parser that tells line and column of each value
build  libzstd-dev         pkg:libzstd    compression of the migration stream
build  libreadline-dev     pkg:readline   line editing of yankctl's shell
build  libvirt-dev         pkg:libvirt    yankctl finds libvirt's domains
build  libxml2-dev         pkg:libxml-2.0  the XML of libvirt's domains
build  python3-docutils    rst2man        manual pages
demo   nbdkit              nbdkit         NBD server to freeze and to thaw
demo   qemu-utils          qemu-io        NBD clients; qemu-nbd as a server
check  clang-format-14     clang-format-14  check the layout of the code
check  iproute2            ip             networks that lose packets, in tests
check  libnbd-bin          nbdcopy        NBD clients
check  git                git            the tree that a patch series is made in
check  gnutls-bin          certtool       certificates and keys for tests
check  fio                 fio            load for benchmarks and tests
check  man-db              man            show the manual pages, and see warnings
check  nbd-server          nbd-server     one more NBD server to work with
check  openssl             openssl        TLS peers other than GnuTLS
check  qemu-guest-agent    qemu-ga        guest agent to talk to
check  qemu-system-common  qemu-storage-daemon  stock daemon to compare with
check  qemu-system-x86     qemu-system-x86_64   stock QMP to compare with
check  systemd             systemd-analyze  judge the units; it is not started
libvirt  libvirt-daemon        libvirtd  libvirt to rescue domains of
libvirt  libvirt-daemon-driver-qemu  -   its driver for QEMU
libvirt  libvirt-clients       virsh     libvirt's own tool, which is to work again
fuzz   clang               clang          compiler with libFuzzer
fuzz   libclang-rt-dev     -              libFuzzer itself
EOF
)

fail()
{
    echo "setup: $*" >&2
    exit 1
}

case "${1:-check}" in
build) groups='build' ;;
demo) groups='build|demo' ;;
check) groups='build|demo|check' ;;
libvirt) groups='build|demo|check|libvirt' ;;
fuzz) groups='build|fuzz' ;;
*) fail "unknown group '$1'; allowed are build, demo, check, libvirt and fuzz" ;;
esac

# Lines of the chosen groups, each as "package probe reason..."
wanted()
{
    echo "$packages" | sed -nE "s/^($groups) +//p"
}

is_there()
{
    case "$1" in
    -) true ;;
    pkg:*) pkg-config --exists "${1#pkg:}" 2>/dev/null ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

missing_by_probe()
{
    wanted | while read -r package probe reason; do
        if ! is_there "$probe"; then
            echo "$package"
        fi
    done
}

missing_by_dpkg()
{
    # shellcheck disable=SC2046 # one word a package
    set -- $(wanted | cut -d' ' -f1)
    have=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" \
           2>/dev/null | sed -n 's/^installed //p')
    for package; do
        if ! echo "$have" | grep -qx "$package"; then
            echo "$package"
        fi
    done
}

tell_missing()
{
    echo "setup: these packages are missing (named as in Debian 12):"
    wanted | while read -r package probe reason; do
        if echo "$missing" | grep -qx "$package"; then
            printf '  %-20s %s\n' "$package" "$reason"
        fi
    done
}

have_package_lists()
{
    for list in /var/lib/apt/lists/*_Packages*; do
        [ -e "$list" ] && return
    done
    false
}

apt()
{
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

update()
{
    for pause in 2 5 10; do
        apt update && return
        echo "setup: apt-get update failed; again in $pause s" >&2
        sleep "$pause"
    done
    apt update
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    missing=$(missing_by_probe)
    [ -n "$missing" ] || exit 0
    tell_missing >&2
    fail "there is no apt here: install what brings the same, and try again"
fi

missing=$(missing_by_dpkg)
[ -n "$missing" ] || exit 0
tell_missing

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
        fail "run as root: apt-get install" $missing
    as_root=sudo
fi

have_package_lists || update
# shellcheck disable=SC2086 # one word a package
if ! apt install -y --no-install-recommends $missing; then
    # Lists that are out of date name files that are gone.
    update
    apt install -y --no-install-recommends $missing
fi
