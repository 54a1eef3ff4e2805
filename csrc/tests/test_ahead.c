/* test_ahead.c: messages one by one with key stream made ahead: as libsodium, and no lane of it used twice. */
#include "../ahead.h"
#include "common.h"

enum { MAX_LEN = 64 * ZS_AHEAD_BLOCKS + 70, MAX_AD = 150, GUARD = 32 };

static zs_libs libs;
static uint8_t plain[MAX_LEN], sealed[MAX_LEN], tag[ZS_TAG_BYTES], ad[MAX_AD], work[MAX_LEN + 2 * GUARD];

/* A message and what libsodium makes of it. */
static zs_aead_job prepare(const uint8_t *key, uint64_t sequence, size_t len, size_t ad_len) {
    uint8_t nonce[TEST_NONCE_BYTES];
    test_fill(plain, len), test_fill(ad, ad_len);
    test_nonce(nonce, sequence);
    int result = libs.sodium.chacha_seal(sealed, tag, NULL, plain, len, ad, ad_len, NULL, nonce, key);
    CHECK(result == 0, "libsodium seals");
    memset(work, 0xA5, sizeof work);
    return (zs_aead_job){.key = key, .sequence = sequence, .ad = ad, .ad_len = ad_len, .out = work + GUARD, .len = len,
                         .status = ZS_STATUS_COUNT};
}

static void check_guards(size_t len) {
    CHECK(test_is_all(work, GUARD, 0xA5) && test_is_all(work + GUARD + len, GUARD, 0xA5), "written beside %zu bytes", len);
}

static void check_sealed(const zs_aead_job *job, const uint8_t made[ZS_TAG_BYTES]) {
    CHECK(memcmp(job->out, sealed, job->len) == 0 && memcmp(made, tag, ZS_TAG_BYTES) == 0,
          "number %llu, %zu bytes, ad %zu", (unsigned long long)job->sequence, job->len, job->ad_len);
    CHECK(job->status == ZS_OK, "status");
    check_guards(job->len);
}

static void check_opened(const zs_aead_job *job, bool right) {
    CHECK(job->status == (right ? ZS_OK : ZS_FORGED), "number %llu: status", (unsigned long long)job->sequence);
    CHECK(right ? memcmp(job->out, plain, job->len) == 0 : test_is_all(job->out, job->len, 0), "number %llu, %zu bytes",
          (unsigned long long)job->sequence, job->len);
    check_guards(job->len);
}

/* Turn one bit of what is to be opened; the text or the associated data if there is any. */
static void forge(const zs_aead_job *job, size_t part) {
    uint8_t *where = part == 1 && job->len > 0 ? sealed : part == 2 && job->ad_len > 0 ? ad : tag;
    size_t len = where == sealed ? job->len : where == ad ? job->ad_len : ZS_TAG_BYTES;
    where[test_below(len)] ^= (uint8_t)(1u << test_below(8));
}

static void check_kernels(const zs_kernels *k) {
    static _Alignas(64) zs_ahead_stream stream;
    uint8_t key[ZS_KEY_BYTES], made[ZS_TAG_BYTES];
    size_t cases = 0;
    test_begin("%s: every lane, length and part forged, with key stream made ahead", k->name);
    for (size_t len = 0; len <= 64 * (ZS_AHEAD_BLOCKS - 1); len++) {
        uint64_t first = test_random() >> test_below(64);
        test_fill(key, sizeof key);
        k->ahead_make(stream, key, first, 1 + (len + 63) / 64);
        for (size_t lane = 0; lane < ZS_AHEAD_LANES; lane++, cases++) {
            zs_aead_job job = prepare(key, first + lane, len, test_below(MAX_AD));
            bool in_place = lane % 2 == 0;
            job.in = in_place ? job.out : plain, job.tag = made;
            if (in_place) memcpy(job.out, plain, len);
            k->ahead_seal(&job, (const zs_ahead_stream *)&stream, lane);
            check_sealed(&job, made);
            job.in = in_place ? job.out : sealed, job.tag = tag;
            k->ahead_open(&job, (const zs_ahead_stream *)&stream, lane);
            check_opened(&job, true);
            forge(&job, cases % 3);
            memcpy(job.out, sealed, len);
            k->ahead_open(&job, (const zs_ahead_stream *)&stream, lane);
            check_opened(&job, false);
        }
    }
    test_end(cases);
}

