/* test_far.c: long messages whose text goes on elsewhere (far_in, far_out), in the tiers that allow it. */
#include "common.h"

enum { COUNT = 5, GUARD = 64, LONGEST = 200000 };

typedef struct message {
    uint8_t key[ZS_KEY_BYTES], ad[100], tag[ZS_TAG_BYTES], right_tag[ZS_TAG_BYTES];
    uint8_t *near, *far, *plain, *sealed; /* `near` and `far` stand between guards */
} message;

static zs_sodium sodium;
static message messages[COUNT];

static void guard(uint8_t *p, size_t len) {
    memset(p, 0xA5, GUARD);
    memset(p + GUARD + len, 0xA5, GUARD);
}

static void check_guard(const uint8_t *p, size_t len, size_t i) {
    CHECK(test_is_all(p, GUARD, 0xA5) && test_is_all(p + GUARD + len, GUARD, 0xA5), "written beside job %zu", i);
}

static zs_aead_job prepare(size_t i, size_t len) {
    message *m = &messages[i];
    uint8_t nonce[TEST_NONCE_BYTES];
    zs_aead_job job = {.key = m->key, .sequence = test_random(), .ad = m->ad, .ad_len = test_below(sizeof m->ad),
                       .len = len, .tag = m->tag};
    test_fill(m->key, sizeof m->key), test_fill(m->ad, sizeof m->ad), test_fill(m->plain, len);
    test_nonce(nonce, job.sequence);
    CHECK(sodium.chacha_seal(m->sealed, m->right_tag, NULL, m->plain, len, m->ad, job.ad_len, NULL, nonce, m->key) == 0,
          "libsodium seals");
    return job;
}

/* The first bytes in place in a message's memory, the rest read where the user has it. */
static void seal(const zs_kernels *k, zs_aead_job *jobs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        message *m = &messages[i];
        bool far = jobs[i].len >= k->far_from;
        guard(m->near, jobs[i].len);
        memset(m->near + GUARD, 0x77, jobs[i].len);
        memcpy(m->near + GUARD, m->plain, far ? ZS_NEAR_BYTES : jobs[i].len);
        jobs[i].in = jobs[i].out = m->near + GUARD;
        jobs[i].far_in = far ? m->plain + ZS_NEAR_BYTES : NULL;
        jobs[i].far_out = NULL;
    }
    k->seal_many(&sodium, jobs, count);
    for (size_t i = 0; i < count; i++) {
        CHECK(memcmp(jobs[i].out, messages[i].sealed, jobs[i].len) == 0, "job %zu, %zu bytes: ciphertext", i, jobs[i].len);
        CHECK(memcmp(jobs[i].tag, messages[i].right_tag, ZS_TAG_BYTES) == 0, "job %zu, %zu bytes: tag", i, jobs[i].len);
        check_guard(messages[i].near, jobs[i].len, i);
    }
}

static void open(const zs_kernels *k, zs_aead_job *jobs, size_t count, size_t bad) {
    for (size_t i = 0; i < count; i++) {
        message *m = &messages[i];
        bool far = jobs[i].len >= k->far_from;
        size_t rest = far ? jobs[i].len - ZS_NEAR_BYTES : 0;
        guard(m->near, jobs[i].len), guard(m->far, rest);
        memcpy(m->near + GUARD, m->sealed, jobs[i].len);
        jobs[i].in = jobs[i].out = m->near + GUARD;
        jobs[i].far_in = NULL;
        jobs[i].far_out = far ? m->far + GUARD : NULL;
        memset(m->far + GUARD, 0x77, rest);
    }
    if (bad < count) jobs[bad].out[test_below(jobs[bad].len)] ^= (uint8_t)(1u << test_below(8));
    k->open_many(&sodium, jobs, count);
    for (size_t i = 0; i < count; i++) {
        const message *m = &messages[i];
        const zs_aead_job *job = &jobs[i];
        size_t near = job->far_out != NULL ? ZS_NEAR_BYTES : job->len;
        CHECK(job->status == (i == bad ? ZS_FORGED : ZS_OK), "job %zu, %zu bytes: status", i, job->len);
        if (i == bad) CHECK(test_is_all(job->out, near, 0), "job %zu not wiped", i);
        else CHECK(memcmp(job->out, m->plain, near) == 0, "job %zu, %zu bytes: text", i, job->len);
        if (i == bad) CHECK(test_is_all(m->far + GUARD, job->len - near, 0), "job %zu not wiped far away", i);
        else CHECK(memcmp(m->far + GUARD, m->plain + near, job->len - near) == 0, "job %zu: far text", i);
        check_guard(m->near, job->len, i), check_guard(m->far, job->len - near, i);
    }
}

static void check_tier(const zs_kernels *k) {
    size_t rounds = test_scaled(300);
    test_begin("%s: text that goes on elsewhere, among text that does not, forged and right", k->name);
    for (size_t round = 0; round < rounds; round++) {
        zs_aead_job jobs[COUNT];
        size_t count = 1 + test_below(COUNT), at_least = k->far_from;
        for (size_t i = 0; i < count; i++) {
            size_t len = at_least + test_below(round % 2 == 0 ? 600 : LONGEST - at_least);
            jobs[i] = prepare(i, i > 0 && test_below(3) == 0 ? 1 + test_below(600) : len);
        }
        seal(k, jobs, count);
        open(k, jobs, count, count);
        open(k, jobs, count, test_below(count));
    }
    test_end(rounds);
}

int main(int argc, char **argv) {
    test_load_sodium(&sodium);
    test_seed_all();
    for (size_t i = 0; i < COUNT; i++) {
        uint8_t **rooms[] = {&messages[i].near, &messages[i].far, &messages[i].plain, &messages[i].sealed};
        for (size_t r = 0; r < 4; r++) CHECK((*rooms[r] = malloc(LONGEST + 2 * GUARD)) != NULL, "memory");
    }
    for (size_t i = 0; TEST_TIERS[i] != NULL; i++) {
        if (argc > 1 && strcmp(argv[1], TEST_TIERS[i]) != 0) continue;
        const zs_kernels *kernels = test_tier(TEST_TIERS[i]);
        test_reseed();
        if (kernels == NULL) continue;
        if (kernels->far_from < LONGEST / 2) check_tier(kernels);
        else printf("  not run: %s has no text elsewhere\n", kernels->name);
    }
    for (size_t i = 0; i < COUNT; i++) {
        free(messages[i].near), free(messages[i].far), free(messages[i].plain), free(messages[i].sealed);
    }
    return 0;
}
