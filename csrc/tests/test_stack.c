/* test_stack.c: after a kernel has returned, its stack holds no key, no one-time key and no key stream.
 *
 * Each call runs on a painted stack of its own, which is then searched, word by word, for everything secret that the
 * call has worked with: keys, key stream (its first half block is r || s), limbs of r in radix 2^44 and 2^26.
 * libsodium's stack is libsodium's: what it leaves in the portable tier is said, and is no failure.
 */
#define _GNU_SOURCE
#include "common.h"

#include <sys/mman.h>
#include <ucontext.h>

enum {
    STACK = 512 * 1024,
    PAINT = 0xC5,
    MAX_JOBS = 40,
    MAX_LEN = 20000,
    FIRST_BLOCKS = 4, /* of each message's key stream, that is looked for */
    LAST_BLOCKS = 40, /* more than one pass of any kernel makes */
    MOST_SECRETS = 32768
};

typedef enum kind { KEY_WORD, ONE_TIME_KEY, KEY_STREAM, LIMB_44, LIMB_26 } kind;
static const char *const KINDS[] = {"key", "one-time key", "key stream", "limb of r (2^44)", "limb of r (2^26)"};

typedef struct secret {
    uint64_t value;
    kind what;
} secret;

static zs_sodium sodium;
static uint8_t *stack;
static secret words[MOST_SECRETS], limbs[MOST_SECRETS];
static size_t word_count, limb_count;

static uint8_t keys[MAX_JOBS][ZS_KEY_BYTES], inputs[MAX_JOBS][ZS_HCHACHA_INPUT_BYTES], subkeys[MAX_JOBS][ZS_KEY_BYTES];
static uint8_t text[MAX_JOBS][MAX_LEN], tags[MAX_JOBS][ZS_TAG_BYTES], ad[64];
static zs_aead_job jobs[MAX_JOBS];
static zs_subkey_job subkey_jobs[MAX_JOBS];
static _Alignas(64) zs_ahead_stream stream;

/* -- what is looked for -------------------------------------------------------------------------------------------- */

static void add(secret *list, size_t *count, uint64_t value, kind what) {
    CHECK(*count < MOST_SECRETS, "the test itself: too many secrets");
    if (value != 0) list[(*count)++] = (secret){value, what};
}

static void add_words(const uint8_t *p, size_t len, kind what) {
    for (size_t i = 0; i + 4 <= len; i += 4) add(words, &word_count, zs_load32(p + i), what);
}

static void add_limbs(const uint8_t r[16]) {
    uint64_t low = zs_load64(r) & UINT64_C(0x0FFFFFFC0FFFFFFF), high = zs_load64(r + 8) & UINT64_C(0x0FFFFFFC0FFFFFFC);
    const uint64_t mask44 = (UINT64_C(1) << 44) - 1, mask26 = (UINT64_C(1) << 26) - 1;
    uint64_t wide[] = {low & mask44, (low >> 44 | high << 20) & mask44, high >> 24};
    uint64_t slim[] = {low & mask26, low >> 26 & mask26, (low >> 52 | high << 12) & mask26, high >> 14 & mask26, high >> 40};
    for (size_t i = 0; i < 3; i++) {
        add(limbs, &limb_count, wide[i], LIMB_44);
        if (i > 0) add(limbs, &limb_count, 20 * wide[i], LIMB_44);
    }
    for (size_t i = 0; i < 5; i++) {
        add(words, &word_count, slim[i], LIMB_26);
        if (i > 0) add(words, &word_count, 5 * slim[i], LIMB_26);
    }
    add(limbs, &limb_count, low, ONE_TIME_KEY), add(limbs, &limb_count, high, ONE_TIME_KEY);
    add(limbs, &limb_count, high + (high >> 2), ONE_TIME_KEY);
}

static int by_value(const void *a, const void *b) {
    uint64_t x = ((const secret *)a)->value, y = ((const secret *)b)->value;
    return x < y ? -1 : x > y;
}

