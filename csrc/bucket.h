/* bucket.h: token buckets, which let so much pass in a second and a burst beyond (floor 1). */
#ifndef ZS_BUCKET_H
#define ZS_BUCKET_H

#include "zs.h"

/* What a bucket gains in a second, and the most that it holds; a rate of 0 is no limit. */
typedef struct zs_rate {
    double per_second;
    double burst;
} zs_rate;

/* Full at first: all zeros are a bucket that was full at time 0. */
typedef struct zs_bucket {
    double taken; /* tokens that are missing */
    int64_t at;   /* milliseconds, when that was so */
} zs_bucket;

static inline void zs_bucket_refill(zs_bucket *bucket, const zs_rate *rate, int64_t now) {
    if (now > bucket->at) {
        bucket->taken -= rate->per_second * (double)(now - bucket->at) / 1000;
        if (bucket->taken < 0) bucket->taken = 0;
        bucket->at = now;
    }
}

/* Take so many tokens, though the bucket may owe some then. */
static inline void zs_bucket_pay(zs_bucket *bucket, const zs_rate *rate, int64_t now, double amount) {
    if (rate->per_second <= 0) return;
    zs_bucket_refill(bucket, rate, now);
    bucket->taken += amount;
}

/* The same if it holds so many; of a full one any amount is taken, so that none is too large for ever. */
static inline bool zs_bucket_take(zs_bucket *bucket, const zs_rate *rate, int64_t now, double amount) {
    if (rate->per_second <= 0) return true;
    zs_bucket_refill(bucket, rate, now);
    if (bucket->taken > 0 && bucket->taken + amount > rate->burst) return false;
    bucket->taken += amount;
    return true;
}

/* Milliseconds until it is not empty; 0: it is not. */
static inline int64_t zs_bucket_wait(zs_bucket *bucket, const zs_rate *rate, int64_t now) {
    if (rate->per_second <= 0) return 0;
    zs_bucket_refill(bucket, rate, now);
    double missing = bucket->taken - rate->burst;
    return missing < 0 ? 0 : 1 + (int64_t)(missing * 1000 / rate->per_second);
}

#endif
