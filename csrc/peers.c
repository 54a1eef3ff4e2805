/* peers.c: peers in slabs, found through hash buckets, in a list by the time they were seen (floor 3). */
#include "peers.h"

#include "impl.h"

#include <stdlib.h>

enum { SLAB_PEERS = 256, NAME_HEAD = 2, MAX_NAME = NAME_HEAD + ZS_MAX_PEER_ADDRESS + ZS_MAX_ROUTING_ID_BYTES };
static const uint32_t NONE = UINT32_MAX;

bool zs_peers_init(zs_peers *peers, const zs_sodium *sodium, uint32_t max) {
    memset(peers, 0, sizeof *peers);
    peers->sodium = sodium;
    peers->max = max;
    peers->newest = peers->oldest = peers->first_changed = NONE;
    peers->bucket_mask = SLAB_PEERS - 1;
    peers->version = 1;
    sodium->random(peers->hash_key, sizeof peers->hash_key);
    peers->slabs = calloc(max / SLAB_PEERS + 1, sizeof *peers->slabs);
    peers->buckets = malloc(sizeof *peers->buckets * SLAB_PEERS);
    if (peers->slabs == NULL || peers->buckets == NULL) {
        zs_peers_free(peers);
        return false;
    }
    for (uint32_t i = 0; i <= peers->bucket_mask; i++) peers->buckets[i] = NONE;
    return true;
}

static zs_peer *peer_at(const zs_peers *peers, uint32_t number) {
    return &peers->slabs[number / SLAB_PEERS][number % SLAB_PEERS];
}

void zs_peers_free(zs_peers *peers) {
    for (uint32_t i = 0; i < peers->count; i++) free(peer_at(peers, i)->name);
    for (uint32_t i = 0; i < peers->slab_count; i++) free(peers->slabs[i]);
    free(peers->slabs);
    free(peers->buckets);
    memset(peers, 0, sizeof *peers);
}

/* -- names --------------------------------------------------------------------------------------------------------- */

static uint16_t write_name(uint8_t out[MAX_NAME], const zs_peer_name *name) {
    size_t address_len = name->address == NULL ? 0 : strnlen(name->address, ZS_MAX_PEER_ADDRESS);
    out[0] = (uint8_t)name->kind;
    out[1] = (uint8_t)address_len;
    if (address_len != 0) memcpy(out + NAME_HEAD, name->address, address_len);
    if (name->id_len != 0) memcpy(out + NAME_HEAD + address_len, name->id, name->id_len);
    return (uint16_t)(NAME_HEAD + address_len + name->id_len);
}

zs_peer_name zs_peer_name_of(const zs_peer *peer, char address[ZS_MAX_PEER_ADDRESS + 1]) {
    size_t address_len = peer->name[1];
    memcpy(address, peer->name + NAME_HEAD, address_len);
    address[address_len] = '\0';
    return (zs_peer_name){.kind = (zs_peer_kind)peer->name[0], .address = address,
                          .id = peer->name + NAME_HEAD + address_len,
                          .id_len = peer->name_len - NAME_HEAD - address_len};
}

static uint32_t *bucket_of(const zs_peers *peers, const uint8_t *name, size_t len) {
    uint8_t hash[8];
    peers->sodium->shorthash(hash, name, len, peers->hash_key);
    return &peers->buckets[zs_load32(hash) & peers->bucket_mask];
}

static bool is_named(const zs_peer *peer, const uint8_t *name, size_t len) {
    return peer->name_len == len && memcmp(peer->name, name, len) == 0;
}

/* -- the list by time ---------------------------------------------------------------------------------------------- */

static void unlink_from_time(zs_peers *peers, const zs_peer *peer) {
    if (peer->newer == NONE) peers->newest = peer->older;
    else peer_at(peers, peer->newer)->older = peer->older;
    if (peer->older == NONE) peers->oldest = peer->newer;
    else peer_at(peers, peer->older)->newer = peer->newer;
}

