/* dispatch.c: the only place that asks what the CPU can do (floor 2). */
#include "dispatch.h"

#include "kernels.h"

#include <string.h>

#ifdef ZS_HAVE_X86_KERNELS
static const zs_kernels AVX512 = {"avx512", ZS_AVX512_FAR_FROM, zs_seal_many_avx512, zs_open_many_avx512, zs_hchacha20_many_avx512,
                                  zs_ahead_make_avx512, zs_ahead_seal_avx512, zs_ahead_open_avx512};
static const zs_kernels AVX2 = {"avx2", SIZE_MAX, zs_seal_many_avx2, zs_open_many_avx2, zs_hchacha20_many_avx2, NULL, NULL, NULL};

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("bmi2");
}

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}
#endif

static const zs_kernels PORTABLE = {"portable", SIZE_MAX, zs_seal_many_portable, zs_open_many_portable,
                                    zs_hchacha20_many_portable, NULL, NULL, NULL};

const zs_kernels *zs_kernels_choose(const char *tier) {
    bool best = tier == NULL || strcmp(tier, "auto") == 0;
#ifdef ZS_HAVE_X86_KERNELS
    __builtin_cpu_init();
    if ((best || strcmp(tier, "avx512") == 0) && has_avx512()) return &AVX512;
    if ((best || strcmp(tier, "avx2") == 0) && has_avx2()) return &AVX2;
#endif
    if (best || strcmp(tier, "portable") == 0) return &PORTABLE;
    return NULL;
}
