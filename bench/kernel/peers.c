/* peers.c: sealing and opening beside every library, interleaved in one process; JSON on stdout, ns a message.
 *
 *     peers LIBSODIUM [ROUNDS]
 *
 * Built by bench/kernels.py; OpenSSL and intel-ipsec-mb take part where their headers were found, and are named as
 * missing where not. Every contender seals the same batch in place, and opens it from one buffer into another: keys of
 * 32 bytes, 32 bytes of associated data, a tag each. "paused" rows spend a millisecond in scalar code before each batch,
 * as a caller in Python does.
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
    zs_aead_kernel *seal, *open;
} contender;

static void nonce_of(uint8_t nonce[NONCE_BYTES], const zs_aead_job *job) {
    zs_store32(nonce, 0);
    zs_store64(nonce + 4, job->sequence);
}

#ifdef WITH_OPENSSL
static EVP_CIPHER_CTX *context;

static void evp_seal(const EVP_CIPHER *cipher, zs_aead_job *batch, size_t count) {
    uint8_t nonce[NONCE_BYTES];
    int length;
    for (size_t i = 0; i < count; i++) {
        nonce_of(nonce, &batch[i]);
        EVP_EncryptInit_ex(context, cipher, NULL, batch[i].key, nonce);
        EVP_EncryptUpdate(context, NULL, &length, batch[i].ad, (int)batch[i].ad_len);
        EVP_EncryptUpdate(context, batch[i].out, &length, batch[i].in, (int)batch[i].len);
        EVP_EncryptFinal_ex(context, batch[i].out, &length);
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, ZS_TAG_BYTES, batch[i].tag);
    }
}

static void evp_open(const EVP_CIPHER *cipher, zs_aead_job *batch, size_t count) {
    uint8_t nonce[NONCE_BYTES];
    int length;
    for (size_t i = 0; i < count; i++) {
        nonce_of(nonce, &batch[i]);
        EVP_DecryptInit_ex(context, cipher, NULL, batch[i].key, nonce);
        EVP_DecryptUpdate(context, NULL, &length, batch[i].ad, (int)batch[i].ad_len);
        EVP_DecryptUpdate(context, batch[i].out, &length, batch[i].in, (int)batch[i].len);
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, ZS_TAG_BYTES, batch[i].tag);
        batch[i].status = EVP_DecryptFinal_ex(context, batch[i].out, &length) == 1 ? ZS_OK : ZS_FORGED;
    }
}

#define EVP(name, cipher)                                                                       \
    static void name##_seal(const zs_sodium *unused, zs_aead_job *batch, size_t count) {        \
        (void)unused;                                                                           \
        evp_seal(cipher(), batch, count);                                                       \
    }                                                                                           \
    static void name##_open(const zs_sodium *unused, zs_aead_job *batch, size_t count) {        \
        (void)unused;                                                                           \
        evp_open(cipher(), batch, count);                                                       \
    }
EVP(openssl_chacha, EVP_chacha20_poly1305)
EVP(openssl_aes, EVP_aes_256_gcm)
#endif

#ifdef WITH_IPSEC_MB
static IMB_MGR *manager;

static void judge(zs_aead_job *job, const uint8_t tag[ZS_TAG_BYTES]) {
    job->status = zs_tag_equal(tag, job->tag) ? ZS_OK : ZS_FORGED;
}

static void direct_seal(const zs_sodium *unused, zs_aead_job *batch, size_t count) {
    struct chacha20_poly1305_context_data state;
    uint8_t nonce[NONCE_BYTES];
    (void)unused;
    for (size_t i = 0; i < count; i++) {
        nonce_of(nonce, &batch[i]);
        IMB_CHACHA20_POLY1305_INIT(manager, batch[i].key, &state, nonce, batch[i].ad, batch[i].ad_len);
        IMB_CHACHA20_POLY1305_ENC_UPDATE(manager, batch[i].key, &state, batch[i].out, batch[i].in, batch[i].len);
        IMB_CHACHA20_POLY1305_ENC_FINALIZE(manager, &state, batch[i].tag, ZS_TAG_BYTES);
    }
}

static void direct_open(const zs_sodium *unused, zs_aead_job *batch, size_t count) {
    struct chacha20_poly1305_context_data state;
    uint8_t nonce[NONCE_BYTES], tag[ZS_TAG_BYTES];
    (void)unused;
    for (size_t i = 0; i < count; i++) {
        nonce_of(nonce, &batch[i]);
        IMB_CHACHA20_POLY1305_INIT(manager, batch[i].key, &state, nonce, batch[i].ad, batch[i].ad_len);
        IMB_CHACHA20_POLY1305_DEC_UPDATE(manager, batch[i].key, &state, batch[i].out, batch[i].in, batch[i].len);
        IMB_CHACHA20_POLY1305_DEC_FINALIZE(manager, &state, tag, ZS_TAG_BYTES);
        judge(&batch[i], tag);
    }
}

static void submit_jobs(zs_aead_job *batch, size_t count, bool opening, uint8_t (*out)[ZS_TAG_BYTES]) {
    static uint8_t nonces[BATCH][NONCE_BYTES];
    for (size_t i = 0; i < count; i++) {
        IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
        nonce_of(nonces[i], &batch[i]);
        job->enc_keys = job->dec_keys = batch[i].key;
        job->key_len_in_bytes = ZS_KEY_BYTES;
        job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
        job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
        job->cipher_direction = opening ? IMB_DIR_DECRYPT : IMB_DIR_ENCRYPT;
        job->chain_order = opening ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
        job->iv = nonces[i];
        job->iv_len_in_bytes = NONCE_BYTES;
        job->u.CHACHA20_POLY1305.aad = batch[i].ad;
        job->u.CHACHA20_POLY1305.aad_len_in_bytes = batch[i].ad_len;
        job->src = batch[i].in;
        job->dst = batch[i].out;
        job->cipher_start_src_offset_in_bytes = job->hash_start_src_offset_in_bytes = 0;
        job->msg_len_to_cipher_in_bytes = job->msg_len_to_hash_in_bytes = batch[i].len;
        job->auth_tag_output = opening ? out[i] : batch[i].tag;
        job->auth_tag_output_len_in_bytes = ZS_TAG_BYTES;
        IMB_SUBMIT_JOB(manager);
        while (IMB_GET_COMPLETED_JOB(manager) != NULL) continue;
    }
    while (IMB_FLUSH_JOB(manager) != NULL) continue;
}

static void jobs_seal(const zs_sodium *unused, zs_aead_job *batch, size_t count) {
    (void)unused;
    submit_jobs(batch, count, false, NULL);
}

static void jobs_open(const zs_sodium *unused, zs_aead_job *batch, size_t count) {
    static uint8_t found[BATCH][ZS_TAG_BYTES];
    (void)unused;
    submit_jobs(batch, count, true, found);
    for (size_t i = 0; i < count; i++) judge(&batch[i], found[i]);
}
#endif

/* AEGIS has tags of 32 bytes here, and AEGIS-128L a key of 16. */
enum { AEGIS_TAG_BYTES = 32, AEGIS_NONCE_BYTES = 32 };
static zs_encrypt_detached *aegis256_encrypt, *aegis128l_encrypt;
static zs_decrypt_detached *aegis256_decrypt, *aegis128l_decrypt;
static bool has_aegis;
static uint8_t aegis_tags[BATCH][AEGIS_TAG_BYTES];

