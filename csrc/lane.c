/* lane.c: moves batches from a source to a sink (floor 6). */
#include "lane.h"

#include "impl.h"

#include <errno.h>

void zs_lane_init(zs_lane *lane, const zs_libs *libs, void *source, void *sink, const zs_policy *policy) {
    memset(lane, 0, sizeof *lane);
    lane->libs = libs;
    lane->source = source;
    lane->sink = sink;
    lane->sink_tells = true;
    lane->policy = policy;
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
    lane->libs->zmq.msg_close(lane->order[at]);
}

/* The message that could not be sent is gone, with the frames of it that are still here. */
static void lose_message(zs_lane *lane) {
    lane->counts.lost++;
    while (lane->more[lane->sent]) close_frame(lane, lane->sent++);
    close_frame(lane, lane->sent++);
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
        lane->order[i] = &channel->frames[i];
        lane->more[i] = lane->reading_inside = zmq->msg_more(&channel->frames[i]) != 0;
        lane->order_count = ++channel->frame_count;
        lane->counts.received += !lane->more[i];
        lane->counts.received_bytes += (size_t)size;
    }
    return 0;
}

/* libzmq gives all frames of a message or none, so that they are there. */
static void read_to_the_end(zs_lane *lane) {
    const zs_zmq *zmq = &lane->libs->zmq;
    zs_channel *channel = &lane->channel;
    while (lane->reading_inside) {
        size_t i = channel->frame_count;
        zmq->msg_init(&channel->frames[i]);
        bool is_there = i + 1 < ZS_CHANNEL_FRAMES && zmq->msg_recv(&channel->frames[i], lane->source, ZS_ZMQ_DONTWAIT) >= 0;
        lane->reading_inside = is_there && zmq->msg_more(&channel->frames[i]) != 0;
        lane->order[lane->order_count] = &channel->frames[i];
        lane->more[lane->order_count++] = lane->reading_inside;
        lane->counts.received += !lane->reading_inside;
        lane->counts.received_bytes += zmq->msg_size(&channel->frames[i]);
        channel->frame_count++;
    }
}

void zs_lane_move(zs_lane *lane, void *source, void *sink) {
    if (!zs_lane_holds(lane)) begin_batch(lane);
    read_to_the_end(lane);
    lane->source = source;
    if (sink == lane->sink) return;
    lane->sink = sink;
    if (!lane->sending_inside) return;
    lose_message(lane);
    lane->sending_inside = false;
}

/* -- checked ------------------------------------------------------------------------------------------------------- */

static void add_frame(zs_lane *lane, zs_msg *frame, bool more) {
    lane->order[lane->order_count] = frame;
    lane->more[lane->order_count++] = more;
}

/* Which messages pass, in their order; the others are closed. */
static size_t sort_out(zs_lane *lane, size_t passing[ZS_BATCH]) {
    const zs_zmq *zmq = &lane->libs->zmq;
    size_t count = 0;
    for (size_t i = 0; i < lane->channel.message_count; i++) {
        const zs_received *message = &lane->channel.messages[i];
        lane->counts.received++;
        lane->counts.received_bytes += lane->checked[i].bytes;
        if (message->status == ZS_OK) {
            passing[count++] = i;
            continue;
        }
        lane->counts.refused[message->status]++;
        for (size_t k = 0; k < message->count; k++) zmq->msg_close(&lane->channel.frames[message->first + k]);
    }
    return count;
}

