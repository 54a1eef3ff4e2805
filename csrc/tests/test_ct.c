/* test_ct.c: calls every kernel of one tier with keys and plaintext marked secret; ct_check.py reads what is reported.
 *
 * Lengths, associated data, numbers, ciphertext and received tags are public. Argument: the tier. Built with
 * ZS_PLANTED_LEAK_BRANCH or ZS_PLANTED_LEAK_INDEX it leaks a byte of a key, which has to be reported. That what comes
 * out is secret to the last byte shows that the tool has followed the secrets through all instructions.
 */
#include "common.h"
#include "ct.h"

enum { MAX_JOBS = 20, MAX_LEN = 18000 };

static zs_sodium sodium;
static const zs_kernels *kernels;
static zs_aead_job jobs[MAX_JOBS];
static uint8_t keys[MAX_JOBS][ZS_KEY_BYTES], text[MAX_JOBS][MAX_LEN], out[MAX_JOBS][MAX_LEN], tags[MAX_JOBS][ZS_TAG_BYTES];
static uint8_t ad[256];

#if defined(ZS_PLANTED_LEAK_BRANCH)
static volatile uint32_t sink;

static __attribute__((noinline)) void planted_leak(const uint8_t *key) {
    if ((key[5] & 1) != 0) sink = sink + 1;
}
#elif defined(ZS_PLANTED_LEAK_INDEX)
static volatile uint32_t sink;
static const uint8_t TABLE[256] = {1, 2, 3};

static __attribute__((noinline)) void planted_leak(const uint8_t *key) {
    sink = sink + *(const volatile uint8_t *)&TABLE[key[5]];
}
#else
static void planted_leak(const uint8_t *key) {
    (void)key;
}
#endif

/* libsodium's verdict on a tag is public, as each kernel's is; this one can be told so. */
static zs_decrypt_detached *sodium_open;

static int open_and_declassify(unsigned char *m, unsigned char *nsec, const unsigned char *c, unsigned long long clen,
                               const unsigned char *mac, const unsigned char *a, unsigned long long alen,
                               const unsigned char *npub, const unsigned char *k) {
    int verdict = sodium_open(m, nsec, c, clen, mac, a, alen, npub, k);
    ct_public(&verdict, sizeof verdict);
    return verdict;
}

/* MemorySanitizer does not see into libsodium: what comes out of there is as secret as the key. */
static int (*sodium_hchacha20)(unsigned char *out, const unsigned char *in, const unsigned char *k, const unsigned char *c);

static int derive_and_mark(unsigned char *subkey, const unsigned char *in, const unsigned char *k, const unsigned char *c) {
    int result = sodium_hchacha20(subkey, in, k, c);
#ifdef CT_MEMORY_SANITIZER
    ct_secret(subkey, ZS_KEY_BYTES);
#endif
    return result;
}

static void prepare(size_t i, size_t len, size_t ad_len) {
    test_fill(keys[i], ZS_KEY_BYTES), test_fill(text[i], len);
    jobs[i] = (zs_aead_job){.key = keys[i], .sequence = test_random(), .ad = ad, .ad_len = ad_len, .in = text[i],
                            .out = i % 2 == 0 ? out[i] : text[i], .len = len, .tag = tags[i]};
    ct_secret(keys[i], ZS_KEY_BYTES);
    ct_secret(text[i], len);
}

/* What leaves a kernel: secret throughout, and from now on public. */
static void check_sealed(size_t i) {
    CHECK(ct_is_secret(jobs[i].out, jobs[i].len), "ciphertext %zu of %zu bytes is not followed", i, jobs[i].len);
    CHECK(ct_is_secret(jobs[i].tag, ZS_TAG_BYTES), "tag %zu is not followed", i);
    ct_public(jobs[i].out, jobs[i].len), ct_public(jobs[i].tag, ZS_TAG_BYTES);
}

static void check_opened(size_t i, bool forged) {
    ct_public(&jobs[i].status, sizeof jobs[i].status);
    CHECK(jobs[i].status == (forged ? ZS_FORGED : ZS_OK), "job %zu of %zu bytes", i, jobs[i].len);
    if (!forged) CHECK(ct_is_secret(jobs[i].out, jobs[i].len), "text %zu is not followed", i);
    ct_public(jobs[i].out, jobs[i].len);
    if (forged) CHECK(test_is_all(jobs[i].out, jobs[i].len, 0), "text %zu is not wiped", i);
}

/* What was sealed becomes what is to be opened, and one of them a forgery. */
static void turn_round(size_t count, size_t bad) {
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].out != text[i]) memcpy(text[i], out[i], jobs[i].len);
        jobs[i].in = text[i];
    }
    if (bad < count) tags[bad][bad % ZS_TAG_BYTES] ^= 4;
}

