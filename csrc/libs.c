/* libs.c: finds libsodium's and libzmq's functions by name in what the process has loaded (floor 1). */
#define _GNU_SOURCE
#include "libs.h"

#include <dlfcn.h>
#include <string.h>

enum { MAX_HANDLES = 8 };

typedef struct handles {
    void *handle[MAX_HANDLES];
    size_t count;
} handles;

/* POSIX lets dlsym's void * stand for a function pointer; ISO C does not, hence the copy. */
static bool find(const handles *where, const char *name, void *slot) {
    for (size_t i = 0; i < where->count; i++) {
        void *symbol = dlsym(where->handle[i], name);
        if (symbol != NULL) {
            memcpy(slot, &symbol, sizeof symbol);
            return true;
        }
    }
    return false;
}

static void open_handles(handles *where, const char *const *paths) {
    where->count = 0;
    for (size_t i = 0; paths[i] != NULL && where->count < MAX_HANDLES; i++) {
        void *handle = dlopen(paths[i], RTLD_NOW | RTLD_NOLOAD);
        if (handle == NULL && strstr(paths[i], "sodium") != NULL) handle = dlopen(paths[i], RTLD_NOW | RTLD_LOCAL);
        if (handle != NULL) where->handle[where->count++] = handle;
    }
}

const char *zs_libs_resolve(zs_libs *libs, const char *const *paths) {
    const struct {
        const char *name;
        void *slot;
    } required[] = {
        {"sodium_init", &libs->sodium.init},
        {"randombytes_buf", &libs->sodium.random},
        {"crypto_generichash_blake2b_salt_personal", &libs->sodium.blake2b},
        {"crypto_generichash_blake2b_init_salt_personal", &libs->sodium.blake2b_init},
        {"crypto_generichash_blake2b_update", &libs->sodium.blake2b_update},
        {"crypto_generichash_blake2b_final", &libs->sodium.blake2b_final},
        {"crypto_shorthash_siphash24", &libs->sodium.shorthash},
        {"crypto_sign_ed25519_detached", &libs->sodium.sign},
        {"crypto_sign_ed25519_verify_detached", &libs->sodium.verify},
        {"crypto_core_hchacha20", &libs->sodium.hchacha20},
        {"crypto_aead_chacha20poly1305_ietf_encrypt_detached", &libs->sodium.chacha_seal},
        {"crypto_aead_chacha20poly1305_ietf_decrypt_detached", &libs->sodium.chacha_open},
        {"zmq_msg_init", &libs->zmq.msg_init},
        {"zmq_msg_init_size", &libs->zmq.msg_init_size},
        {"zmq_msg_init_data", &libs->zmq.msg_init_data},
        {"zmq_msg_close", &libs->zmq.msg_close},
        {"zmq_msg_move", &libs->zmq.msg_move},
        {"zmq_msg_copy", &libs->zmq.msg_copy},
        {"zmq_msg_data", &libs->zmq.msg_data},
        {"zmq_msg_size", &libs->zmq.msg_size},
        {"zmq_msg_more", &libs->zmq.msg_more},
        {"zmq_msg_get", &libs->zmq.msg_get},
        {"zmq_msg_send", &libs->zmq.msg_send},
        {"zmq_msg_recv", &libs->zmq.msg_recv},
        {"zmq_msg_gets", &libs->zmq.msg_gets},
        {"zmq_getsockopt", &libs->zmq.getsockopt},
        {"zmq_errno", &libs->zmq.last_errno},
    };
    handles where;
    memset(libs, 0, sizeof *libs);
    open_handles(&where, paths);
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        if (!find(&where, required[i].name, required[i].slot)) return required[i].name;
    }
    if (libs->sodium.init() < 0) return "sodium_init";
    if (!find(&where, "crypto_aead_aes256gcm_is_available", &libs->sodium.aes_available) ||
        !find(&where, "crypto_aead_aes256gcm_encrypt_detached", &libs->sodium.aes_seal) ||
        !find(&where, "crypto_aead_aes256gcm_decrypt_detached", &libs->sodium.aes_open) ||
        libs->sodium.aes_available() == 0) {
        libs->sodium.aes_available = NULL;
        libs->sodium.aes_seal = NULL;
        libs->sodium.aes_open = NULL;
    }
    return NULL;
}
