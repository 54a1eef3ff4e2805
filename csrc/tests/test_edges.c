/* test_edges.c: no kernel touches a byte beside its buffers: each stands against a page that may not be touched.
 *
 * Masked loads and stores are beyond ASan's sight; the memory management unit sees them. First behind each
 * buffer, then before it.
 */
#define _GNU_SOURCE
#include "common.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LANES = 17, PAGES = 3, BUFFERS = 5 };

/* One buffer of up to `PAGES - 1` pages, with a forbidden page on either side. */
typedef struct fence {
    uint8_t *inside;
    size_t size;
} fence;

enum { KEY, AD, IN, OUT, TAG };

static zs_sodium sodium;
static fence fences[LANES][BUFFERS];
static sigjmp_buf fault;
static size_t page;

static void on_fault(int number) {
    (void)number;
    siglongjmp(fault, 1);
}

static void build(fence *f) {
    uint8_t *p = mmap(NULL, (PAGES + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED, "memory");
    f->inside = p + page, f->size = PAGES * page;
    CHECK(mprotect(f->inside, f->size, PROT_READ | PROT_WRITE) == 0, "memory");
}

/* `len` bytes at one end of the fence. */
static uint8_t *against(fence *f, size_t len, bool behind) {
    CHECK(len <= f->size, "the test itself: %zu bytes", len);
    return behind ? f->inside + f->size - len : f->inside;
}

static zs_aead_job prepare(size_t i, size_t len, size_t ad_len, bool behind, bool in_place) {
    fence *f = fences[i];
    uint8_t *key = against(&f[KEY], ZS_KEY_BYTES, behind), *ad = against(&f[AD], ad_len, behind);
    uint8_t *out = against(&f[OUT], len, behind), *in = in_place ? out : against(&f[IN], len, behind);
    test_fill(key, ZS_KEY_BYTES), test_fill(ad, ad_len), test_fill(in, len);
    return (zs_aead_job){.key = key, .sequence = test_random(), .ad = ad, .ad_len = ad_len, .in = in, .out = out,
                         .len = len, .tag = against(&f[TAG], ZS_TAG_BYTES, behind)};
}

static void seal_and_open(const zs_kernels *k, zs_aead_job *jobs, size_t count, bool in_place) {
    k->seal_many(&sodium, jobs, count);
    for (size_t i = 0; i < count && !in_place; i++) memcpy(fences[i][IN].inside, fences[i][OUT].inside, PAGES * page);
    k->open_many(&sodium, jobs, count);
    for (size_t i = 0; i < count; i++) CHECK(jobs[i].status == ZS_OK, "job %zu of %zu does not open", i, count);
}

static void run(const zs_kernels *k, const size_t count, const size_t max_len, const bool mixed, const bool behind,
                const bool in_place) {
    zs_aead_job jobs[LANES];
    const size_t len = test_below(max_len + 1);
    for (size_t i = 0; i < count; i++) {
        jobs[i] = prepare(i, mixed ? test_below(max_len + 1) : len, test_below(200), behind, in_place);
    }
    CHECK(sigsetjmp(fault, 1) == 0, "batch of %zu, %zu bytes%s", count, len, mixed ? " and others" : "");
    seal_and_open(k, jobs, count, in_place);
}

static void run_subkeys(const zs_kernels *k, const size_t count, const bool behind) {
    zs_subkey_job jobs[LANES];
    for (size_t i = 0; i < count; i++) {
        fence *f = fences[i];
        jobs[i] = (zs_subkey_job){against(&f[OUT], ZS_KEY_BYTES, behind), against(&f[KEY], ZS_KEY_BYTES, behind),
                                  against(&f[IN], ZS_HCHACHA_INPUT_BYTES, behind)};
    }
    CHECK(sigsetjmp(fault, 1) == 0, "subkeys, batch of %zu", count);
    k->hchacha20_many(&sodium, jobs, count);
}

static void check_tier(const zs_kernels *k) {
    for (size_t behind = 0; behind < 2; behind++) {
        size_t cases = 0;
        test_begin("%s: nothing is touched %s any buffer", k->name, behind != 0 ? "behind" : "before");
        for (size_t count = 1; count <= LANES; count++) {
            run_subkeys(k, count, behind != 0);
            for (size_t round = 0; round < test_scaled(60); round++, cases++) {
                size_t max_len = (size_t)4 << test_below(11);
                run(k, count, max_len, round % 2 == 0, behind != 0, round % 3 == 0);
            }
        }
        test_end(cases);
    }
}

static bool is_caught(const volatile uint8_t *p) {
    if (sigsetjmp(fault, 1) != 0) return true;
    (void)*p;
    return false;
}

/* Without this the others would prove nothing. */
static void check_fence(void) {
    test_begin("a touch beside a fenced buffer is caught");
    CHECK(is_caught(against(&fences[0][IN], 5, true) + 5), "behind: it was not");
    CHECK(is_caught(against(&fences[0][IN], 5, false) - 1), "before: it was not");
    CHECK(!is_caught(against(&fences[0][IN], 5, true)), "the buffer itself is fenced");
    test_end(3);
}

int main(int argc, char **argv) {
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
    test_load_sodium(&sodium);
    test_seed_all();
    page = (size_t)sysconf(_SC_PAGESIZE);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    for (size_t i = 0; i < LANES; i++) {
        for (size_t b = 0; b < BUFFERS; b++) build(&fences[i][b]);
    }
    check_fence();
    for (size_t i = 0; TEST_TIERS[i] != NULL; i++) {
        if (argc > 1 && strcmp(argv[1], TEST_TIERS[i]) != 0) continue;
        const zs_kernels *kernels = test_tier(TEST_TIERS[i]);
        test_reseed();
        if (kernels != NULL) check_tier(kernels);
    }
    return 0;
}