static void collect(size_t count) {
    uint8_t block[64];
    word_count = limb_count = 0;
    for (size_t i = 0; i < count; i++) {
        add_words(keys[i], ZS_KEY_BYTES, KEY_WORD);
        add_words(subkeys[i], ZS_KEY_BYTES, KEY_WORD);
        uint32_t blocks = (uint32_t)(1 + (jobs[i].len + 63) / 64);
        for (uint32_t b = 0; b < blocks || b < FIRST_BLOCKS; b++) {
            if (b >= FIRST_BLOCKS && b + LAST_BLOCKS < blocks) continue;
            test_key_stream(block, jobs[i].key, jobs[i].sequence, b);
            add_words(block, b == 0 ? 32 : 64, b == 0 ? ONE_TIME_KEY : KEY_STREAM);
            if (b == 0) add_limbs(block);
        }
    }
    qsort(words, word_count, sizeof *words, by_value);
    qsort(limbs, limb_count, sizeof *limbs, by_value);
}

/* -- the search ---------------------------------------------------------------------------------------------------- */

static const secret *look_up(uint64_t value, const secret *list, size_t count) {
    secret wanted = {.value = value};
    return bsearch(&wanted, list, count, sizeof wanted, by_value);
}

/* How many secrets of each kind the stack holds, in words. */
typedef struct leftovers {
    size_t words[LIMB_26 + 1], all;
} leftovers;

/* Four bytes may be a secret's by chance: they count beside another such word, within what a register holds. Eight are
 * never. */
static leftovers search(size_t used) {
    leftovers found = {.all = 0};
    const secret *before = NULL;
    size_t before_at = 0;
    for (size_t at = (STACK - used) & ~(size_t)3; at + 8 <= STACK; at += 4) {
        const secret *limb = look_up(zs_load64(stack + at), limbs, limb_count);
        const secret *word = look_up(zs_load32(stack + at), words, word_count);
        if (limb != NULL) found.words[limb->what]++, found.all++;
        if (word == NULL) continue;
        bool near = before_at != 0 && at - before_at <= 64;
        if (near && before != NULL) found.words[before->what]++, found.all++; /* the first of them */
        if (near) found.words[word->what]++, found.all++;
        before = near ? NULL : word, before_at = at;
    }
    return found;
}

static ucontext_t here, there;
static void (*work)(void);

static void enter(void) {
    work();
}

static size_t used_stack(void) {
    size_t at = 0;
    while (at < STACK && stack[at] == PAINT) at++;
    return STACK - at;
}

static leftovers run(void (*what)(void)) {
    memset(stack, PAINT, STACK);
    CHECK(getcontext(&there) == 0, "getcontext");
    there.uc_stack.ss_sp = stack, there.uc_stack.ss_size = STACK, there.uc_link = &here;
    makecontext(&there, enter, 0);
    work = what;
    CHECK(swapcontext(&here, &there) == 0, "swapcontext");
    size_t used = used_stack();
    CHECK(used < STACK - 4096, "the stack was too small");
    return search(used);
}

/* -- what is run --------------------------------------------------------------------------------------------------- */

static const zs_kernels *kernels;
static size_t job_count, lane;

static void seal(void) {
    kernels->seal_many(&sodium, jobs, job_count);
}

static void open(void) {
    kernels->open_many(&sodium, jobs, job_count);
}

static void derive(void) {
    kernels->hchacha20_many(&sodium, subkey_jobs, job_count);
}

static void make_ahead(void) {
    kernels->ahead_make(stream, jobs[0].key, jobs[0].sequence, ZS_AHEAD_BLOCKS);
}

static void seal_ahead(void) {
    kernels->ahead_seal(&jobs[lane], (const zs_ahead_stream *)&stream, lane);
}

static void open_ahead(void) {
    kernels->ahead_open(&jobs[lane], (const zs_ahead_stream *)&stream, lane);
}

/* Leaves a key on the stack, for the search itself to be tested. */
static void leave_key(void) {
    uint8_t copy[1024]; /* its beginning is deeper than what runs afterwards */
    memcpy(copy, keys[0], ZS_KEY_BYTES);
    __asm__ __volatile__("" : : "r"(copy) : "memory");
}

