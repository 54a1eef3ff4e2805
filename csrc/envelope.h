/* envelope.h: signed identities, which stand in ROUTER envelopes in the place of bare routing ids (floor 3).
 *
 * Spec, "Signed envelopes". A relay signs one for each connection, identity and routing id that it has met, and takes
 * replies only with one that it made and has not withdrawn.
 */
#ifndef ZS_ENVELOPE_H
#define ZS_ENVELOPE_H

#include "attest.h"
#include "rules.h"

enum {
    ZS_ENVELOPE_FIXED_BYTES = 5 + 2 * ZS_PUBLIC_KEY_BYTES + 8,
    ZS_MAX_ENVELOPE_BYTES = ZS_ENVELOPE_FIXED_BYTES + ZS_MAX_ROUTING_ID_BYTES + ZS_SIGNATURE_BYTES
};

typedef struct zs_envelope zs_envelope;
typedef struct zs_connection zs_connection;

/* Who holds a routing id now. libzmq keeps what it tells of a connection in one place for all of its messages, and as
 * long as there is one of them: a copy of the first is kept, so that no other connection can be told of there. */
struct zs_connection {
    zs_connection *next; /* in its bucket */
    zs_envelope *first;  /* of those that were made for it */
    zs_msg kept;
    const char *told;    /* its address, there; NULL where libzmq tells nothing */
    bool has_address;
    uint8_t address[ZS_ADDRESS_BYTES];
    uint8_t routing_id_len;
    uint8_t routing_id[];
};

struct zs_envelope {
    zs_envelope *next_named, *next_numbered; /* in their buckets */
    zs_envelope *newer, *older;              /* by the time they were used */
    zs_connection *connection;
    zs_envelope *next_beside, *before_beside; /* of the same connection */
    int64_t used;                             /* milliseconds */
    uint16_t len;
    uint8_t routing_id_len;
    uint8_t frame[]; /* as it goes out */
};

typedef struct zs_envelopes {
    const zs_sodium *sodium;
    const zs_zmq *zmq;
    uint8_t key[ZS_PUBLIC_KEY_BYTES], secret[ZS_SECRET_KEY_BYTES]; /* the relay's */
    uint8_t hash_key[16];
    int64_t lifetime; /* milliseconds without use */
    zs_connection **connections;     /* buckets by routing id */
    zs_envelope **named, **numbered; /* buckets by routing id and identity, and by the random number */
    size_t bucket_mask, count, max;
    zs_envelope *newest, *oldest;
} zs_envelopes;

bool zs_envelopes_init(zs_envelopes *envelopes, const zs_libs *libs, size_t max);
void zs_envelopes_free(zs_envelopes *envelopes);

/* Who has sent a message. */
typedef struct zs_sender_name {
    zs_msg *frame;           /* its first one, the routing id */
    const uint8_t *identity; /* a public key that was proven; NULL: none was */
    const char *address;     /* as libzmq tells it of that frame; NULL: unknown */
} zs_sender_name;

/* The live envelope of that sender, made where there is none. Another connection under the same routing id withdraws
 * those of the one before. NULL: out of memory, or a routing id that is too long. */
const zs_envelope *zs_envelopes_sign(zs_envelopes *envelopes, const zs_sender_name *sender, int64_t now);

/* The live envelope that this frame is, to the byte, or NULL. */
const zs_envelope *zs_envelopes_find(zs_envelopes *envelopes, const uint8_t *frame, size_t len, int64_t now);

/* The routing id within. */
const uint8_t *zs_envelope_routing_id(const zs_envelope *envelope);

/* The identity within, or NULL where none was proven. */
const uint8_t *zs_envelope_identity(const zs_envelope *envelope);

/* Withdraw those of peers whom the rules turn away. */
void zs_envelopes_rule(zs_envelopes *envelopes, const zs_rules *rules);

#endif
