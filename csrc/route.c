/* route.c: one attestation after the other, each behind the one before (floor 3); spec, "The checks of a receiver". */
#include "route.h"

#include "impl.h"

void zs_route_claim(zs_route *route, uint8_t flags) {
    zs_attestation first;
    route->origin = NULL;
    if (route->count == 0 || (flags & ZS_FLAG_ORIGIN_ATTESTED) == 0) return;
    if (!zs_attestation_read(&first, route->frames[0].data, route->frames[0].len) || first.role != ZS_BY_ORIGIN) return;
    route->origin = first.key;
}

void zs_route_digest(zs_route *route, const zs_sodium *sodium, const uint8_t *sealed, size_t len) {
    zs_part_digest(sodium, route->digest, sealed, len);
}

/* Forms and roles of them all, and the origin's commitment, before the first signature is looked at. */
static bool are_fit(const zs_route *route, bool promised, const zs_route_policy *policy) {
    for (size_t i = 0; i < route->count; i++) {
        zs_attestation one;
        bool by_origin = i == 0 && promised;
        if (!zs_attestation_read(&one, route->frames[i].data, route->frames[i].len)) return false;
        if (one.role != (by_origin ? ZS_BY_ORIGIN : ZS_BY_HOP)) return false;
        if (by_origin && !policy->keyless && memcmp(one.commitment, policy->commitment, ZS_HASH_BYTES) != 0) return false;
    }
    return true;
}

static bool all_hold(zs_route *route, zs_trees *trees, const zs_sodium *sodium) {
    zs_span before = {NULL, 0, ZS_RAW};
    uint8_t fingerprint[ZS_FINGERPRINT_BYTES], of_origin[ZS_FINGERPRINT_BYTES];
    for (size_t i = 0; i < route->count; i++) {
        zs_attestation one;
        if (!zs_attestation_read(&one, route->frames[i].data, route->frames[i].len) ||
            !zs_trees_hold(trees, sodium, &one, before.data, before.len, route->digest,
                           one.role == ZS_BY_ORIGIN ? of_origin : fingerprint)) {
            return false;
        }
        before = route->frames[i];
    }
    if (route->origin != NULL) memcpy(route->fingerprint, of_origin, ZS_FINGERPRINT_BYTES);
    return true;
}

static bool is_hop(const zs_span *frame) {
    zs_attestation one;
    return zs_attestation_read(&one, frame->data, frame->len) && one.role == ZS_BY_HOP;
}

zs_status zs_route_verify(zs_route *route, zs_trees *trees, const zs_sodium *sodium, uint8_t flags,
                          const zs_route_policy *policy) {
    bool promised = (flags & ZS_FLAG_ORIGIN_ATTESTED) != 0;
    if (!promised && policy->required) return ZS_UNATTESTED;
    if (promised && (route->count == 0 || is_hop(&route->frames[0]))) return ZS_UNATTESTED;
    size_t hops = route->count - promised;
    if (!are_fit(route, promised, policy)) return ZS_BAD_ATTESTATION;
    if (hops < policy->hops_min) return ZS_UNATTESTED;
    if (hops > policy->hops_max) return ZS_NOT_PERMITTED;
    return all_hold(route, trees, sodium) ? ZS_OK : ZS_BAD_ATTESTATION;
}
