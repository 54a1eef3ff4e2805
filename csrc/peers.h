/* peers.h: what a relay counts of each peer, in a table of bounded size (floor 3).
 *
 * A peer is a connection, as far as libzmq tells it: an address and, where there is one, a routing id; or an identity,
 * once an attestation has proven it. The one seen longest ago leaves a full table.
 */
#ifndef ZS_PEERS_H
#define ZS_PEERS_H

#include "attest.h"
#include "bucket.h"
#include "rules.h"

enum { ZS_MAX_PEER_ADDRESS = 63 /* bytes of a text that are kept */ };

typedef enum zs_peer_kind { ZS_PEER_CONNECTION, ZS_PEER_IDENTITY } zs_peer_kind;

/* Counts since they were last taken. */
typedef struct zs_peer_counts {
    uint64_t forwarded, forwarded_bytes;
    uint32_t refused[ZS_STATUS_COUNT];
} zs_peer_counts;

typedef struct zs_peer {
    uint8_t *name; /* kind, length of the address, address, routing id or public key */
    uint16_t name_len;
    bool changed;  /* since its counts were taken */
    bool turned_away, throttled;
    uint32_t ruled; /* by which version of the rules */
    uint32_t next;          /* in its bucket */
    uint32_t newer, older;  /* by the time they were seen */
    uint32_t next_changed, before_changed;
    zs_peer_counts counts;
    zs_bucket messages, bytes;
    uint8_t seen[ZS_SESSION_BYTES]; /* an identity's: the newest session, and */
    uint64_t seen_sequence;         /* the number after the highest of it that was held against it */
} zs_peer;

typedef struct zs_peers {
    const zs_sodium *sodium;
    uint8_t hash_key[16];
    zs_peer **slabs;
    uint32_t *buckets;
    uint32_t count, max, slab_count, bucket_mask, newest, oldest, first_changed;
    uint32_t version; /* of the rules */
    const zs_rules *rules, *throttled; /* NULL: none */
} zs_peers;

/* The name under which a peer is found. */
typedef struct zs_peer_name {
    zs_peer_kind kind;
    const char *address; /* NULL: unknown */
    const uint8_t *id;   /* routing id or public key */
    size_t id_len;       /* at most ZS_MAX_ROUTING_ID_BYTES */
} zs_peer_name;

bool zs_peers_init(zs_peers *peers, const zs_sodium *sodium, uint32_t max);
void zs_peers_free(zs_peers *peers);

/* Find a peer or enter it; it is the newest then. NULL: out of memory. */
zs_peer *zs_peers_meet(zs_peers *peers, const zs_peer_name *name);

/* Count one message: forwarded (ZS_OK), or refused. */
void zs_peers_count(zs_peers *peers, zs_peer *peer, zs_status status, size_t bytes);

/* Did an identity itself send this, now? Each message counts once, in the order of its session, so that nobody is blamed
 * for what others repeat. `now` and the session's start: unix seconds. */
bool zs_peer_is_answerable(zs_peer *peer, const uint8_t session[ZS_SESSION_BYTES], uint64_t sequence, uint64_t now);

/* Use these rules from now on, which stay their owner's; `throttled` turns away whom it means. */
void zs_peers_rule(zs_peers *peers, const zs_rules *rules, const zs_rules *throttled);

/* Is the peer turned away, or throttled? Asked of the rules once for each version of them. */
void zs_peers_judge(zs_peers *peers, zs_peer *peer);

/* A peer whose counts have changed, its counts copied and begun anew; NULL: there is none. */
const zs_peer *zs_peers_take(zs_peers *peers, zs_peer_counts *counts);

/* The parts of a peer's name. */
zs_peer_name zs_peer_name_of(const zs_peer *peer, char address[ZS_MAX_PEER_ADDRESS + 1]);

#endif
