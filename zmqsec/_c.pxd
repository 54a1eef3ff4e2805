# _c.pxd: the C core as Cython sees it (floor 7): declarations only.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<stdbool.h>" nogil:
    ctypedef bint c_bool "bool"

cdef extern from "zs.h" nogil:
    enum:
        ZS_HEADER_BYTES
        ZS_ADMIT_BYTES
        ZS_TAG_BYTES
        ZS_NONCE_OFFSET
        ZS_SESSION_OFFSET
        ZS_SESSION_BYTES
        ZS_SEQUENCE_OFFSET
        ZS_KEY_BYTES
        ZS_SUITE_XCHACHA20POLY1305
        ZS_KIND_DATA
        ZS_KIND_BUNDLE
        ZS_FLAG_CLEAR_BODY
        ZS_DEPTH_LIMIT
        ZS_NEAR_BYTES
        ZS_PART_LEAF
        ZS_PART_LIST
        ZS_PART_CRITICAL
        ZS_PART_HEAD_BYTES
        ZS_MAX_PART_BYTES
        ZS_MAX_PARTS
        ZS_REKEY_AFTER_TIME
        ZS_MESSAGE_ID_BYTES
        ZS_PUBLIC_KEY_BYTES
        ZS_SECRET_KEY_BYTES
        ZS_FINGERPRINT_BYTES
        ZS_HASH_BYTES
        ZS_FLAG_ORIGIN_ATTESTED
        ZS_MAX_ROUTING_ID_BYTES
        ZS_MAX_ATTESTATION_FRAMES
        ZS_BY_ORIGIN
        ZS_BY_HOP
    const uint64_t ZS_REKEY_AFTER_MESSAGES
    ctypedef enum zs_status:
        ZS_OK
        ZS_MALFORMED
        ZS_UNKNOWN_SPI
        ZS_UNATTESTED
        ZS_BAD_ATTESTATION
        ZS_NOT_PERMITTED
        ZS_TOO_LARGE
        ZS_FORGED
        ZS_UNKNOWN_CRITICAL
        ZS_STATUS_COUNT
    ctypedef struct zs_aead_job:
        const uint8_t *ad
        size_t ad_len
        const uint8_t *data "in"
        uint8_t *out
        size_t len
        uint8_t *tag

cdef extern from "dispatch.h" nogil:
    ctypedef struct zs_kernels:
        const char *name
    const zs_kernels *zs_kernels_choose(const char *tier)

cdef extern from "forks.h" nogil:
    c_bool zs_forks_watch()
    uint64_t zs_forks()

cdef extern from "libs.h" nogil:
    ctypedef struct zs_sodium:
        void (*random)(void *buf, size_t size)
        int (*blake2b)(unsigned char *out, size_t outlen, const unsigned char *data, unsigned long long inlen,
                       const unsigned char *key, size_t keylen, const unsigned char *salt,
                       const unsigned char *personal)
    ctypedef union zs_msg:
        unsigned char bytes[64]
    ctypedef struct zs_zmq:
        int (*msg_init)(zs_msg *msg)
        int (*msg_close)(zs_msg *msg)
        int (*msg_move)(zs_msg *dest, zs_msg *src)
        void *(*msg_data)(zs_msg *msg)
        size_t (*msg_size)(const zs_msg *msg)
    ctypedef struct zs_libs:
        zs_sodium sodium
        zs_zmq zmq
        const zs_kernels *kernels
    const char *zs_libs_resolve(zs_libs *libs, const char **paths)

cdef extern from "hkdf.h" nogil:
    enum:
        ZS_HKDF_HASH_BYTES
        ZS_HKDF_OUTPUTS
        ZS_HKDF_MAX_BYTES
    void zs_hkdf(const zs_sodium *sodium, uint8_t *out, size_t count, const uint8_t *chaining_key,
                 const uint8_t *material, size_t len)

