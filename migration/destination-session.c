/*
 * A session at the destination: from the volumes that the source names to its
 * goodbye.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "block/block.h"
#include "destination.h"
#include "main-call.h"
#include "state.h"
#include "stats.h"

/* How long the source has to close its end after it was told of a failure. */
#define LAST_WORDS_MS 500
/* A source that says hello and no more must not keep others out for ever. */
#define SETUP_TIMEOUT_MS 10000

/* ---- Failures. ---- */

static bool may_say_failure(Destination *d)
{
    QEMU_LOCK_GUARD(&migration_lock);

    if (d->failure_said || link_is_cut_locked(d->link)) {
        return false;
    }
    d->failure_said = true;
    return true;
}

void destination_channel_failed(Destination *d, Error *err)
{
    if (may_say_failure(d)) {
        migration_channel_send_message(d->main, SECTION_ERROR,
                                       error_get_pretty(err), NULL);
    } else {
        /* The source hangs up when it has heard; so nothing is lost. */
        link_wait_cut(d->link, LAST_WORDS_MS);
    }
    link_cut_error(d->link, err);
    error_free(err);
}

/* ---- Setup. ---- */

static bool receive_volume(Destination *d, const Section *section,
                           GArray *volumes, Error **errp)
{
    uint8_t payload[STREAM_VOLUME_MAX_SIZE];
    StreamVolume volume;

    if (section->volume != volumes->len || volumes->len >= STREAM_MAX_VOLUMES) {
        error_setg(errp, "Volume %" PRIu32 " does not follow volume %u",
                   section->volume, volumes->len);
        return false;
    }
    if (!migration_channel_receive_payload(d->main, section, payload, errp) ||
        !stream_volume_unpack(payload, section->payload_size, &volume, errp)) {
        return false;
    }
    g_array_append_val(volumes, volume);
    return true;
}

static bool unexpected(const Section *section, Error **errp)
{
    error_setg(errp, "A %s section is not expected here",
               section_type_name(section->type));
    return false;
}

/* The next section of the main channel; false at its end, too. */
static bool receive(Destination *d, Section *section, Error **errp)
{
    g_autofree char *text = NULL;
    int ret = migration_channel_receive(d->main, section, errp);

    if (ret == 0) {
        error_setg(errp, "%s closed the connection",
                   qio_channel_peer(d->main->ioc));
    }
    if (ret <= 0) {
        return false;
    }
    activity_progress(d->activity);
    if (section->type == SECTION_ABORT) {
        text = migration_channel_receive_message(d->main, section, errp);
        if (text) {
            error_setg(errp, "The source says: %s", text);
        }
        return false;
    }
    return true;
}

static bool receive_volumes(Destination *d, GArray *volumes, Error **errp)
{
    Section section;

    for (;;) {
        if (!receive(d, &section, errp)) {
            return false;
        }
        if (section.type == SECTION_SETUP_END) {
            break;
        }
        if (section.type != SECTION_VOLUME) {
            return unexpected(&section, errp);
        }
        if (!receive_volume(d, &section, volumes, errp)) {
            return false;
        }
    }
    if (section.length != volumes->len) {
        error_setg(errp, "The source names %u volumes, but says %" PRIu64,
                   volumes->len, section.length);
        return false;
    }
    return true;
}

typedef struct ClaimVolumes {
    Destination *d;
    GArray *volumes;
    Error *err;
} ClaimVolumes;

/* Main thread. */
static void claim_volumes(void *opaque)
{
    ClaimVolumes *claim = opaque;

    g_clear_pointer(&claim->d->set, volumes_release);
    claim->d->set = volumes_claim((const StreamVolume *)claim->volumes->data,
                                  claim->volumes->len, &claim->err);
}

static bool prepare_volumes(Destination *d, Error **errp)
{
    d->maps = g_new0(void *, d->set->n);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        d->missing = g_new0(MissingBlocks *, d->set->n);
    }
    for (uint32_t i = 0; i < d->set->n; i++) {
        Volume *volume = &d->set->volumes[i];

        if (volume->remote) {
            continue;
        }
        d->maps[i] = block_node_map(volume->node);
        volume->torn = volume_bitmap_new(volume, errp);
        if (!volume->torn) {
            return false;
        }
    }
    return true;
}

static bool set_up(Destination *d, Error **errp)
{
    g_autoptr(GArray) volumes = g_array_new(false, false, sizeof(StreamVolume));
    ClaimVolumes claim = {.d = d, .volumes = volumes};

    activity_set_phase(d->activity, "setup");
    if (!receive_volumes(d, volumes, errp)) {
        return false;
    }
    if (!migration_call_main(d->link, claim_volumes, &claim)) {
        link_error(d->link, errp);
        return false;
    }
    if (!d->set) {
        error_propagate(errp, claim.err);
        return false;
    }
    if (!prepare_volumes(d, errp)) {
        return false;
    }
    if (!migration_set_state(MIGRATION_STATUS_SETUP, MIGRATION_STATUS_ACTIVE)) {
        link_error(d->link, errp); /* it was cancelled */
        return false;
    }
    stats_setup_done();
    return migration_channel_send_type(d->main, SECTION_ACCEPT, 0, errp);
}

