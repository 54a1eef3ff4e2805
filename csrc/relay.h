/* relay.h: the forwarding loop: any number of lanes, served in turn until somebody calls (floor 6).
 *
 * It runs without the GIL and waits in zmq_poll only when no lane has anything to do. A message on the control socket
 * ends the loop, so that its caller can change anything between two batches and enter it again; what lanes hold stays.
 */
#ifndef ZS_RELAY_H
#define ZS_RELAY_H

#include "lane.h"

enum { ZS_MAX_LANES = 256 };

/* Why the loop has ended. */
typedef enum zs_relay_end {
    ZS_RELAY_CALLED, /* a message on the control socket, which is taken */
    ZS_RELAY_QUIET,  /* nothing came and nothing is held, for as long as was asked */
    ZS_RELAY_LATE,   /* the time is up */
    ZS_RELAY_FAILED  /* `failed` is the lane, or ZS_MAX_LANES for the control socket; `error` is libzmq's */
} zs_relay_end;

typedef struct zs_relay {
    const zs_libs *libs;
    void *control;
    zs_lane *lanes[ZS_MAX_LANES];
    size_t lane_count;
    size_t failed;
    int error;
} zs_relay;

/* Milliseconds; negative: for ever. `quiet`: end when nothing came and nothing was held for so long; `until`: end. */
zs_relay_end zs_relay_run(zs_relay *relay, int64_t quiet, int64_t until);

#endif
