/* relay.c: serves the lanes in turn, and sleeps on the sockets' file descriptors (floor 6).
 *
 * zmq_poll would ask every socket for its state before and after it sleeps, a system call each. Here a socket is asked only
 * where the lanes' own calls leave its state open. Its descriptor is readable exactly when libzmq's threads have told it
 * something that no call on it has taken in since; a receive that finds nothing has taken in all there was.
 */
#include "relay.h"

#include "impl.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

static zs_clock read_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (zs_clock){.ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, .seconds = (uint64_t)time(NULL)};
}

/* -- sockets ------------------------------------------------------------------------------------------------------- */

/* The place of a socket, which may be new. */
static int place_of(zs_relay *relay, void *socket, size_t *place) {
    for (*place = 0; *place < relay->socket_count; ++*place) {
        if (relay->sockets[*place].socket == socket) return 0;
    }
    zs_relay_socket *one = &relay->sockets[relay->socket_count];
    size_t size = sizeof one->fd;
    memset(one, 0, sizeof *one);
    one->socket = socket;
    if (relay->libs->zmq.getsockopt(socket, ZS_ZMQ_FD, &one->fd, &size) != 0) return relay->libs->zmq.last_errno();
    relay->socket_count++;
    return 0;
}

int zs_relay_use(zs_relay *relay, zs_lane *const *lanes, size_t count) {
    size_t unused;
    relay->lane_count = relay->socket_count = 0;
    int error = place_of(relay, relay->control, &unused);
    for (size_t i = 0; i < count && error == 0; i++) {
        error = place_of(relay, lanes[i]->source, &relay->source[i]);
        if (error == 0) error = place_of(relay, lanes[i]->sink, &relay->sink[i]);
        if (error != 0) break;
        relay->lanes[i] = lanes[i];
        relay->sockets[relay->sink[i]].written = true;
    }
    relay->lane_count = error == 0 ? count : 0;
    return error;
}

/* What the socket is ready for, after it has taken in all that it was told. */
static int events_of(zs_relay *relay, size_t place) {
    int events = 0;
    size_t size = sizeof events;
    if (relay->libs->zmq.getsockopt(relay->sockets[place].socket, ZS_ZMQ_EVENTS, &events, &size) != 0) return 0;
    return events;
}

/* -- calls --------------------------------------------------------------------------------------------------------- */

void zs_relay_call(zs_relay *relay) {
    atomic_store(&relay->called, true);
}

/* Take every message of the control socket; true if there was one, or a call without. */
static bool take_calls(zs_relay *relay) {
    const zs_zmq *zmq = &relay->libs->zmq;
    bool called = atomic_exchange(&relay->called, false);
    zs_msg message;
    zmq->msg_init(&message);
    while (zmq->msg_recv(&message, relay->control, ZS_ZMQ_DONTWAIT) >= 0) called = true;
    zmq->msg_close(&message);
    return called;
}

/* -- the loop ------------------------------------------------------------------------------------------------------ */

/* While some lanes have work, the others' sockets are looked at once in so many rounds. */
enum { ROUNDS_WITHOUT_LOOK = 8 };

/* What the lanes have come to in one round. */
typedef struct round {
    bool ready, moved, full, failed;
    int64_t wake; /* milliseconds of the clock; negative: no lane asks for it */
} round;

static int64_t sooner(int64_t a, int64_t b) {
    if (a < 0) return b;
    return b < 0 || a < b ? a : b;
}

/* One lane's turn, unless it is known that its source has nothing. */
static void serve_lane(zs_relay *relay, size_t i, const zs_clock *now, round *one) {
    zs_lane *lane = relay->lanes[i];
    zs_relay_socket *source = &relay->sockets[relay->source[i]];
    bool sleeps = source->empty && !zs_lane_holds(lane);
    uint64_t received = lane->counts.received;
    switch (sleeps ? ZS_TURN_EMPTY : zs_lane_turn(lane, now)) {
    case ZS_TURN_READY:
        one->ready = source->wanted = true;
        break;
    case ZS_TURN_EMPTY:
        source->empty = !source->written;
        source->wanted = true;
        break;
    case ZS_TURN_FULL:
        one->full = true;
        if (!lane->sink_tells) one->wake = sooner(one->wake, now->ms + ZS_LANE_RETRY_MS);
        relay->sockets[relay->sink[i]].full = lane->sink_tells;
        break;
    case ZS_TURN_LIMITED:
        one->full = true;
        one->wake = sooner(one->wake, lane->limited_until);
        break;
    case ZS_TURN_FAILED:
        one->failed = true;
        relay->failed = i;
        relay->error = lane->error;
        break;
    }
    if (lane->counts.received != received) one->moved = true;
}