cdef extern from "parts.h" nogil:
    ctypedef enum zs_form:
        ZS_RAW
        ZS_LEAF
        ZS_LIST_OF_LEAF
    ctypedef struct zs_span:
        const uint8_t *data
        size_t len
        zs_form form
    ctypedef struct zs_parts_limits:
        size_t max_parts
        size_t max_depth
        const zs_span *understood
        size_t understood_count
        c_bool understand_all
    ctypedef struct zs_parts_found:
        size_t parts
        size_t leaves
        zs_span topic
        zs_span name
    ctypedef enum zs_parts_place:
        ZS_IN_HEADER
        ZS_IN_BODY
        ZS_IN_BUNDLE
    zs_status zs_parts_scan(zs_parts_found *found, const uint8_t *data, size_t len, zs_parts_place place,
                            const zs_parts_limits *limits)

cdef extern from "attest.h" nogil:
    enum:
        ZS_MAX_LEAVES
        ZS_MAX_ATTESTATION_BYTES
    ctypedef struct zs_attestation:
        uint8_t role
        uint8_t routing_id_len
        const uint8_t *key
        const uint8_t *routing_id
    ctypedef struct zs_attester:
        uint8_t role
        uint8_t key[32]
        uint8_t secret[64]
        uint8_t commitment[32]
        uint8_t routing_id[255]
        uint8_t routing_id_len
    ctypedef struct zs_attest_job:
        uint8_t digest[32]
        const uint8_t *previous
        size_t previous_len
        uint8_t *out
    c_bool zs_attestation_read(zs_attestation *out, const uint8_t *frame, size_t len)
    void zs_part_digest(const zs_sodium *sodium, uint8_t *out, const uint8_t *sealed, size_t len)
    void zs_commitment(const zs_sodium *sodium, uint8_t *out, const uint8_t *suite_key)
    size_t zs_attestation_size(const zs_attester *attester, size_t count)
    void zs_attest_many(const zs_sodium *sodium, const zs_attester *attester, const zs_attest_job *jobs, size_t count)

cdef extern from "trees.h" nogil:
    ctypedef struct zs_trees:
        uint64_t end

cdef extern from "wire.h" nogil:
    c_bool zs_wire_is_sealed(const uint8_t *frame, size_t len)

cdef extern from "route.h" nogil:
    ctypedef struct zs_route_policy:
        c_bool required
        uint8_t hops_min
        uint8_t hops_max
        c_bool keyless
        uint8_t commitment[32]
    ctypedef struct zs_route:
        const zs_span *frames
        size_t count
        const uint8_t *origin
        uint8_t fingerprint[32]
    void zs_route_claim(zs_route *route, uint8_t flags)
    void zs_route_digest(zs_route *route, const zs_sodium *sodium, const uint8_t *sealed, size_t len)
    zs_status zs_route_verify(zs_route *route, zs_trees *trees, const zs_sodium *sodium, uint8_t flags,
                              const zs_route_policy *policy)

cdef extern from "address.h" nogil:
    enum:
        ZS_FROM
        ZS_TO
        ZS_REPLY_TO
        ZS_CRED
    ctypedef struct zs_address:
        uint16_t at[4]
        uint16_t len[4]

cdef extern from "ahead.h" nogil:
    ctypedef struct zs_ahead:
        uint64_t next
    void zs_ahead_seal(const zs_libs *libs, zs_ahead *ahead, zs_aead_job *job)

cdef extern from "aead.h" nogil:
    c_bool zs_aead_is_native(const zs_libs *libs, uint8_t suite)
    size_t zs_aead_far_from(const zs_libs *libs, uint8_t suite)
    void zs_aead_seal_many(const zs_libs *libs, uint8_t suite, zs_aead_job *jobs, size_t count)

cdef extern from "admit.h" nogil:
    void zs_admission_key(const zs_sodium *sodium, uint8_t *key, const uint8_t *secret, uint32_t spi)

cdef extern from "session.h" nogil:
    ctypedef struct zs_header:
        uint8_t suite
        uint8_t kind
        uint8_t flags
        uint16_t header_parts
        uint32_t spi
        uint64_t sequence
    ctypedef struct zs_association:
        uint8_t key[32]
        uint32_t spi
        uint8_t suite
        c_bool allow_clear
        uint64_t lifetime
        uint64_t skew
        uint64_t late_join
        c_bool has_floor
        uint32_t floor
        zs_route_policy route
    ctypedef struct zs_sender:
        uint8_t key[32]
        uint8_t subkey[32]
        uint8_t session[12]
        uint32_t spi
        uint8_t suite
        c_bool admits
        uint8_t admission_key[32]
        const zs_libs *libs
    ctypedef struct zs_table:
        uint32_t session_count
    void zs_sender_begin(zs_sender *sender, const zs_sodium *sodium, const uint8_t *session)
    c_bool zs_table_init(zs_table *table, const zs_sodium *sodium, uint64_t now, uint32_t max_sessions)
    void zs_table_free(zs_table *table)
    c_bool zs_table_add(zs_table *table, const zs_association *association)
    c_bool zs_table_remove(zs_table *table, uint32_t spi)
    zs_association *zs_table_association(const zs_table *table, uint32_t spi)
    void zs_table_raise_floor(zs_association *association, uint32_t floor)
    c_bool zs_table_expect(zs_table *table, zs_association *association, const uint8_t *id, const uint8_t *origin,
                           uint64_t next)

