/* checks.c: the checks, one function each (floor 6); spec, "Relays", in that order. */
#include "checks.h"

#include "impl.h"

static const zs_parts_limits ANY_PARTS = {.max_parts = ZS_MAX_PARTS, .max_depth = ZS_DEPTH_LIMIT, .understand_all = true};

/* The checks' own view of their arguments. */
typedef struct batch {
    const zs_policy *policy;
    const zs_libs *libs;
    zs_channel *channel;
    zs_checked *checked;
    const zs_clock *now;
} batch;

bool zs_policy_is_nothing(const zs_policy *policy) {
    return policy->check == ZS_CHECK_NOTHING && policy->max_message == 0 && !policy->has_topics &&
           policy->peers == NULL && policy->envelopes == NULL && policy->hop == NULL &&
           policy->messages.per_second <= 0 && policy->bytes.per_second <= 0;
}

zs_layout zs_policy_layout(const zs_policy *policy) {
    bool looks = !policy->subscriptions && (policy->check != ZS_CHECK_NOTHING || policy->hop != NULL);
    return looks ? policy->layout : ZS_LAYOUT_ANY;
}

static zs_span frame_at(const batch *all, size_t i) {
    const zs_msg *frame = &all->channel->frames[i];
    return (zs_span){all->libs->zmq.msg_data((zs_msg *)(uintptr_t)frame), all->libs->zmq.msg_size(frame), ZS_RAW};
}

/* -- the connection ------------------------------------------------------------------------------------------------ */

static void measure(const batch *all, size_t i) {
    const zs_received *message = &all->channel->messages[i];
    zs_checked *checked = &all->checked[i];
    memset(checked, 0, offsetof(zs_checked, attestations));
    for (size_t k = 0; k < message->count; k++) checked->bytes += all->libs->zmq.msg_size(&all->channel->frames[message->first + k]);
}

static const char *property(const batch *all, size_t i, const char *name) {
    const zs_received *message = &all->channel->messages[i];
    return all->libs->zmq.msg_gets(&all->channel->frames[message->first + message->count - 1], name);
}

/* Is the peer turned away, or sends too much? */
static zs_status check_standing(const batch *all, size_t i, zs_peer *peer) {
    const zs_policy *policy = all->policy;
    zs_peers_judge(policy->peers, peer);
    if (peer->turned_away) return ZS_BLOCKED;
    const zs_rate *messages = peer->throttled ? &policy->throttled_messages : &policy->peer_messages;
    const zs_rate *bytes = peer->throttled ? &policy->throttled_bytes : &policy->peer_bytes;
    bool fits = zs_bucket_take(&peer->messages, messages, all->now->ms, 1) &&
                zs_bucket_take(&peer->bytes, bytes, all->now->ms, (double)all->checked[i].bytes);
    return fits ? ZS_OK : ZS_RATE_LIMITED;
}

/* Whoever sends what is malformed answers for it too; who is turned away is not even told apart by what he sends. */
static zs_status check_connection(const batch *all, size_t i) {
    const zs_policy *policy = all->policy;
    zs_checked *checked = &all->checked[i];
    zs_peer_name name = {.kind = ZS_PEER_CONNECTION, .address = property(all, i, "Peer-Address")};
    if (policy->names_peers) {
        zs_span id = frame_at(all, all->channel->messages[i].first);
        name.id = id.data;
        name.id_len = id.len < ZS_MAX_ROUTING_ID_BYTES ? id.len : ZS_MAX_ROUTING_ID_BYTES;
    }
    zs_peer *peer = checked->peer = zs_peers_meet(policy->peers, &name);
    if (peer == NULL) return ZS_OK;
    return check_standing(all, i, peer);
}

/* -- form and topic ------------------------------------------------------------------------------------------------ */

static zs_status check_subscription(const batch *all, size_t i) {
    const zs_received *message = &all->channel->messages[i];
    zs_span one = frame_at(all, message->first);
    if (all->policy->max_message != 0 && all->checked[i].bytes > all->policy->max_message) return ZS_TOO_LARGE;
    if (all->policy->check == ZS_CHECK_NOTHING) return ZS_OK;
    return message->count == 1 && one.len > 0 && one.data[0] <= 1 ? ZS_OK : ZS_MALFORMED;
}

/* Without checks only the sizes count, and the topic is what stands in front. */
static zs_status check_form_of_any(const batch *all, size_t i) {
    const zs_received *message = &all->channel->messages[i];
    if (all->policy->max_message != 0 && all->checked[i].bytes > all->policy->max_message) return ZS_TOO_LARGE;
    if (all->policy->layout == ZS_LAYOUT_TOPIC && message->count > 1) all->checked[i].topic = frame_at(all, message->first);
    return ZS_OK;
}

/* Is there no room for one more hop's attestation? So a circle of relays comes to an end. */
static bool has_come_too_far(const batch *all, size_t i) {
    const zs_received *message = &all->channel->messages[i];
    return all->policy->hop != NULL && message->first + message->count - message->sealed > ZS_MAX_ATTESTATION_FRAMES;
}

