/* batch.h: many messages at a time (floor 4): sealing, and a receiver's checks in the order of the specification.
 *
 * Each direction has steps, so that a caller can put a suite of its own between them:
 *   zs_seal_prepare -> zs_aead_seal_many        zs_open_check -> zs_open_aead -> zs_open_commit
 */
#ifndef ZS_BATCH_H
#define ZS_BATCH_H

#include "address.h"
#include "ahead.h"
#include "aead.h"
#include "parts.h"
#include "session.h"

enum { ZS_BATCH = 64 };

/* One message to seal. `size` is filled by zs_seal_measure; `out` then has room for that many bytes. */
typedef struct zs_seal_item {
    uint8_t kind;
    uint8_t flags;
    bool admits;    /* as the sender does; the admission follows the header parts */
    zs_span header; /* header parts, encoded */
    const zs_span *body;
    size_t body_count;
    size_t size;
    uint8_t *out;
} zs_seal_item;

/* ZS_MALFORMED: no part at all. ZS_TOO_LARGE: a leaf of 2^30 bytes or more, header parts above 65,535 bytes, or a
 * sealed part above `max_message`. */
zs_status zs_seal_measure(zs_seal_item *item, size_t max_message);

/* Write headers and plaintext to each `out`, and the jobs that seal them there, in place. At most ZS_BATCH items. */
void zs_seal_prepare(const zs_sender *sender, uint64_t first_sequence, const zs_seal_item *items, size_t count,
                     zs_aead_job *jobs, size_t far_from);

/* The last session that was looked up, as long as the table has not changed; `start` is how its messages begin. */
typedef struct zs_known {
    uint8_t start[ZS_SEQUENCE_OFFSET];
    uint8_t origin[ZS_PUBLIC_KEY_BYTES]; /* where one is attested */
    zs_header header;
    zs_association *association; /* NULL: none */
    zs_session *session;         /* NULL: the table has none of that name */
    uint64_t changes;
} zs_known;

typedef struct zs_receiver {
    const zs_libs *libs;
    zs_table table;
    zs_known known;
    size_t max_message;
    uint32_t kinds; /* a bit for each kind that is accepted */
    zs_parts_limits limits;
    zs_ahead ahead;
    zs_trees *trees; /* made for the first attestation; NULL before that */
    bool has_me;
    uint8_t me[ZS_FINGERPRINT_BYTES]; /* whose messages these are, where they say whom they are for */
    uint64_t opened;
    uint64_t refused[ZS_STATUS_COUNT];
    uint8_t names[ZS_BATCH][255]; /* of critical metadata that was not understood, by an item's place in its batch */
} zs_receiver;

/* One sealed part to open. With `out` NULL the body is opened in place, in `frame`; else in `out`, `len` bytes. */
typedef struct zs_open_item {
    uint8_t *frame;
    size_t len;
    uint8_t *out;
    uint8_t *far; /* where an encrypted body is opened from byte ZS_NEAR_BYTES on; see zs_open_far */
    zs_span topic; /* the topic frame; data is NULL where there is none */
    zs_route route; /* its frames and their number; what they prove */
    zs_status status;
    zs_header header;
    zs_address address; /* only where the header has parts */
    uint8_t *body;
    size_t body_len;
    zs_parts_found found;
    zs_association *association;
    zs_session *session;
    uint64_t changes;
    bool strange; /* its session was unknown when it was checked; then `subkey` is that session's */
    uint8_t subkey[ZS_KEY_BYTES];
} zs_open_item;

/* Items whose status is not ZS_OK on entry are left out, and counted as refused in the end. `now`: unix seconds. */
void zs_open_check(zs_receiver *receiver, zs_open_item *items, size_t count, uint64_t now);

/* How many bytes from byte ZS_NEAR_BYTES on item->far may take, as the checked header says; 0: it is to stay NULL.
 * After zs_open_commit it holds the end of the body's one leaf, or is NULL again, and then `body` is whole. */
size_t zs_open_far(const zs_receiver *receiver, const zs_open_item *item);

/* Open what the checks let through and what libsodium or a kernel can; other suites are the caller's. */
void zs_open_aead(zs_receiver *receiver, zs_open_item *items, size_t count);

/* In order: check again (the batch itself may have moved the windows), commit, scan the parts, count.
 * At most ZS_BATCH items. */
void zs_open_commit(zs_receiver *receiver, zs_open_item *items, size_t count, uint64_t now);

/* Refuse after all an item that opened, for a reason that its caller knows. */
void zs_open_refuse(zs_receiver *receiver, zs_open_item *item, zs_status status);

#endif
