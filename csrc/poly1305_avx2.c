/* poly1305_avx2.c: Poly1305 of the AVX2 tier outside of the cipher's rounds: lists of visits, and the tag (floor 1). */
#include "poly1305_avx2.h"

#ifdef ZS_HAVE_X86_KERNELS

ZS_AVX2_BEGIN

void zs_visits_do(zs_visits *visits) {
    zs_visit *v = visits->list, *end = v + visits->count;
    while (v != end) ZS_VISIT_DO(v);
    visits->count = 0;
}

static inline void absorb_whole(zs_strand *strand, const uint8_t *in, size_t blocks) {
    zs_visit visit = {strand, in, blocks}, *v = &visit;
    ZS_VISIT_DO(v);
}

void zs_strand_absorb(zs_strand *strand, const uint8_t *in, size_t len) {
    size_t rest = len % ZS_MAC_BYTES;
    absorb_whole(strand, in, len / ZS_MAC_BYTES);
    if (rest == 0) return;
    uint8_t end[ZS_MAC_BYTES] = {0};
    zs_copy_rest(end, in + len - rest, rest);
    absorb_whole(strand, end, 1);
}

void zs_visits_add_ad_end(zs_visits *visits, zs_strand *strand, const zs_aead_job *job, zs_ends *ends) {
    if (job->ad_len % ZS_MAC_BYTES != 0) zs_visits_add(visits, strand, ends->ad, 1);
}

void zs_visits_add_ends(zs_visits *visits, zs_strand *strand, const zs_aead_job *job, zs_ends *ends) {
    zs_store64(ends->lengths, job->ad_len);
    zs_store64(ends->lengths + 8, job->len);
    if (job->len % ZS_MAC_BYTES != 0) zs_visits_add(visits, strand, ends->text, 2);
    else zs_visits_add(visits, strand, ends->lengths, 1);
}

/* h mod 2^130 - 5, plus the pad, mod 2^128; carries are compared, never branched upon. */
void zs_strand_finish(const zs_strand *strand, uint64_t tag[2]) {
    uint64_t h0 = strand->h[0], h1 = strand->h[1], h2 = strand->h[2];
    /* h is below 2 * (2^130 - 5): g = h + 5 passes 2^130 exactly when h is not below the prime. */
    uint64_t g0 = h0 + 5, carry = g0 < 5;
    uint64_t g1 = h1 + carry;
    carry = g1 < carry;
    uint64_t over = (uint64_t)0 - ((h2 + carry) >> 2);
    h0 ^= (h0 ^ g0) & over, h1 ^= (h1 ^ g1) & over;
    tag[0] = h0 + strand->pad[0];
    tag[1] = h1 + strand->pad[1] + (tag[0] < h0);
}

ZS_AVX2_END

#endif
