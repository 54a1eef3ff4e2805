/* pool.h: memory of long messages, used again rather than fetched from the system each time (floor 4). */
#ifndef ZS_POOL_H
#define ZS_POOL_H

#include "libs.h"

enum {
    ZS_POOL_SHORTEST = 16 * 1024, /* the allocator keeps what is shorter by itself */
    ZS_POOL_LONGEST = 1024 * 1024 + 4096,
    ZS_POOL_SPARE_BYTES = 8 * 1024 * 1024,
    ZS_POOL_HEAP_BYTES = 16 * 1024 * 1024
};

/* Let the allocator keep what short messages have left free at the end of each of its heaps, up to ZS_POOL_HEAP_BYTES,
 * unless its user has set a limit. Once in a process. */
void zs_pool_keep_heaps(void);

/* As zmq_msg_init_size, for `size` between ZS_POOL_SHORTEST and ZS_POOL_LONGEST. */
int zs_pool_frame(const zs_zmq *zmq, zs_msg *frame, size_t size);

#endif
