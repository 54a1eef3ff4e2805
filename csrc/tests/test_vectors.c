/* test_vectors.c: published vectors on every tier, in every lane, with other messages in the other lanes.
 *
 * The kernels are built with ZS_TEST_NONCE_WORD, for foreign nonces do not begin with four zeros.
 */
#include "common.h"

#include "vectors.h"

#include "edge.inc"
#include "wycheproof.inc"

#ifndef ZS_TEST_NONCE_WORD
#error "built without ZS_TEST_NONCE_WORD"
#endif

enum { LANES = 16, MAX_LEN = 2560, WYCHEPROOF_WANTED = 316, OTHER_NONCES_WANTED = 9 };

typedef struct bytes {
    size_t id, len, ad_len;
    uint64_t sequence;
    bool valid;
    uint8_t key[ZS_KEY_BYTES], ad[MAX_LEN], plain[MAX_LEN], sealed[MAX_LEN], tag[ZS_TAG_BYTES];
} bytes;

/* A neighbour of a vector: random, and compared with libsodium. */
typedef struct other {
    uint8_t key[ZS_KEY_BYTES], ad[MAX_LEN], plain[MAX_LEN], sealed[MAX_LEN], tag[ZS_TAG_BYTES];
} other;

static zs_sodium sodium;
static other others[LANES];
static uint8_t outputs[LANES][MAX_LEN], tags[LANES][ZS_TAG_BYTES];

/* The vector's nonce becomes the test's first word and a sequence number. */
static void read_vector(bytes *b, const vector *v) {
    uint8_t nonce[TEST_NONCE_BYTES];
    b->id = v->id, b->valid = v->valid;
    CHECK(test_hex(nonce, sizeof nonce, v->iv) == sizeof nonce, "vector %zu: nonce", v->id);
    CHECK(test_hex(b->key, sizeof b->key, v->key) == sizeof b->key, "vector %zu: key", v->id);
    CHECK(test_hex(b->tag, sizeof b->tag, v->tag) == sizeof b->tag, "vector %zu: tag", v->id);
    b->ad_len = test_hex(b->ad, sizeof b->ad, v->ad);
    b->len = test_hex(b->plain, sizeof b->plain, v->plain);
    CHECK(test_hex(b->sealed, sizeof b->sealed, v->sealed) == b->len, "vector %zu: ciphertext", v->id);
    zs_test_nonce_word = zs_load32(nonce);
    b->sequence = zs_load64(nonce + 4);
}

static zs_aead_job vector_job(const bytes *b, size_t i) {
    return (zs_aead_job){.key = b->key, .sequence = b->sequence, .ad = b->ad, .ad_len = b->ad_len, .in = b->plain,
                         .out = outputs[i], .len = b->len, .tag = tags[i], .status = ZS_STATUS_COUNT};
}

static zs_aead_job other_job(size_t i, size_t len) {
    other *o = &others[i];
    uint8_t nonce[TEST_NONCE_BYTES];
    zs_aead_job job = {.key = o->key, .sequence = test_random(), .ad = o->ad, .ad_len = test_below(80), .in = o->plain,
                       .out = outputs[i], .len = len, .tag = tags[i], .status = ZS_STATUS_COUNT};
    test_fill(o->key, sizeof o->key), test_fill(o->ad, job.ad_len), test_fill(o->plain, len);
    test_nonce(nonce, job.sequence);
    int result = sodium.chacha_seal(o->sealed, o->tag, NULL, o->plain, len, o->ad, job.ad_len, NULL, nonce, o->key);
    CHECK(result == 0, "libsodium seals");
    return job;
}

static void check_sealed(const zs_aead_job *job, const uint8_t *sealed, const uint8_t *tag, size_t id, size_t lane) {
    CHECK(memcmp(job->out, sealed, job->len) == 0, "vector %zu, lane %zu: ciphertext", id, lane);
    CHECK(memcmp(job->tag, tag, ZS_TAG_BYTES) == 0, "vector %zu, lane %zu: tag", id, lane);
}

/* jobs[lane] is the vector, jobs 0 to `count` - 1 beside it are neighbours with their lengths set. */
static void run(const zs_kernels *k, const bytes *b, zs_aead_job *jobs, size_t count, size_t lane) {
    jobs[lane] = vector_job(b, lane);
    if (b->valid) {
        k->seal_many(&sodium, jobs, count);
        for (size_t i = 0; i < count; i++) {
            if (i == lane) check_sealed(&jobs[i], b->sealed, b->tag, b->id, lane);
            else check_sealed(&jobs[i], others[i].sealed, others[i].tag, b->id, lane);
        }
    }
    for (size_t i = 0; i < count; i++) {
        jobs[i].in = i == lane ? b->sealed : others[i].sealed;
        memcpy(tags[i], i == lane ? b->tag : others[i].tag, ZS_TAG_BYTES);
        memset(outputs[i], 0xA5, MAX_LEN);
    }
    k->open_many(&sodium, jobs, count);
    for (size_t i = 0; i < count; i++) {
        bool right = i != lane || b->valid;
        CHECK(jobs[i].status == (right ? ZS_OK : ZS_FORGED), "vector %zu, lane %zu: status of %zu", b->id, lane, i);
        if (!right) CHECK(test_is_all(outputs[i], b->len, 0), "vector %zu, lane %zu: not wiped", b->id, lane);
        else CHECK(memcmp(outputs[i], i == lane ? b->plain : others[i].plain, jobs[i].len) == 0,
                   "vector %zu, lane %zu: text of %zu", b->id, lane, i);
    }
}

