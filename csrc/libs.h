/* libs.h: the functions of libsodium and libzmq that the core calls (floor 1).
 *
 * They are looked up at run time in the libraries that the process has loaded already, so a build needs no
 * headers of either and there is never a second libzmq in the process.
 */
#ifndef ZS_LIBS_H
#define ZS_LIBS_H

#include "zs.h"

/* zmq_msg_t is 64 opaque bytes, aligned as a pointer (zmq.h, since libzmq 4.1). */
typedef union zs_msg {
    unsigned char bytes[64];
    void *align;
} zs_msg;

enum { ZS_ZMQ_DONTWAIT = 1, ZS_ZMQ_SNDMORE = 2, ZS_ZMQ_SHARED = 3 };
enum { ZS_ZMQ_FD = 14, ZS_ZMQ_EVENTS = 15, ZS_ZMQ_POLLIN = 1, ZS_ZMQ_POLLOUT = 2 };

typedef int zs_encrypt_detached(unsigned char *c, unsigned char *mac, unsigned long long *maclen, const unsigned char *m,
                                unsigned long long mlen, const unsigned char *ad, unsigned long long adlen,
                                const unsigned char *nsec, const unsigned char *npub, const unsigned char *k);
typedef int zs_decrypt_detached(unsigned char *m, unsigned char *nsec, const unsigned char *c, unsigned long long clen,
                                const unsigned char *mac, const unsigned char *ad, unsigned long long adlen,
                                const unsigned char *npub, const unsigned char *k);

/* crypto_generichash_blake2b_state is 384 opaque bytes, aligned to 64 (sodium/crypto_generichash_blake2b.h). */
typedef struct zs_hash_state {
    _Alignas(64) unsigned char bytes[384];
} zs_hash_state;

typedef struct zs_sodium {
    int (*init)(void);
    void (*random)(void *buf, size_t size);
    int (*blake2b)(unsigned char *out, size_t outlen, const unsigned char *in, unsigned long long inlen,
                   const unsigned char *key, size_t keylen, const unsigned char *salt, const unsigned char *personal);
    int (*blake2b_init)(zs_hash_state *state, const unsigned char *key, size_t keylen, size_t outlen,
                        const unsigned char *salt, const unsigned char *personal);
    int (*blake2b_update)(zs_hash_state *state, const unsigned char *in, unsigned long long inlen);
    int (*blake2b_final)(zs_hash_state *state, unsigned char *out, size_t outlen);
    /* SipHash-2-4: 8 bytes out, a key of 16; for tables whose keys strangers choose. */
    int (*shorthash)(unsigned char *out, const unsigned char *in, unsigned long long inlen, const unsigned char *k);
    /* Ed25519; the secret key is the seed and the public key, 64 bytes. Verify through ed25519.h only. */
    int (*sign)(unsigned char *sig, unsigned long long *siglen, const unsigned char *m, unsigned long long mlen,
                const unsigned char *sk);
    int (*verify)(const unsigned char *sig, const unsigned char *m, unsigned long long mlen, const unsigned char *pk);
    int (*hchacha20)(unsigned char *out, const unsigned char *in, const unsigned char *k, const unsigned char *c);
    zs_encrypt_detached *chacha_seal;
    zs_decrypt_detached *chacha_open;
    /* NULL where this libsodium has no AES-256-GCM, or no hardware for it. */
    int (*aes_available)(void);
    zs_encrypt_detached *aes_seal;
    zs_decrypt_detached *aes_open;
} zs_sodium;

typedef struct zs_zmq {
    int (*msg_init)(zs_msg *msg);
    int (*msg_init_size)(zs_msg *msg, size_t size);
    int (*msg_init_data)(zs_msg *msg, void *data, size_t size, void (*release)(void *data, void *hint), void *hint);
    int (*msg_close)(zs_msg *msg);
    int (*msg_move)(zs_msg *dest, zs_msg *src);
    int (*msg_copy)(zs_msg *dest, zs_msg *src);
    void *(*msg_data)(zs_msg *msg);
    size_t (*msg_size)(const zs_msg *msg);
    int (*msg_more)(const zs_msg *msg);
    int (*msg_get)(const zs_msg *msg, int property);
    int (*msg_send)(zs_msg *msg, void *socket, int flags);
    int (*msg_recv)(zs_msg *msg, void *socket, int flags);
    const char *(*msg_gets)(const zs_msg *msg, const char *property);
    int (*getsockopt)(void *socket, int option, void *value, size_t *size);
    int (*last_errno)(void);
} zs_zmq;

typedef struct zs_libs {
    zs_sodium sodium;
    zs_zmq zmq;
    const struct zs_kernels *kernels; /* of suite 1; dispatch.h */
} zs_libs;

/* Fill `libs` from the shared objects named by `paths` (NULL-terminated), all of which are loaded already or are
 * libsodium's own; a symbol is searched in their order. Returns NULL, or the name of the first symbol that none has. */
const char *zs_libs_resolve(zs_libs *libs, const char *const *paths);

#endif