static void aegis_nonce(uint8_t nonce[AEGIS_NONCE_BYTES], const zs_aead_job *job) {
    memset(nonce, 0, AEGIS_NONCE_BYTES);
    zs_store64(nonce, job->sequence);
}

static void aegis_seal(zs_encrypt_detached *encrypt, zs_aead_job *batch, size_t count) {
    uint8_t nonce[AEGIS_NONCE_BYTES];
    for (size_t i = 0; i < count; i++) {
        zs_aead_job *job = &batch[i];
        aegis_nonce(nonce, job);
        encrypt(job->out, aegis_tags[i], NULL, job->in, job->len, job->ad, job->ad_len, NULL, nonce, job->key);
    }
}

static void aegis_open(zs_decrypt_detached *decrypt, zs_aead_job *batch, size_t count) {
    uint8_t nonce[AEGIS_NONCE_BYTES];
    for (size_t i = 0; i < count; i++) {
        zs_aead_job *job = &batch[i];
        aegis_nonce(nonce, job);
        bool held = decrypt(job->out, NULL, job->in, job->len, aegis_tags[i], job->ad, job->ad_len, nonce, job->key) == 0;
        job->status = held ? ZS_OK : ZS_FORGED;
    }
}

#define AEGIS(name)                                                                             \
    static void name##_seal(const zs_sodium *unused, zs_aead_job *batch, size_t count) {        \
        (void)unused;                                                                           \
        aegis_seal(name##_encrypt, batch, count);                                               \
    }                                                                                           \
    static void name##_open(const zs_sodium *unused, zs_aead_job *batch, size_t count) {        \
        (void)unused;                                                                           \
        aegis_open(name##_decrypt, batch, count);                                               \
    }
AEGIS(aegis256)
AEGIS(aegis128l)

static bool find_optional(void *library, const char *name, void *slot) {
    void *symbol = dlsym(library, name);
    memcpy(slot, &symbol, sizeof symbol);
    return symbol != NULL;
}

