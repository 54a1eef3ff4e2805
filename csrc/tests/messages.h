/* messages.h: a batch of random messages in guarded memory, with the results that libsodium has for them.
 *
 * Each message has memory of its own: everything stands at an offset of 0 to 63, outputs between guard bytes.
 */
#ifndef ZS_TEST_MESSAGES_H
#define ZS_TEST_MESSAGES_H

#include "common.h"

enum { MAX_BATCH = 64, OFFSETS = 64, ANY_OFFSET = OFFSETS };

/* Where one bit of one job is turned before it is opened. */
typedef enum forged_part { FORGED_TAG, FORGED_TEXT, FORGED_AD } forged_part;

typedef struct forgery {
    size_t lane;
    forged_part part;
    size_t bit;
} forgery;

/* The libsodium that all results are compared with. */
extern zs_sodium messages_sodium;

void messages_free(void);

/* Fill job i with random everything, at `offset` or at any. Ends in the program's end if libsodium does. */
void message_prepare(zs_aead_job *job, size_t i, size_t len, size_t ad_len, size_t offset);

/* Give job i the key of job 0, as in messages of one session. */
void message_share_key(zs_aead_job *jobs, size_t i);

/* The text as it was before it was sealed, as it is after, and its tag. */
const uint8_t *message_plain(size_t i);
const uint8_t *message_sealed(size_t i);
const uint8_t *message_tag(size_t i);

/* Point job i at its guarded output, in place or not; look whether anything around the output has changed. */
void message_aim(zs_aead_job *job, size_t i, bool in_place, bool sealing);
void message_check_guards(const zs_aead_job *job, size_t i);

/* Seal or open the whole batch and look at every byte. The only bad one is that of `bad`, which may be NULL. */
void batch_seal(const zs_kernels *kernels, zs_aead_job *jobs, size_t count, bool in_place);
void batch_open(const zs_kernels *kernels, zs_aead_job *jobs, size_t count, bool in_place, const forgery *bad);

/* Seal, open, open with a random forgery: in place and out of place by turns. */
void batch_check(const zs_kernels *kernels, zs_aead_job *jobs, size_t count);
forgery batch_random_forgery(const zs_aead_job *jobs, size_t count);

#endif
