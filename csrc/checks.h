/* checks.h: what a relay looks at before it forwards, for a batch at a time, cheapest first (floor 6); spec, "Relays".
 *
 * Each check sets the status of messages whose status was ZS_OK; a message keeps the first reason that is found.
 */
#ifndef ZS_CHECKS_H
#define ZS_CHECKS_H

#include "address.h"
#include "admit.h"
#include "channel.h"
#include "envelope.h"
#include "grants.h"
#include "peers.h"
#include "route.h"

typedef enum zs_check { ZS_CHECK_NOTHING, ZS_CHECK_MEMBERSHIP, ZS_CHECK_ORIGIN } zs_check;

/* What becomes of the frame that a ROUTER has put in front, or takes. */
typedef enum zs_envelope_use { ZS_ENVELOPES_PLAIN, ZS_ENVELOPES_SIGN, ZS_ENVELOPES_OPEN } zs_envelope_use;

/* One lane's. What is NULL is not asked. */
typedef struct zs_policy {
    zs_check check;
    zs_layout layout;
    bool subscriptions; /* the lane carries those of SUBs, and nothing else */
    bool names_peers;   /* its source is a ROUTER, which puts a routing id in front */
    bool handshakes;    /* messages of that kind pass the checks of members and origins, having neither */
    size_t max_message;
    bool has_topics;
    zs_entries topics; /* patterns, one of which a topic has to match */
    zs_rate messages, bytes;
    zs_rate peer_messages, peer_bytes;
    zs_rate throttled_messages, throttled_bytes;
    zs_admissions *admissions;
    zs_grants *grants;
    zs_trees *trees;
    zs_peers *peers;
    zs_envelopes *envelopes;
    zs_envelope_use envelope_use;
    const zs_attester *hop;
} zs_policy;

/* One message while it is looked at. */
typedef struct zs_checked {
    zs_header header;
    size_t bytes; /* of all frames */
    zs_peer *peer, *identity; /* NULL: unknown */
    bool signed_refusal;      /* what it was refused for stands in what the identity has signed */
    bool blameless;           /* it was refused for what its sender need not know */
    zs_span topic;            /* data is NULL where there is none */
    zs_route route;
    bool has_digest;
    uint8_t digest[ZS_HASH_BYTES]; /* of the sealed part */
    zs_span attestations[ZS_MAX_ATTESTATION_FRAMES];
} zs_checked;

typedef struct zs_clock {
    int64_t ms;       /* monotonic */
    uint64_t seconds; /* of unix */
} zs_clock;

/* Can the lane do without a look at its messages? */
bool zs_policy_is_nothing(const zs_policy *policy);

/* Where its messages have their sealed part, if anybody looks for it. */
zs_layout zs_policy_layout(const zs_policy *policy);

/* Check what the channel has received; the status of each of its messages is the verdict. Counts by peer, and brings the
 * envelopes of those that pass into their form. */
void zs_checks_run(const zs_policy *policy, const zs_libs *libs, zs_channel *channel, zs_checked *checked, const zs_clock *now);

#endif
