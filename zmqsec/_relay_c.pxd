# _relay_c.pxd: the relay's C files as Cython sees them (floor 7): declarations only.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ._c cimport *

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
        zs_lane_counts counts
    void zs_lane_init(zs_lane *lane, const zs_libs *libs, void *source, void *sink)
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
