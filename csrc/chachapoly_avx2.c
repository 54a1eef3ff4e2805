/* chachapoly_avx2.c: placeholder until the kernels stand (floor 1). */
#include "impl.h"
#include "kernels.h"

#ifdef ZS_HAVE_X86_KERNELS
ZS_STACK_WIPER(wipe_stack, 12 * 1024)

void zs_seal_many_avx2(const zs_sodium *sodium, zs_aead_job *jobs, size_t count) {
    zs_seal_many_portable(sodium, jobs, count);
    wipe_stack();
}
void zs_open_many_avx2(const zs_sodium *sodium, zs_aead_job *jobs, size_t count) {
    zs_open_many_portable(sodium, jobs, count);
    wipe_stack();
}
void zs_hchacha20_many_avx2(const zs_sodium *sodium, zs_subkey_job *jobs, size_t count) {
    zs_hchacha20_many_portable(sodium, jobs, count);
    wipe_stack();
}
#endif
