/* kernel.c: ns per message of a kernel tier beside libsodium, interleaved so that noise hits both.
 * Arguments: tier, batch, pause (µs of scalar work between batches, 0 for none), then sizes; "mixed" is one too. */
#define _GNU_SOURCE
#include "../../csrc/tests/common.h"

#include <time.h>

enum { MAX_BATCH = 256, ROUNDS = 61, AD_BYTES = 32, MAX_BYTES = 1 << 20 };

static zs_sodium sodium;
static zs_aead_job jobs[MAX_BATCH];
static uint8_t keys[ZS_KEY_BYTES], ads[MAX_BATCH][AD_BYTES], tags[MAX_BATCH][ZS_TAG_BYTES];
static size_t pause_us;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void spin(void) {
    if (pause_us == 0) return;
    double end = now() + (double)pause_us * 1e3;
    while (now() < end) test_random();
}

static double once(zs_aead_kernel *kernel, size_t count, size_t repeat) {
    double spent = 0;
    for (size_t i = 0; i < repeat; i++) {
        spin();
        double start = now();
        kernel(&sodium, jobs, count);
        spent += now() - start;
    }
    return spent / (double)(repeat * count);
}

/* Without a pause the clock is read once for all repetitions. */
static double timed(zs_aead_kernel *kernel, size_t count, size_t repeat) {
    if (pause_us != 0) return once(kernel, count, repeat);
    double start = now();
    for (size_t i = 0; i < repeat; i++) kernel(&sodium, jobs, count);
    return (now() - start) / (double)(repeat * count);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values) {
    qsort(values, ROUNDS, sizeof *values, ascending);
    return values[ROUNDS / 2];
}

static void measure(const zs_kernels *tier, const zs_kernels *plain, const char *label, size_t count) {
    double ns[4][ROUNDS], ratio[2][ROUNDS];
    zs_aead_kernel *kernels[4] = {plain->seal_many, tier->seal_many, plain->open_many, tier->open_many};
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += jobs[i].len + 300;
    size_t repeat = 1 + (pause_us != 0 ? 3 : 400000 / bytes);
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t k = 0; k < 4; k++) {
            /* Opening in place twice would not open: every open is of a separate buffer, sealed once here. */
            if (k == 0 || k == 2) kernels[0](&sodium, jobs, count);
            if (k == 2) for (size_t i = 0; i < count; i++) {
                const uint8_t *in = jobs[i].in;
                jobs[i].in = jobs[i].out, jobs[i].out = (uint8_t *)(uintptr_t)in;
            }
            ns[k][round] = timed(kernels[k], count, repeat);
        }
        for (size_t i = 0; i < count; i++) {
            CHECK(jobs[i].status == ZS_OK, "job %zu", i);
            const uint8_t *in = jobs[i].in;
            jobs[i].in = jobs[i].out, jobs[i].out = (uint8_t *)(uintptr_t)in;
        }
        ratio[0][round] = ns[0][round] / ns[1][round];
        ratio[1][round] = ns[2][round] / ns[3][round];
    }
    printf("%8s x %-3zu libsodium %9.1f  seal %9.1f ns %5.2fx   open %9.1f ns %5.2fx\n", label, count, median(ns[0]),
           median(ns[1]), median(ratio[0]), median(ns[3]), median(ratio[1]));
    fflush(stdout);
}

int main(int argc, char **argv) {
    CHECK(argc > 4, "arguments: tier batch pause size...");
    const zs_kernels *tier = zs_kernels_choose(argv[1]), *plain = zs_kernels_choose("portable");
    size_t count = strtoul(argv[2], NULL, 10);
    pause_us = strtoul(argv[3], NULL, 10);
    CHECK(tier != NULL && count > 0 && count <= MAX_BATCH, "tier or batch");
    test_load_sodium(&sodium);
    test_fill(keys, sizeof keys);
    for (int a = 4; a < argc; a++) {
        bool mixed = strcmp(argv[a], "mixed") == 0;
        size_t size = mixed ? 2000 : strtoul(argv[a], NULL, 10), stride = size + 96;
        CHECK(size <= MAX_BYTES, "size");
        uint8_t *from = malloc(stride * count), *to = malloc(stride * count + 1500);
        CHECK(from != NULL && to != NULL, "memory");
        test_fill(from, stride * count);
        test_fill(&ads[0][0], sizeof ads);
        for (size_t i = 0; i < count; i++) {
            size_t len = mixed ? test_below(size) : size;
            /* The output stands far from 4 KiB aliases of the input. */
            jobs[i] = (zs_aead_job){.key = keys, .sequence = 1000 + i, .ad = ads[i], .ad_len = AD_BYTES,
                                    .in = from + stride * i + 32, .out = to + stride * i + 1500, .len = len,
                                    .tag = tags[i]};
        }
        measure(tier, plain, argv[a], count);
        free(from), free(to);
    }
    return 0;
}
