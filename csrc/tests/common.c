/* common.c: see common.h. */
#define _GNU_SOURCE
#include "common.h"

#include <dlfcn.h>
#include <stdarg.h>

const char *const TEST_TIERS[] = {"portable", "avx2", "avx512", NULL};

#ifdef ZS_TEST_NONCE_WORD
uint32_t zs_test_nonce_word = 0;
#endif

enum { DEFAULT_SEED = 20251, NAME_BYTES = 160 };

static char name[NAME_BYTES] = "before the first check";
static uint64_t state = DEFAULT_SEED, seed = DEFAULT_SEED;

void test_begin(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
}

void test_end(size_t cases) {
    CHECK(cases > 0, "nothing was looked at");
    printf("  ok  %s (%zu)\n", name, cases);
    fflush(stdout);
}

const char *test_name(void) {
    return name;
}

static size_t number_of(const char *variable, size_t otherwise) {
    const char *text = getenv(variable);
    return text != NULL && text[0] != '\0' ? (size_t)strtoull(text, NULL, 10) : otherwise;
}

void test_seed_all(void) {
    seed = number_of("ZMQSEC_TEST_SEED", DEFAULT_SEED);
    printf("seed %llu (ZMQSEC_TEST_SEED changes it)\n", (unsigned long long)seed);
    test_reseed();
}

void test_reseed(void) {
    state = seed;
}

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

size_t test_scaled(size_t rounds) {
    size_t scaled = rounds * number_of("ZMQSEC_TEST_SCALE", 100) / 100;
    return scaled > 0 ? scaled : 1;
}

bool test_is_all(const uint8_t *p, size_t len, uint8_t value) {
    uint8_t differ = 0;
    for (size_t i = 0; i < len; i++) differ = (uint8_t)(differ | (p[i] ^ value));
    return differ == 0;
}

void test_nonce(uint8_t nonce[TEST_NONCE_BYTES], uint64_t sequence) {
    zs_store32(nonce, ZS_NONCE_WORD);
    zs_store64(nonce + 4, sequence);
}

static uint8_t digit(char c) {
    const char *digits = "0123456789abcdef", *found = strchr(digits, c);
    CHECK(c != '\0' && found != NULL, "not a hexadecimal digit: %d", c);
    return (uint8_t)(found - digits);
}

size_t test_hex(uint8_t *out, size_t room, const char *text) {
    size_t len = strlen(text) / 2;
    CHECK(len <= room && strlen(text) % 2 == 0, "%zu bytes of hexadecimal digits", len);
    for (size_t i = 0; i < len; i++) out[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
    return len;
}

void test_key_stream(uint8_t out[64], const uint8_t key[ZS_KEY_BYTES], uint64_t sequence, uint32_t block) {
    uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, x[16];
    for (size_t i = 0; i < 8; i++) start[4 + i] = zs_load32(key + 4 * i);
    start[12] = block, start[14] = (uint32_t)sequence, start[15] = (uint32_t)(sequence >> 32);
    memcpy(x, start, sizeof x);
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < 4; i++) {
            size_t turn = round % 2; /* columns, diagonals */
            uint32_t *a = &x[i], *b = &x[4 + (i + turn) % 4];
            uint32_t *c = &x[8 + (i + 2 * turn) % 4], *d = &x[12 + (i + 3 * turn) % 4];
#define HALF(n, m) *a += *b, *d ^= *a, *d = *d << n | *d >> (32 - n), *c += *d, *b ^= *c, *b = *b << m | *b >> (32 - m)
            HALF(16, 12);
            HALF(8, 7);
#undef HALF
        }
    }
    for (size_t i = 0; i < 16; i++) zs_store32(out + 4 * i, x[i] + start[i]);
}

static void *library;

void test_sodium_symbol(const char *symbol_name, void *slot) {
    void *symbol = dlsym(library, symbol_name);
    CHECK(symbol != NULL, "this libsodium has no %s", symbol_name);
    memcpy(slot, &symbol, sizeof symbol);
}

void test_load_sodium(zs_sodium *sodium) {
    const char *path = getenv("ZMQSEC_TEST_LIBSODIUM");
    test_begin("libsodium to compare with");
    CHECK(path != NULL && path[0] != '\0', "ZMQSEC_TEST_LIBSODIUM names no libsodium; `make check-c` finds pyzmq's");
    library = dlopen(path, RTLD_NOW);
    CHECK(library != NULL, "%s", dlerror());
    memset(sodium, 0, sizeof *sodium);
    test_sodium_symbol("sodium_init", &sodium->init);
    test_sodium_symbol("randombytes_buf", &sodium->random);
    test_sodium_symbol("crypto_generichash_blake2b_salt_personal", &sodium->blake2b);
    test_sodium_symbol("crypto_generichash_blake2b_init_salt_personal", &sodium->blake2b_init);
    test_sodium_symbol("crypto_generichash_blake2b_update", &sodium->blake2b_update);
    test_sodium_symbol("crypto_generichash_blake2b_final", &sodium->blake2b_final);
    test_sodium_symbol("crypto_shorthash_siphash24", &sodium->shorthash);
    test_sodium_symbol("crypto_sign_ed25519_detached", &sodium->sign);
    test_sodium_symbol("crypto_sign_ed25519_verify_detached", &sodium->verify);
    test_sodium_symbol("crypto_core_hchacha20", &sodium->hchacha20);
    test_sodium_symbol("crypto_aead_chacha20poly1305_ietf_encrypt_detached", &sodium->chacha_seal);
    test_sodium_symbol("crypto_aead_chacha20poly1305_ietf_decrypt_detached", &sodium->chacha_open);
    CHECK(sodium->init() >= 0, "sodium_init");
}

const zs_kernels *test_tier(const char *tier) {
    const zs_kernels *kernels = zs_kernels_choose(tier);
    if (kernels == NULL) printf("  not run: this CPU has no %s\n", tier);
    else CHECK(strcmp(kernels->name, tier) == 0, "%s was asked for, %s chosen", tier, kernels->name);
    return kernels;
}
