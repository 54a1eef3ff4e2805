# cython: language_level=3, boundscheck=False, wraparound=False
# _relay.pyx: a relay's lanes and its loop between C and Python (floor 9); what they do is in csrc/lane.c and csrc/relay.c.
"""Forwarding by the C core, with no GIL; :mod:`zmqsec.relay` holds the configuration and the service over it."""

import zmq

from .errors import REASONS, SocketError

from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport free, malloc

from ._library cimport engine_libs
from ._policy cimport Policy
from ._relay_c cimport *

# Sinks that name their peers or their topics: libzmq does not tell when the one that is meant has room.
cdef tuple UNTOLD = (zmq.ROUTER, zmq.XPUB)


cdef void *handle_of(object socket) except NULL:
    cdef uintptr_t handle = socket.underlying
    if handle == 0:
        raise zmq.ZMQError(zmq.ENOTSOCK)
    return <void *>handle


cdef class Lane:
    """One direction of a leg: what comes from `source` goes to `sink`, both of them plain sockets of pyzmq.

    `policy` says what is asked about each. With `waits` a sink whose peer has no room (ROUTER, XPUB) stops the lane; without,
    that peer loses the message.
    """
    cdef zs_lane *lane
    cdef readonly object source, sink
    cdef readonly Policy policy

    def __init__(self, source, sink, Policy policy=None, *, waits=False):
        self.source, self.sink = source, sink
        self.policy = Policy() if policy is None else policy
        self.lane = <zs_lane *>malloc(sizeof(zs_lane))
        if self.lane == NULL:
            raise MemoryError()
        zs_lane_init(self.lane, engine_libs(), handle_of(source), handle_of(sink), &self.policy.policy)
        self.lane.waits, self.lane.sink_tells = waits, sink.type not in UNTOLD
        self.prepare()

    def __dealloc__(self):
        if self.lane != NULL:
            zs_lane_release(self.lane)
            free(self.lane)

    def use_policy(self, Policy policy not None):
        """Ask these from the next batch on; only while the loop does not run."""
        self.lane.policy = &policy.policy
        self.policy = policy

    def move(self, source, sink):
        """Go on between these sockets, of the same kinds, with what it holds; only while the loop does not run."""
        zs_lane_move(self.lane, handle_of(source), handle_of(sink))
        self.source, self.sink = source, sink
        self.prepare()

    cdef int prepare(self) except -1:
        if self.sink.type == zmq.ROUTER:
            self.sink.router_mandatory = 1  # else libzmq drops without a word what it cannot deliver
        elif self.sink.type == zmq.XPUB:
            self.sink.setsockopt(zmq.XPUB_NODROP, self.lane.waits)
        return 0

    @property
    def holds(self):
        """Whether it holds messages that its sink has not taken."""
        return zs_lane_holds(self.lane)

    @property
    def counts(self):
        """Messages, and bytes of all their frames, by what became of them; refusals by reason, where there are any."""
        cdef zs_lane_counts *counts = &self.lane.counts
        cdef size_t i
        return {
            "received": counts.received, "received_bytes": counts.received_bytes,
            "forwarded": counts.forwarded, "forwarded_bytes": counts.forwarded_bytes, "lost": counts.lost,
            "refused": {REASONS[i - 1].value: counts.refused[i]
                        for i in range(1, ZS_STATUS_COUNT) if counts.refused[i] != 0},
        }


cdef class Loop:
    """Serves lanes, on one thread, until a message comes on the PAIR socket `control`."""
    cdef zs_relay relay
    cdef list lanes
    cdef readonly object control

    def __init__(self, control):
        self.control, self.lanes = control, []
        self.relay.libs, self.relay.control = engine_libs(), handle_of(control)

    def use_lanes(self, lanes):
        """Serve these and no others from now on; only while the loop does not run."""
        cdef list new = list(lanes)
        cdef zs_lane *each[ZS_MAX_LANES]
        cdef size_t i
        cdef Lane lane
        if len(new) > ZS_MAX_LANES:
            raise SocketError(f"{len(new)} lanes; at most {ZS_MAX_LANES} are allowed in one relay")
        for i, lane in enumerate(new):
            each[i] = lane.lane
        self.lanes = new
        if (error := zs_relay_use(&self.relay, each, len(new))) != 0:
            raise zmq.ZMQError(error)

    def call(self):
        """Have `run` return "called" soon; from any thread, which then sends a message on `control` in case it sleeps."""
        zs_relay_call(&self.relay)

    def run(self, *, quiet=None, until=None):
        """Forward until something ends it: "called" (a message on the control socket), "quiet" (nothing came and nothing
        was held for `quiet` seconds) or "late" (after `until` seconds).

        Raises zmq.ZMQError, with `lane` set to the Lane that failed, where libzmq does.
        """
        cdef int64_t quiet_ms = -1 if quiet is None else int(quiet * 1000)
        cdef int64_t until_ms = -1 if until is None else int(until * 1000)
        cdef zs_relay_end end
        with nogil:
            end = zs_relay_run(&self.relay, quiet_ms, until_ms)
        if end == ZS_RELAY_FAILED:
            error = zmq.ContextTerminated() if self.relay.error == zmq.ETERM else zmq.ZMQError(self.relay.error)
            error.lane = None if self.relay.failed == ZS_MAX_LANES else self.lanes[self.relay.failed]
            raise error
        return "called" if end == ZS_RELAY_CALLED else "quiet" if end == ZS_RELAY_QUIET else "late"