static zs_status check_form(const batch *all, size_t i) {
    const zs_received *message = &all->channel->messages[i];
    zs_checked *checked = &all->checked[i];
    if (all->policy->subscriptions) return check_subscription(all, i);
    if (has_come_too_far(all, i)) {
        checked->blameless = true;
        return ZS_MALFORMED;
    }
    if (all->policy->check == ZS_CHECK_NOTHING) return check_form_of_any(all, i);
    const uint8_t *sealed = message->part.data;
    zs_status status = zs_wire_read(&checked->header, sealed, message->part.len,
                                    all->policy->max_message != 0 ? all->policy->max_message : ZS_MAX_PART_BYTES);
    if (status != ZS_OK) return status;
    zs_parts_found found = {.parts = 0};
    status = zs_parts_scan(&found, sealed + ZS_HEADER_BYTES, checked->header.header_parts, ZS_IN_HEADER, &ANY_PARTS);
    if (status != ZS_OK || all->policy->layout != ZS_LAYOUT_TOPIC) return status;
    if (message->sealed > message->first) checked->topic = frame_at(all, message->first);
    bool same = (found.topic.data == NULL) == (checked->topic.data == NULL) && found.topic.len == checked->topic.len;
    if (same && found.topic.len != 0) same = memcmp(found.topic.data, checked->topic.data, found.topic.len) == 0;
    return same ? ZS_OK : ZS_TOPIC_MISMATCH;
}

static zs_status check_topic(const batch *all, size_t i) {
    const zs_span *topic = &all->checked[i].topic;
    if (!all->policy->has_topics || all->policy->subscriptions) return ZS_OK;
    return topic->data != NULL && zs_entries_match(&all->policy->topics, topic->data, topic->len) ? ZS_OK : ZS_NOT_PERMITTED;
}

/* -- members and origins ------------------------------------------------------------------------------------------- */

static bool is_handshake(const batch *all, size_t i) {
    return all->policy->handshakes && all->checked[i].header.kind == ZS_KIND_HANDSHAKE;
}

static void check_members(const batch *all) {
    zs_admit_item items[ZS_BATCH];
    size_t owners[ZS_BATCH], count = 0;
    for (size_t i = 0; i < all->channel->message_count; i++) {
        const zs_received *message = &all->channel->messages[i];
        if (message->status != ZS_OK || is_handshake(all, i)) continue;
        items[count] = (zs_admit_item){.sealed = message->part.data, .header = all->checked[i].header, .status = ZS_OK};
        owners[count++] = i;
    }
    zs_admit_check(all->policy->admissions, all->libs, items, count);
    for (size_t k = 0; k < count; k++) all->channel->messages[owners[k]].status = items[k].status;
}

/* Nobody here has the association's key, so no commitment is compared. */
static zs_status verify_route(const batch *all, size_t i) {
    static const zs_route_policy REQUIRED = {.required = true, .hops_max = ZS_MAX_ATTESTATION_FRAMES, .keyless = true};
    const zs_received *message = &all->channel->messages[i];
    zs_checked *checked = &all->checked[i];
    const zs_sodium *sodium = &all->libs->sodium;
    checked->route.frames = checked->attestations;
    checked->route.count = 0;
    for (size_t k = message->sealed + 1; k < message->first + message->count; k++) {
        checked->attestations[checked->route.count++] = frame_at(all, k);
    }
    zs_route_claim(&checked->route, checked->header.flags);
    zs_route_digest(&checked->route, sodium, message->part.data, message->part.len);
    memcpy(checked->digest, checked->route.digest, ZS_HASH_BYTES);
    checked->has_digest = checked->route.count != 0;
    return zs_route_verify(&checked->route, all->policy->trees, sodium, checked->header.flags, &REQUIRED);
}

/* The credential that the origin shows of itself, if it shows one. */
static zs_status learn(const batch *all, size_t i, const zs_attestation *origin) {
    const uint8_t *parts = all->channel->messages[i].part.data + ZS_HEADER_BYTES;
    zs_address address;
    zs_status status = zs_address_read(&address, parts, all->checked[i].header.header_parts);
    if (status != ZS_OK) return status;
    /* One that is none, or not its own, permits nothing. */
    if (address.len[ZS_CRED] != 0) {
        zs_grants_learn(all->policy->grants, origin->key, parts + address.at[ZS_CRED], address.len[ZS_CRED]);
    }
    return ZS_OK;
}

/* What the origin may do: everything that follows from here on is held against its identity. */
static zs_status check_rights(const batch *all, size_t i) {
    zs_checked *checked = &all->checked[i];
    const zs_policy *policy = all->policy;
    zs_attestation origin;
    zs_attestation_read(&origin, checked->attestations[0].data, checked->attestations[0].len);
    if (policy->peers != NULL) {
        checked->identity = zs_peers_meet(policy->peers, &(zs_peer_name){.kind = ZS_PEER_IDENTITY, .id = origin.key,
                                                                         .id_len = ZS_PUBLIC_KEY_BYTES});
        zs_status standing = checked->identity == NULL ? ZS_OK : check_standing(all, i, checked->identity);
        if (standing != ZS_OK) return standing;
    }
    if (policy->grants == NULL) return ZS_OK;
    zs_status status = learn(all, i, &origin);
    if (status != ZS_OK) return status;
    zs_deed deed = {.role = ZS_ROLE_SEND, .now = all->now->seconds, .topic = checked->topic.data,
                    .topic_len = checked->topic.len, .routing_id = origin.routing_id,
                    .routing_id_len = origin.routing_id_len};
    return zs_grants_permit(policy->grants, origin.key, &deed) ? ZS_OK : ZS_NOT_PERMITTED;
}

