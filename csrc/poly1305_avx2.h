/* poly1305_avx2.h: the blocks of one visit in radix 2^64, as assembly that stands between a cipher's rounds (floor 1).
 *
 * Bounds: r0, r1 < 2^60 and r1 a multiple of 4 (RFC 8439 section 2.5), so s1 = r1 + r1 / 4 < 2^60.4. Between blocks
 * h2 <= 4, with a block added h2 <= 6. What the product has from 2^128 on is d = (h0 r1 + h1 r0 + h2 s1 + ...) / 2^64
 * + h2 r0 < 2 * 2^60 + 1 + 6 * 2^60 = 2^63 + 1, so five times what lies above 2^130, d / 4 + (d - d % 4), is below
 * 2^64. Added to h0 it leaves h2 <= 3 + 1. Nothing is reduced later than that.
 */
#ifndef ZS_POLY1305_AVX2_H
#define ZS_POLY1305_AVX2_H

#include "avx2.h"

#ifdef ZS_HAVE_X86_KERNELS

/* Assembly, because compilers put sums of 128 bits on the stack, where secrets should not be, and take twice as long.
 * The offsets are those of zs_visit and zs_strand. v is the visit that is under way, or the next; s its strand, 0
 * between two; h0, h1, h2 stay in registers until it is left. All of it clobbers rdx and the flags. */

/* h = (h + block + 2^128) * r */
#define ZS_POLY_STEP                                           \
    "addq (%[in]), %[h0]\n\t"                                  \
    "adcq 8(%[in]), %[h1]\n\t"                                 \
    "adcq $1, %[h2]\n\t"                                       \
    "addq $16, %[in]\n\t"                                      \
    "movq %[h0], %%rdx\n\t"                                    \
    "mulxq (%[s]), %[t], %[a]\n\t"    /* h0 r0 */              \
    "mulxq 8(%[s]), %[u], %[c]\n\t"   /* h0 r1 */              \
    "movq %[h1], %%rdx\n\t"                                    \
    "mulxq 56(%[s]), %[h0], %[b]\n\t" /* h1 s1 */              \
    "addq %[t], %[h0]\n\t"                                     \
    "adcq %[a], %[b]\n\t"                                      \
    "mulxq (%[s]), %[h1], %[t]\n\t"   /* h1 r0 */              \
    "addq %[u], %[h1]\n\t"                                     \
    "adcq %[c], %[t]\n\t"                                      \
    "movq 56(%[s]), %[a]\n\t"                                  \
    "imulq %[h2], %[a]\n\t"           /* h2 s1 */              \
    "addq %[b], %[h1]\n\t"                                     \
    "adcq $0, %[t]\n\t"                                        \
    "imulq (%[s]), %[h2]\n\t"         /* h2 r0 */              \
    "addq %[a], %[h1]\n\t"                                     \
    "adcq %[t], %[h2]\n\t"            /* d */                  \
    "movq %[h2], %[a]\n\t"                                     \
    "movq %[h2], %[b]\n\t"                                     \
    "andl $3, %k[h2]\n\t"                                      \
    "shrq $2, %[a]\n\t"                                        \
    "andq $-4, %[b]\n\t"                                       \
    "addq %[a], %[b]\n\t"                                      \
    "addq %[b], %[h0]\n\t"                                     \
    "adcq $0, %[h1]\n\t"                                       \
    "adcq $0, %[h2]\n\t"

#define ZS_POLY_PUT             \
    "movq %[h0], 32(%[s])\n\t"  \
    "movq %[h1], 40(%[s])\n\t"  \
    "movq %[h2], 48(%[s])\n\t"

/* At most two blocks of the list at v. */
#define ZS_VISIT                \
    "testq %[s], %[s]\n\t"      \
    "jnz 2f\n\t"                \
    "cmpq $0, 16(%[v])\n\t"     \
    "je 4f\n\t"                 \
    "movq (%[v]), %[s]\n\t"     \
    "movq 8(%[v]), %[in]\n\t"   \
    "movq 32(%[s]), %[h0]\n\t"  \
    "movq 40(%[s]), %[h1]\n\t"  \
    "movq 48(%[s]), %[h2]\n\t"  \
    "2:\n\t"                    \
    ZS_POLY_STEP                \
    "decq 16(%[v])\n\t"         \
    "jz 3f\n\t"                 \
    ZS_POLY_STEP                \
    "decq 16(%[v])\n\t"         \
    "jnz 4f\n\t"                \
    "3:\n\t"                    \
    ZS_POLY_PUT                 \
    "addq $24, %[v]\n\t"        \
    "xorl %k[s], %k[s]\n\t"     \
    "4:\n\t"

/* The rest of the visit that is under way, if one is. */
#define ZS_VISIT_REST           \
    "jmp 6f\n\t"                \
    "5:\n\t"                    \
    ZS_VISIT                    \
    "6:\n\t"                    \
    "testq %[s], %[s]\n\t"      \
    "jnz 5b\n\t"

#define ZS_VISIT_VARIABLES uint64_t s_ = 0, in_, h0_, h1_, h2_, a_, b_, c_, t_, u_
#define ZS_VISIT_OPERANDS(pointer)                                                                             \
    [v] "+&r"(pointer), [s] "+&r"(s_), [in] "=&r"(in_), [h0] "=&r"(h0_), [h1] "=&r"(h1_), [h2] "=&r"(h2_),     \
        [a] "=&r"(a_), [b] "=&r"(b_), [c] "=&r"(c_), [t] "=&r"(t_), [u] "=&r"(u_)

/* One visit from its beginning to its end, outside of a cipher. */
#define ZS_VISIT_DO(pointer)                                                                                           \
    do {                                                                                                               \
        ZS_VISIT_VARIABLES;                                                                                            \
        __asm__ volatile(ZS_VISIT ZS_VISIT_REST : ZS_VISIT_OPERANDS(pointer) : : "rdx", "cc", "memory");               \
    } while (0)

_Static_assert(offsetof(zs_visit, in) == 8 && offsetof(zs_visit, blocks) == 16 && sizeof(zs_visit) == 24, "zs_visit");
_Static_assert(offsetof(zs_strand, h) == 32 && offsetof(zs_strand, s1) == 56, "zs_strand");

#endif
#endif
