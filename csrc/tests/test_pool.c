/* test_pool.c: memory of long messages: used again, bounded, never given to two messages at once, from any thread. */
#include "../pool.h"
#include "common.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { TEXT = 65536, FRAMES = 256, THREADS = 4, ROUNDS = 20000, HELD = 8 };

/* The linker puts this under the core (--wrap). */
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static atomic_size_t allocations;

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __real_aligned_alloc(alignment, size);
}

/* Stands in for libzmq: what msg_init_data was told, and whether memory came from msg_init_size instead. */
typedef struct fake {
    void *data;
    size_t size;
    void (*release)(void *data, void *hint);
    void *hint;
} fake;
_Static_assert(sizeof(fake) <= sizeof(zs_msg), "a fake fits into a message");

static bool refuses;

static int fake_init_data(zs_msg *msg, void *data, size_t size, void (*release)(void *data, void *hint), void *hint) {
    if (refuses) return -1;
    *(fake *)(void *)msg = (fake){data, size, release, hint};
    return 0;
}

static int fake_init_size(zs_msg *msg, size_t size) {
    (void)msg, (void)size;
    CHECK(false, "memory was short");
    return -1;
}

static const zs_zmq zmq = {.msg_init_data = fake_init_data, .msg_init_size = fake_init_size};

static uint8_t *take(zs_msg *msg, size_t size) {
    CHECK(zs_pool_frame(&zmq, msg, size) == 0, "%zu bytes", size);
    CHECK(((fake *)(void *)msg)->size == size, "the size is the message's own");
    return ((fake *)(void *)msg)->data;
}

static void give(zs_msg *msg) {
    fake *one = (fake *)(void *)msg;
    one->release(one->data, one->hint);
}

static void check_reuse(void) {
    zs_msg msg;
    test_begin("pool: the last memory of a size comes again");
    uint8_t *first = take(&msg, TEXT + 52);
    CHECK((uintptr_t)first % 64 == 0, "aligned for the kernels");
    give(&msg);
    CHECK(take(&msg, TEXT + 60) == first, "the same");
    give(&msg);
    CHECK(take(&msg, 2 * TEXT + 52) != first, "another for twice the size");
    give(&msg);
    refuses = true;
    CHECK(zs_pool_frame(&zmq, &msg, TEXT + 52) != 0, "libzmq refused it");
    refuses = false;
    CHECK(take(&msg, TEXT + 52) == first, "and it was not lost");
    give(&msg);
    test_end(4);
}

static void check_sizes(void) {
    size_t cases = 0;
    zs_msg msg;
    test_begin("pool: every byte of every size can be written");
    for (size_t size = ZS_POOL_SHORTEST; size <= ZS_POOL_LONGEST; size += size / 7, cases++) {
        memset(take(&msg, size), 0xA5, size);
        give(&msg);
    }
    memset(take(&msg, ZS_POOL_LONGEST), 0xA5, ZS_POOL_LONGEST);
    give(&msg);
    test_end(cases + 1);
}

static void check_bound(void) {
    static zs_msg msgs[FRAMES];
    uint8_t *seen[FRAMES];
    test_begin("pool: no more is kept than %d bytes", ZS_POOL_SPARE_BYTES);
    for (size_t i = 0; i < FRAMES; i++) take(&msgs[i], TEXT);
    for (size_t i = 0; i < FRAMES; i++) give(&msgs[i]);
    size_t before = atomic_load(&allocations);
    for (size_t i = 0; i < FRAMES; i++) {
        seen[i] = take(&msgs[i], TEXT);
        for (size_t j = 0; j < i; j++) CHECK(seen[i] != seen[j], "one memory for two messages");
    }
    size_t kept = FRAMES - (atomic_load(&allocations) - before);
    CHECK(kept * TEXT <= ZS_POOL_SPARE_BYTES, "%zu were kept", kept);
    CHECK(kept * TEXT >= ZS_POOL_SPARE_BYTES / 2, "only %zu were kept", kept);
    for (size_t i = 0; i < FRAMES; i++) give(&msgs[i]);
    test_end(FRAMES);
}

static void *exchange(void *number) {
    zs_msg held[HELD];
    uint64_t mark = (uint64_t)(uintptr_t)number << 32;
    for (size_t i = 0; i < HELD; i++) zs_store64(take(&held[i], TEXT), mark | i);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        zs_msg *msg = &held[round % HELD];
        CHECK(zs_load64(((fake *)(void *)msg)->data) >> 32 == mark >> 32, "another thread wrote into this memory");
        give(msg);
        zs_store64(take(msg, TEXT), mark | round);
    }
    for (size_t i = 0; i < HELD; i++) give(&held[i]);
    return NULL;
}

static void check_threads(void) {
    pthread_t threads[THREADS];
    test_begin("pool: %d threads take and give, and none gets another's memory", THREADS);
    for (uintptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, exchange, (void *)(i + 1)) == 0, "thread");
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    test_end(THREADS * ROUNDS);
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
/* What is left in the heap of so many bytes of short messages that were all there and are all gone. */
static ptrdiff_t kept_of(size_t bytes) {
    enum { SIZE = 1000 };
    char *start = sbrk(0);
    char **messages = malloc(sizeof *messages * (bytes / SIZE));
    for (size_t i = 0; i < bytes / SIZE; i++) messages[i] = malloc(SIZE);
    for (size_t i = 0; i < bytes / SIZE; i++) free(messages[i]);
    free(messages);
    return (char *)sbrk(0) - start;
}

static void check_heaps(void) {
    test_begin("pool: the allocator keeps a heap of up to %d bytes", ZS_POOL_HEAP_BYTES);
    CHECK(kept_of(ZS_POOL_HEAP_BYTES / 2) < ZS_POOL_HEAP_BYTES / 16, "it did so before");
    zs_pool_keep_heaps();
    CHECK(kept_of(ZS_POOL_HEAP_BYTES / 2) > ZS_POOL_HEAP_BYTES / 4, "given back at once");
    CHECK(kept_of(2 * ZS_POOL_HEAP_BYTES) < ZS_POOL_HEAP_BYTES / 2, "not given back at all");
    test_end(3);
}
#else
static void check_heaps(void) {
    printf("  not run: the allocator's heaps, for it is not glibc's\n");
}
#endif

int main(void) {
    check_heaps();
    check_reuse();
    check_sizes();
    check_bound();
    check_threads();
    return 0;
}
