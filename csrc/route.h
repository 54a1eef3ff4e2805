/* route.h: what the attestations behind one sealed part prove: its origin, and the hops it came by (floor 3). */
#ifndef ZS_ROUTE_H
#define ZS_ROUTE_H

#include "parts.h"
#include "trees.h"

/* What an association asks of them. */
typedef struct zs_route_policy {
    bool required; /* an origin */
    uint8_t hops_min, hops_max;
    bool keyless;                      /* nobody here knows the association's key, so none is compared */
    uint8_t commitment[ZS_HASH_BYTES]; /* to it */
} zs_route_policy;

typedef struct zs_route {
    const zs_span *frames; /* the attestations, in order; only looked at where there are any */
    size_t count;
    const uint8_t *origin; /* the key that claims to be the origin's, proven once zs_route_verify gave ZS_OK; or NULL */
    union {
        uint8_t digest[ZS_HASH_BYTES];             /* of the sealed part, until the route is verified */
        uint8_t fingerprint[ZS_FINGERPRINT_BYTES]; /* and then of the origin's key */
    };
} zs_route;

/* Look who claims to be the origin; `frames` and `count` are set. */
void zs_route_claim(zs_route *route, uint8_t flags);

/* Take in the sealed part as it came, before it is opened in place. */
void zs_route_digest(zs_route *route, const zs_sodium *sodium, const uint8_t *sealed, size_t len);

/* ZS_OK, ZS_UNATTESTED, ZS_BAD_ATTESTATION, or ZS_NOT_PERMITTED for too many hops. */
zs_status zs_route_verify(zs_route *route, zs_trees *trees, const zs_sodium *sodium, uint8_t flags,
                          const zs_route_policy *policy);

#endif
