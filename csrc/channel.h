/* channel.h: whole ZeroMQ messages in and out of a socket, many at a time, without the GIL (floor 5). */
#ifndef ZS_CHANNEL_H
#define ZS_CHANNEL_H

#include "batch.h"

enum {
    /* envelope, sealed part, attestations */
    ZS_MAX_FRAMES = ZS_MAX_ENVELOPE_FRAMES + 1 + ZS_MAX_ATTESTATION_FRAMES,
    /* room for a batch with a frame or two in front of each sealed part, and for one message at its limit */
    ZS_CHANNEL_FRAMES = 3 * ZS_BATCH + ZS_MAX_FRAMES,
    /* a batch ends when it holds this many bytes, so that it stays in the cache */
    ZS_CHANNEL_BYTES = 1 << 17
};

/* Where the sealed part stands; spec, "The frames around the sealed part". With "any" nobody looks for one, and the first
 * frame stands for it. */
typedef enum zs_layout { ZS_LAYOUT_PLAIN, ZS_LAYOUT_TOPIC, ZS_LAYOUT_ENVELOPE, ZS_LAYOUT_ANY } zs_layout;

/* One message as received: frames first .. first + count, of which `sealed` is the sealed part. */
typedef struct zs_received {
    size_t first;
    size_t count;
    size_t sealed;
    zs_span part; /* the sealed part itself; its memory does not move with the frame, being too long for that */
    zs_status status; /* ZS_OK where a sealed part stands in its place */
} zs_received;

typedef struct zs_channel {
    const zs_zmq *zmq;
    void *socket;
    zs_layout layout;
    size_t frame_count;
    size_t message_count;
    size_t attesting; /* of the frames to send, the last so many are the attestations of the others */
    size_t bytes; /* of the last receive */
    size_t longest; /* of its frames */
    bool drained; /* it left nothing behind */
    bool attested; /* some of its messages have attestations */
    zs_msg frames[ZS_CHANNEL_FRAMES];
    zs_received messages[ZS_BATCH];
    zs_span behind[ZS_CHANNEL_FRAMES]; /* those of the frames that are attestations */
} zs_channel;

void zs_channel_init(zs_channel *channel, const zs_zmq *zmq, zs_layout layout);

/* Receive up to `max` messages; `flags` are for the first, the rest are taken only if they are there.
 * Returns 0, or libzmq's errno where not even one came. */
int zs_channel_receive(zs_channel *channel, size_t max, int flags);

/* Close every frame that is still held. */
void zs_channel_release(zs_channel *channel);

/* What is set apart from the messages to open. */
enum { ZS_APART_SUBSCRIPTIONS = 1, ZS_APART_HANDSHAKES = 2 };

/* Is message `i` one of ZeroMQ's own subscriptions, a single frame that begins with 0 or 1? */
bool zs_channel_is_subscription(zs_channel *channel, size_t i);

/* Has message `i` a handshake's frame in the place of its sealed part? */
bool zs_channel_is_handshake(const zs_channel *channel, size_t i);

/* Prepare an item for each received message, in place, or in memory of its own where libzmq shares it; owners[k] is the
 * message of item k. What is set `apart` gets no item. Returns 0 or libzmq's errno. */
int zs_channel_open_items(zs_channel *channel, unsigned apart, zs_open_item *items, size_t *owners, size_t *count);

/* Make a frame of its own for each item and point its `out` there. Returns 0 or libzmq's errno. */
int zs_channel_allocate(zs_channel *channel, zs_seal_item *items, size_t count);

/* Attest the sealed frames, each alone or all `together`. Returns 0 or libzmq's errno. */
int zs_channel_attest(zs_channel *channel, const zs_sodium *sodium, const zs_attester *attester,
                      const zs_seal_item *items, size_t count, bool together);

/* Send sealed frames from number *sent on, each behind its front frames in clear and before its attestation. Returns 0, or the errno that
 * stopped it before frame *sent; the rest stays allocated. */
int zs_channel_send(zs_channel *channel, const zs_span *const *fronts, const size_t *front_counts, size_t *sent,
                    int flags);

#endif