static round serve(zs_relay *relay, const zs_clock *now) {
    round one = {.wake = -1};
    for (size_t i = 0; i < relay->socket_count; i++) relay->sockets[i].full = relay->sockets[i].wanted = false;
    for (size_t i = 0; i < relay->lane_count && !one.failed; i++) serve_lane(relay, i, now, &one);
    return one;
}

/* A send may have taken in what the socket was told of messages to read, or have left untaken that there is room. */
static bool are_ready_after_all(zs_relay *relay) {
    bool ready = false;
    for (size_t i = 1; i < relay->socket_count; i++) {
        const zs_relay_socket *one = &relay->sockets[i];
        if (!one->written || !(one->wanted || one->full)) continue;
        int events = events_of(relay, i);
        if (one->wanted && (events & ZS_ZMQ_POLLIN) != 0) ready = true;
        if (one->full && (events & ZS_ZMQ_POLLOUT) != 0) ready = true;
    }
    return ready;
}

/* Sleep until a socket was told something; returns what poll does. */
static int sleep_on_sockets(zs_relay *relay, int64_t wait) {
    struct pollfd items[ZS_RELAY_SOCKETS];
    for (size_t i = 0; i < relay->socket_count; i++) {
        items[i] = (struct pollfd){.fd = relay->sockets[i].fd, .events = POLLIN};
    }
    int woken = poll(items, (nfds_t)relay->socket_count, wait < 0 || wait > INT32_MAX ? -1 : (int)wait);
    if (woken <= 0) return woken;
    if (items[0].revents != 0) zs_relay_call(relay);
    for (size_t i = 1; i < relay->socket_count; i++) {
        zs_relay_socket *one = &relay->sockets[i];
        if (items[i].revents == 0) continue;
        one->empty = false;
        if (one->written || !one->wanted) events_of(relay, i); /* the others take it in when they are read, next */
    }
    return woken;
}

static int64_t left(int64_t end, int64_t now) {
    if (end < 0) return -1;
    return end > now ? end - now : 0;
}

zs_relay_end zs_relay_run(zs_relay *relay, int64_t quiet, int64_t until) {
    zs_clock now = read_clock();
    int64_t last_move = now.ms, end = until < 0 ? -1 : now.ms + until;
    if (take_calls(relay)) return ZS_RELAY_CALLED; /* and libzmq tells of a message only a reader that found none */
    for (size_t rounds = 0;; rounds++) {
        now = read_clock();
        round one = serve(relay, &now);
        if (one.failed) return ZS_RELAY_FAILED;
        if (atomic_load_explicit(&relay->called, memory_order_relaxed) && take_calls(relay)) return ZS_RELAY_CALLED;
        if (one.moved || one.full) last_move = now.ms;
        if (quiet >= 0 && now.ms - last_move >= quiet) return ZS_RELAY_QUIET;
        if (end >= 0 && now.ms >= end) return ZS_RELAY_LATE;
        if (one.ready && rounds % ROUNDS_WITHOUT_LOOK != 0) continue;
        int64_t wake = sooner(sooner(one.wake, end), quiet < 0 ? -1 : last_move + quiet);
        int64_t wait = left(wake, now.ms);
        if (one.ready || are_ready_after_all(relay)) wait = 0;
        int count = sleep_on_sockets(relay, wait);
        if (count < 0 && errno != EINTR) {
            relay->error = errno;
            relay->failed = ZS_MAX_LANES;
            return ZS_RELAY_FAILED;
        }
    }
}
