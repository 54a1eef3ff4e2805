/* test_aead.c: every tier against libsodium: lengths, associated data, batches, offsets, mixtures, subkeys.
 *
 * Arguments: "short" (the default) samples the space of 4,097 lengths, 65 lengths of associated data and 64 batches;
 * "long" walks all of it and 10^7 random messages besides; then optionally one tier.
 */
#include "messages.h"

enum { MAX_LEN = 4096, FIRST_ADS = 65 };

static zs_aead_job jobs[MAX_BATCH];

static void equal_batch(const zs_kernels *k, size_t len, size_t ad_len, size_t count, size_t offset) {
    bool one_key = test_below(2) == 0;
    for (size_t i = 0; i < count; i++) {
        message_prepare(&jobs[i], i, len, ad_len, offset);
        if (one_key) message_share_key(jobs, i);
    }
    batch_check(k, jobs, count);
}

/* Every length, every pair of associated data and batch, every pair of short length and batch; the rest at random. */
static void check_space_sampled(const zs_kernels *k) {
    size_t cases = 0;
    test_begin("%s: lengths 0..%d, ad 0..64, batches 1..64, sampled, as libsodium", k->name, MAX_LEN);
    for (size_t len = 0; len <= MAX_LEN; len += test_scaled(100) == 100 ? 1 : 1 + test_below(8)) {
        equal_batch(k, len, test_below(FIRST_ADS), 1 + test_below(MAX_BATCH), ANY_OFFSET), cases++;
        equal_batch(k, len, test_below(FIRST_ADS), 1 + len % 4, ANY_OFFSET), cases++;
    }
    for (size_t ad_len = 0; ad_len < FIRST_ADS; ad_len++) {
        for (size_t count = 1; count <= MAX_BATCH; count += test_scaled(100) == 100 ? 1 : 1 + test_below(6)) {
            equal_batch(k, test_below(600), ad_len, count, ANY_OFFSET), cases++;
        }
    }
    for (size_t len = 0; len < 330; len++) {
        for (size_t count = 1; count <= MAX_BATCH; count += 1 + test_below(8)) {
            if (test_below(100) < test_scaled(100)) equal_batch(k, len, test_below(FIRST_ADS), count, ANY_OFFSET), cases++;
        }
    }
    test_end(cases);
}

/* The messages of one length are the same for all its batches, so that libsodium is not what takes the time. */
static void check_space_whole(const zs_kernels *k) {
    size_t cases = 0;
    test_begin("%s: lengths 0..%d, ad 0..64, batches 1..64, all of them, as libsodium", k->name, MAX_LEN);
    for (size_t len = 0; len <= MAX_LEN; len++) {
        if (len % 64 == 0) fprintf(stderr, "%s: length %zu\n", k->name, len);
        for (size_t ad_len = 0; ad_len < FIRST_ADS; ad_len++) {
            for (size_t i = 0; i < MAX_BATCH; i++) message_prepare(&jobs[i], i, len, ad_len, ANY_OFFSET);
            for (size_t count = 1; count <= MAX_BATCH; count++, cases++) {
                bool in_place = test_below(2) != 0;
                forgery bad = batch_random_forgery(jobs, count);
                batch_seal(k, jobs, count, in_place);
                batch_open(k, jobs, count, !in_place, test_below(4) == 0 ? &bad : NULL);
            }
        }
    }
    test_end(cases);
}

static void check_offsets(const zs_kernels *k) {
    static const size_t LENGTHS[] = {0, 1, 15, 16, 63, 64, 65, 129, 448, 1000}, COUNTS[] = {1, 2, 5, 8, 16, 19};
    size_t cases = 0;
    test_begin("%s: every pointer at every offset 0..63, in place and not", k->name);
    for (size_t offset = 0; offset < OFFSETS; offset++) {
        for (size_t l = 0; l < sizeof LENGTHS / sizeof LENGTHS[0]; l++) {
            for (size_t c = 0; c < sizeof COUNTS / sizeof COUNTS[0]; c++, cases += 2) {
                for (size_t i = 0; i < COUNTS[c]; i++) message_prepare(&jobs[i], i, LENGTHS[l], 32 + l, offset);
                for (size_t in_place = 0; in_place < 2; in_place++) {
                    batch_seal(k, jobs, COUNTS[c], in_place != 0);
                    batch_open(k, jobs, COUNTS[c], in_place != 0, NULL);
                }
            }
        }
    }
    test_end(cases);
}

/* Batches that are equal, nearly equal, or wholly mixed; short among long. */
static size_t random_batch(const zs_kernels *k, size_t max_len, size_t max_ad, size_t count) {
    size_t len = test_below(max_len + 1), ad_len = test_below(max_ad + 1), mix = test_below(4);
    bool one_key = test_below(2) == 0;
    for (size_t i = 0; i < count; i++) {
        if (mix == 1 && test_below(4) == 0) len = test_below(max_len + 1);
        if (mix == 2) len = test_below(max_len + 1), ad_len = test_below(max_ad + 1);
        if (mix == 3) len = test_below(2) != 0 ? test_below(100) % (max_len + 1) : max_len - test_below(max_len / 4 + 1);
        message_prepare(&jobs[i], i, len, ad_len, ANY_OFFSET);
        if (one_key) message_share_key(jobs, i);
    }
    batch_check(k, jobs, count);
    return count;
}

