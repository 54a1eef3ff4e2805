/* relay.h: the forwarding loop: any number of lanes, served in turn until somebody calls (floor 6).
 *
 * It runs without the GIL and sleeps only when no lane has anything to do. A call ends the loop between two batches, so
 * that its caller can change anything, and enter it again; what lanes hold stays.
 */
#ifndef ZS_RELAY_H
#define ZS_RELAY_H

#include "lane.h"

#include <stdatomic.h>

enum { ZS_MAX_LANES = 256, ZS_RELAY_SOCKETS = 2 * ZS_MAX_LANES + 1 };

/* Why the loop has ended. */
typedef enum zs_relay_end {
    ZS_RELAY_CALLED, /* somebody called, or a message came on the control socket */
    ZS_RELAY_QUIET,  /* nothing came and nothing is held, for as long as was asked */
    ZS_RELAY_LATE,   /* the time is up */
    ZS_RELAY_FAILED  /* `failed` is the lane, or ZS_MAX_LANES for the loop itself; `error` says why */
} zs_relay_end;

typedef struct zs_relay_socket {
    void *socket;
    int fd;       /* readable when libzmq's threads have told the socket something that it has not taken in */
    bool written; /* by a lane, which may take in what another lane waits for */
    bool empty;   /* when it was last read, and nothing was told it since */
    bool wanted;  /* a lane would read it now */
    bool full;    /* a lane waits for room */
} zs_relay_socket;

typedef struct zs_relay {
    const zs_libs *libs;
    void *control;
    atomic_bool called;
    zs_lane *lanes[ZS_MAX_LANES];
    size_t lane_count;
    zs_relay_socket sockets[ZS_RELAY_SOCKETS]; /* each once, the control socket first */
    size_t socket_count;
    size_t source[ZS_MAX_LANES], sink[ZS_MAX_LANES]; /* their places among the sockets */
    size_t failed;
    int error;
} zs_relay;

/* Serve these lanes, at most ZS_MAX_LANES; returns 0 or libzmq's errno. */
int zs_relay_use(zs_relay *relay, zs_lane *const *lanes, size_t count);

/* End the loop soon, from any thread. If it sleeps, a message on the control socket wakes it. */
void zs_relay_call(zs_relay *relay);

/* Milliseconds; negative: for ever. `quiet`: end when nothing came and nothing was held for so long; `until`: end. */
zs_relay_end zs_relay_run(zs_relay *relay, int64_t quiet, int64_t until);

#endif
