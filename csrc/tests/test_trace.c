/* test_trace.c: for the same lengths, different secrets execute the same blocks and touch the same addresses.
 *
 * clang puts a call into every basic block and before every load and store of up to 16 bytes; their sequence is hashed
 * and compared. This sees what test_ct.c cannot with MemorySanitizer, a branch on a carry: so the keys of Poly1305 are
 * corners too. Built by `make check-ct` with -fsanitize-coverage=trace-pc-guard,trace-loads,trace-stores.
 */
#include "../avx512.h"
#include "common.h"

#define UNTRACED __attribute__((no_sanitize("coverage")))

enum { MAX_JOBS = 20, MAX_LEN = 18000, SECRETS = 12 };

/* -- the recorder -------------------------------------------------------------------------------------------------- */

static bool recording;
static uint64_t trace, trace_length, guards;

UNTRACED static void record(uint64_t event) {
    if (!recording) return;
    trace = (trace ^ event) * UINT64_C(0x9E3779B97F4A7C15);
    trace ^= trace >> 29;
    trace_length++;
}

void __sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *stop);
void __sanitizer_cov_trace_pc_guard(uint32_t *guard);

UNTRACED void __sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *stop) {
    for (uint32_t *guard = start; guard < stop && *start == 0; guard++) *guard = (uint32_t)++guards;
}

UNTRACED void __sanitizer_cov_trace_pc_guard(uint32_t *guard) {
    record(*guard);
}

#define TOUCH(kind, bytes)                                     \
    void __sanitizer_cov_##kind##bytes(const void *address);   \
    UNTRACED void __sanitizer_cov_##kind##bytes(const void *address) { \
        record((uint64_t)(uintptr_t)address << 8 | bytes);     \
    }
TOUCH(load, 1) TOUCH(load, 2) TOUCH(load, 4) TOUCH(load, 8) TOUCH(load, 16)
TOUCH(store, 1) TOUCH(store, 2) TOUCH(store, 4) TOUCH(store, 8) TOUCH(store, 16)

typedef struct record_of {
    uint64_t trace, length;
} record_of;

UNTRACED static record_of run(void (*what)(void)) {
    trace = trace_length = 0;
    recording = true;
    what();
    recording = false;
    return (record_of){trace, trace_length};
}

/* -- what is run --------------------------------------------------------------------------------------------------- */

static zs_sodium sodium;
static const zs_kernels *kernels;
static size_t job_count, lane;
static zs_aead_job jobs[MAX_JOBS];
static zs_subkey_job subkey_jobs[MAX_JOBS];
static uint8_t keys[MAX_JOBS][ZS_KEY_BYTES], subkeys[MAX_JOBS][ZS_KEY_BYTES], tags[MAX_JOBS][ZS_TAG_BYTES], ad[128];
static uint8_t text[MAX_JOBS][MAX_LEN];
static _Alignas(64) zs_ahead_stream stream;
static volatile uint32_t sink;
static const uint8_t TABLE[256] = {1, 2, 3};

static void seal(void) {
    kernels->seal_many(&sodium, jobs, job_count);
}

static void open(void) {
    kernels->open_many(&sodium, jobs, job_count);
}

static void derive(void) {
    kernels->hchacha20_many(&sodium, subkey_jobs, job_count);
}

static void make_ahead(void) {
    kernels->ahead_make(stream, jobs[0].key, jobs[0].sequence, ZS_AHEAD_BLOCKS);
}

static void seal_ahead(void) {
    kernels->ahead_seal(&jobs[lane], (const zs_ahead_stream *)&stream, lane);
}

static void open_ahead(void) {
    kernels->ahead_open(&jobs[lane], (const zs_ahead_stream *)&stream, lane);
}

static void leak_branch(void) {
    seal();
    if ((keys[0][5] & 1) != 0) sink = sink + 1;
}

static void leak_index(void) {
    seal();
    sink = sink + *(const volatile uint8_t *)&TABLE[keys[0][5]];
}

/* The same lengths and numbers, new secrets; sometimes all zeros or all ones. */
static void new_secrets(size_t round) {
    test_fill(keys[0], sizeof keys);
    for (size_t i = 0; i < job_count; i++) {
        test_fill(text[i], jobs[i].len);
        if (round < 2) memset(keys[i], round == 0 ? 0 : 255, ZS_KEY_BYTES);
        if (round < 2) memset(text[i], round == 0 ? 0 : 255, jobs[i].len);
        jobs[i].status = ZS_OK;
    }
}

static void prepare(size_t count, size_t max_len, bool equal) {
    size_t len = test_below(max_len + 1);
    job_count = count;
    for (size_t i = 0; i < count; i++) {
        jobs[i] = (zs_aead_job){.key = keys[i], .sequence = test_random(), .ad = ad, .ad_len = test_below(sizeof ad),
                                .in = text[i], .out = text[i], .len = equal ? len : test_below(max_len + 1),
                                .tag = tags[i]};
        subkey_jobs[i] = (zs_subkey_job){subkeys[i], keys[i], ad + i};
    }
}