static void check_mixtures(const zs_kernels *k, size_t messages) {
    size_t done = 0;
    test_begin("%s: random messages in random batches", k->name);
    while (done < messages) done += random_batch(k, (size_t)16 << test_below(9), 256, 1 + test_below(MAX_BATCH));
    test_end(done);
}

static void check_long_messages(const zs_kernels *k, size_t rounds) {
    size_t cases = 0;
    test_begin("%s: long texts and long associated data, alone and among short ones", k->name);
    for (size_t i = 0; i < rounds; i++) {
        cases += random_batch(k, 40000, 200, 1 + test_below(20));
        cases += random_batch(k, 120000, 200, 1 + test_below(3));
        cases += random_batch(k, 300, 70000, 1 + test_below(8));
        cases += random_batch(k, 0, 40000, 1 + test_below(18));
    }
    message_prepare(&jobs[0], 0, ZS_MAX_MESSAGE_BYTES - ZS_HEADER_BYTES - ZS_TAG_BYTES, ZS_HEADER_BYTES, ANY_OFFSET);
    batch_check(k, jobs, 1);
    message_prepare(&jobs[0], 0, 0, ZS_MAX_MESSAGE_BYTES - ZS_TAG_BYTES, ANY_OFFSET);
    batch_check(k, jobs, 1);
    messages_free();
    test_end(cases + 2);
}

static void check_no_message(const zs_kernels *k) {
    test_begin("%s: a batch of nothing", k->name);
    k->seal_many(&messages_sodium, NULL, 0);
    k->open_many(&messages_sodium, NULL, 0);
    k->hchacha20_many(&messages_sodium, NULL, 0);
    test_end(3);
}

static void check_subkeys(const zs_kernels *k) {
    static uint8_t key[MAX_BATCH][ZS_KEY_BYTES + OFFSETS], input[MAX_BATCH][ZS_HCHACHA_INPUT_BYTES + OFFSETS];
    static uint8_t out[MAX_BATCH][OFFSETS + ZS_KEY_BYTES + OFFSETS];
    zs_subkey_job subkeys[MAX_BATCH];
    uint8_t expected[ZS_KEY_BYTES];
    size_t cases = 0;
    test_begin("%s: HChaCha20 of batches 0..64 at every offset, as libsodium", k->name);
    for (size_t count = 0; count <= MAX_BATCH; count++) {
        for (size_t round = 0; round < 4; round++, cases++) {
            test_fill(&key[0][0], sizeof key);
            test_fill(&input[0][0], sizeof input);
            memset(out, 0xA5, sizeof out);
            for (size_t i = 0; i < count; i++) {
                size_t at = (i + count + 17 * round) % OFFSETS;
                subkeys[i] = (zs_subkey_job){out[i] + at, key[i] + (at + 1) % OFFSETS, input[i] + (at + 2) % OFFSETS};
            }
            k->hchacha20_many(&messages_sodium, subkeys, count);
            for (size_t i = 0; i < count; i++) {
                size_t at = (size_t)(subkeys[i].out - out[i]);
                CHECK(messages_sodium.hchacha20(expected, subkeys[i].input, subkeys[i].key, NULL) == 0, "libsodium");
                CHECK(memcmp(subkeys[i].out, expected, sizeof expected) == 0, "job %zu of %zu", i, count);
                CHECK(test_is_all(out[i], at, 0xA5) &&
                          test_is_all(subkeys[i].out + ZS_KEY_BYTES, 2 * OFFSETS - at - OFFSETS, 0xA5),
                      "written beside job %zu of %zu", i, count);
            }
            for (size_t i = count; i < MAX_BATCH; i++) CHECK(test_is_all(out[i], sizeof out[i], 0xA5), "after %zu", count);
        }
    }
    test_end(cases);
}

static void check_tier(const zs_kernels *k, bool whole) {
    check_no_message(k);
    check_subkeys(k);
    if (whole) check_space_whole(k);
    else check_space_sampled(k);
    check_offsets(k);
    check_mixtures(k, whole ? 10000000 : test_scaled(60000));
    check_long_messages(k, whole ? 2000 : test_scaled(20));
}

int main(int argc, char **argv) {
    bool whole = argc > 1 && strcmp(argv[1], "long") == 0;
    test_load_sodium(&messages_sodium);
    test_seed_all();
    for (size_t i = 0; TEST_TIERS[i] != NULL; i++) {
        if (argc > 2 && strcmp(argv[2], TEST_TIERS[i]) != 0) continue;
        const zs_kernels *kernels = test_tier(TEST_TIERS[i]);
        test_reseed();
        if (kernels != NULL) check_tier(kernels, whole);
    }
    messages_free();
    return 0;
}