/* The lane that the message took, if it took one, holds no key stream any more; true if it took one. */
static bool check_used_up(const zs_ahead *ahead, uint64_t sequence, uint32_t ready) {
    uint64_t lane = sequence - ahead->first;
    bool made = ahead->next == sequence + 1 && lane == 0 && ahead->ready == ((UINT32_C(1) << ZS_AHEAD_LANES) - 2);
    bool taken = lane < ZS_AHEAD_LANES && (ahead->ready >> lane & 1) == 0 && ((ready >> lane & 1) != 0 || made);
    for (size_t block = 0; block < ahead->blocks && taken && ahead->ready != 0; block++) {
        CHECK(test_is_all(ahead->stream[block][lane], 64, 0), "lane %zu is used up and not wiped", (size_t)lane);
    }
    return taken;
}

/* Numbers that follow each other, jump, come again; another key now and then; lengths above what is made ahead. */
static void check_walk(const zs_kernels *k, bool opening) {
    static zs_ahead ahead;
    uint8_t keys[2][ZS_KEY_BYTES], made[ZS_TAG_BYTES];
    size_t used = 0, rounds = test_scaled(20000), which = 0;
    uint64_t sequence = 0;
    test_begin("%s: a walk of messages %s one by one, as libsodium", k->name, opening ? "opened" : "sealed");
    libs.kernels = k;
    memset(&ahead, 0, sizeof ahead);
    test_fill(&keys[0][0], sizeof keys);
    for (size_t i = 0; i < rounds; i++, sequence++) {
        if (test_below(40) == 0) which = 1 - which;
        if (test_below(12) == 0) sequence = sequence + test_below(40) - test_below(20);
        if (test_below(500) == 0) sequence = test_random();
        zs_aead_job job = prepare(keys[which], sequence, test_below((size_t)8 << test_below(6)), test_below(MAX_AD));
        uint32_t ready = ahead.ready;
        bool forged = opening && test_below(10) == 0;
        job.in = opening ? sealed : plain, job.tag = opening ? tag : made;
        if (forged) forge(&job, test_below(3));
        if (opening) zs_ahead_open(&libs, &ahead, &job);
        else zs_ahead_seal(&libs, &ahead, &job);
        if (opening) check_opened(&job, !forged);
        else check_sealed(&job, made);
        used += check_used_up(&ahead, sequence, ready);
    }
    CHECK(k->ahead_make == NULL ? used == 0 : used > rounds / 4, "%zu of %zu used what was made ahead", used, rounds);
    test_end(rounds);
}

/* A stranger's numbers must not make the receiver work: nothing is made for what has not been authenticated. */
static void check_strangers(const zs_kernels *k) {
    static zs_ahead ahead, before;
    uint8_t key[ZS_KEY_BYTES];
    size_t rounds = 200;
    test_begin("%s: forged messages move nothing of what is made ahead", k->name);
    libs.kernels = k;
    memset(&ahead, 0, sizeof ahead);
    test_fill(key, sizeof key);
    for (uint64_t number = 0; number < 3; number++) {
        zs_aead_job job = prepare(key, number, 50, 32);
        job.in = sealed, job.tag = tag;
        zs_ahead_open(&libs, &ahead, &job);
        check_opened(&job, true);
    }
    before = ahead;
    for (size_t i = 0; i < rounds; i++) {
        zs_aead_job job = prepare(key, i == 0 ? 3 : test_below(2) != 0 ? test_below(16) : test_random(), 50, 32);
        job.in = sealed, job.tag = tag;
        forge(&job, i % 3);
        zs_ahead_open(&libs, &ahead, &job);
        check_opened(&job, false);
        CHECK(memcmp(&before, &ahead, sizeof ahead) == 0, "number %llu", (unsigned long long)job.sequence);
    }
    test_end(rounds);
}

int main(int argc, char **argv) {
    test_load_sodium(&libs.sodium);
    test_seed_all();
    for (size_t i = 0; TEST_TIERS[i] != NULL; i++) {
        if (argc > 1 && strcmp(argv[1], TEST_TIERS[i]) != 0) continue;
        const zs_kernels *kernels = test_tier(TEST_TIERS[i]);
        test_reseed();
        if (kernels == NULL) continue;
        if (kernels->ahead_make != NULL) check_kernels(kernels);
        check_walk(kernels, false);
        check_walk(kernels, true);
        check_strangers(kernels);
    }
    return 0;
}
