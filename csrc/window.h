/* window.h: the replay window of one session (floor 2), RFC 6479 with a ring of words.
 *
 * The ring has one word more than the window, so that sliding clears whole words only.
 * Word type and width are macros: a test includes this file with a toy size and checks it exhaustively.
 */
#ifndef ZS_WINDOW_H
#define ZS_WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifndef ZS_WINDOW_BITS
#define ZS_WINDOW_BITS 2048
#endif
#ifndef ZS_WINDOW_WORD
#define ZS_WINDOW_WORD uint64_t
#define ZS_WINDOW_WORD_BITS 64
#endif

enum { ZS_WINDOW_WORDS = ZS_WINDOW_BITS / ZS_WINDOW_WORD_BITS + 1 };

typedef struct zs_window {
    uint64_t top; /* the highest sequence number accepted */
    ZS_WINDOW_WORD seen[ZS_WINDOW_WORDS];
} zs_window;

static inline size_t zs_window_word(uint64_t sequence) {
    return (size_t)((sequence / ZS_WINDOW_WORD_BITS) % ZS_WINDOW_WORDS);
}

static inline ZS_WINDOW_WORD zs_window_bit(uint64_t sequence) {
    return (ZS_WINDOW_WORD)((ZS_WINDOW_WORD)1 << (sequence % ZS_WINDOW_WORD_BITS));
}

/* True if `sequence` may still be accepted: above the window, or within it and not seen. Moves nothing. */
static inline bool zs_window_check(const zs_window *w, uint64_t sequence) {
    if (sequence > w->top) return true;
    if (w->top - sequence >= ZS_WINDOW_BITS) return false;
    return (w->seen[zs_window_word(sequence)] & zs_window_bit(sequence)) == 0;
}

/* Mark `sequence` as seen; the caller has checked it, and has authenticated the message. */
static inline void zs_window_commit(zs_window *w, uint64_t sequence) {
    if (sequence > w->top) {
        uint64_t from = w->top / ZS_WINDOW_WORD_BITS, to = sequence / ZS_WINDOW_WORD_BITS;
        if (to - from >= ZS_WINDOW_WORDS) {
            memset(w->seen, 0, sizeof w->seen);
        } else {
            for (uint64_t word = from + 1; word <= to; word++) w->seen[word % ZS_WINDOW_WORDS] = 0;
        }
        w->top = sequence;
    }
    w->seen[zs_window_word(sequence)] |= zs_window_bit(sequence);
}

/* Begin with an authenticated `sequence` as the highest one. */
static inline void zs_window_begin(zs_window *w, uint64_t sequence) {
    memset(w, 0, sizeof *w);
    w->top = sequence;
    w->seen[zs_window_word(sequence)] |= zs_window_bit(sequence);
}

/* Begin where all numbers below `next` are used up, and no other one is. */
static inline void zs_window_begin_at(zs_window *w, uint64_t next) {
    zs_window_begin(w, next == 0 ? 0 : next - 1);
    if (next == 0) w->seen[0] = 0;
    for (uint64_t behind = 1; behind < ZS_WINDOW_BITS && behind < next; behind++) {
        w->seen[zs_window_word(w->top - behind)] |= zs_window_bit(w->top - behind);
    }
}

#endif
