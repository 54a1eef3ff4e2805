/* test_window_2048.c: the replay window as it is used, on random walks beside an array of everything accepted. */
#include "../window.h"
#include "common.h"

enum { NUMBERS = 1000000 };

static bool accepted[NUMBERS];

static void walk(uint64_t spread) {
    zs_window w;
    uint64_t begin = test_below(5000), top = begin;
    size_t cases = 0, fresh = 0, seen = 0, old = 0;
    test_begin("window of %d: numbers within %llu of the highest, as the model", ZS_WINDOW_BITS,
               (unsigned long long)spread);
    memset(accepted, 0, sizeof accepted);
    zs_window_begin(&w, begin);
    accepted[begin] = true;
    for (; cases < 300000 && top + spread < NUMBERS; cases++) {
        uint64_t leap = test_below(300) == 0 ? spread : 2 + spread / 500;
        uint64_t sequence = test_below(8) == 0 ? top + test_below(leap) : top - test_below(top < spread ? top + 1 : spread);
        if (test_below(100) == 0) sequence = top - (top < 2048 ? 0 : 2047 + test_below(2));
        bool right = sequence > top || (top - sequence < ZS_WINDOW_BITS && !accepted[sequence]);
        CHECK(zs_window_check(&w, sequence) == right, "top %llu, number %llu", (unsigned long long)top,
              (unsigned long long)sequence);
        if (right) fresh++;
        else if (top - sequence < ZS_WINDOW_BITS) seen++;
        else old++;
        if (!right || test_below(4) == 0) continue; /* a message that was checked and then forged moves nothing */
        zs_window_commit(&w, sequence);
        accepted[sequence] = true;
        if (sequence > top) top = sequence;
        CHECK(w.top == top, "top");
    }
    CHECK(fresh > 100 && seen > 100 && (old > 100 || spread <= ZS_WINDOW_BITS), "%zu new, %zu seen, %zu old", fresh, seen,
          old);
    test_end(cases);
}

int main(void) {
    test_seed_all();
    walk(50);
    walk(500);
    walk(2048);
    walk(3000);
    walk(10000);
    return 0;
}
