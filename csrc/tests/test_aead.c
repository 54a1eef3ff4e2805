/* test_aead.c: every tier against libsodium: lengths, associated data, batches, offsets, in place, forgeries.
 * Arguments: "short" (the default) or "long", then optionally one tier. */
#include "common.h"

enum { MAX_BATCH = 64, GUARD = 64, MAX_AD = 256, SLACK = 64 };

static zs_sodium sodium;

/* Each message has memory of its own: guard, text at an offset of 0 to 63, guard. */
typedef struct message {
    uint8_t key[ZS_KEY_BYTES + SLACK], ad[MAX_AD + SLACK], tag[ZS_TAG_BYTES + SLACK];
    uint8_t *plain, *sealed, *work; /* `work` is guarded */
    uint8_t expected_tag[ZS_TAG_BYTES];
    size_t room, offset, key_at, ad_at, tag_at;
} message;

static message messages[MAX_BATCH];

static void make_room(size_t room) {
    for (size_t i = 0; i < MAX_BATCH; i++) {
        message *m = &messages[i];
        if (m->room >= room) continue;
        free(m->plain), free(m->sealed), free(m->work);
        m->room = room;
        m->plain = malloc(room + SLACK);
        m->sealed = malloc(room + SLACK);
        m->work = malloc(room + SLACK + 2 * GUARD);
        CHECK(m->plain && m->sealed && m->work, "memory");
    }
}

static bool is_all(const uint8_t *p, size_t len, uint8_t value) {
    uint8_t differ = 0;
    for (size_t i = 0; i < len; i++) differ = (uint8_t)(differ | (p[i] ^ value));
    return differ == 0;
}

/* Fill job i with random everything; the expected result comes from libsodium. */
static void prepare(zs_aead_job *job, size_t i, size_t len, size_t ad_len) {
    message *m = &messages[i];
    m->offset = test_below(SLACK), m->key_at = test_below(SLACK);
    m->ad_at = test_below(SLACK), m->tag_at = test_below(SLACK);
    test_fill(m->key, sizeof m->key);
    test_fill(m->ad, sizeof m->ad);
    test_fill(m->plain + m->offset, len);
    *job = (zs_aead_job){m->key + m->key_at, test_random() >> test_below(64), m->ad + m->ad_at, ad_len,
                         m->plain + m->offset, m->sealed, len, m->expected_tag, ZS_OK};
    if (test_below(4) == 0) memset(m->key, (int)test_below(2) * 255, sizeof m->key);
    if (test_below(8) == 0) memset(m->plain + m->offset, 255, len);
    zs_kernels_choose("portable")->seal_many(&sodium, job, 1);
}

/* Point job i at its work buffer, in place or not. */
static void aim(zs_aead_job *job, size_t i, const uint8_t *source, bool in_place, bool sealing) {
    message *m = &messages[i];
    uint8_t *out = m->work + GUARD + m->offset;
    memset(m->work, 0xA5, job->len + SLACK + 2 * GUARD);
    if (in_place) memcpy(out, source, job->len);
    job->in = in_place ? out : source;
    job->out = out;
    memset(m->tag, 0x5A, sizeof m->tag);
    if (!sealing) memcpy(m->tag + m->tag_at, m->expected_tag, ZS_TAG_BYTES);
    job->tag = m->tag + m->tag_at;
    job->status = ZS_STATUS_COUNT;
}

static void check_guards(const zs_aead_job *job, size_t i) {
    const message *m = &messages[i];
    CHECK(is_all(m->work, GUARD + m->offset, 0xA5), "written before job %zu of %zu bytes", i, job->len);
    CHECK(is_all(job->out + job->len, GUARD, 0xA5), "written after job %zu of %zu bytes", i, job->len);
    CHECK(is_all(m->tag, m->tag_at, 0x5A) && is_all(m->tag + m->tag_at + ZS_TAG_BYTES, SLACK - m->tag_at, 0x5A),
          "written beside tag %zu", i);
}