static void link_as_newest(zs_peers *peers, uint32_t number) {
    zs_peer *peer = peer_at(peers, number);
    peer->newer = NONE;
    peer->older = peers->newest;
    if (peers->newest != NONE) peer_at(peers, peers->newest)->newer = number;
    else peers->oldest = number;
    peers->newest = number;
}

/* -- the list of those whose counts have changed ------------------------------------------------------------------- */

static void link_as_changed(zs_peers *peers, uint32_t number) {
    zs_peer *peer = peer_at(peers, number);
    peer->changed = true;
    peer->before_changed = NONE;
    peer->next_changed = peers->first_changed;
    if (peers->first_changed != NONE) peer_at(peers, peers->first_changed)->before_changed = number;
    peers->first_changed = number;
}

static void unlink_from_changed(zs_peers *peers, zs_peer *peer) {
    if (!peer->changed) return;
    peer->changed = false;
    if (peer->before_changed == NONE) peers->first_changed = peer->next_changed;
    else peer_at(peers, peer->before_changed)->next_changed = peer->next_changed;
    if (peer->next_changed != NONE) peer_at(peers, peer->next_changed)->before_changed = peer->before_changed;
}

/* -- meeting ------------------------------------------------------------------------------------------------------- */

static void unlink_from_bucket(zs_peers *peers, uint32_t number) {
    const zs_peer *peer = peer_at(peers, number);
    uint32_t *at = bucket_of(peers, peer->name, peer->name_len);
    while (*at != number) at = &peer_at(peers, *at)->next;
    *at = peer->next;
}

/* The place of the peer seen longest ago, which leaves. */
static uint32_t evict_oldest(zs_peers *peers) {
    uint32_t number = peers->oldest;
    zs_peer *peer = peer_at(peers, number);
    unlink_from_time(peers, peer);
    unlink_from_bucket(peers, number);
    unlink_from_changed(peers, peer);
    free(peer->name);
    return number;
}

static bool grow_buckets(zs_peers *peers) {
    uint32_t count = 2 * (peers->bucket_mask + 1);
    uint32_t *grown = malloc(sizeof *grown * count);
    if (grown == NULL) return false;
    free(peers->buckets);
    peers->buckets = grown;
    peers->bucket_mask = count - 1;
    for (uint32_t i = 0; i < count; i++) grown[i] = NONE;
    for (uint32_t i = 0; i < peers->count; i++) {
        zs_peer *peer = peer_at(peers, i);
        uint32_t *bucket = bucket_of(peers, peer->name, peer->name_len);
        peer->next = *bucket;
        *bucket = i;
    }
    return true;
}

/* A place for one more, or NONE. */
static uint32_t new_number(zs_peers *peers) {
    if (peers->count == peers->max) return evict_oldest(peers);
    if (peers->count > peers->bucket_mask && !grow_buckets(peers)) return NONE;
    if (peers->count / SLAB_PEERS == peers->slab_count) {
        peers->slabs[peers->slab_count] = calloc(SLAB_PEERS, sizeof(zs_peer));
        if (peers->slabs[peers->slab_count] == NULL) return NONE;
        peers->slab_count++;
    }
    return peers->count++;
}

static zs_peer *enter(zs_peers *peers, const uint8_t *name, uint16_t len) {
    uint8_t *own = malloc(len);
    uint32_t number = own == NULL ? NONE : new_number(peers);
    if (number == NONE) {
        free(own);
        return NULL;
    }
    zs_peer *peer = peer_at(peers, number);
    uint32_t *bucket = bucket_of(peers, name, len);
    memset(peer, 0, sizeof *peer);
    memcpy(own, name, len);
    peer->name = own;
    peer->name_len = len;
    peer->next = *bucket;
    *bucket = number;
    link_as_newest(peers, number);
    return peer;
}

