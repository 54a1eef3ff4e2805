# _relay_c.pxd: the relay's C files as Cython sees them (floor 7): declarations only.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ._c cimport *

cdef extern from "bucket.h" nogil:
    ctypedef struct zs_rate:
        double per_second
        double burst

cdef extern from "rules.h" nogil:
    ctypedef enum zs_subject:
        pass
    ctypedef enum zs_ruling:
        ZS_TURNED_AWAY
    ctypedef struct zs_rule:
        const uint8_t *value
        size_t len
        zs_subject subject
        uint8_t bits
        zs_ruling by_operator
        zs_ruling by_relay
    ctypedef struct zs_rules:
        size_t count
    c_bool zs_rules_make(zs_rules *rules, const zs_rule *given, size_t count)
    void zs_rules_free(zs_rules *rules)

cdef extern from "peers.h" nogil:
    enum:
        ZS_MAX_PEER_ADDRESS
    ctypedef enum zs_peer_kind:
        ZS_PEER_CONNECTION
        ZS_PEER_IDENTITY
    ctypedef struct zs_peer_counts:
        uint64_t forwarded
        uint64_t forwarded_bytes
        uint32_t refused[64]
    ctypedef struct zs_peer:
        pass
    ctypedef struct zs_peers:
        uint32_t count
        uint32_t max
        const zs_rules *rules
    ctypedef struct zs_peer_name:
        zs_peer_kind kind
        const char *address
        const uint8_t *id
        size_t id_len
    c_bool zs_peers_init(zs_peers *peers, const zs_sodium *sodium, uint32_t max)
    void zs_peers_free(zs_peers *peers)
    zs_peer *zs_peers_meet(zs_peers *peers, const zs_peer_name *name)
    void zs_peers_count(zs_peers *peers, zs_peer *peer, zs_status status, size_t bytes)
    void zs_peers_rule(zs_peers *peers, const zs_rules *rules, const zs_rules *throttled)
    const zs_peer *zs_peers_take(zs_peers *peers, zs_peer_counts *counts)
    zs_peer_name zs_peer_name_of(const zs_peer *peer, char *address)

cdef extern from "admit.h" nogil:
    ctypedef struct zs_admission:
        uint32_t spi
        uint8_t key[32]
    ctypedef struct zs_admissions:
        size_t count
    ctypedef struct zs_admit_item:
        const uint8_t *sealed
        zs_header header
        zs_status status
    zs_status zs_wire_read(zs_header *header, const uint8_t *frame, size_t len, size_t max_message)
    c_bool zs_admissions_make(zs_admissions *admissions, const zs_admission *given, size_t count)
    void zs_admissions_free(zs_admissions *admissions)
    void zs_admit_check(zs_admissions *admissions, const zs_libs *libs, zs_admit_item *items, size_t count)

cdef extern from "credential.h" nogil:
    ctypedef struct zs_entries:
        const uint8_t *data
        size_t count

cdef extern from "grants.h" nogil:
    ctypedef struct zs_authority:
        uint8_t key[32]
        c_bool has_list
        uint64_t next_update
        const uint64_t *serials
        size_t serial_count
        const uint8_t *keys
        size_t key_count
    ctypedef struct zs_grants:
        c_bool require_current_lists
        size_t learned
    c_bool zs_grants_init(zs_grants *grants, const zs_sodium *sodium, size_t max_learned)
    void zs_grants_free(zs_grants *grants)
    c_bool zs_grants_trust(zs_grants *grants, const zs_authority *authority)
    c_bool zs_grants_add(zs_grants *grants, const uint8_t *raw, size_t len, c_bool pinned)
    zs_status zs_grants_learn(zs_grants *grants, const uint8_t *subject, const uint8_t *raw, size_t len)
    void zs_grants_inherit(zs_grants *grants, zs_grants *before)

cdef extern from "envelope.h" nogil:
    ctypedef struct zs_envelopes:
        uint8_t key[32]
        uint8_t secret[64]
        int64_t lifetime
        size_t count
    c_bool zs_envelopes_init(zs_envelopes *envelopes, const zs_libs *libs, size_t max)
    void zs_envelopes_free(zs_envelopes *envelopes)
    void zs_envelopes_rule(zs_envelopes *envelopes, const zs_rules *rules)

cdef extern from "checks.h" nogil:
    ctypedef enum zs_check:
        ZS_CHECK_NOTHING
        ZS_CHECK_MEMBERSHIP
        ZS_CHECK_ORIGIN
    ctypedef enum zs_envelope_use:
        ZS_ENVELOPES_PLAIN
        ZS_ENVELOPES_SIGN
        ZS_ENVELOPES_OPEN
    ctypedef struct zs_policy:
        zs_check check
        zs_layout layout
        c_bool subscriptions
        c_bool names_peers
        c_bool handshakes
        size_t max_message
        c_bool has_topics
        zs_entries topics
        zs_rate messages
        zs_rate bytes
        zs_rate peer_messages
        zs_rate peer_bytes
        zs_rate throttled_messages
        zs_rate throttled_bytes
        zs_admissions *admissions
        zs_grants *grants
        zs_trees *trees
        zs_peers *peers
        zs_envelopes *envelopes
        zs_envelope_use envelope_use
        const zs_attester *hop

cdef extern from "lane.h" nogil:
    ctypedef struct zs_lane_counts:
        uint64_t received
        uint64_t received_bytes
        uint64_t forwarded
        uint64_t forwarded_bytes
        uint64_t lost
        uint64_t refused[64]
    ctypedef struct zs_lane:
        c_bool waits
        c_bool sink_tells
        const zs_policy *policy
        zs_lane_counts counts
    void zs_lane_init(zs_lane *lane, const zs_libs *libs, void *source, void *sink, const zs_policy *policy)
    void zs_lane_move(zs_lane *lane, void *source, void *sink)
    c_bool zs_lane_holds(const zs_lane *lane)
    void zs_lane_release(zs_lane *lane)

cdef extern from "relay.h" nogil:
    enum:
        ZS_MAX_LANES
    ctypedef enum zs_relay_end:
        ZS_RELAY_CALLED
        ZS_RELAY_QUIET
        ZS_RELAY_LATE
        ZS_RELAY_FAILED
    ctypedef struct zs_relay:
        const zs_libs *libs
        void *control
        size_t failed
        int error
    int zs_relay_use(zs_relay *relay, zs_lane **lanes, size_t count)
    void zs_relay_call(zs_relay *relay)
    zs_relay_end zs_relay_run(zs_relay *relay, int64_t quiet, int64_t until)
