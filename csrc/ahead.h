/* ahead.h: the key stream of a session's next messages, made sixteen at a time before they come (floor 3).
 *
 * For messages that are sealed or opened one by one, where a cipher call alone takes as long as sixteen at once.
 */
#ifndef ZS_AHEAD_H
#define ZS_AHEAD_H

#include "dispatch.h"
#include "libs.h"

/* One for each socket and direction; all zeros at first, wiped by its owner in the end. */
typedef struct zs_ahead {
    uint8_t key[ZS_KEY_BYTES]; /* of the last message */
    uint64_t next;             /* the number after that message's */
    uint64_t first;            /* the number of lane 0 */
    size_t blocks;             /* made for every lane: the one-time key and the text's */
    uint32_t ready;            /* a bit for each lane that is not used up; no lane is used twice */
    zs_ahead_stream stream;
} zs_ahead;

/* As zs_aead_seal_many and zs_aead_open_many for one job of suite 1. */
void zs_ahead_seal(const zs_libs *libs, zs_ahead *ahead, zs_aead_job *job);
void zs_ahead_open(const zs_libs *libs, zs_ahead *ahead, zs_aead_job *job);

#endif
