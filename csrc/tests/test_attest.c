/* test_attest.c: attestations: exact lengths, batches of every size, and no change that a warm memory lets through. */
#include "../attest.h"
#include "../route.h"
#include "../trees.h"
#include "common.h"

enum { PART_BYTES = 90, MOST = 70 };

static zs_sodium sodium;
static zs_trees trees;
static zs_attester origin, hop;
static uint8_t parts[MOST][PART_BYTES];
static uint8_t frames[2][MOST][ZS_MAX_ATTESTATION_BYTES];
static size_t sizes[2];

static void forget(void) { memset(&trees, 0, sizeof trees); }

static void begin_attester(zs_attester *attester, uint8_t role, uint8_t routing_id_len) {
    memset(attester, 0, sizeof *attester);
    int (*keypair)(unsigned char *pk, unsigned char *sk, const unsigned char *seed);
    test_sodium_symbol("crypto_sign_ed25519_seed_keypair", &keypair);
    uint8_t seed[32];
    test_fill(seed, sizeof seed);
    keypair(attester->key, attester->secret, seed);
    attester->role = role;
    attester->routing_id_len = routing_id_len;
    test_fill(attester->routing_id, routing_id_len);
    if (role == ZS_BY_ORIGIN) test_fill(attester->commitment, ZS_HASH_BYTES);
}

/* Frames of `count` parts: the origin's, and behind them the hop's. */
static void attest_all(size_t count) {
    zs_attest_job jobs[MOST];
    for (size_t i = 0; i < count; i++) {
        test_fill(parts[i], PART_BYTES);
        jobs[i] = (zs_attest_job){.previous = NULL, .previous_len = 0, .out = frames[0][i]};
        zs_part_digest(&sodium, jobs[i].digest, parts[i], PART_BYTES);
    }
    sizes[0] = zs_attestation_size(&origin, count);
    zs_attest_many(&sodium, &origin, jobs, count);
    for (size_t i = 0; i < count; i++) {
        jobs[i].previous = frames[0][i];
        jobs[i].previous_len = sizes[0];
        jobs[i].out = frames[1][i];
    }
    sizes[1] = zs_attestation_size(&hop, count);
    zs_attest_many(&sodium, &hop, jobs, count);
}

static bool holds(const uint8_t *frame, size_t len, const uint8_t *previous, size_t previous_len, const uint8_t *part) {
    zs_attestation one;
    uint8_t digest[ZS_HASH_BYTES], fingerprint[ZS_FINGERPRINT_BYTES];
    if (!zs_attestation_read(&one, frame, len)) return false;
    zs_part_digest(&sodium, digest, part, PART_BYTES);
    return zs_trees_hold(&trees, &sodium, &one, previous, previous_len, digest, fingerprint);
}

static bool origin_holds(size_t i, size_t part) { return holds(frames[0][i], sizes[0], NULL, 0, parts[part]); }

static bool hop_holds(size_t i, size_t before) {
    return holds(frames[1][i], sizes[1], frames[0][before], sizes[0], parts[i]);
}

static void check_batches(void) {
    size_t cases = 0;
    test_begin("attest: batches of 1 to %d hold, each message only for itself", MOST);
    for (size_t count = 1; count <= MOST; count++) {
        forget();
        attest_all(count);
        for (size_t i = count; i-- > 0; cases++) {
            size_t other = (i + 1) % count;
            CHECK(origin_holds(i, i), "%zu of %zu", i, count);
            CHECK(hop_holds(i, i), "hop %zu of %zu", i, count);
            CHECK(count == 1 || !origin_holds(i, other), "%zu of %zu for another part", i, count);
            CHECK(count == 1 || !hop_holds(i, other), "hop %zu of %zu behind another", i, count);
        }
    }
    test_end(cases);
}

/* Every bit of a frame, cold and warm. */
static void check_flips(void) {
    size_t cases = 0;
    uint8_t changed[ZS_MAX_ATTESTATION_BYTES];
    static const size_t COUNTS[] = {1, 2, 5};
    test_begin("attest: no bit of a frame can be changed, whatever is remembered");
    for (size_t c = 0; c < sizeof COUNTS / sizeof COUNTS[0]; c++) {
        size_t count = COUNTS[c], at = count / 2;
        attest_all(count);
        for (int warm = 0; warm < 2; warm++) {
            forget();
            for (size_t i = 0; warm == 1 && i < count; i++) CHECK(origin_holds(i, i), "warm %zu", i);
            for (size_t bit = 0; bit < 8 * sizes[0]; bit++, cases++) {
                memcpy(changed, frames[0][at], sizes[0]);
                changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
                CHECK(!holds(changed, sizes[0], NULL, 0, parts[at]), "bit %zu of %zu, warm %d", bit, count, warm);
            }
            CHECK(origin_holds(at, at), "and then it does not hold itself");
        }
    }
    test_end(cases);
}

