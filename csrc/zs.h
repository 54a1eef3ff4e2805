/* zs.h: the public face of the C core (floor 0): limits, status codes, types, every constant.
 *
 * The core knows nothing of Python and allocates only from batch.c upwards. A message travels:
 *   seal: session.c reserves sequence numbers -> wire.c writes the header -> aead.c seals many -> channel.c sends
 *   open: channel.c receives -> batch.c checks, cheapest first -> aead.c opens many -> session.c commits -> parts.c scans
 * docs/spec.md is the protocol's text; section names are quoted where a rule comes from it.
 */
#ifndef ZS_H
#define ZS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ZS_VERSION = 1,
    ZS_HEADER_BYTES = 32,
    ZS_TAG_BYTES = 16,
    ZS_MIN_SEALED_BYTES = 52,
    ZS_MAX_HANDSHAKE_BYTES = 6144,
    ZS_NONCE_OFFSET = 8,
    ZS_SESSION_OFFSET = 12,
    ZS_SEQUENCE_OFFSET = 24,
    ZS_SESSION_BYTES = 12,
    ZS_KEY_BYTES = 32,
    ZS_MAX_HEADER_PARTS_BYTES = 0xFFFF,
    ZS_HCHACHA_INPUT_BYTES = 16,
    ZS_ADMIT_BYTES = 26, /* the header part `admit` */

    ZS_PUBLIC_KEY_BYTES = 32, /* Ed25519 */
    ZS_SECRET_KEY_BYTES = 64, /* the seed and the public key */
    ZS_SIGNATURE_BYTES = 64,
    ZS_FINGERPRINT_BYTES = 32,

    ZS_MIN_CREDENTIAL_BYTES = 164,
    ZS_MAX_CREDENTIAL_BYTES = 4096,
    ZS_CREDENTIAL_LISTS_OFFSET = 96,
    ZS_ROLE_SEND = 1,
    ZS_ROLE_RECEIVE = 2,
    ZS_ROLE_RELAY = 4,
    ZS_ROLE_ADMIN = 8,

    ZS_KIND_DATA = 0,
    ZS_KIND_BUNDLE = 1,
    ZS_KIND_HANDSHAKE = 2,
    ZS_KIND_CONTROL = 3,
    ZS_FLAG_CLEAR_BODY = 0x10,
    ZS_FLAG_ORIGIN_ATTESTED = 0x20,

    ZS_ATTESTATION_HEAD_BYTES = 8,
    ZS_HASH_BYTES = 32,
    ZS_MAX_ROUTING_ID_BYTES = 255,
    ZS_MAX_TREE_HEIGHT = 8,
    ZS_BY_ORIGIN = 0,
    ZS_BY_HOP = 1,
    ZS_MESSAGE_ID_BYTES = 20, /* session and sequence number */

    ZS_PART_LEAF = 0,
    ZS_PART_LIST = 1,
    ZS_PART_IGNORABLE = 2,
    ZS_PART_CRITICAL = 3,
    ZS_PART_HEAD_BYTES = 4,
    ZS_MAX_PARTS = 1024,
    ZS_MAX_DEPTH = 8,
    ZS_DEPTH_LIMIT = 64, /* no receiver may set a deeper one: the scanner keeps a fixed stack */

    ZS_SUITE_XCHACHA20POLY1305 = 1,
    ZS_SUITE_AES256GCM = 2,
    ZS_SUITE_AES256CTR_HMACSHA256 = 3,
    ZS_FIRST_USER_SUITE = 128,

    ZS_NEAR_BYTES = 64, /* of a message's text that stand apart; see zs_aead_job */

    ZS_REKEY_AFTER_TIME = 3600, /* seconds */
    ZS_REJECT_AFTER_TIME = 7200,
    ZS_CLOCK_SKEW = 120,
    ZS_REPLAY_WINDOW = 2048,
    ZS_MAX_ENVELOPE_FRAMES = 16,
    ZS_MAX_ATTESTATION_FRAMES = 16
};

#define ZS_MAX_SEQUENCE (UINT64_C(1) << 32)
#define ZS_REKEY_AFTER_MESSAGES ZS_MAX_SEQUENCE
#define ZS_MAX_PART_BYTES ((UINT32_C(1) << 30) - 1)
#define ZS_MAX_MESSAGE_BYTES ((size_t)16 * 1024 * 1024)

/* Order and names are those of the specification's closed list of refusals. */
typedef enum zs_status {
    ZS_OK = 0,
    ZS_MALFORMED,
    ZS_TOO_LARGE,
    ZS_BAD_VERSION,
    ZS_BAD_SUITE,
    ZS_UNKNOWN_SPI,
    ZS_BLOCKED,
    ZS_STALE_SESSION,
    ZS_REPLAYED,
    ZS_FORGED,
    ZS_UNKNOWN_CRITICAL,
    ZS_TOPIC_MISMATCH,
    ZS_UNATTESTED,
    ZS_BAD_ATTESTATION,
    ZS_NOT_PERMITTED,
    ZS_RATE_LIMITED, /* by relays only */
    ZS_STATUS_COUNT
} zs_status;

/* One message for an AEAD: ciphertext and plaintext have the same length, the tag stands apart.
 * `out` may equal `in` and otherwise must not overlap it. On a failed open `out` holds zeros. */
typedef struct zs_aead_job {
    const uint8_t *key;  /* 32 bytes: the session's subkey for the suite */
    uint64_t sequence;   /* the nonce is 00000000 || sequence, RFC 8439 section 2.3 */
    const uint8_t *ad;   /* associated data */
    size_t ad_len;
    const uint8_t *in;
    uint8_t *out;
    size_t len;
    uint8_t *tag;        /* 16 bytes; seal writes, open only reads */
    zs_status status;    /* open: ZS_OK or ZS_FORGED */
    /* Where a kernel allows it (zs_kernels.far_from), the text may go on elsewhere from byte ZS_NEAR_BYTES on, so that a
     * long message is copied and sealed at once, behind the head of its leaf. NULL: behind `in`, behind `out`. */
    const uint8_t *far_in; /* seal only */
    uint8_t *far_out;      /* open only */
} zs_aead_job;

/* out[i] = HChaCha20(key[i], input[i]): 32, 32 and 16 bytes each. */
typedef struct zs_subkey_job {
    uint8_t *out;
    const uint8_t *key;
    const uint8_t *input;
} zs_subkey_job;

#endif