static void prepare(size_t count, size_t len, bool one_session) {
    job_count = count;
    test_fill(keys[0], sizeof keys), test_fill(inputs[0], sizeof inputs);
    uint64_t sequence = test_random();
    for (size_t i = 0; i < count; i++) {
        if (one_session) memcpy(keys[i], keys[0], ZS_KEY_BYTES);
        test_fill(text[i], len);
        jobs[i] = (zs_aead_job){.key = keys[i], .sequence = sequence + i, .ad = ad, .ad_len = 32, .in = text[i],
                                .out = text[i], .len = len, .tag = tags[i]};
        subkey_jobs[i] = (zs_subkey_job){subkeys[i], keys[i], inputs[i]};
        sodium.hchacha20(subkeys[i], inputs[i], keys[i], NULL);
    }
    collect(count);
}

static size_t calls, dirty_calls;
static char worst[160];
static leftovers most;

static void look(void (*what)(void), const char *name) {
    leftovers found = run(what);
    calls++;
    if (found.all == 0) return;
    dirty_calls++;
    if (found.all <= most.all) return;
    most = found;
    snprintf(worst, sizeof worst, "%s, %zu messages of %zu bytes", name, job_count, jobs[0].len);
}

static void begin(const char *format, const char *tier) {
    test_begin(format, tier);
    calls = dirty_calls = 0;
    memset(&most, 0, sizeof most);
}

/* True if nothing was left, or if it is somebody else's. */
static bool end(bool ours) {
    if (dirty_calls == 0) {
        test_end(calls);
        return true;
    }
    printf("  %s%s, but\n    after %zu of %zu calls; at worst (%s):\n", ours ? "FAILED " : "not a failure, for it is libsodium's: ", test_name(),
           dirty_calls, calls, worst);
    for (kind k = KEY_WORD; k <= LIMB_26; k++) {
        if (most.words[k] > 0) printf("    %zu words of a %s\n", most.words[k], KINDS[k]);
    }
    return !ours;
}

static bool check_tier(const char *name) {
    static const size_t COUNTS[] = {1, 2, 3, 4, 7, 8, 16, 17, 40}, LENGTHS[] = {0, 40, 100, 300, 450, 1000, 5000, MAX_LEN};
    begin("%s: no secret is left on the stack", name);
    for (size_t c = 0; c < sizeof COUNTS / sizeof COUNTS[0]; c++) {
        for (size_t l = 0; l < sizeof LENGTHS / sizeof LENGTHS[0]; l++) {
            prepare(COUNTS[c], LENGTHS[l], l % 2 == 0);
            look(derive, "HChaCha20"), look(seal, "sealing"), look(open, "opening");
            prepare(COUNTS[c], LENGTHS[l], l % 2 == 0);
            look(open, "opening what is forged");
        }
    }
    return end(strcmp(name, "portable") != 0);
}

static bool check_ahead(const char *name) {
    begin("%s: no secret is left on the stack with key stream made ahead", name);
    for (size_t len = 0; len <= 64 * (ZS_AHEAD_BLOCKS - 1); len += 16) {
        prepare(ZS_AHEAD_LANES, len, true);
        lane = len / 16;
        look(make_ahead, "making ahead"), look(seal_ahead, "sealing one"), look(open_ahead, "opening one");
        look(open_ahead, "opening one that is forged");
    }
    return end(true);
}

int main(int argc, char **argv) {
    bool clean = true;
    test_load_sodium(&sodium);
    test_seed_all();
    stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED, "memory");
    test_begin("a key that is left on the stack is found");
    kernels = zs_kernels_choose("portable");
    prepare(2, 100, false);
    leftovers left = run(leave_key);
    CHECK(left.all == 8 && left.words[KEY_WORD] == 8, "%zu words", left.all);
    test_end(1);
    for (size_t i = 0; TEST_TIERS[i] != NULL; i++) {
        if (argc > 1 && strcmp(argv[1], TEST_TIERS[i]) != 0) continue;
        test_reseed();
        kernels = test_tier(TEST_TIERS[i]);
        if (kernels == NULL) continue;
        clean = check_tier(kernels->name) && clean;
        if (kernels->ahead_make != NULL) clean = check_ahead(kernels->name) && clean;
    }
    return clean ? 0 : 1;
}