zs_peer *zs_peers_meet(zs_peers *peers, const zs_peer_name *who) {
    uint8_t name[MAX_NAME];
    uint16_t len = write_name(name, who);
    zs_peer *peer;
    if (peers->newest != NONE && is_named(peer = peer_at(peers, peers->newest), name, len)) return peer;
    for (uint32_t n = *bucket_of(peers, name, len); n != NONE; n = peer->next) {
        peer = peer_at(peers, n);
        if (!is_named(peer, name, len)) continue;
        unlink_from_time(peers, peer);
        link_as_newest(peers, n);
        return peer;
    }
    return enter(peers, name, len);
}

/* -- counts -------------------------------------------------------------------------------------------------------- */

static uint32_t number_of(const zs_peers *peers, const zs_peer *peer) {
    if (peer->newer != NONE) return peer_at(peers, peer->newer)->older;
    return peers->newest;
}

void zs_peers_count(zs_peers *peers, zs_peer *peer, zs_status status, size_t bytes) {
    if (!peer->changed) link_as_changed(peers, number_of(peers, peer));
    if (status == ZS_OK) {
        peer->counts.forwarded++;
        peer->counts.forwarded_bytes += bytes;
    } else if (peer->counts.refused[status] != UINT32_MAX) {
        peer->counts.refused[status]++;
    }
}

const zs_peer *zs_peers_take(zs_peers *peers, zs_peer_counts *counts) {
    if (peers->first_changed == NONE) return NULL;
    zs_peer *peer = peer_at(peers, peers->first_changed);
    unlink_from_changed(peers, peer);
    *counts = peer->counts;
    memset(&peer->counts, 0, sizeof peer->counts);
    return peer;
}

bool zs_peer_is_answerable(zs_peer *peer, const uint8_t session[ZS_SESSION_BYTES], uint64_t sequence, uint64_t now) {
    uint64_t start = zs_load32(session), newest = zs_load32(peer->seen);
    if (start + ZS_REJECT_AFTER_TIME < now || start > now + ZS_CLOCK_SKEW || start < newest) return false;
    if (memcmp(session, peer->seen, ZS_SESSION_BYTES) != 0) {
        if (start == newest) return false; /* two of one second: the first one met counts */
        memcpy(peer->seen, session, ZS_SESSION_BYTES);
        peer->seen_sequence = 0;
    }
    if (sequence < peer->seen_sequence) return false;
    peer->seen_sequence = sequence + 1;
    return true;
}

/* -- rules --------------------------------------------------------------------------------------------------------- */

void zs_peers_rule(zs_peers *peers, const zs_rules *rules, const zs_rules *throttled) {
    peers->rules = rules;
    peers->throttled = throttled;
    peers->version++;
}

static bool is_meant(const zs_rules *rules, const zs_suspect *suspect) {
    return rules != NULL && zs_rules_ruling(rules, suspect) == ZS_TURNED_AWAY;
}

void zs_peers_judge(zs_peers *peers, zs_peer *peer) {
    if (peer->ruled == peers->version) return;
    char text[ZS_MAX_PEER_ADDRESS + 1];
    uint8_t address[ZS_ADDRESS_BYTES], hash[ZS_FINGERPRINT_BYTES];
    zs_peer_name name = zs_peer_name_of(peer, text);
    zs_suspect suspect = {NULL, NULL, NULL, 0};
    if (name.kind == ZS_PEER_IDENTITY) {
        zs_fingerprint(peers->sodium, hash, name.id);
        suspect.fingerprint = hash;
    } else {
        if (zs_address_parse(address, text)) suspect.address = address;
        if (name.id_len != 0) {
            suspect.routing_id = name.id;
            suspect.routing_id_len = name.id_len;
        }
    }
    peer->turned_away = is_meant(peers->rules, &suspect);
    peer->throttled = is_meant(peers->throttled, &suspect);
    peer->ruled = peers->version;
}
