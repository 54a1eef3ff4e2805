/* pool.c: memory of long messages, used again rather than fetched from the system each time (floor 4).
 *
 * An allocator gives the memory of long messages back to the system as soon as libzmq has sent them, and the next
 * message then takes a page fault for every 4 KiB, which costs as much as sealing it. What is kept is bounded. Any
 * thread takes and gives; one that finds the pool in use, or taken into a fork in the midst of that, turns to the
 * allocator instead of waiting.
 */
#include "pool.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Powers of two from 16 KiB to 1 MiB, with room for the header, the head and the tag of such a text. */
enum { CLASSES = 7, EXTRA = 4096 };

typedef struct block block;
struct block {
    block *next;
    size_t class;
    _Alignas(64) uint8_t data[];
};

static atomic_flag in_use = ATOMIC_FLAG_INIT;
static block *spare[CLASSES];
static size_t spare_bytes;

/* glibc gives the end of a heap back as soon as 128 KiB of it are free, and queues of short messages, libzmq's own
 * included, leave as much many times a second. Once a block is freed that had a mapping of its own, it keeps twice that
 * block's size (mallopt(3), "dynamic mmap threshold"); mallopt itself would override what the user has set. */
void zs_pool_keep_heaps(void) {
    static atomic_flag done = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set(&done)) return;
    void *volatile block = malloc(ZS_POOL_HEAP_BYTES / 2); /* volatile: a compiler may leave out what nobody looks at */
    free(block);
}

static size_t capacity_of(size_t class) {
    return ((size_t)ZS_POOL_SHORTEST << class) + EXTRA;
}

static bool enter(void) {
    return !atomic_flag_test_and_set_explicit(&in_use, memory_order_acquire);
}

static void leave(void) {
    atomic_flag_clear_explicit(&in_use, memory_order_release);
}

static block *take(size_t class) {
    block *taken = NULL;
    if (enter()) {
        taken = spare[class];
        if (taken != NULL) {
            spare[class] = taken->next;
            spare_bytes -= capacity_of(class);
        }
        leave();
    }
    if (taken == NULL) taken = aligned_alloc(64, sizeof(block) + capacity_of(class));
    if (taken != NULL) taken->class = class;
    return taken;
}

static void give(void *data, void *hint) {
    block *given = hint;
    bool kept = false;
    (void)data;
    if (enter()) {
        kept = spare_bytes + capacity_of(given->class) <= ZS_POOL_SPARE_BYTES;
        if (kept) {
            given->next = spare[given->class];
            spare[given->class] = given;
            spare_bytes += capacity_of(given->class);
        }
        leave();
    }
    if (!kept) free(given);
}

int zs_pool_frame(const zs_zmq *zmq, zs_msg *frame, size_t size) {
    size_t class = 0;
    while (capacity_of(class) < size) class++;
    block *taken = take(class);
    if (taken == NULL) return zmq->msg_init_size(frame, size);
    int status = zmq->msg_init_data(frame, taken->data, size, give, taken);
    if (status != 0) give(NULL, taken);
    return status;
}
