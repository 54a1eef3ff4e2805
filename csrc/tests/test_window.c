/* test_window.c: the replay window with a toy size, in every state that it can reach, beside a naive model.
 *
 * Eight places, words of four bits, so a ring of three words or twelve numbers. A state is the highest number, the
 * ring and the model; numbers are taken down by whole turns of the ring, far enough from zero. From each state every
 * number from far below the window to far above the ring is asked for, and entered where it is let through.
 */
#define ZS_WINDOW_BITS 8
#define ZS_WINDOW_WORD uint8_t
#define ZS_WINDOW_WORD_BITS 4
#include "../window.h"
#include "common.h"

enum { RING = 12, TOPS = 48, LOWERED_TO = 36, BEYOND = 30, RINGS = 1 << RING, MODELS = 1 << ZS_WINDOW_BITS };

/* Bit d of the model: top - d has been seen. */
typedef struct both {
    zs_window window;
    unsigned model;
} both;

static uint8_t reached[TOPS][RINGS][MODELS];
static both queue[1 << 20];
static size_t waiting, taken;

static bool model_check(const both *b, uint64_t sequence) {
    if (sequence > b->window.top) return true;
    uint64_t below = b->window.top - sequence;
    return below < ZS_WINDOW_BITS && (b->model >> below & 1) == 0;
}

static unsigned model_commit(const both *b, uint64_t sequence) {
    if (sequence <= b->window.top) return b->model | 1u << (b->window.top - sequence);
    uint64_t up = sequence - b->window.top;
    return (up < ZS_WINDOW_BITS ? b->model << up & (MODELS - 1) : 0) | 1;
}

static void enter(both b) {
    unsigned ring = b.window.seen[0] | (unsigned)b.window.seen[1] << 4 | (unsigned)b.window.seen[2] << 8;
    while (b.window.top >= TOPS) b.window.top -= RING;
    CHECK((b.window.seen[0] | b.window.seen[1] | b.window.seen[2]) < 16, "a bit beyond a word's four");
    if (reached[b.window.top][ring][b.model] != 0) return;
    reached[b.window.top][ring][b.model] = 1;
    CHECK(waiting < sizeof queue / sizeof queue[0], "the test itself: more states than expected");
    queue[waiting++] = b;
}

static size_t leave(const both *b) {
    uint64_t from = b->window.top > BEYOND ? b->window.top - BEYOND : 0, to = b->window.top + BEYOND;
    for (uint64_t sequence = from; sequence <= to; sequence++) {
        bool fresh = zs_window_check(&b->window, sequence);
        CHECK(fresh == model_check(b, sequence), "top %llu, model %02x, number %llu: %d",
              (unsigned long long)b->window.top, b->model, (unsigned long long)sequence, fresh);
        if (!fresh) continue;
        both next = *b;
        zs_window_commit(&next.window, sequence);
        next.model = model_commit(b, sequence);
        CHECK(next.window.top == (sequence > b->window.top ? sequence : b->window.top), "top");
        CHECK(!zs_window_check(&next.window, sequence), "number %llu again", (unsigned long long)sequence);
        enter(next);
    }
    return (size_t)(to - from + 1);
}

/* Leaps that no walk reaches; what was seen is forgotten, and all of the window is new. */
static void check_leaps(void) {
    static const uint64_t LEAPS[] = {UINT64_C(1) << 31, UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, UINT64_MAX - 40};
    size_t cases = 0;
    test_begin("window: leaps of 2^31 to 2^64");
    for (size_t i = 0; i < sizeof LEAPS / sizeof LEAPS[0]; i++) {
        for (uint64_t start = 0; start < 2 * RING; start++, cases++) {
            zs_window w;
            zs_window_begin(&w, start);
            uint64_t far = start + LEAPS[i];
            CHECK(zs_window_check(&w, far), "above");
            zs_window_commit(&w, far);
            CHECK(!zs_window_check(&w, far) && !zs_window_check(&w, start), "seen, and far below");
            for (uint64_t d = 1; d < ZS_WINDOW_BITS; d++) CHECK(zs_window_check(&w, far - d), "new");
            for (uint64_t d = 0; d < 20; d++) CHECK(!zs_window_check(&w, far - ZS_WINDOW_BITS - d), "below the window");
        }
    }
    test_end(cases);
}

/* A window that begins with numbers used up is as one that has seen them all. */
static void check_beginnings(void) {
    size_t cases = 0;
    test_begin("window: numbers that are used up when it begins");
    for (uint64_t next = 0; next < 5 * RING; next++, cases++) {
        zs_window w, seen;
        memset(&w, 0xA5, sizeof w);
        zs_window_begin_at(&w, next);
        if (next > 0) zs_window_begin(&seen, 0);
        for (uint64_t n = 1; n < next; n++) zs_window_commit(&seen, n);
        for (uint64_t n = 0; n < next + BEYOND; n++) CHECK(zs_window_check(&w, n) == (n >= next), "number %u", (unsigned)n);
        for (uint64_t n = next + BEYOND; n-- > next;) {
            if (next == 0 && n == next + BEYOND - 1) zs_window_begin(&seen, n);
            bool fresh = zs_window_check(&w, n);
            CHECK(fresh == (n == next + BEYOND - 1 || zs_window_check(&seen, n)), "number %u then", (unsigned)n);
            if (fresh) zs_window_commit(&w, n), zs_window_commit(&seen, n);
        }
    }
    test_end(cases);
}

int main(void) {
    size_t cases = 0;
    test_begin("window of 8: every reachable state, every number, as the model");
    for (uint64_t start = 0; start < LOWERED_TO; start++) {
        both b = {.model = 1};
        memset(&b.window, 0xA5, sizeof b.window);
        zs_window_begin(&b.window, start);
        enter(b);
    }
    while (taken < waiting) {
        both b = queue[taken++];
        cases += leave(&b);
    }
    printf("  %zu states\n", waiting);
    CHECK(waiting > 10000, "%zu states", waiting);
    test_end(cases);
    check_leaps();
    check_beginnings();
    return 0;
}
