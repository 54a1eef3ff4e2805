/* chachapoly_avx512.c: placeholder until the kernels stand (floor 1). */
#include "kernels.h"

#ifdef ZS_HAVE_X86_KERNELS
void zs_seal_many_avx512(const zs_sodium *sodium, zs_aead_job *jobs, size_t count) {
    zs_seal_many_portable(sodium, jobs, count);
}
void zs_open_many_avx512(const zs_sodium *sodium, zs_aead_job *jobs, size_t count) {
    zs_open_many_portable(sodium, jobs, count);
}
void zs_hchacha20_many_avx512(const zs_sodium *sodium, zs_subkey_job *jobs, size_t count) {
    zs_hchacha20_many_portable(sodium, jobs, count);
}
#endif
