/*
 * What the greeting and query-version say about this program.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MONITOR_VERSION_H
#define MONITOR_VERSION_H

#define MON_PACKAGE "yankd-" YANKD_VERSION

typedef struct MonVersion {
    int major;
    int minor;
    int micro;
} MonVersion;

/* YANKD_VERSION in numbers.  Any thread. */
static inline MonVersion mon_version(void)
{
    MonVersion v = {0};

    sscanf(YANKD_VERSION, "%d.%d.%d", &v.major, &v.minor, &v.micro);
    return v;
}

#endif
