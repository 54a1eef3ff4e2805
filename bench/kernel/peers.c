/* peers.c: sealing beside every library, interleaved in one process; JSON on stdout, nanoseconds a message.
 *
 *     peers LIBSODIUM [ROUNDS]
 *
 * Built by bench/kernels.py; OpenSSL and intel-ipsec-mb take part where their headers were found, and are named as
 * missing where not. Every contender seals the same batch: 32-byte keys, 32 bytes of associated data, own tags.
 */
#define _GNU_SOURCE
#include "../../csrc/dispatch.h"
#include "../../csrc/impl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef WITH_OPENSSL
#include <openssl/evp.h>
#endif
#ifdef WITH_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

enum { BATCH = 64, AD_BYTES = 32, MAX_SIZE = 1 << 20, MAX_CONTENDERS = 10, MAX_ROUNDS = 101, NONCE_BYTES = 12 };

static zs_sodium sodium;
static zs_aead_job jobs[BATCH];
static uint8_t keys[BATCH][ZS_KEY_BYTES], ads[BATCH][AD_BYTES], tags[BATCH][ZS_TAG_BYTES];

typedef struct contender {
    const char *name;
    zs_aead_kernel *seal;
} contender;

static void nonce_of(uint8_t nonce[NONCE_BYTES], const zs_aead_job *job) {
    zs_store32(nonce, 0);
    zs_store64(nonce + 4, job->sequence);
}

#ifdef WITH_OPENSSL
static void evp_seal(const EVP_CIPHER *cipher, zs_aead_job *batch, size_t count) {
    static EVP_CIPHER_CTX *context;
    uint8_t nonce[NONCE_BYTES];
    int length;
    if (context == NULL) context = EVP_CIPHER_CTX_new();
    for (size_t i = 0; i < count; i++) {
        nonce_of(nonce, &batch[i]);
        EVP_EncryptInit_ex(context, cipher, NULL, batch[i].key, nonce);
        EVP_EncryptUpdate(context, NULL, &length, batch[i].ad, (int)batch[i].ad_len);
        EVP_EncryptUpdate(context, batch[i].out, &length, batch[i].in, (int)batch[i].len);
        EVP_EncryptFinal_ex(context, batch[i].out, &length);
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, ZS_TAG_BYTES, batch[i].tag);
    }
}

static void openssl_chacha(const zs_sodium *unused, zs_aead_job *batch, size_t count) {
    (void)unused;
    evp_seal(EVP_chacha20_poly1305(), batch, count);
}

static void openssl_aes(const zs_sodium *unused, zs_aead_job *batch, size_t count) {
    (void)unused;
    evp_seal(EVP_aes_256_gcm(), batch, count);
}
#endif

#ifdef WITH_IPSEC_MB
static IMB_MGR *manager;

static void ipsec_direct(const zs_sodium *unused, zs_aead_job *batch, size_t count) {
    struct chacha20_poly1305_context_data context;
    uint8_t nonce[NONCE_BYTES];
    (void)unused;
    for (size_t i = 0; i < count; i++) {
        nonce_of(nonce, &batch[i]);
        IMB_CHACHA20_POLY1305_INIT(manager, batch[i].key, &context, nonce, batch[i].ad, batch[i].ad_len);
        IMB_CHACHA20_POLY1305_ENC_UPDATE(manager, batch[i].key, &context, batch[i].out, batch[i].in, batch[i].len);
        IMB_CHACHA20_POLY1305_ENC_FINALIZE(manager, &context, batch[i].tag, ZS_TAG_BYTES);
    }
}

static void ipsec_jobs(const zs_sodium *unused, zs_aead_job *batch, size_t count) {
    static uint8_t nonces[BATCH][NONCE_BYTES];
    (void)unused;
    for (size_t i = 0; i < count; i++) {
        IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
        nonce_of(nonces[i], &batch[i]);
        job->enc_keys = job->dec_keys = batch[i].key;
        job->key_len_in_bytes = ZS_KEY_BYTES;
        job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
        job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
        job->cipher_direction = IMB_DIR_ENCRYPT;
        job->chain_order = IMB_ORDER_CIPHER_HASH;
        job->iv = nonces[i];
        job->iv_len_in_bytes = NONCE_BYTES;
        job->u.CHACHA20_POLY1305.aad = batch[i].ad;
        job->u.CHACHA20_POLY1305.aad_len_in_bytes = batch[i].ad_len;
        job->src = batch[i].in;
        job->dst = batch[i].out;
        job->cipher_start_src_offset_in_bytes = job->hash_start_src_offset_in_bytes = 0;
        job->msg_len_to_cipher_in_bytes = job->msg_len_to_hash_in_bytes = batch[i].len;
        job->auth_tag_output = batch[i].tag;
        job->auth_tag_output_len_in_bytes = ZS_TAG_BYTES;
        IMB_SUBMIT_JOB(manager);
        while (IMB_GET_COMPLETED_JOB(manager) != NULL) continue;
    }
    while (IMB_FLUSH_JOB(manager) != NULL) continue;
}
#endif