static void check_seal(const zs_kernels *k, zs_aead_job *jobs, size_t count, bool in_place) {
    for (size_t i = 0; i < count; i++) aim(&jobs[i], i, messages[i].plain + messages[i].offset, in_place, true);
    k->seal_many(&sodium, jobs, count);
    for (size_t i = 0; i < count; i++) {
        const zs_aead_job *job = &jobs[i];
        check_guards(job, i);
        CHECK(memcmp(job->out, messages[i].sealed, job->len) == 0, "%s: job %zu of %zu, %zu bytes, ad %zu", k->name, i,
              count, job->len, job->ad_len);
        CHECK(memcmp(job->tag, messages[i].expected_tag, ZS_TAG_BYTES) == 0, "%s: job %zu of %zu, %zu bytes, ad %zu",
              k->name, i, count, job->len, job->ad_len);
        CHECK(job->status == ZS_OK, "%s: job %zu", k->name, i);
    }
}

/* Flip one bit of the tag, the associated data or the ciphertext of job `bad`. */
static uint8_t *forge(zs_aead_job *job, size_t bad, uint8_t *bit) {
    message *m = &messages[bad];
    *bit = (uint8_t)(1u << test_below(8));
    switch (test_below(3)) {
    case 1:
        if (job->ad_len > 0) return m->ad + m->ad_at + test_below(job->ad_len);
        break;
    case 2:
        if (job->len > 0) return (job->in == job->out ? job->out : m->sealed) + test_below(job->len);
        break;
    default: break;
    }
    return job->tag + test_below(ZS_TAG_BYTES);
}

static void check_open(const zs_kernels *k, zs_aead_job *jobs, size_t count, bool in_place, bool forging) {
    uint8_t *spoilt = NULL, bit = 0;
    size_t bad = forging ? test_below(count) : count;
    for (size_t i = 0; i < count; i++) aim(&jobs[i], i, messages[i].sealed, in_place, false);
    if (forging) *(spoilt = forge(&jobs[bad], bad, &bit)) ^= bit;
    k->open_many(&sodium, jobs, count);
    for (size_t i = 0; i < count; i++) {
        const zs_aead_job *job = &jobs[i];
        check_guards(job, i);
        CHECK(job->status == (i == bad ? ZS_FORGED : ZS_OK), "%s: status of job %zu of %zu (bad: %zu), %zu bytes",
              k->name, i, count, bad, job->len);
        if (i == bad) CHECK(is_all(job->out, job->len, 0), "%s: forged job %zu not wiped", k->name, i);
        else CHECK(memcmp(job->out, messages[i].plain + messages[i].offset, job->len) == 0, "%s: job %zu", k->name, i);
    }
    if (spoilt != NULL && spoilt >= (uint8_t *)messages && spoilt < (uint8_t *)(messages + MAX_BATCH)) *spoilt ^= bit;
    else if (spoilt != NULL && !in_place) *spoilt ^= bit;
}

static void check_batch(const zs_kernels *k, zs_aead_job *jobs, size_t count) {
    bool in_place = test_below(2) != 0;
    check_seal(k, jobs, count, in_place);
    check_open(k, jobs, count, !in_place, false);
    check_open(k, jobs, count, in_place, true);
}

/* Batches that are all equal, nearly equal or wholly mixed. */
static void random_batch(const zs_kernels *k, size_t max_len, size_t max_ad, size_t count) {
    zs_aead_job jobs[MAX_BATCH];
    size_t len = test_below(max_len + 1), ad_len = test_below(max_ad + 1), mix = test_below(4);
    make_room(max_len + 1);
    for (size_t i = 0; i < count; i++) {
        if (mix == 1 && test_below(4) == 0) len = test_below(max_len + 1);
        if (mix == 2) len = test_below(max_len + 1), ad_len = test_below(max_ad + 1);
        if (mix == 3) len = test_below(2) != 0 ? test_below(100) % (max_len + 1) : max_len - test_below(max_len / 4 + 1);
        prepare(&jobs[i], i, len, ad_len);
    }
    check_batch(k, jobs, count);
}

static void equal_batch(const zs_kernels *k, size_t len, size_t ad_len, size_t count) {
    zs_aead_job jobs[MAX_BATCH];
    make_room(len + 1);
    for (size_t i = 0; i < count; i++) prepare(&jobs[i], i, len, ad_len);
    check_batch(k, jobs, count);
}

