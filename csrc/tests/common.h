/* common.h: what the C tests share: libsodium found at run time, a seeded generator, checks that stop the program. */
#ifndef ZS_TEST_COMMON_H
#define ZS_TEST_COMMON_H

#include "../dispatch.h"
#include "../impl.h"
#include "../libs.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition, ...)                                      \
    do {                                                           \
        if (!(condition)) {                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
            fprintf(stderr, __VA_ARGS__);                          \
            fprintf(stderr, "\n");                                 \
            exit(1);                                               \
        }                                                          \
    } while (0)

/* libsodium from `path`, else from ZMQSEC_TEST_LIBSODIUM, else the system's. */
void test_load_sodium(zs_sodium *sodium, const char *path);

/* The names of all tiers, "portable" first, NULL last; test_tier says so and returns NULL where the CPU lacks one. */
extern const char *const TEST_TIERS[];
const zs_kernels *test_tier(const char *name);

uint64_t test_random(void);
void test_seed(uint64_t seed);
size_t test_below(size_t bound);
void test_fill(uint8_t *p, size_t len);

#endif