static void find(void *library, const char *name, void *slot) {
    if (find_optional(library, name, slot)) return;
    fprintf(stderr, "peers: libsodium has no %s\n", name);
    exit(1);
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
    has_aegis = find_optional(library, "crypto_aead_aegis256_encrypt_detached", &aegis256_encrypt) &&
                find_optional(library, "crypto_aead_aegis256_decrypt_detached", &aegis256_decrypt) &&
                find_optional(library, "crypto_aead_aegis128l_encrypt_detached", &aegis128l_encrypt) &&
                find_optional(library, "crypto_aead_aegis128l_decrypt_detached", &aegis128l_decrypt);
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
        if (tier != NULL) list[count++] = (contender){names[i], tier->seal_many, tier->open_many};
    }
    if (has_aegis) {
        list[count++] = (contender){"AEGIS-256, libsodium", aegis256_seal, aegis256_open};
        list[count++] = (contender){"AEGIS-128L, libsodium", aegis128l_seal, aegis128l_open};
    }
#ifdef WITH_OPENSSL
    context = EVP_CIPHER_CTX_new();
    list[count++] = (contender){"OpenSSL EVP", openssl_chacha_seal, openssl_chacha_open};
    list[count++] = (contender){"AES-256-GCM, OpenSSL EVP", openssl_aes_seal, openssl_aes_open};
#endif
#ifdef WITH_IPSEC_MB
    manager = alloc_mb_mgr(0);
    init_mb_mgr_auto(manager, NULL);
    list[count++] = (contender){"intel-ipsec-mb, direct", direct_seal, direct_open};
    list[count++] = (contender){"intel-ipsec-mb, jobs", jobs_seal, jobs_open};
#endif
    return count;
}

typedef enum operation { SEAL, OPEN, PAUSED_SEAL } operation;
static const char *const OPERATIONS[] = {"seal", "open", "seal, paused"};

static void spend_a_millisecond(void) {
    static volatile uint64_t sink;
    for (double end = now() + 1e6; now() < end;) sink += 1;
}

/* Nanoseconds of `repeat` batches. */
static double timed(const contender *one, operation what, size_t batch, size_t repeat) {
    double spent = 0;
    for (size_t r = 0; r < repeat; r++) {
        if (what == PAUSED_SEAL) spend_a_millisecond();
        double start = now();
        if (what == OPEN) one->open(&sodium, jobs, batch);
        else one->seal(&sodium, jobs, batch);
        spent += now() - start;
    }
    return spent;
}

/* Texts at `memory`; to be opened, they are sealed first, by each contender for itself, and opened elsewhere. */
static void lay_out(const contender *one, operation what, uint8_t *memory, size_t size, size_t batch) {
    size_t stride = size + 64;
    for (size_t i = 0; i < batch; i++) {
        uint8_t *data = memory + i * stride;
        memset(data, (int)i, size);
        jobs[i] = (zs_aead_job){.key = keys[i], .sequence = i, .ad = ads[i], .ad_len = AD_BYTES, .in = data,
                                .out = data, .len = size, .tag = tags[i]};
    }
    if (what != OPEN) return;
    one->seal(&sodium, jobs, batch);
    for (size_t i = 0; i < batch; i++) jobs[i].out = memory + (batch + i) * stride;
}

static void check_opened(const contender *one, size_t batch) {
    for (size_t i = 0; i < batch; i++) {
        if (jobs[i].status == ZS_OK && (jobs[i].len == 0 || jobs[i].out[jobs[i].len - 1] == (uint8_t)i)) continue;
        fprintf(stderr, "peers: %s does not open what it sealed\n", one->name);
        exit(1);
    }
}

/* One result row each: the nanoseconds a message of every round, contenders interleaved. */
static void measure(const contender *list, size_t contenders, operation what, size_t size, size_t batch, size_t rounds,
                    bool *first) {
    static double ns[MAX_CONTENDERS][MAX_ROUNDS];
    size_t repeat = 200000 / (batch * (size + 300)) + 1;
    if (batch * size < 4096) repeat *= 4;
    if (what == PAUSED_SEAL) repeat = 4;
    uint8_t *memory = malloc(2 * batch * (size + 64));
    for (size_t round = 0; round < rounds + 1; round++) {
        for (size_t c = 0; c < contenders; c++) {
            lay_out(&list[c], what, memory, size, batch);
            timed(&list[c], what, batch, 1);
            double spent = timed(&list[c], what, batch, repeat);
            if (what == OPEN) check_opened(&list[c], batch);
            if (round > 0) ns[c][round - 1] = spent / (double)(repeat * batch);
        }
    }
    for (size_t c = 0; c < contenders; c++) {
        printf("%s\n {\"name\": \"%s\", \"operation\": \"%s\", \"size\": %zu, \"batch\": %zu, \"ns\": [", *first ? "" : ",",
               list[c].name, OPERATIONS[what], size, batch);
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
        for (operation what = SEAL; what <= OPEN; what++) {
            measure(list, contenders, what, sizes[i], sizes[i] > 65536 ? 4 : BATCH, rounds, &first);
            measure(list, contenders, what, sizes[i], 1, rounds, &first);
        }
        if (sizes[i] <= 1024) measure(list, contenders, PAUSED_SEAL, sizes[i], BATCH, rounds, &first);
    }
    printf("\n]\n");
    return 0;
}