/* ---- The hand-over. ---- */

bool destination_flush(Destination *d, Error **errp)
{
    g_autoptr(VolumeIO) io = volume_io_new(1);
    const Volume *failed;
    int ret = volumes_flush(d->set, io, &failed);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot flush volume '%s'", failed->name);
    }
    return ret == 0;
}

/* From here on content is for what is missing only. */
static bool end_copying(Destination *d, Error **errp)
{
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        while (d->storing && !link_is_cut_locked(d->link)) {
            qemu_cond_wait(&migration_cond, &migration_lock);
        }
        if (!link_is_cut_locked(d->link)) {
            destination_enter_phase(d, PHASE_READY);
            return true;
        }
    }
    link_error(d->link, errp);
    return false;
}

static bool check_intact(Destination *d, Error **errp)
{
    for (uint32_t i = 0; i < d->set->n; i++) {
        const Volume *volume = &d->set->volumes[i];

        if (!volume->remote && block_dirty_bitmap_count(volume->torn)) {
            error_setg(errp,
                       "Content of volume '%s' does not fit its checksum, and "
                       "did not come again",
                       volume->name);
            return false;
        }
    }
    return true;
}

/*
 * The source may take our word from now on: there is no way back.  A cancel
 * comes either before this or after it.
 */
static bool commit(Destination *d, bool postcopy, Error **errp)
{
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        if (!link_is_cut_locked(d->link) &&
            migration_set_state(MIGRATION_STATUS_ACTIVE,
                                MIGRATION_STATUS_DEVICE)) {
            d->ready_said = true;
            d->is_postcopy = postcopy;
            return true;
        }
    }
    link_error(d->link, errp);
    return false;
}

/* Everything up to the last pass is stored: this process could serve. */
static bool get_ready(Destination *d, const Section *section, Error **errp)
{
    bool postcopy = section->flags & SECTION_FLAG_POSTCOPY;

    activity_set_phase(d->activity, "switch-over");
    if (!destination_wait_pass(d, section->offset, errp) ||
        !end_copying(d, errp) || !check_intact(d, errp) ||
        !destination_flush(d, errp)) {
        return false;
    }
    if (postcopy) {
        destination_set_gates(d);
    } else if (volumes_dirty_bytes(d->set)) {
        error_setg(errp, "The hand-over is not one of postcopy, but content is "
                         "missing");
        return false;
    }
    return commit(d, postcopy, errp) &&
           migration_channel_send_type(d->main, SECTION_READY, 0, errp);
}

static bool serve(Destination *d, Error **errp)
{
    MigrationStatus to = d->is_postcopy ? MIGRATION_STATUS_POSTCOPY_ACTIVE
                                        : MIGRATION_STATUS_COMPLETED;

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        d->served = true;
        destination_enter_phase(d, d->is_postcopy ? PHASE_SERVING : PHASE_DONE);
    }
    block_activate();
    if (!d->is_postcopy) {
        stats_end();
    }
    activity_set_phase(d->activity, d->is_postcopy ? "postcopy" : "completed");
    if (!migration_set_state(MIGRATION_STATUS_DEVICE, to)) {
        migration_set_state(MIGRATION_STATUS_POSTCOPY_RECOVER, to);
    }
    if (!migration_channel_send_type(d->main, SECTION_STARTED, 0, errp)) {
        return false;
    }
    return !d->is_postcopy || destination_start_speaker(d, errp);
}

/* ---- The main channel, from setup on. ---- */

static bool handle(Destination *d, const Section *section, Error **errp)
{
    DestinationPhase phase = destination_phase(d);

    switch (section->type) {
    case SECTION_DATA:
    case SECTION_ZERO:
        if (phase == PHASE_COPY || phase == PHASE_SERVING) {
            return receiver_apply(&d->receivers[0], section, errp);
        }
        break;
    case SECTION_PASS_END:
        if (phase == PHASE_COPY) {
            return receiver_apply(&d->receivers[0], section, errp);
        }
        break;
    case SECTION_MISSING:
        if (phase == PHASE_COPY) {
            return destination_note_missing(d, section, errp);
        }
        break;
    case SECTION_HAND_OVER:
        if (phase == PHASE_COPY) {
            return get_ready(d, section, errp);
        }
        break;
    case SECTION_GO:
        if (phase == PHASE_READY) {
            return serve(d, errp);
        }
        break;
    case SECTION_PUSH_END:
        if (phase == PHASE_SERVING || phase == PHASE_DONE) {
            return true; /* the rest is on its way over other channels */
        }
        break;
    default:
        break;
    }
    return unexpected(section, errp);
}

