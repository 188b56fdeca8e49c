/*
 * Which nodes move, and whether those of both sides fit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "volume.h"
#include "block/block_int.h"

static VolumeSet *set_new(uint32_t n)
{
    VolumeSet *set = g_new0(VolumeSet, 1);

    set->n = n;
    set->volumes = g_new0(Volume, n);
    set->sizes = g_new0(uint64_t, n);
    return set;
}

static void set_volume(VolumeSet *set, uint32_t i, const char *name,
                       uint64_t size, bool remote)
{
    Volume *volume = &set->volumes[i];

    volume->name = g_strdup(name);
    volume->size = set->sizes[i] = size;
    volume->remote = remote;
    set->total += remote ? 0 : size;
}

static bool claim_node(Volume *volume, BlockNode *node, Error **errp)
{
    volume->user = block_node_use(node, "migration", true, NULL, NULL, errp);
    if (!volume->user) {
        return false;
    }
    block_user_fix_size(volume->user);
    volume->node = node;
    return true;
}

void volumes_release(VolumeSet *set)
{
    if (!set) {
        return;
    }
    for (uint32_t i = 0; i < set->n; i++) {
        Volume *volume = &set->volumes[i];

        if (volume->user) {
            block_node_unuse(volume->user);
        }
        block_dirty_bitmap_free(volume->bitmap);
        block_dirty_bitmap_free(volume->torn);
        g_free(volume->name);
    }
    g_free(set->volumes);
    g_free(set->sizes);
    g_free(set);
}

static bool is_remote(const BlockNode *node)
{
    return node->driver == &block_driver_nbd;
}

static bool moves(const BlockNode *node)
{
    return block_node_is_local(node) && !block_node_is_read_only(node);
}

VolumeSet *volumes_claim_all(Error **errp)
{
    GList *nodes = block_node_list();
    g_autoptr(VolumeSet) set = set_new(g_list_length(nodes));
    uint32_t n = 0;

    for (GList *l = nodes; l; l = l->next) {
        BlockNode *node = l->data;

        if (!moves(node) && !is_remote(node)) {
            continue;
        }
        set_volume(set, n++, block_node_name(node), block_node_size(node),
                   is_remote(node));
        if (moves(node) && !claim_node(&set->volumes[n - 1], node, errp)) {
            return NULL;
        }
    }
    set->n = n;
    if (n > STREAM_MAX_VOLUMES) {
        error_setg(errp, "%u volumes are too many to migrate, the limit is %d",
                   n, STREAM_MAX_VOLUMES);
        return NULL;
    }
    return g_steal_pointer(&set);
}

/* Whether @node can become what the source calls @wanted. */
static bool check_fit(const StreamVolume *wanted, const BlockNode *node,
                      Error **errp)
{
    uint64_t size = block_node_size(node);

    if (wanted->remote != is_remote(node) ||
        (!wanted->remote && !block_node_is_local(node))) {
        error_setg(errp, "Volume '%s' is %s at the source, but not here",
                   wanted->name, wanted->remote ? "remote" : "local");
        return false;
    }
    if (wanted->size != size) {
        error_setg(errp,
                   "Volume '%s' has %" PRIu64 " bytes at the source, but "
                   "%" PRIu64 " here",
                   wanted->name, wanted->size, size);
        return false;
    }
    if (!wanted->remote && block_node_is_read_only(node)) {
        error_setg(errp, "Volume '%s' is read-only here", wanted->name);
        return false;
    }
    return true;
}

static BlockNode *find_node(GList *nodes, const char *name)
{
    for (GList *l = nodes; l; l = l->next) {
        if (strcmp(block_node_name(l->data), name) == 0) {
            return l->data;
        }
    }
    return NULL;
}

VolumeSet *volumes_claim(const StreamVolume *wanted, uint32_t n, Error **errp)
{
    GList *nodes = block_node_list();
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(VolumeSet) set = set_new(n);

    for (uint32_t i = 0; i < n; i++) {
        BlockNode *node = find_node(nodes, wanted[i].name);

        if (!g_hash_table_add(seen, (char *)wanted[i].name)) {
            error_setg(errp, "Volume '%s' is named twice", wanted[i].name);
            return NULL;
        }
        if (!node) {
            error_setg(errp, "There is no volume '%s' here", wanted[i].name);
            return NULL;
        }
        if (!check_fit(&wanted[i], node, errp)) {
            return NULL;
        }
        set_volume(set, i, wanted[i].name, wanted[i].size, wanted[i].remote);
        if (!wanted[i].remote && !claim_node(&set->volumes[i], node, errp)) {
            return NULL;
        }
    }
    return g_steal_pointer(&set);
}

BlockDirtyBitmap *volume_bitmap_new(const Volume *volume, Error **errp)
{
    BlockDirtyBitmap *bitmap =
        block_dirty_bitmap_new(volume->size, VOLUME_GRANULARITY);

    if (!bitmap) {
        error_setg(errp,
                   "There is no memory to track the %" PRIu64
                   " bytes of volume '%s'",
                   volume->size, volume->name);
    }
    return bitmap;
}

uint64_t volumes_dirty_bytes(const VolumeSet *set)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < set->n; i++) {
        const BlockDirtyBitmap *bitmap =
            __atomic_load_n(&set->volumes[i].bitmap, __ATOMIC_ACQUIRE);

        if (bitmap) {
            bytes += block_dirty_bitmap_count(bitmap);
        }
    }
    return bytes;
}