/* How many of the traces of `what` differ from the first; `before` makes ready what it works on. */
static size_t differing(void (*before)(void), void (*what)(void)) {
    record_of first = {0};
    size_t differ = 0;
    for (size_t round = 0; round < SECRETS; round++) {
        new_secrets(round);
        if (before != NULL) before();
        record_of one = run(what);
        CHECK(one.length > 0, "nothing was recorded");
        if (round == 0) first = one;
        else differ += one.trace != first.trace || one.length != first.length;
    }
    return differ;
}

static void expect_same(void (*before)(void), void (*what)(void), const char *name) {
    CHECK(differing(before, what) == 0, "%s: %zu messages, the first of %zu bytes", name, job_count, jobs[0].len);
}

static void check_tier(void) {
    size_t rounds = 150;
    test_begin("%s: the same trace for %d different secrets", kernels->name, SECRETS);
    for (size_t round = 0; round < rounds; round++) {
        prepare(1 + test_below(MAX_JOBS), round % 20 == 0 ? MAX_LEN : (size_t)16 << test_below(8), round % 2 == 0);
        expect_same(NULL, derive, "HChaCha20");
        expect_same(NULL, seal, "sealing");
        expect_same(seal, open, "opening");
        CHECK(jobs[0].status == ZS_OK, "it does not open");
    }
    test_end(3 * rounds);
    test_begin("%s: a planted branch or index on a key byte changes the trace", kernels->name);
    prepare(4, 300, true);
    CHECK(differing(NULL, leak_branch) > 0, "branch");
    CHECK(differing(NULL, leak_index) > 0, "index");
    test_end(2);
}

static void check_ahead(void) {
    size_t cases = 0;
    test_begin("%s: the same trace for %d different secrets, with key stream made ahead", kernels->name, SECRETS);
    for (size_t max_len = 0; max_len <= 64 * (ZS_AHEAD_BLOCKS - 1); max_len += 8, cases++) {
        prepare(ZS_AHEAD_LANES, max_len, false);
        lane = cases % ZS_AHEAD_LANES;
        expect_same(NULL, make_ahead, "making ahead");
        expect_same(NULL, seal_ahead, "sealing one");
        expect_same(seal_ahead, open_ahead, "opening one");
    }
    test_end(3 * cases);
}

/* -- Poly1305 with corner keys ------------------------------------------------------------------------------------- */

#ifdef ZS_HAVE_X86_KERNELS
static zs_poly16 sixteen;
static zs_poly1 one;
static zs_poly1_wide one_wide;
static size_t poly_len;

static void poly_sixteen(void) {
    static _Alignas(64) uint32_t rows[8][ZS_LANES16];
    static _Alignas(64) uint64_t tag[2][ZS_LANES16];
    const uint8_t *in[ZS_LANES16];
    size_t len[ZS_LANES16];
    for (size_t i = 0; i < ZS_LANES16; i++) {
        for (size_t w = 0; w < 8; w++) rows[w][i] = zs_load32(keys[i] + 4 * w);
        in[i] = text[i], len[i] = poly_len;
    }
    zs_poly16_init(&sixteen, rows);
    zs_poly16_raise(&sixteen);
    zs_poly16_chunks(&sixteen, in, 0, poly_len / 64, true);
    zs_poly16_tail(&sixteen, in, poly_len / 64, len);
    zs_poly16_finish(&sixteen, len, len, tag);
}

static void poly_one(void) {
    uint64_t tag[2];
    zs_poly1_init(&one, keys[0], &one_wide);
    zs_poly1_blocks(&one, text[0], poly_len, poly_len);
    zs_poly1_finish(&one, 0, poly_len, tag);
}

/* Keys of small or large r, s of all ones, text that brings the sum beside the prime. */
static void corners(void) {
    for (size_t i = 0; i < ZS_LANES16; i++) {
        size_t what = test_below(4);
        if (what < 2) memset(keys[i], what == 0 ? 0 : 255, 16);
        if (what == 0) keys[i][0] = (uint8_t)test_below(5);
        if (test_below(2) == 0) memset(keys[i] + 16, 255, 16);
        if (test_below(2) == 0) memset(text[i], 255, poly_len);
        if (test_below(2) == 0) text[i][0] = (uint8_t)(0xFA + test_below(6));
    }
}

static void check_poly1305(void) {
    size_t cases = 0;
    test_begin("avx512: the same trace of Poly1305 for corner keys and corner texts");
    for (poly_len = 0; poly_len <= 4500; poly_len += poly_len < 300 ? 1 : 1 + test_below(200), cases++) {
        prepare(ZS_LANES16, poly_len, true);
        expect_same(corners, poly_one, "one message");
        expect_same(corners, poly_sixteen, "sixteen lanes");
    }
    test_end(2 * cases);
}
#endif

int main(void) {
    test_load_sodium(&sodium);
    test_seed_all();
    for (size_t i = 0; TEST_TIERS[i] != NULL; i++) {
        kernels = test_tier(TEST_TIERS[i]);
        test_reseed();
        if (kernels == NULL) continue;
        check_tier();
        if (kernels->ahead_make != NULL) check_ahead();
    }
#ifdef ZS_HAVE_X86_KERNELS
    if (zs_kernels_choose("avx512") != NULL) check_poly1305();
#endif
    return 0;
}
