/* aead.c: seals and opens the messages of one suite (floor 3): kernels for suite 1, libsodium for suite 2. */
#include "aead.h"

#include "dispatch.h"
#include "impl.h"

enum { NONCE_BYTES = 12 };

static void nonce_of(uint8_t nonce[NONCE_BYTES], uint64_t sequence) {
    zs_store32(nonce, 0);
    zs_store64(nonce + 4, sequence);
}

static void seal_each(zs_encrypt_detached *encrypt, zs_aead_job *jobs, size_t count) {
    uint8_t nonce[NONCE_BYTES];
    for (size_t i = 0; i < count; i++) {
        zs_aead_job *job = &jobs[i];
        nonce_of(nonce, job->sequence);
        encrypt(job->out, job->tag, NULL, job->in, job->len, job->ad, job->ad_len, NULL, nonce, job->key);
    }
}

static void open_each(zs_decrypt_detached *decrypt, zs_aead_job *jobs, size_t count) {
    uint8_t nonce[NONCE_BYTES];
    for (size_t i = 0; i < count; i++) {
        zs_aead_job *job = &jobs[i];
        nonce_of(nonce, job->sequence);
        bool held = decrypt(job->out, NULL, job->in, job->len, job->tag, job->ad, job->ad_len, nonce, job->key) == 0;
        job->status = held ? ZS_OK : ZS_FORGED;
        if (!held) zs_wipe(job->out, job->len);
    }
}

bool zs_aead_is_native(const zs_libs *libs, uint8_t suite) {
    if (suite == ZS_SUITE_AES256GCM) return libs->sodium.aes_seal != NULL;
    return suite == ZS_SUITE_XCHACHA20POLY1305;
}

size_t zs_aead_far_from(const zs_libs *libs, uint8_t suite) {
    return suite == ZS_SUITE_XCHACHA20POLY1305 ? libs->kernels->far_from : SIZE_MAX;
}

void zs_aead_seal_many(const zs_libs *libs, uint8_t suite, zs_aead_job *jobs, size_t count) {
    if (suite == ZS_SUITE_AES256GCM) seal_each(libs->sodium.aes_seal, jobs, count);
    else libs->kernels->seal_many(&libs->sodium, jobs, count);
}

void zs_aead_open_many(const zs_libs *libs, uint8_t suite, zs_aead_job *jobs, size_t count) {
    if (suite == ZS_SUITE_AES256GCM) open_each(libs->sodium.aes_open, jobs, count);
    else libs->kernels->open_many(&libs->sodium, jobs, count);
}
