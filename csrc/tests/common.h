/* common.h: what the C tests share: named checks, libsodium found at run time, a seeded generator.
 *
 * A check has a name; the first thing that does not hold ends the program with that name and a reason.
 */
#ifndef ZS_TEST_COMMON_H
#define ZS_TEST_COMMON_H

#include "../dispatch.h"
#include "../impl.h"
#include "../kernels.h"
#include "../libs.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition, ...)                                           \
    do {                                                                \
        if (!(condition)) {                                             \
            fprintf(stderr, "FAILED %s\n%s:%d: %s: ", test_name(), __FILE__, __LINE__, #condition); \
            fprintf(stderr, __VA_ARGS__);                               \
            fprintf(stderr, "\n");                                      \
            exit(1);                                                    \
        }                                                               \
    } while (0)

enum { TEST_NONCE_BYTES = 12 };

/* Begin a check of this name; end it well, `cases` having been looked at. */
void test_begin(const char *format, ...) __attribute__((format(printf, 1, 2)));
void test_end(size_t cases);
const char *test_name(void);

/* libsodium from ZMQSEC_TEST_LIBSODIUM; without one there is no test. */
void test_load_sodium(zs_sodium *sodium);

/* Another function of the same libsodium; `slot` is a pointer to a pointer to it. */
void test_sodium_symbol(const char *name, void *slot);

/* The names of all tiers, "portable" first, NULL last; test_tier says so and returns NULL where the CPU lacks one. */
extern const char *const TEST_TIERS[];
const zs_kernels *test_tier(const char *name);

/* Of splitmix64. test_seed_all takes ZMQSEC_TEST_SEED, else a constant, and says which. */
uint64_t test_random(void);
void test_seed_all(void);
void test_reseed(void);
size_t test_below(size_t bound);
void test_fill(uint8_t *p, size_t len);

/* How much of a sampled check runs, in percent: ZMQSEC_TEST_SCALE, else 100. */
size_t test_scaled(size_t rounds);

bool test_is_all(const uint8_t *p, size_t len, uint8_t value);
void test_nonce(uint8_t nonce[TEST_NONCE_BYTES], uint64_t sequence);

/* ChaCha20 (RFC 8439 section 2.3) in the plainest way: one block of a key stream; the nonce's first word is 0. */
void test_key_stream(uint8_t out[64], const uint8_t key[ZS_KEY_BYTES], uint64_t sequence, uint32_t block);

/* Bytes of a hexadecimal text; the number of them. */
size_t test_hex(uint8_t *out, size_t room, const char *text);

#endif
