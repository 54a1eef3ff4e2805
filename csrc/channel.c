/* channel.c: moves batches between a socket and an array of zmq_msg_t (floor 5). */
#include "channel.h"

#include "impl.h"
#include "pool.h"

#include <errno.h>

void zs_channel_init(zs_channel *channel, const zs_zmq *zmq, zs_layout layout) {
    zs_pool_keep_heaps();
    channel->zmq = zmq;
    channel->socket = NULL;
    channel->layout = layout;
    channel->frame_count = 0;
    channel->message_count = 0;
    channel->attesting = 0;
}

void zs_channel_release(zs_channel *channel) {
    for (size_t i = 0; i < channel->frame_count; i++) channel->zmq->msg_close(&channel->frames[i]);
    channel->frame_count = 0;
    channel->message_count = 0;
    channel->attesting = 0;
}

static zs_span frame_span(zs_channel *channel, size_t i) {
    zs_msg *frame = &channel->frames[i];
    return (zs_span){channel->zmq->msg_data(frame), channel->zmq->msg_size(frame), ZS_RAW};
}

/* Find the sealed part; never look further than the envelope can reach. The first frame's span is there already. */
static zs_status place(zs_channel *channel, zs_received *message) {
    size_t reach = 0, end = message->first + message->count;
    if (channel->layout == ZS_LAYOUT_ANY) {
        message->sealed = message->first;
        message->part = frame_span(channel, message->sealed);
        return ZS_OK;
    }
    if (channel->layout == ZS_LAYOUT_TOPIC) reach = 1;
    if (channel->layout == ZS_LAYOUT_ENVELOPE) reach = ZS_MAX_ENVELOPE_FRAMES;
    for (message->sealed = message->first; message->sealed < end; message->sealed++) {
        if (message->sealed > message->first) message->part = frame_span(channel, message->sealed);
        if (zs_wire_is_sealed(message->part.data, message->part.len)) break;
        if (message->sealed - message->first == reach) return ZS_MALFORMED;
    }
    if (message->sealed == end) return ZS_MALFORMED;
    if (end - message->sealed - 1 > ZS_MAX_ATTESTATION_FRAMES) return ZS_MALFORMED;
    for (size_t i = message->sealed + 1; i < end; i++) {
        channel->behind[i] = frame_span(channel, i);
        channel->attested = true;
        if (!zs_attestation_is(channel->behind[i].data, channel->behind[i].len)) return ZS_MALFORMED;
    }
    return ZS_OK;
}

static int receive_frame(zs_channel *channel, zs_msg *frame, int flags, size_t *size) {
    int got;
    channel->zmq->msg_init(frame);
    while ((got = channel->zmq->msg_recv(frame, channel->socket, flags)) < 0) {
        int error = channel->zmq->last_errno();
        if (error == EINTR && (flags & ZS_ZMQ_DONTWAIT) != 0) continue;
        channel->zmq->msg_close(frame);
        return error;
    }
    *size = (size_t)got;
    channel->bytes += *size;
    if (*size > channel->longest) channel->longest = *size;
    return 0;
}

/* The frames behind a message's first; those beyond the limit are dropped and the message is malformed. */
static int receive_more(zs_channel *channel, zs_received *message, int flags) {
    bool more = true;
    while (more) {
        zs_msg extra, *frame = &extra;
        size_t size;
        if (message->count < ZS_MAX_FRAMES) frame = &channel->frames[channel->frame_count];
        int error = receive_frame(channel, frame, flags, &size);
        if (error == EINTR) continue;
        if (error != 0) return error;
        more = channel->zmq->msg_more(frame) != 0;
        if (frame == &extra) {
            channel->zmq->msg_close(frame);
            message->status = ZS_MALFORMED;
        } else {
            channel->frame_count++;
            message->count++;
        }
    }
    return 0;
}

/* All frames of one message. */
static int receive_message(zs_channel *channel, int flags) {
    zs_received *message = &channel->messages[channel->message_count];
    zs_msg *frame = &channel->frames[channel->frame_count];
    size_t size;
    int error = receive_frame(channel, frame, flags, &size);
    if (error != 0) return error;
    message->first = channel->frame_count++;
    message->count = 1;
    message->status = ZS_OK;
    message->part = (zs_span){channel->zmq->msg_data(frame), size, ZS_RAW};
    /* Another core has written it; it comes while the next ones are fetched. */
    __builtin_prefetch(message->part.data, 1);
    if (channel->zmq->msg_more(frame) != 0) error = receive_more(channel, message, flags);
    if (error != 0) return error;
    channel->message_count++;
    return 0;
}

int zs_channel_receive(zs_channel *channel, size_t max, int flags) {
    int error = 0;
    channel->bytes = 0;
    channel->longest = 0;
    channel->drained = channel->attested = false;
    while (channel->message_count < max && channel->message_count < ZS_BATCH && channel->bytes < ZS_CHANNEL_BYTES &&
           channel->frame_count + ZS_MAX_FRAMES <= ZS_CHANNEL_FRAMES) {
        error = receive_message(channel, flags);
        if (error != 0) break;
        flags |= ZS_ZMQ_DONTWAIT;
    }
    channel->drained = error == EAGAIN;
    for (size_t i = 0; i < channel->message_count; i++) {
        zs_received *message = &channel->messages[i];
        if (message->status == ZS_OK) message->status = place(channel, message);
    }
    return channel->message_count > 0 ? 0 : error;
}