/* One signature for all that pass; false: out of memory, and then nothing was made. */
static bool attest(zs_lane *lane, const size_t *passing, size_t count) {
    const zs_zmq *zmq = &lane->libs->zmq;
    const zs_attester *hop = lane->policy->hop;
    zs_attest_job jobs[ZS_BATCH];
    for (size_t k = 0; k < count; k++) {
        const zs_received *message = &lane->channel.messages[passing[k]];
        zs_msg *last = &lane->channel.frames[message->first + message->count - 1];
        bool is_first = message->first + message->count - 1 == message->sealed;
        if (zmq->msg_init_size(&lane->attestations[k], zs_attestation_size(hop, count)) != 0) {
            while (k > 0) zmq->msg_close(&lane->attestations[--k]);
            return false;
        }
        const zs_checked *checked = &lane->checked[passing[k]];
        if (checked->has_digest) memcpy(jobs[k].digest, checked->digest, ZS_HASH_BYTES);
        else zs_part_digest(&lane->libs->sodium, jobs[k].digest, message->part.data, message->part.len);
        jobs[k].previous = is_first ? NULL : zmq->msg_data(last);
        jobs[k].previous_len = is_first ? 0 : zmq->msg_size(last);
        jobs[k].out = zmq->msg_data(&lane->attestations[k]);
    }
    zs_attest_many(&lane->libs->sodium, hop, jobs, count);
    return true;
}

/* Messages as they come, each as a whole. Returns 0 or libzmq's errno. */
static int read_checked(zs_lane *lane, const zs_clock *now) {
    zs_channel *channel = &lane->channel;
    size_t passing[ZS_BATCH], count;
    channel->socket = lane->source;
    channel->layout = zs_policy_layout(lane->policy);
    int error = zs_channel_receive(channel, ZS_BATCH, ZS_ZMQ_DONTWAIT);
    if (error != 0) return error;
    zs_checks_run(lane->policy, lane->libs, channel, lane->checked, now);
    count = sort_out(lane, passing);
    bool attested = lane->policy->hop != NULL && count != 0 && attest(lane, passing, count);
    for (size_t k = 0; k < count; k++) {
        const zs_received *message = &channel->messages[passing[k]];
        for (size_t j = 0; j < message->count; j++) {
            add_frame(lane, &channel->frames[message->first + j], attested || j + 1 < message->count);
        }
        if (attested) add_frame(lane, &lane->attestations[k], false);
    }
    return channel->drained ? EAGAIN : 0;
}

/* Take what was read from the lane's rate; it may then be in debt by a batch. */
static void pay(zs_lane *lane, const zs_clock *now, const zs_lane_counts *before) {
    const zs_policy *policy = lane->policy;
    zs_bucket_pay(&lane->messages, &policy->messages, now->ms, (double)(lane->counts.received - before->received));
    zs_bucket_pay(&lane->bytes, &policy->bytes, now->ms, (double)(lane->counts.received_bytes - before->received_bytes));
}

/* The lane's rate stops reading, and so in the end the senders: nothing of it is dropped. */
static bool is_limited(zs_lane *lane, const zs_clock *now) {
    int64_t messages = zs_bucket_wait(&lane->messages, &lane->policy->messages, now->ms);
    int64_t bytes = zs_bucket_wait(&lane->bytes, &lane->policy->bytes, now->ms);
    lane->limited_until = now->ms + (messages > bytes ? messages : bytes);
    return lane->limited_until > now->ms;
}

/* -- out ----------------------------------------------------------------------------------------------------------- */

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
        int size = zmq->msg_send(lane->order[lane->sent], lane->sink,
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

zs_turn zs_lane_turn(zs_lane *lane, const zs_clock *now) {
    int error = 0;
    if (!zs_lane_holds(lane)) {
        zs_lane_counts before = lane->counts;
        if (is_limited(lane, now)) return ZS_TURN_LIMITED;
        begin_batch(lane);
        bool unchecked = lane->reading_inside || zs_policy_is_nothing(lane->policy);
        error = unchecked ? read_unchecked(lane) : read_checked(lane, now);
        pay(lane, now, &before);
    }
    lane->error = error == EAGAIN || error == EINTR ? 0 : error;
    if (lane->error == 0) send_held(lane);
    if (lane->error != 0) return ZS_TURN_FAILED;
    if (zs_lane_holds(lane)) return ZS_TURN_FULL;
    return error == EAGAIN ? ZS_TURN_EMPTY : ZS_TURN_READY;
}
