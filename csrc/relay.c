/* relay.c: serves the lanes in turn (floor 6). */
#include "relay.h"

#include "impl.h"

#include <errno.h>
#include <time.h>

/* What the lanes have come to in one round. */
typedef struct round {
    bool moved, holds, retries;
    zs_poll_item items[ZS_MAX_LANES + 1]; /* the last is the control socket */
} round;

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_called(zs_relay *relay) {
    zs_msg message;
    relay->libs->zmq.msg_init(&message);
    bool called = relay->libs->zmq.msg_recv(&message, relay->control, ZS_ZMQ_DONTWAIT) >= 0;
    relay->libs->zmq.msg_close(&message);
    if (!called) relay->error = relay->libs->zmq.last_errno();
    return called;
}

/* False: a lane has failed. */
static bool serve(zs_relay *relay, round *one) {
    one->moved = one->holds = one->retries = false;
    for (size_t i = 0; i < relay->lane_count; i++) {
        zs_lane *lane = relay->lanes[i];
        one->items[i] = (zs_poll_item){.socket = lane->source, .events = ZS_ZMQ_POLLIN};
        switch (zs_lane_turn(lane)) {
        case ZS_TURN_MOVED: one->moved = true; break;
        case ZS_TURN_EMPTY: break;
        case ZS_TURN_FULL:
            one->holds = true;
            one->retries = one->retries || !lane->sink_polls;
            one->items[i] = (zs_poll_item){.socket = lane->sink,
                                           .events = lane->sink_polls ? ZS_ZMQ_POLLOUT : 0};
            break;
        case ZS_TURN_FAILED:
            relay->failed = i;
            relay->error = lane->error;
            return false;
        }
    }
    return true;
}

static int64_t sooner(int64_t a, int64_t b) {
    if (a < 0) return b;
    return b < 0 || a < b ? a : b;
}

static int64_t left(int64_t end, int64_t now) {
    if (end < 0) return -1;
    return end > now ? end - now : 0;
}

zs_relay_end zs_relay_run(zs_relay *relay, int64_t quiet, int64_t until) {
    round one;
    bool timed = quiet >= 0 || until >= 0;
    int64_t now = now_ms(), last_move = now, end = until < 0 ? -1 : now + until;
    for (;;) {
        if (!serve(relay, &one)) return ZS_RELAY_FAILED;
        if (is_called(relay)) return ZS_RELAY_CALLED;
        if (relay->error != EAGAIN && relay->error != EINTR) {
            relay->failed = ZS_MAX_LANES;
            return ZS_RELAY_FAILED;
        }
        if (timed) {
            now = now_ms();
            if (one.moved || one.holds) last_move = now;
            if (quiet >= 0 && now - last_move >= quiet) return ZS_RELAY_QUIET;
            if (end >= 0 && now >= end) return ZS_RELAY_LATE;
        }
        if (one.moved) continue;
        int64_t wait = sooner(left(end, now), quiet < 0 ? -1 : left(last_move + quiet, now));
        if (one.retries) wait = sooner(wait, ZS_LANE_RETRY_MS);
        one.items[relay->lane_count] = (zs_poll_item){.socket = relay->control, .events = ZS_ZMQ_POLLIN};
        if (relay->libs->zmq.poll(one.items, (int)relay->lane_count + 1, (long)wait) < 0) {
            relay->error = relay->libs->zmq.last_errno();
            if (relay->error == EINTR) continue;
            relay->failed = ZS_MAX_LANES;
            return ZS_RELAY_FAILED;
        }
    }
}