/* Until the source says goodbye. */
static bool follow(Destination *d, Error **errp)
{
    Section section;

    while (receive(d, &section, errp)) {
        if (section.type == SECTION_BYE && destination_phase(d) == PHASE_DONE) {
            QEMU_LOCK_GUARD(&migration_lock);
            d->goodbye = true;
            return true;
        }
        if (!handle(d, &section, errp)) {
            return false;
        }
    }
    return false;
}

/* ---- Sessions. ---- */

/* The channels of @a become the session's. */
static void adopt(Destination *d, Assembly *a)
{
    QIOChannel *ioc = g_steal_pointer(&a->channels[0]);

    d->main = migration_channel_new(ioc, STREAM_FROM_SOURCE, 0);
    d->multifd = a->hello.channels > 0;
    activity_set_peer(d->activity, qio_channel_peer(ioc));
}

bool destination_run_session(Destination *d, Assembly *a, Error **errp)
{
    QIOChannel *ioc;

    adopt(d, a);
    ioc = d->main->ioc;
    if (!qio_channel_set_read_timeout(ioc, SETUP_TIMEOUT_MS, errp) ||
        !set_up(d, errp) || !qio_channel_set_read_timeout(ioc, 0, errp)) {
        return false;
    }
    activity_set_phase(d->activity, "active");
    destination_enter_phase(d, PHASE_COPY);
    return destination_start_receivers(d, a, errp) && follow(d, errp);
}

static bool tell_lacks(Destination *d, Error **errp)
{
    for (uint32_t i = 0; i < d->set->n; i++) {
        const Volume *volume = &d->set->volumes[i];
        Section section = {.type = SECTION_LACKS, .volume = i};

        while (volume->bitmap &&
               block_dirty_bitmap_next(volume->bitmap, &section.offset,
                                       volume->size, UINT64_MAX,
                                       &section.length)) {
            if (!migration_channel_send(d->main, &section, NULL, errp)) {
                return false;
            }
            section.offset += section.length;
        }
    }
    return migration_channel_send_type(d->main, SECTION_LACKS_END, 0, errp);
}

static DestinationPhase phase_after_resume(Destination *d)
{
    QEMU_LOCK_GUARD(&migration_lock);

    if (!d->served) {
        return PHASE_READY;
    }
    return d->is_postcopy && !d->all_here ? PHASE_SERVING : PHASE_DONE;
}

/* The source has missed that all is well, and need not send anything. */
static bool tell_all_is_here(Destination *d, Error **errp)
{
    destination_enter_phase(d, PHASE_DONE);
    return migration_channel_send_type(d->main, SECTION_STARTED, 0, errp) &&
           migration_channel_send_type(d->main, SECTION_LACKS_END, 0, errp) &&
           (!d->is_postcopy ||
            migration_channel_send_type(d->main, SECTION_COMPLETE, 0, errp));
}

bool destination_resume_session(Destination *d, Assembly *a, Error **errp)
{
    bool served = d->served;

    adopt(d, a);
    if (d->forgotten) {
        return tell_all_is_here(d, errp) && follow(d, errp);
    }
    if (!migration_channel_send_type(
            d->main, served ? SECTION_STARTED : SECTION_READY, 0, errp) ||
        !tell_lacks(d, errp)) {
        return false;
    }
    destination_enter_phase(d, phase_after_resume(d));
    if (!destination_start_receivers(d, a, errp)) {
        return false;
    }
    if (served && d->is_postcopy) {
        migration_set_state(MIGRATION_STATUS_POSTCOPY_RECOVER,
                            MIGRATION_STATUS_POSTCOPY_ACTIVE);
        destination_ask_again(d);
        if (!destination_start_speaker(d, errp)) {
            return false;
        }
    }
    return follow(d, errp);
}

static void drain_main(Destination *d)
{
    int64_t end = g_get_monotonic_time() + LAST_WORDS_MS * INT64_C(1000);
    uint8_t rest[4096];

    if (qio_channel_set_read_timeout(d->main->ioc, LAST_WORDS_MS, NULL)) {
        while (g_get_monotonic_time() < end &&
               qio_channel_read(d->main->ioc, rest, sizeof(rest), NULL) > 0) {
            /* What was sent before the source heard of the failure. */
        }
    }
}

void destination_hang_up(Destination *d, const Error *err)
{
    if (err && d->main && may_say_failure(d) &&
        migration_channel_send_message(d->main, SECTION_ERROR,
                                       error_get_pretty(err), NULL)) {
        drain_main(d);
    }
    link_cut(d->link, "%s", err ? error_get_pretty(err) : "The end");
    destination_join_receivers(d);
    destination_join_speaker(d);
    g_clear_pointer(&d->main, migration_channel_free);
}
