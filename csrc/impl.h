/* impl.h: what the C files share among themselves (floor 0): load/store, compare, wipe, the kernels' prototypes. */
#ifndef ZS_IMPL_H
#define ZS_IMPL_H

#include "zs.h"

#include <string.h>

/* Key stream of messages to come, by block and by lane; see ahead.h. */
enum { ZS_AHEAD_BLOCKS = 4, ZS_AHEAD_LANES = 16 };
typedef uint8_t zs_ahead_stream[ZS_AHEAD_BLOCKS][ZS_AHEAD_LANES][64];

static inline uint16_t zs_load16(const uint8_t p[2]) {
    return (uint16_t)((uint32_t)p[0] | (uint32_t)p[1] << 8);
}

static inline uint32_t zs_load32(const uint8_t p[4]) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t zs_load64(const uint8_t p[8]) {
    return (uint64_t)zs_load32(p) | (uint64_t)zs_load32(p + 4) << 32;
}

static inline void zs_store16(uint8_t p[2], uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void zs_store32(uint8_t p[4], uint32_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

static inline void zs_store64(uint8_t p[8], uint64_t v) {
    zs_store32(p, (uint32_t)v);
    zs_store32(p + 4, (uint32_t)(v >> 32));
}

/* The empty asm makes the compiler believe that the zeros are read. */
static inline void zs_wipe(void *p, size_t n) {
    if (n != 0) memset(p, 0, n);
    __asm__ __volatile__("" : : "r"(p) : "memory");
}

#define INLINE static inline __attribute__((always_inline))

typedef uint8_t zs_line __attribute__((vector_size(64), aligned(1), may_alias));

/* The same of whole lines of 64 bytes, a number that the compiler knows: sooner than memset, and no call, so that the
 * loader, which may have to find memset first, puts no registers on the stack. */
INLINE void zs_wipe_lines(void *p, size_t bytes) {
    zs_line *line = (zs_line *)p;
#pragma GCC unroll 64
    for (size_t i = 0; i < bytes / 64; i++) line[i] = (zs_line){0};
    __asm__ __volatile__("" : : "r"(p) : "memory");
}

/* Defines a function that clears what functions called before from the same place have left below it on the stack,
 * spilled registers above all. `bytes`, whole lines, is more than their frames take together; test_stack.c looks
 * whether it is. Inlined it would be part of its caller's frame and miss theirs. */
#define ZS_STACK_WIPER(name, bytes)                      \
    static __attribute__((noinline)) void name(void) {  \
        _Alignas(64) uint8_t below[bytes];               \
        zs_wipe_lines(below, sizeof below);              \
    }

/* Equality of two 16-byte tags without a secret-dependent branch. */
static inline bool zs_tag_equal(const uint8_t a[16], const uint8_t b[16]) {
    uint64_t d = (zs_load64(a) ^ zs_load64(b)) | (zs_load64(a + 8) ^ zs_load64(b + 8));
    return d == 0;
}

#endif