cdef extern from "batch.h" nogil:
    enum:
        ZS_BATCH
    ctypedef struct zs_seal_item:
        uint8_t kind
        uint8_t flags
        c_bool admits
        zs_span header
        const zs_span *body
        size_t body_count
        size_t size
        uint8_t *out
    zs_status zs_seal_measure(zs_seal_item *item, size_t max_message)
    void zs_seal_prepare(const zs_sender *sender, uint64_t first_sequence, const zs_seal_item *items, size_t count,
                         zs_aead_job *jobs, size_t far_from)
    ctypedef struct zs_receiver:
        zs_ahead ahead
        const zs_libs *libs
        zs_table table
        size_t max_message
        uint32_t kinds
        zs_parts_limits limits
        zs_trees *trees
        c_bool has_me
        uint8_t me[32]
        uint64_t opened
        uint64_t refused[64]
    ctypedef struct zs_open_item:
        uint8_t *frame
        size_t len
        uint8_t *out
        uint8_t *far
        zs_span topic
        zs_route route
        zs_status status
        zs_header header
        zs_address address
        uint8_t *body
        size_t body_len
        zs_parts_found found
        zs_association *association
    void zs_open_check(zs_receiver *receiver, zs_open_item *items, size_t count, uint64_t now)
    size_t zs_open_far(const zs_receiver *receiver, const zs_open_item *item)
    void zs_open_aead(zs_receiver *receiver, zs_open_item *items, size_t count)
    void zs_open_commit(zs_receiver *receiver, zs_open_item *items, size_t count, uint64_t now)
    void zs_open_refuse(zs_receiver *receiver, zs_open_item *item, zs_status status)

cdef extern from "impl.h" nogil:
    void zs_wipe(void *p, size_t n)

cdef extern from "channel.h" nogil:
    enum:
        ZS_CHANNEL_BYTES
    enum:
        ZS_MAX_FRAMES
    ctypedef enum zs_layout:
        ZS_LAYOUT_PLAIN
        ZS_LAYOUT_TOPIC
        ZS_LAYOUT_ENVELOPE
    ctypedef struct zs_received:
        size_t first
        size_t count
        size_t sealed
        zs_span part
        zs_status status
    ctypedef struct zs_channel:
        const zs_zmq *zmq
        void *socket
        zs_layout layout
        size_t frame_count
        size_t message_count
        size_t bytes
        size_t longest
        c_bool drained
        c_bool attested
        size_t attesting
        zs_msg *frames
        zs_received *messages
    void zs_channel_init(zs_channel *channel, const zs_zmq *zmq, zs_layout layout)
    int zs_channel_receive(zs_channel *channel, size_t max, int flags)
    void zs_channel_release(zs_channel *channel)
    enum:
        ZS_APART_SUBSCRIPTIONS
        ZS_APART_HANDSHAKES
    c_bool zs_channel_is_subscription(zs_channel *channel, size_t i)
    c_bool zs_channel_is_handshake(const zs_channel *channel, size_t i)
    int zs_channel_open_items(zs_channel *channel, unsigned apart, zs_open_item *items, size_t *owners,
                              size_t *count)
    int zs_channel_allocate(zs_channel *channel, zs_seal_item *items, size_t count)
    int zs_channel_attest(zs_channel *channel, const zs_sodium *sodium, const zs_attester *attester,
                          const zs_seal_item *items, size_t count, c_bool together)
    int zs_channel_send(zs_channel *channel, const zs_span **fronts, const size_t *front_counts, size_t *sent,
                        int flags)