/* A forgery in every lane of a batch in turn. */
static void every_lane(const zs_kernels *k, size_t len, size_t count) {
    zs_aead_job jobs[MAX_BATCH];
    make_room(len + 1);
    for (size_t i = 0; i < count; i++) prepare(&jobs[i], i, len, 32);
    for (size_t bad = 0; bad < count; bad++) {
        for (size_t i = 0; i < count; i++) aim(&jobs[i], i, messages[i].sealed, bad % 2 != 0, false);
        jobs[bad].tag[bad % ZS_TAG_BYTES] ^= (uint8_t)(1u << (bad % 8));
        k->open_many(&sodium, jobs, count);
        for (size_t i = 0; i < count; i++) {
            CHECK(jobs[i].status == (i == bad ? ZS_FORGED : ZS_OK), "%s: lane %zu, forged %zu", k->name, i, bad);
            if (i == bad) CHECK(is_all(jobs[i].out, len, 0), "%s: lane %zu not wiped", k->name, i);
            else CHECK(memcmp(jobs[i].out, messages[i].plain + messages[i].offset, len) == 0, "%s: lane %zu", k->name, i);
        }
    }
}

static void check_hchacha20(const zs_kernels *k) {
    uint8_t key[MAX_BATCH][33], input[MAX_BATCH][17], out[MAX_BATCH][34], expected[32];
    zs_subkey_job jobs[MAX_BATCH];
    for (size_t count = 0; count <= MAX_BATCH; count++) {
        test_fill(&key[0][0], sizeof key);
        test_fill(&input[0][0], sizeof input);
        memset(out, 0xA5, sizeof out);
        for (size_t i = 0; i < count; i++) jobs[i] = (zs_subkey_job){out[i] + 1, key[i] + i % 2, input[i] + i % 2};
        k->hchacha20_many(&sodium, jobs, count);
        for (size_t i = 0; i < MAX_BATCH; i++) {
            memset(expected, 0xA5, sizeof expected);
            if (i < count) sodium.hchacha20(expected, jobs[i].input, jobs[i].key, NULL);
            CHECK(memcmp(out[i] + 1, expected, 32) == 0, "%s: job %zu of %zu", k->name, i, count);
            CHECK(out[i][0] == 0xA5 && out[i][33] == 0xA5, "%s: written beside job %zu", k->name, i);
        }
    }
}

static void check_tier(const zs_kernels *k, bool whole) {
    size_t rounds = whole ? 60000 : 500;
    check_hchacha20(k);
    k->seal_many(&sodium, NULL, 0);
    k->open_many(&sodium, NULL, 0);
    for (size_t len = 0; len <= 4096; len += whole || len < 300 ? 1 : 1 + test_below(80)) {
        for (size_t ad_len = 0; ad_len <= 64; ad_len++) {
            if (whole || test_below(16) == 0) equal_batch(k, len, ad_len, 1 + test_below(MAX_BATCH));
        }
        equal_batch(k, len, 32, len % MAX_BATCH + 1);
        equal_batch(k, len, test_below(65), 1);
    }
    for (size_t count = 1; count <= MAX_BATCH; count++) {
        random_batch(k, 70, 64, count);
        random_batch(k, 4096, 200, count);
    }
    for (size_t i = 0; i < rounds; i++) random_batch(k, (size_t)16 << test_below(10), MAX_AD, 1 + test_below(MAX_BATCH));
    for (size_t i = 0; i < rounds / 50; i++) random_batch(k, 100000, MAX_AD, 1 + test_below(8));
    for (size_t len = 0; len < 2100; len = len * 2 + 33) every_lane(k, len, MAX_BATCH - len % 5);
    printf("%s: right\n", k->name);
}

int main(int argc, char **argv) {
    bool whole = argc > 1 && strcmp(argv[1], "long") == 0;
    test_load_sodium(&sodium, NULL);
    for (size_t i = 0; TEST_TIERS[i] != NULL; i++) {
        if (argc > 2 && strcmp(argv[2], TEST_TIERS[i]) != 0) continue;
        const zs_kernels *kernels = test_tier(TEST_TIERS[i]);
        test_seed(20251);
        if (kernels != NULL) check_tier(kernels, whole);
    }
    for (size_t i = 0; i < MAX_BATCH; i++) free(messages[i].plain), free(messages[i].sealed), free(messages[i].work);
    return 0;
}
