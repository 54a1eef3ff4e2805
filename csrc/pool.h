/* pool.h: memory of long messages, used again rather than fetched from the system each time (floor 4). */
#ifndef ZS_POOL_H
#define ZS_POOL_H

#include "libs.h"

enum {
    ZS_POOL_SHORTEST = 16 * 1024, /* the allocator keeps what is shorter by itself */
    ZS_POOL_LONGEST = 1024 * 1024 + 4096,
    ZS_POOL_SPARE_BYTES = 8 * 1024 * 1024
};

/* As zmq_msg_init_size, for `size` between ZS_POOL_SHORTEST and ZS_POOL_LONGEST. */
int zs_pool_frame(const zs_zmq *zmq, zs_msg *frame, size_t size);

#endif