static void find(void *library, const char *name, void *slot) {
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        fprintf(stderr, "peers: libsodium has no %s\n", name);
        exit(1);
    }
    memcpy(slot, &symbol, sizeof symbol);
}

static void load_sodium(const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "peers: %s\n", dlerror());
        exit(1);
    }
    find(library, "sodium_init", &sodium.init);
    find(library, "crypto_core_hchacha20", &sodium.hchacha20);
    find(library, "crypto_aead_chacha20poly1305_ietf_encrypt_detached", &sodium.chacha_seal);
    find(library, "crypto_aead_chacha20poly1305_ietf_decrypt_detached", &sodium.chacha_open);
    sodium.init();
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static size_t list_contenders(contender *list) {
    size_t count = 0;
    static const char *const tiers[] = {"portable", "avx2", "avx512"};
    static const char *const names[] = {"libsodium", "zmqsec avx2", "zmqsec avx512"};
    for (size_t i = 0; i < 3; i++) {
        const zs_kernels *tier = zs_kernels_choose(tiers[i]);
        if (tier != NULL) list[count++] = (contender){names[i], tier->seal_many};
    }
#ifdef WITH_OPENSSL
    list[count++] = (contender){"OpenSSL EVP", openssl_chacha};
    list[count++] = (contender){"AES-256-GCM, OpenSSL EVP", openssl_aes};
#endif
#ifdef WITH_IPSEC_MB
    manager = alloc_mb_mgr(0);
    init_mb_mgr_auto(manager, NULL);
    list[count++] = (contender){"intel-ipsec-mb, direct", ipsec_direct};
    list[count++] = (contender){"intel-ipsec-mb, jobs", ipsec_jobs};
#endif
    return count;
}

/* One result row: the nanoseconds a message of every round, contenders interleaved. */
static void measure(const contender *list, size_t contenders, size_t size, size_t batch, size_t rounds, bool *first) {
    static double ns[MAX_CONTENDERS][MAX_ROUNDS];
    size_t repeat = 200000 / (batch * (size + 300)) + 1;
    if (batch * size < 4096) repeat *= 4;
    uint8_t *memory = malloc(batch * (size + 64));
    for (size_t i = 0; i < batch; i++) {
        uint8_t *data = memory + i * (size + 64);
        memset(data, (int)i, size);
        jobs[i] = (zs_aead_job){.key = keys[i], .sequence = i, .ad = ads[i], .ad_len = AD_BYTES, .in = data,
                                .out = data, .len = size, .tag = tags[i]};
    }
    for (size_t round = 0; round < rounds + 1; round++) {
        for (size_t c = 0; c < contenders; c++) {
            double start = now();
            for (size_t r = 0; r < repeat; r++) list[c].seal(&sodium, jobs, batch);
            if (round > 0) ns[c][round - 1] = (now() - start) / (double)(repeat * batch);
        }
    }
    for (size_t c = 0; c < contenders; c++) {
        printf("%s\n {\"name\": \"%s\", \"size\": %zu, \"batch\": %zu, \"ns\": [", *first ? "" : ",", list[c].name, size,
               batch);
        for (size_t round = 0; round < rounds; round++) printf("%s%.2f", round ? ", " : "", ns[c][round]);
        printf("]}");
        *first = false;
    }
    free(memory);
}

int main(int argc, char **argv) {
    static const size_t sizes[] = {64, 256, 1024, 4096, 65536, MAX_SIZE};
    contender list[MAX_CONTENDERS];
    size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 21;
    bool first = true;
    if (argc < 2 || rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: peers LIBSODIUM [ROUNDS of 1 to %d]\n", MAX_ROUNDS);
        return 2;
    }
    load_sodium(argv[1]);
    for (size_t i = 0; i < BATCH; i++) memset(keys[i], (int)i + 1, ZS_KEY_BYTES);
    size_t contenders = list_contenders(list);
    printf("[");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        measure(list, contenders, sizes[i], sizes[i] > 65536 ? 4 : BATCH, rounds, &first);
        measure(list, contenders, sizes[i], 1, rounds, &first);
    }
    printf("\n]\n");
    return 0;
}
