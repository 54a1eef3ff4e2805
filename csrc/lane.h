/* lane.h: one direction of a relay's leg: a batch comes in, is checked, and goes out as the way is free (floor 6).
 *
 * What a full sink does not take is held, and nothing more is read meanwhile: libzmq's own queues fill, and in the end the
 * senders wait. So nothing is dropped between source and sink but what a check refuses, or a peer that is gone.
 */
#ifndef ZS_LANE_H
#define ZS_LANE_H

#include "checks.h"

enum {
    ZS_LANE_FRAMES = ZS_CHANNEL_FRAMES + ZS_BATCH, /* what came, and an attestation for each */
    ZS_LANE_RETRY_MS = 1 /* for sinks that do not tell when they have room again */
};

/* What a turn of a lane has come to. */
typedef enum zs_turn {
    ZS_TURN_READY, /* there may be more to read */
    ZS_TURN_EMPTY, /* all that was there is out */
    ZS_TURN_FULL,  /* the sink takes no more now */
    ZS_TURN_LIMITED, /* the lane's rate is used up, until `limited_until` */
    ZS_TURN_FAILED /* `error` is libzmq's, and it is neither's momentary state */
} zs_turn;

/* Messages, and bytes of all their frames. */
typedef struct zs_lane_counts {
    uint64_t received, received_bytes;
    uint64_t forwarded, forwarded_bytes;
    uint64_t lost; /* to a peer of the sink that was gone, or whose queue was full where the sink does not wait */
    uint64_t refused[ZS_STATUS_COUNT];
} zs_lane_counts;

typedef struct zs_lane {
    const zs_libs *libs;
    void *source, *sink;
    bool waits;      /* a sink that can name its peers (ROUTER) holds a message whose peer has no room; else it is lost */
    bool sink_tells; /* libzmq tells when the sink has room */
    int error;
    zs_lane_counts counts;
    const zs_policy *policy; /* of whom the lane's owner takes care */
    zs_bucket messages, bytes;
    int64_t limited_until; /* milliseconds, of the clock */
    bool reading_inside, sending_inside; /* between two frames of one message */
    zs_channel channel;                  /* what was read and is not out */
    zs_checked checked[ZS_BATCH];
    zs_msg attestations[ZS_BATCH];       /* the hop's own */
    zs_msg *order[ZS_LANE_FRAMES];       /* the frames to send */
    bool more[ZS_LANE_FRAMES];           /* of which one follows in the same message */
    size_t order_count, sent;
} zs_lane;

/* The policy stands as long as the lane, or until another is set between two turns. */
void zs_lane_init(zs_lane *lane, const zs_libs *libs, void *source, void *sink, const zs_policy *policy);

/* Send what is held, else read a batch, check it and send what passes; never waits. */
zs_turn zs_lane_turn(zs_lane *lane, const zs_clock *now);

/* Go on between other sockets. A message of the old source that has begun is read to its end; one that has begun to go to
 * the old sink is lost where that is another one now. */
void zs_lane_move(zs_lane *lane, void *source, void *sink);

/* Does it hold what was read and is not out? */
bool zs_lane_holds(const zs_lane *lane);

/* Close all that it holds; the messages count as lost. */
void zs_lane_release(zs_lane *lane);

#endif
