/* common.c: see common.h. */
#define _GNU_SOURCE
#include "common.h"

#include <dlfcn.h>

const char *const TEST_TIERS[] = {"portable", "avx2", "avx512", NULL};

static uint64_t state = 1;

void test_seed(uint64_t seed) {
    state = seed;
}

/* splitmix64 */
uint64_t test_random(void) {
    uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

size_t test_below(size_t bound) {
    return (size_t)(test_random() % bound);
}

void test_fill(uint8_t *p, size_t len) {
    size_t i = 0;
    for (; i + 8 <= len; i += 8) zs_store64(p + i, test_random());
    for (; i < len; i++) p[i] = (uint8_t)test_random();
}

static void find(void *library, const char *name, void *slot) {
    void *symbol = dlsym(library, name);
    CHECK(symbol != NULL, "%s", name);
    memcpy(slot, &symbol, sizeof symbol);
}

void test_load_sodium(zs_sodium *sodium, const char *path) {
    const char *names[] = {path, getenv("ZMQSEC_TEST_LIBSODIUM"), "libsodium.so.26", "libsodium.so.23", "libsodium.so"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && library == NULL; i++) {
        if (names[i] != NULL && names[i][0] != '\0') library = dlopen(names[i], RTLD_NOW);
    }
    CHECK(library != NULL, "no libsodium: name one in ZMQSEC_TEST_LIBSODIUM");
    memset(sodium, 0, sizeof *sodium);
    find(library, "sodium_init", &sodium->init);
    find(library, "crypto_core_hchacha20", &sodium->hchacha20);
    find(library, "crypto_aead_chacha20poly1305_ietf_encrypt_detached", &sodium->chacha_seal);
    find(library, "crypto_aead_chacha20poly1305_ietf_decrypt_detached", &sodium->chacha_open);
    CHECK(sodium->init() >= 0, "sodium_init");
}

const zs_kernels *test_tier(const char *name) {
    const zs_kernels *kernels = zs_kernels_choose(name);
    if (kernels == NULL) printf("skipped: this CPU has no %s\n", name);
    return kernels;
}