static void seal_and_open(size_t count, size_t bad) {
    kernels->seal_many(&sodium, jobs, count);
    for (size_t i = 0; i < count; i++) check_sealed(i);
    turn_round(count, bad);
    kernels->open_many(&sodium, jobs, count);
    for (size_t i = 0; i < count; i++) check_opened(i, i == bad);
    planted_leak(keys[0]);
}

static void check_batches(void) {
    static const size_t COUNTS[] = {1, 2, 4, 8, 9, 16, 17}, LENGTHS[] = {0, 1, 16, 63, 64, 65, 190, 300, 385, 640, 1500};
    size_t cases = 0;
    test_begin("%s: sealing and opening equal messages touches no secret's branch or index", kernels->name);
    for (size_t c = 0; c < sizeof COUNTS / sizeof COUNTS[0]; c++) {
        for (size_t l = 0; l < sizeof LENGTHS / sizeof LENGTHS[0]; l++, cases++) {
            for (size_t i = 0; i < COUNTS[c]; i++) prepare(i, LENGTHS[l], l * 9);
            seal_and_open(COUNTS[c], l % 2 == 0 ? COUNTS[c] : COUNTS[c] / 2);
        }
    }
    for (size_t len = 2000; len <= MAX_LEN; len += 8000, cases++) {
        for (size_t i = 0; i < 3; i++) prepare(i, len, 32);
        seal_and_open(3, 1);
    }
    test_end(cases);
}

static void check_mixed(void) {
    size_t rounds = 25;
    test_begin("%s: sealing and opening mixed messages touches no secret's branch or index", kernels->name);
    for (size_t round = 0; round < rounds; round++) {
        size_t count = 1 + test_below(MAX_JOBS);
        for (size_t i = 0; i < count; i++) prepare(i, test_below((size_t)8 << test_below(8)), test_below(sizeof ad));
        seal_and_open(count, test_below(2 * count));
    }
    test_end(rounds);
}

static void check_subkeys(void) {
    static uint8_t subkeys[MAX_JOBS][ZS_KEY_BYTES];
    zs_subkey_job derived[MAX_JOBS];
    test_begin("%s: HChaCha20 touches no secret's branch or index", kernels->name);
    for (size_t count = 1; count <= MAX_JOBS; count++) {
        for (size_t i = 0; i < count; i++) {
            prepare(i, 0, 0);
            derived[i] = (zs_subkey_job){subkeys[i], keys[i], ad + i};
        }
        kernels->hchacha20_many(&sodium, derived, count);
        for (size_t i = 0; i < count; i++) {
            CHECK(ct_is_secret(subkeys[i], ZS_KEY_BYTES), "subkey %zu of %zu is not followed", i, count);
            ct_public(subkeys[i], ZS_KEY_BYTES);
        }
        planted_leak(keys[0]);
    }
    test_end(MAX_JOBS);
}

static void check_ahead(void) {
    static _Alignas(64) zs_ahead_stream stream;
    size_t cases = 0;
    test_begin("%s: key stream made ahead touches no secret's branch or index", kernels->name);
    for (size_t len = 0; len <= 64 * (ZS_AHEAD_BLOCKS - 1); len += 16, cases++) {
        size_t lane = cases % ZS_AHEAD_LANES;
        for (size_t forged = 0; forged < 2; forged++) {
            prepare(0, len, len);
            kernels->ahead_make(stream, keys[0], jobs[0].sequence - lane, 1 + (len + 63) / 64);
            CHECK(ct_is_secret(stream[0], sizeof stream[0]), "key stream is not followed");
            kernels->ahead_seal(&jobs[0], (const zs_ahead_stream *)&stream, lane);
            check_sealed(0);
            turn_round(1, forged != 0 ? 0 : 1);
            kernels->ahead_open(&jobs[0], (const zs_ahead_stream *)&stream, lane);
            check_opened(0, forged != 0);
            planted_leak(keys[0]);
        }
    }
    test_end(cases);
}

int main(int argc, char **argv) {
    test_load_sodium(&sodium);
    test_reseed();
    sodium_open = sodium.chacha_open, sodium.chacha_open = open_and_declassify;
    sodium_hchacha20 = sodium.hchacha20, sodium.hchacha20 = derive_and_mark;
    kernels = argc > 1 ? test_tier(argv[1]) : NULL;
    if (kernels == NULL) return 0;
    test_begin("the program is watched");
    CHECK(ct_is_watched(), "neither by valgrind nor by MemorySanitizer");
    check_batches();
    check_mixed();
    check_subkeys();
    if (kernels->ahead_make != NULL) check_ahead();
    return 0;
}
