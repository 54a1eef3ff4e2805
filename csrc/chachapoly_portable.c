/* chachapoly_portable.c: the kernels for every machine: libsodium, one message at a time (floor 1). */
#include "impl.h"
#include "kernels.h"

enum { NONCE_BYTES = 12 };

static void nonce_of(uint8_t nonce[NONCE_BYTES], uint64_t sequence) {
    zs_store32(nonce, ZS_NONCE_WORD);
    zs_store64(nonce + 4, sequence);
}

void zs_seal_many_portable(const zs_sodium *sodium, zs_aead_job *jobs, size_t count) {
    uint8_t nonce[NONCE_BYTES];
    for (size_t i = 0; i < count; i++) {
        zs_aead_job *job = &jobs[i];
        nonce_of(nonce, job->sequence);
        sodium->chacha_seal(job->out, job->tag, NULL, job->in, job->len, job->ad, job->ad_len, NULL, nonce, job->key);
        job->status = ZS_OK;
    }
}

void zs_open_many_portable(const zs_sodium *sodium, zs_aead_job *jobs, size_t count) {
    uint8_t nonce[NONCE_BYTES];
    for (size_t i = 0; i < count; i++) {
        zs_aead_job *job = &jobs[i];
        nonce_of(nonce, job->sequence);
        bool held = sodium->chacha_open(job->out, NULL, job->in, job->len, job->tag, job->ad, job->ad_len, nonce,
                                        job->key) == 0;
        job->status = held ? ZS_OK : ZS_FORGED;
        if (!held) zs_wipe(job->out, job->len);
    }
}

void zs_hchacha20_many_portable(const zs_sodium *sodium, zs_subkey_job *jobs, size_t count) {
    for (size_t i = 0; i < count; i++) sodium->hchacha20(jobs[i].out, jobs[i].input, jobs[i].key, NULL);
}