static zs_status check_origin(const batch *all, size_t i) {
    zs_checked *checked = &all->checked[i];
    if (is_handshake(all, i)) return ZS_OK;
    zs_status status = verify_route(all, i);
    if (status != ZS_OK) return status;
    status = check_rights(all, i);
    checked->signed_refusal = status != ZS_OK && checked->identity != NULL &&
                              zs_peer_is_answerable(checked->identity, all->channel->messages[i].part.data + ZS_SESSION_OFFSET,
                                                    checked->header.sequence, all->now->seconds);
    return status;
}

/* -- envelopes ----------------------------------------------------------------------------------------------------- */

static bool replace_first(const batch *all, size_t i, const uint8_t *data, size_t len) {
    const zs_zmq *zmq = &all->libs->zmq;
    zs_msg *frame = &all->channel->frames[all->channel->messages[i].first], own;
    if (zmq->msg_init_size(&own, len) != 0) return false;
    if (len != 0) memcpy(zmq->msg_data(&own), data, len);
    zmq->msg_move(frame, &own);
    zmq->msg_close(&own);
    return true;
}

static zs_status sign_envelope(const batch *all, size_t i) {
    const zs_checked *checked = &all->checked[i];
    zs_msg *frame = &all->channel->frames[all->channel->messages[i].first];
    zs_sender_name sender = {.frame = frame, .identity = checked->route.count != 0 ? checked->route.origin : NULL,
                             .address = all->libs->zmq.msg_gets(frame, "Peer-Address")};
    const zs_envelope *envelope = zs_envelopes_sign(all->policy->envelopes, &sender, all->now->ms);
    if (envelope == NULL || !replace_first(all, i, envelope->frame, envelope->len)) return ZS_TOO_LARGE;
    return ZS_OK;
}

static zs_status open_envelope(const batch *all, size_t i) {
    zs_span frame = frame_at(all, all->channel->messages[i].first);
    const zs_envelope *envelope = zs_envelopes_find(all->policy->envelopes, frame.data, frame.len, all->now->ms);
    all->checked[i].blameless = true; /* who answers cannot see that the one he answers is gone */
    if (envelope == NULL) return ZS_NOT_PERMITTED;
    const uint8_t *identity = zs_envelope_identity(envelope);
    zs_deed as_before = {.role = ZS_ROLE_SEND, .now = all->now->seconds};
    if (all->policy->grants != NULL && identity != NULL && !zs_grants_permit(all->policy->grants, identity, &as_before)) {
        return ZS_NOT_PERMITTED; /* what let him in has expired, or was taken back */
    }
    return replace_first(all, i, zs_envelope_routing_id(envelope), envelope->routing_id_len) ? ZS_OK : ZS_TOO_LARGE;
}

/* -- all of them --------------------------------------------------------------------------------------------------- */

typedef zs_status check_one(const batch *all, size_t i);

static void run(const batch *all, check_one *check) {
    for (size_t i = 0; i < all->channel->message_count; i++) {
        zs_received *message = &all->channel->messages[i];
        if (message->status == ZS_OK) message->status = check(all, i);
    }
}

static void count(const batch *all) {
    for (size_t i = 0; i < all->channel->message_count; i++) {
        const zs_checked *checked = &all->checked[i];
        zs_status status = all->channel->messages[i].status;
        bool passed = status == ZS_OK;
        if (checked->blameless && !passed) continue;
        if (checked->peer != NULL && (passed || !checked->signed_refusal)) {
            zs_peers_count(all->policy->peers, checked->peer, status, checked->bytes);
        }
        if (checked->identity != NULL && (passed || checked->signed_refusal)) {
            zs_peers_count(all->policy->peers, checked->identity, status, checked->bytes);
        }
    }
}

void zs_checks_run(const zs_policy *policy, const zs_libs *libs, zs_channel *channel, zs_checked *checked, const zs_clock *now) {
    batch all = {policy, libs, channel, checked, now};
    for (size_t i = 0; i < channel->message_count; i++) measure(&all, i);
    for (size_t i = 0; i < channel->message_count && policy->peers != NULL; i++) {
        zs_status status = check_connection(&all, i);
        if (status != ZS_OK) channel->messages[i].status = status;
    }
    run(&all, check_form);
    run(&all, check_topic);
    if (policy->admissions != NULL) check_members(&all);
    if (policy->check == ZS_CHECK_ORIGIN) run(&all, check_origin);
    if (policy->envelope_use == ZS_ENVELOPES_SIGN) run(&all, sign_envelope);
    if (policy->envelope_use == ZS_ENVELOPES_OPEN) run(&all, open_envelope);
    if (policy->peers != NULL) count(&all);
}