/* Sixteen of one length stand in the lanes as in the batch; the others are then sorted or share their blocks. */
static void in_every_lane(const zs_kernels *k, const vector *v) {
    static bytes b;
    zs_aead_job jobs[LANES];
    read_vector(&b, v);
    for (size_t lane = 0; lane < LANES; lane++) {
        for (size_t i = 0; i < LANES; i++) jobs[i] = other_job(i, b.len);
        run(k, &b, jobs, LANES, lane);
        for (size_t i = 0; i < LANES; i++) jobs[i] = other_job(i, test_below(MAX_LEN));
        run(k, &b, jobs, LANES, lane);
        /* Behind a message of `lane` blocks, its one-time key's included. */
        if (lane > 0) jobs[0] = other_job(0, 64 * (lane - 1));
        run(k, &b, jobs, lane > 0 ? 2 : 1, lane > 0);
    }
}

/* The same with key stream that was made ahead, from a number so far before that the vector's lane is this one. */
static void ahead_in_every_lane(const zs_kernels *k, const vector *v) {
    static bytes b;
    static _Alignas(64) zs_ahead_stream stream;
    read_vector(&b, v);
    size_t blocks = 1 + (b.len + 63) / 64;
    if (k->ahead_make == NULL || blocks > ZS_AHEAD_BLOCKS) return;
    for (size_t lane = 0; lane < LANES; lane++) {
        zs_aead_job job = vector_job(&b, 0);
        k->ahead_make(stream, b.key, b.sequence - lane, blocks);
        if (b.valid) {
            k->ahead_seal(&job, (const zs_ahead_stream *)&stream, lane);
            check_sealed(&job, b.sealed, b.tag, b.id, lane);
        }
        memcpy(tags[0], b.tag, ZS_TAG_BYTES);
        memset(outputs[0], 0xA5, MAX_LEN);
        job.in = b.sealed;
        k->ahead_open(&job, (const zs_ahead_stream *)&stream, lane);
        CHECK(job.status == (b.valid ? ZS_OK : ZS_FORGED), "vector %zu, lane %zu: status", b.id, lane);
        CHECK(b.valid ? memcmp(outputs[0], b.plain, b.len) == 0 : test_is_all(outputs[0], b.len, 0),
              "vector %zu, lane %zu: text", b.id, lane);
    }
}

static void check_vectors(const zs_kernels *k, const char *name, const vector *vectors, size_t count) {
    test_begin("%s: %s, in every lane", k->name, name);
    for (size_t i = 0; i < count; i++) in_every_lane(k, &vectors[i]);
    test_end(count);
    if (k->ahead_make == NULL) return;
    test_begin("%s: %s, in every lane of key stream made ahead", k->name, name);
    for (size_t i = 0; i < count; i++) ahead_in_every_lane(k, &vectors[i]);
    test_end(count);
}

static void check_hchacha20(const zs_kernels *k) {
    uint8_t key[ZS_KEY_BYTES], input[ZS_HCHACHA_INPUT_BYTES], expected[ZS_KEY_BYTES], out[LANES][ZS_KEY_BYTES];
    zs_subkey_job jobs[LANES];
    size_t cases = 0;
    test_hex(key, sizeof key, HCHACHA20.key), test_hex(input, sizeof input, HCHACHA20.input);
    test_hex(expected, sizeof expected, HCHACHA20.out);
    test_begin("%s: HChaCha20 of draft-irtf-cfrg-xchacha-03, 2.2.1, in every lane", k->name);
    for (size_t count = 1; count <= LANES; count++) {
        for (size_t lane = 0; lane < count; lane++, cases++) {
            for (size_t i = 0; i < count; i++) {
                jobs[i] = (zs_subkey_job){out[i], i == lane ? key : others[i].key, i == lane ? input : others[i].ad};
            }
            k->hchacha20_many(&sodium, jobs, count);
            CHECK(memcmp(out[lane], expected, sizeof expected) == 0, "lane %zu of %zu", lane, count);
        }
    }
    test_end(cases);
}

int main(void) {
    test_load_sodium(&sodium);
    test_seed_all();
    test_begin("Wycheproof's file has the vectors that are looked for");
    size_t wycheproof = sizeof WYCHEPROOF / sizeof WYCHEPROOF[0];
    CHECK(wycheproof == WYCHEPROOF_WANTED, "%zu", wycheproof);
    CHECK(WYCHEPROOF_OTHER_NONCES == OTHER_NONCES_WANTED, "%zu", WYCHEPROOF_OTHER_NONCES);
    test_end(wycheproof);
    printf("  not run: %d vectors whose nonce is not of 12 bytes: the kernels make it themselves\n", OTHER_NONCES_WANTED);
    for (size_t i = 0; TEST_TIERS[i] != NULL; i++) {
        const zs_kernels *k = test_tier(TEST_TIERS[i]);
        test_reseed();
        if (k == NULL) continue;
        check_hchacha20(k);
        check_vectors(k, "RFC 8439, 2.8.2 and A.5", RFC_8439, sizeof RFC_8439 / sizeof RFC_8439[0]);
        check_vectors(k, "Poly1305 sums on corners (edge_vectors.py)", EDGES, sizeof EDGES / sizeof EDGES[0]);
        check_vectors(k, "Wycheproof chacha20_poly1305", WYCHEPROOF, wycheproof);
    }
    return 0;
}