static void check_lengths(void) {
    size_t cases = 0;
    zs_attestation one;
    uint8_t longer[ZS_MAX_ATTESTATION_BYTES + 1] = {0};
    test_begin("attest: only the exact length is an attestation");
    attest_all(3);
    memcpy(longer, frames[0][0], sizes[0]);
    for (size_t len = 0; len <= sizeof longer; len++, cases++) {
        CHECK(zs_attestation_read(&one, longer, len) == (len == sizes[0]), "%zu", len);
    }
    test_end(cases);
}

/* More batches than are remembered, then all of them again. */
static void check_forgetting(void) {
    enum { BATCHES = 3 * ZS_TREE_SLOTS, COUNT = 20 };
    static uint8_t kept[BATCHES][2][ZS_MAX_ATTESTATION_BYTES], kept_parts[BATCHES][2][PART_BYTES];
    test_begin("attest: what is forgotten is verified again");
    forget();
    for (size_t b = 0; b < BATCHES; b++) {
        attest_all(COUNT);
        for (size_t i = 0; i < 2; i++) {
            memcpy(kept[b][i], frames[0][7 * i], sizes[0]);
            memcpy(kept_parts[b][i], parts[7 * i], PART_BYTES);
        }
        CHECK(origin_holds(0, 0), "batch %zu", b);
    }
    for (size_t b = 0; b < BATCHES; b++) {
        for (size_t i = 0; i < 2; i++) {
            CHECK(holds(kept[b][i], sizes[0], NULL, 0, kept_parts[b][i]), "again %zu", b);
            CHECK(!holds(kept[b][i], sizes[0], NULL, 0, kept_parts[b][1 - i]), "swapped %zu", b);
        }
    }
    test_end(BATCHES);
}

static zs_status verify(const zs_span *spans, size_t count, uint8_t flags, const zs_route_policy *policy) {
    zs_route route = {.frames = spans, .count = count};
    zs_route_claim(&route, flags);
    if (count > 0) zs_route_digest(&route, &sodium, parts[0], PART_BYTES);
    return zs_route_verify(&route, &trees, &sodium, flags, policy);
}

static void check_routes(void) {
    zs_route_policy any = {.hops_max = 16, .keyless = true}, strict = {.required = true, .hops_min = 1, .hops_max = 1};
    enum { ATTESTED = ZS_FLAG_ORIGIN_ATTESTED };
    test_begin("attest: routes and what an association asks of them");
    forget();
    attest_all(4);
    memcpy(strict.commitment, origin.commitment, ZS_HASH_BYTES);
    zs_span first = {frames[0][0], sizes[0], ZS_RAW}, second = {frames[1][0], sizes[1], ZS_RAW};
    zs_span both[] = {first, second}, turned[] = {second, first}, twice[] = {first, second, second};
    CHECK(verify(NULL, 0, 0, &any) == ZS_OK, "nothing");
    CHECK(verify(both, 2, ATTESTED, &any) == ZS_OK && verify(both, 2, ATTESTED, &strict) == ZS_OK, "both");
    CHECK(verify(NULL, 0, ATTESTED, &any) == ZS_UNATTESTED, "stripped");
    CHECK(verify(&second, 1, ATTESTED, &any) == ZS_UNATTESTED, "origin stripped");
    CHECK(verify(NULL, 0, 0, &strict) == ZS_UNATTESTED, "required");
    CHECK(verify(both, 1, ATTESTED, &strict) == ZS_UNATTESTED, "hop required");
    CHECK(verify(both, 2, 0, &any) == ZS_BAD_ATTESTATION, "not promised");
    CHECK(verify(turned, 2, ATTESTED, &any) == ZS_UNATTESTED, "turned");
    CHECK(verify(twice, 3, ATTESTED, &any) == ZS_BAD_ATTESTATION, "hop twice");
    CHECK(verify(twice, 3, ATTESTED, &strict) == ZS_NOT_PERMITTED, "too many hops");
    strict.commitment[31] ^= 1;
    CHECK(verify(both, 2, ATTESTED, &strict) == ZS_BAD_ATTESTATION, "another commitment");
    test_end(11);
}

int main(void) {
    test_load_sodium(&sodium);
    test_seed_all();
    begin_attester(&origin, ZS_BY_ORIGIN, 5);
    begin_attester(&hop, ZS_BY_HOP, 255);
    check_lengths();
    check_batches();
    check_flips();
    check_forgetting();
    check_routes();
    return 0;
}
