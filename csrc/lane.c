/* lane.c: moves batches from a source to a sink (floor 6). */
#include "lane.h"

#include "impl.h"

#include <errno.h>

void zs_lane_init(zs_lane *lane, const zs_libs *libs, void *source, void *sink) {
    memset(lane, 0, sizeof *lane);
    lane->libs = libs;
    lane->source = source;
    lane->sink = sink;
    lane->sink_tells = true;
    zs_channel_init(&lane->channel, &libs->zmq, ZS_LAYOUT_PLAIN);
}

bool zs_lane_holds(const zs_lane *lane) {
    return lane->sent < lane->order_count;
}

static void begin_batch(zs_lane *lane) {
    lane->channel.frame_count = lane->channel.message_count = 0;
    lane->order_count = lane->sent = 0;
}

static void close_frame(zs_lane *lane, size_t at) {
    lane->libs->zmq.msg_close(&lane->channel.frames[lane->order[at]]);
}

void zs_lane_release(zs_lane *lane) {
    for (; lane->sent < lane->order_count; lane->sent++) {
        if (!lane->more[lane->sent]) lane->counts.lost++;
        close_frame(lane, lane->sent);
    }
    begin_batch(lane);
}

/* -- in ------------------------------------------------------------------------------------------------------------ */

/* Frames as they come, wherever a message ends: nobody looks at them. Returns 0 or libzmq's errno. */
static int read_unchecked(zs_lane *lane) {
    const zs_zmq *zmq = &lane->libs->zmq;
    zs_channel *channel = &lane->channel;
    while (channel->frame_count < ZS_BATCH) {
        size_t i = channel->frame_count;
        zmq->msg_init(&channel->frames[i]);
        int size = zmq->msg_recv(&channel->frames[i], lane->source, ZS_ZMQ_DONTWAIT);
        if (size < 0) return zmq->last_errno();
        lane->order[i] = i;
        lane->more[i] = lane->reading_inside = zmq->msg_more(&channel->frames[i]) != 0;
        lane->order_count = ++channel->frame_count;
        lane->counts.received += !lane->more[i];
        lane->counts.received_bytes += (size_t)size;
    }
    return 0;
}

/* -- out ----------------------------------------------------------------------------------------------------------- */

/* The message that could not be sent is gone, with the frames of it that are still here. */
static void lose_message(zs_lane *lane) {
    lane->counts.lost++;
    while (lane->more[lane->sent]) close_frame(lane, lane->sent++);
    close_frame(lane, lane->sent++);
}

/* Within a message the peer has gone: libzmq drops what else of it is sent, and a last frame alone would be another
 * message. */
static void lose_frame(zs_lane *lane) {
    lane->counts.lost++;
    lane->sending_inside = lane->more[lane->sent];
    close_frame(lane, lane->sent++);
}

/* True: go on. False: the sink is full, or `error` says why nothing can be sent. */
static bool not_sent(zs_lane *lane, int error) {
    if (error == EINTR) return true;
    if (error != EAGAIN && error != EHOSTUNREACH) {
        lane->error = error;
        return false;
    }
    if (lane->sending_inside) {
        lose_frame(lane);
        return true;
    }
    if (error == EAGAIN && (lane->sink_tells || lane->waits)) return false;
    lose_message(lane);
    return true;
}

/* Send until all is out or the sink takes nothing more. */
static void send_held(zs_lane *lane) {
    const zs_zmq *zmq = &lane->libs->zmq;
    while (lane->sent < lane->order_count) {
        bool more = lane->more[lane->sent];
        int size = zmq->msg_send(&lane->channel.frames[lane->order[lane->sent]], lane->sink,
                                 more ? ZS_ZMQ_DONTWAIT | ZS_ZMQ_SNDMORE : ZS_ZMQ_DONTWAIT);
        if (size < 0) {
            if (!not_sent(lane, zmq->last_errno())) return;
            continue;
        }
        lane->counts.forwarded += !more;
        lane->counts.forwarded_bytes += (size_t)size;
        lane->sending_inside = more;
        lane->sent++;
    }
}

zs_turn zs_lane_turn(zs_lane *lane) {
    int error = 0;
    if (!zs_lane_holds(lane)) {
        begin_batch(lane);
        error = read_unchecked(lane);
    }
    lane->error = error == EAGAIN || error == EINTR ? 0 : error;
    if (lane->error == 0) send_held(lane);
    if (lane->error != 0) return ZS_TURN_FAILED;
    if (zs_lane_holds(lane)) return ZS_TURN_FULL;
    return error == EAGAIN ? ZS_TURN_EMPTY : ZS_TURN_READY;
}
