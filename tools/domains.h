/*
 * Domains: where they come from.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_DOMAINS_H
#define TOOLS_DOMAINS_H

#include "client/domain.h"
#include "options.h"

/* One domain, before anybody has connected to it. */
typedef struct DomainSpec {
    char *name;
    char *monitor;      /* address of the QMP socket, a path made absolute */
    char *lane;         /* of a second one for out-of-band only, or NULL */
    char *agent;        /* of the guest agent's socket, or NULL */
    char *tls_dir;      /* folder of credentials, or NULL */
    char *tls_hostname; /* or NULL */
    char *origin;       /* who named it, for messages */
    /* Of a socket found in a folder; NULL otherwise.  Another socket in the
     * same place has another one. */
    char *identity;
    /* A manager of virtual machines has no other monitor of it. */
    bool managed;
    char *source; /* as given on the command line; NULL: a --socket */
} DomainSpec;

/* @monitor: as the user wrote it; a relative path is made absolute. */
DomainSpec *domain_spec_new(const char *name, const char *monitor,
                            const char *origin);
void domain_spec_free(DomainSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainSpec, domain_spec_free)
DomainSpec *domain_spec_copy(const DomainSpec *spec);

/* An address with its path made absolute; g_free() it. */
char *domain_address(const char *address);

/*
 * All domains that @options name, or, when they name none, those of the usual
 * configuration files; an array of DomainSpec which frees them, sorted by
 * name.  NULL on error: a file or folder that cannot be read or is wrong,
 * libvirt that does not answer, a name that two sources give.
 * @failed: NULL, or where sources that failed are noted, by DomainSpec.source,
 * with their GError; in that case they are no error
 * Blocks, on files and on libvirt.  Any thread.
 */
GPtrArray *domains_find(const Options *options, GHashTable *failed,
                        GError **errp);
/* For domains_find(). */
GHashTable *domains_failed_new(void);
/* Whether the source that failed with @err may still come: it is not there. */
bool domains_source_missing(const GError *err);
/* The first of the usual configuration files that is there, or NULL. */
char *domains_usual_config(void);

/* Sorts them by name. */
void domains_sort(GPtrArray *domains);

/* The one called @name; NULL with EXIT_NOT_FOUND and what there is instead. */
const DomainSpec *domains_lookup(GPtrArray *domains, const char *name,
                                 GError **errp);

/*
 * A domain of @spec for the client library, not connected yet.  Its clients
 * connect again by themselves when @keep is set.  NULL on error.
 */
YcDomain *domain_from_spec(const DomainSpec *spec, bool keep, GError **errp);

/*
 * Sources; each adds to @domains.  Names of one folder differ: of files that
 * differ in their suffixes only, all but one keep theirs.
 */
bool domains_from_config(GPtrArray *domains, const char *path, GError **errp);
bool domains_from_dir(GPtrArray *domains, const char *path, GError **errp);
bool domains_from_libvirt(GPtrArray *domains, const char *uri, GError **errp);

#endif
