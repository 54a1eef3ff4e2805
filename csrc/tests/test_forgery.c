/* test_forgery.c: one bit turned in the tag, the ciphertext or the associated data of one lane of a batch.
 * Its status alone is bad, its output alone holds zeros, its neighbours come out right; in every tier and lane.
 */
#include "messages.h"

static zs_aead_job jobs[MAX_BATCH];

static size_t bits_of(const zs_aead_job *job, forged_part part) {
    return 8 * (part == FORGED_TAG ? ZS_TAG_BYTES : part == FORGED_TEXT ? job->len : job->ad_len);
}

/* Seal a batch and forge each of its lanes in turn, in each part that it has. */
static size_t every_lane(const zs_kernels *k, size_t count) {
    size_t cases = 0;
    batch_seal(k, jobs, count, false);
    for (size_t lane = 0; lane < count; lane++) {
        for (forged_part part = FORGED_TAG; part <= FORGED_AD; part++) {
            size_t bits = bits_of(&jobs[lane], part);
            if (bits == 0) continue;
            forgery bad = {lane, part, test_below(bits)};
            batch_open(k, jobs, count, cases++ % 2 == 0, &bad);
        }
    }
    batch_open(k, jobs, count, false, NULL);
    return cases;
}

static void check_lanes(const zs_kernels *k) {
    static const size_t LENGTHS[] = {0, 1, 16, 63, 64, 65, 200, 383, 450, 1100};
    static const size_t COUNTS[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 33, 64};
    size_t cases = 0;
    test_begin("%s: one bit of tag, text or ad forged, in every lane of equal messages", k->name);
    for (size_t c = 0; c < sizeof COUNTS / sizeof COUNTS[0]; c++) {
        for (size_t l = 0; l < sizeof LENGTHS / sizeof LENGTHS[0]; l++) {
            if (test_below(100) >= test_scaled(100)) continue;
            for (size_t i = 0; i < COUNTS[c]; i++) message_prepare(&jobs[i], i, LENGTHS[l], l * 11, ANY_OFFSET);
            cases += every_lane(k, COUNTS[c]);
        }
    }
    test_end(cases);
}

static void check_mixed_lanes(const zs_kernels *k) {
    size_t cases = 0;
    test_begin("%s: one bit of tag, text or ad forged, in every lane of mixed messages", k->name);
    for (size_t round = 0; round < test_scaled(60); round++) {
        size_t count = 1 + test_below(MAX_BATCH);
        for (size_t i = 0; i < count; i++) {
            message_prepare(&jobs[i], i, test_below((size_t)8 << test_below(8)), test_below(100), ANY_OFFSET);
        }
        cases += every_lane(k, count);
    }
    test_end(cases);
}

/* Not a bit of the tag, of the associated data or of the text that does not count. */
static void check_every_bit(const zs_kernels *k) {
    static const size_t COUNTS[] = {1, 4, 16}, LENGTHS[] = {70, 400};
    size_t cases = 0;
    test_begin("%s: every single bit of tag, text and ad counts", k->name);
    for (size_t c = 0; c < 3; c++) {
        for (size_t l = 0; l < 2; l++) {
            for (size_t i = 0; i < COUNTS[c]; i++) message_prepare(&jobs[i], i, LENGTHS[l], 40, ANY_OFFSET);
            for (forged_part part = FORGED_TAG; part <= FORGED_AD; part++) {
                forgery bad = {COUNTS[c] / 2, part, 0};
                for (; bad.bit < bits_of(&jobs[bad.lane], part); bad.bit++, cases++) {
                    batch_open(k, jobs, COUNTS[c], bad.bit % 2 == 0, &bad);
                }
            }
        }
    }
    test_end(cases);
}

/* Any set of lanes at once, none and all among them. */
static void check_sets(const zs_kernels *k) {
    size_t cases = 0;
    test_begin("%s: any set of lanes forged at once", k->name);
    for (size_t round = 0; round < test_scaled(400); round++, cases++) {
        size_t count = 1 + test_below(MAX_BATCH), len = test_below(700);
        uint64_t set = round % 8 == 0 ? 0 : round % 8 == 1 ? UINT64_MAX : test_random();
        for (size_t i = 0; i < count; i++) {
            message_prepare(&jobs[i], i, len, 32, ANY_OFFSET);
            message_aim(&jobs[i], i, round % 2 == 0, false);
            if ((set >> i & 1) != 0) jobs[i].tag[test_below(ZS_TAG_BYTES)] ^= (uint8_t)(1u << test_below(8));
        }
        k->open_many(&messages_sodium, jobs, count);
        for (size_t i = 0; i < count; i++) {
            bool bad = (set >> i & 1) != 0;
            message_check_guards(&jobs[i], i);
            CHECK(jobs[i].status == (bad ? ZS_FORGED : ZS_OK), "status of job %zu of %zu", i, count);
            if (bad) CHECK(test_is_all(jobs[i].out, len, 0), "job %zu of %zu not wiped", i, count);
            else CHECK(memcmp(jobs[i].out, message_plain(i), len) == 0, "text of job %zu of %zu", i, count);
        }
    }
    test_end(cases);
}

/* What authenticates for one length of associated data or text does so for no other split of the same bytes. */
static void check_lengths_count(const zs_kernels *k) {
    size_t cases = 0;
    test_begin("%s: text or ad cut short is forged", k->name);
    for (size_t round = 0; round < test_scaled(300); round++) {
        size_t count = 1 + test_below(18), bad = test_below(count);
        for (size_t i = 0; i < count; i++) message_prepare(&jobs[i], i, 1 + test_below(300), 1 + test_below(70), ANY_OFFSET);
        for (size_t part = 0; part < 2; part++, cases++) {
            for (size_t i = 0; i < count; i++) message_aim(&jobs[i], i, false, false);
            size_t *len = part == 0 ? &jobs[bad].len : &jobs[bad].ad_len, before = *len;
            *len = test_below(before);
            k->open_many(&messages_sodium, jobs, count);
            for (size_t i = 0; i < count; i++) {
                CHECK(jobs[i].status == (i == bad ? ZS_FORGED : ZS_OK), "status of job %zu of %zu", i, count);
            }
            *len = before;
        }
    }
    test_end(cases);
}

int main(int argc, char **argv) {
    test_load_sodium(&messages_sodium);
    test_seed_all();
    for (size_t i = 0; TEST_TIERS[i] != NULL; i++) {
        if (argc > 1 && strcmp(argv[1], TEST_TIERS[i]) != 0) continue;
        const zs_kernels *kernels = test_tier(TEST_TIERS[i]);
        test_reseed();
        if (kernels == NULL) continue;
        check_lanes(kernels);
        check_mixed_lanes(kernels);
        check_every_bit(kernels);
        check_sets(kernels);
        check_lengths_count(kernels);
    }
    messages_free();
    return 0;
}