static int open_item(zs_channel *channel, size_t i, zs_open_item *item) {
    const zs_received *message = &channel->messages[i];
    item->frame = NULL;
    item->out = NULL;
    item->far = NULL;
    item->len = 0;
    item->topic = (zs_span){NULL, 0, ZS_RAW};
    item->route.count = 0;
    item->status = message->status;
    if (item->status != ZS_OK) return 0;
    item->route.frames = &channel->behind[message->sealed + 1];
    item->route.count = message->first + message->count - message->sealed - 1;
    zs_msg *sealed = &channel->frames[message->sealed];
    item->frame = (uint8_t *)(uintptr_t)message->part.data;
    item->len = message->part.len;
    if (channel->zmq->msg_get(sealed, ZS_ZMQ_SHARED) != 0) {
        zs_msg own;
        if (channel->zmq->msg_init_size(&own, item->len) != 0) return channel->zmq->last_errno();
        memcpy(channel->zmq->msg_data(&own), item->frame, item->len);
        channel->zmq->msg_move(sealed, &own);
        channel->zmq->msg_close(&own);
        item->frame = channel->zmq->msg_data(sealed);
    }
    if (channel->layout == ZS_LAYOUT_TOPIC && message->sealed > message->first) {
        item->topic = frame_span(channel, message->first);
    }
    return 0;
}

bool zs_channel_is_subscription(zs_channel *channel, size_t i) {
    const zs_received *message = &channel->messages[i];
    if (message->status == ZS_OK || message->count != 1) return false;
    zs_span span = frame_span(channel, message->first);
    return span.len > 0 && span.data[0] <= 1;
}

bool zs_channel_is_handshake(const zs_channel *channel, size_t i) {
    const zs_received *message = &channel->messages[i];
    return message->status == ZS_OK && zs_wire_is_handshake(message->part.data, message->part.len);
}

int zs_channel_open_items(zs_channel *channel, unsigned apart, zs_open_item *items, size_t *owners, size_t *count) {
    *count = 0;
    for (size_t i = 0; i < channel->message_count; i++) {
        if ((apart & ZS_APART_SUBSCRIPTIONS) != 0 && zs_channel_is_subscription(channel, i)) continue;
        if ((apart & ZS_APART_HANDSHAKES) != 0 && zs_channel_is_handshake(channel, i)) continue;
        int error = open_item(channel, i, &items[*count]);
        if (error != 0) return error;
        owners[(*count)++] = i;
    }
    return 0;
}

static int make_frame(const zs_zmq *zmq, zs_msg *frame, size_t size) {
    if (size < ZS_POOL_SHORTEST || size > ZS_POOL_LONGEST) return zmq->msg_init_size(frame, size);
    return zs_pool_frame(zmq, frame, size);
}

int zs_channel_allocate(zs_channel *channel, zs_seal_item *items, size_t count) {
    for (size_t i = 0; i < count; i++) {
        zs_msg *frame = &channel->frames[channel->frame_count];
        if (make_frame(channel->zmq, frame, items[i].size) != 0) {
            int error = channel->zmq->last_errno();
            zs_channel_release(channel);
            return error;
        }
        channel->frame_count++;
        items[i].out = channel->zmq->msg_data(frame);
    }
    return 0;
}

static inline int send_frame(zs_channel *channel, zs_msg *frame, int flags, bool may_be_interrupted) {
    while (channel->zmq->msg_send(frame, channel->socket, flags) < 0) {
        int error = channel->zmq->last_errno();
        if (error != EINTR || may_be_interrupted) return error;
    }
    return 0;
}

static int send_front(zs_channel *channel, const zs_span *front, size_t count, int flags) {
    for (size_t i = 0; i < count; i++) {
        zs_msg frame;
        if (channel->zmq->msg_init_size(&frame, front[i].len) != 0) return channel->zmq->last_errno();
        if (front[i].len != 0) memcpy(channel->zmq->msg_data(&frame), front[i].data, front[i].len);
        int error = send_frame(channel, &frame, flags | ZS_ZMQ_SNDMORE, i == 0);
        if (error != 0) {
            channel->zmq->msg_close(&frame);
            return error;
        }
    }
    return 0;
}

int zs_channel_attest(zs_channel *channel, const zs_sodium *sodium, const zs_attester *attester,
                      const zs_seal_item *items, size_t count, bool together) {
    zs_attest_job jobs[ZS_BATCH];
    size_t size = zs_attestation_size(attester, together ? count : 1);
    for (size_t i = 0; i < count; i++) {
        zs_msg *frame = &channel->frames[channel->frame_count];
        if (channel->zmq->msg_init_size(frame, size) != 0) return channel->zmq->last_errno();
        channel->frame_count++;
        channel->attesting++;
        jobs[i].previous = NULL;
        jobs[i].previous_len = 0;
        jobs[i].out = channel->zmq->msg_data(frame);
        zs_part_digest(sodium, jobs[i].digest, items[i].out, items[i].size);
    }
    for (size_t i = 0; i < count; i += together ? count : 1) {
        zs_attest_many(sodium, attester, &jobs[i], together ? count : 1);
    }
    return 0;
}

int zs_channel_send(zs_channel *channel, const zs_span *const *fronts, const size_t *front_counts, size_t *sent,
                    int flags) {
    size_t count = channel->frame_count - channel->attesting;
    int more = channel->attesting > 0 ? ZS_ZMQ_SNDMORE : 0;
    while (*sent < count) {
        size_t i = *sent, front_count = front_counts[i];
        int error = send_front(channel, fronts[i], front_count, flags);
        if (error == 0) error = send_frame(channel, &channel->frames[i], flags | more, front_count == 0);
        if (error == 0 && more != 0) error = send_frame(channel, &channel->frames[count + i], flags, false);
        if (error != 0) return error;
        (*sent)++;
    }
    return 0;
}
