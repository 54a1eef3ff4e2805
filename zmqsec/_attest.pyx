# cython: language_level=3, boundscheck=False, wraparound=False
# _attest.pyx: attestations between C and Python (floor 8); the rules themselves are in csrc/attest.c and csrc/route.c.
"""Signing and verifying by the C core; see :mod:`zmqsec.attestation` and :mod:`zmqsec.route` for the same in Python."""

from . import limits as L
from .errors import REASONS, Reason, SocketError

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from ._library cimport engine_libs


cdef class Attester:
    """An identity that attests, with its routing id: as the origin, of an association's messages, or as a hop.

    `suite_key` is the association's, which an origin's attestation commits to; a hop has none.
    """

    def __init__(self, identity, suite_key=None, routing_id=b""):
        cdef bytes key = identity.key, secret = identity.secret_key, committed
        if len(routing_id) > L.MAX_ROUTING_ID_BYTES:
            raise SocketError(f"a routing id of {len(routing_id)} bytes; at most {L.MAX_ROUTING_ID_BYTES} are allowed")
        self.identity, self.routing_id = identity, bytes(routing_id)
        self.attester.role = ZS_BY_HOP if suite_key is None else ZS_BY_ORIGIN
        memcpy(self.attester.key, PyBytes_AS_STRING(key), ZS_PUBLIC_KEY_BYTES)
        memcpy(self.attester.secret, PyBytes_AS_STRING(secret), ZS_SECRET_KEY_BYTES)
        memcpy(self.attester.routing_id, PyBytes_AS_STRING(self.routing_id), len(self.routing_id))
        self.attester.routing_id_len = len(self.routing_id)
        if suite_key is not None:
            committed = suite_key
            zs_commitment(&engine_libs().sodium, self.attester.commitment,
                          <const uint8_t *>PyBytes_AS_STRING(committed))

    def __dealloc__(self):
        zs_wipe(&self.attester, sizeof(self.attester))

    def attest(self, sealed, previous=None):
        """The frames for 1 to 256 sealed parts under one signature; `previous` gives the attestation before each."""
        cdef list parts = [bytes(one) for one in sealed], frames = []
        cdef list before = [b""] * len(parts) if previous is None else [bytes(one) for one in previous]
        cdef size_t i, count = len(parts), size
        cdef const zs_sodium *sodium = &engine_libs().sodium
        cdef zs_attest_job *jobs
        cdef bytes part, one
        if not 1 <= count <= ZS_MAX_LEAVES or len(before) != count:
            raise SocketError(f"{count} sealed parts behind {len(before)}: 1 to {ZS_MAX_LEAVES} share a signature")
        if max(map(len, before)) > ZS_MAX_ATTESTATION_BYTES:
            raise SocketError(f"an attestation of more than {ZS_MAX_ATTESTATION_BYTES} bytes is none")
        size = zs_attestation_size(&self.attester, count)
        jobs = <zs_attest_job *>PyMem_Malloc(count * sizeof(zs_attest_job))
        if jobs == NULL:
            raise MemoryError()
        try:
            for i in range(count):
                part, one = parts[i], before[i]
                zs_part_digest(sodium, jobs[i].digest, <const uint8_t *>PyBytes_AS_STRING(part), len(part))
                jobs[i].previous, jobs[i].previous_len = <const uint8_t *>PyBytes_AS_STRING(one), len(one)
                one = PyBytes_FromStringAndSize(NULL, size)
                jobs[i].out = <uint8_t *>PyBytes_AS_STRING(one)
                frames.append(one)
            with nogil:
                zs_attest_many(sodium, &self.attester, jobs, count)
        finally:
            PyMem_Free(jobs)
        return frames

    def __reduce__(self):
        raise TypeError("an attester is not pickled, so that its secret goes nowhere unseen")


cdef int fill_route(zs_span *spans, object frames) except -1:
    """The frames of one message, at most 16, which the caller keeps alive."""
    cdef size_t i
    cdef bytes frame
    for i, frame in enumerate(frames):
        spans[i].data, spans[i].len = <const uint8_t *>PyBytes_AS_STRING(frame), len(frame)
    return 0


cdef object topic_of(const zs_open_item *item):
    return None if item.topic.data == NULL else <bytes>item.topic.data[:item.topic.len]


cdef tuple signers_of(const zs_open_item *item):
    """Key and routing id of the origin, None where none is attested, and of each hop."""
    cdef zs_attestation one
    cdef size_t i
    origin, hops = None, []
    for i in range(item.route.count):
        zs_attestation_read(&one, item.route.frames[i].data, item.route.frames[i].len)
        claim = (<bytes>one.key[:ZS_PUBLIC_KEY_BYTES], <bytes>one.routing_id[:one.routing_id_len])
        if one.role == ZS_BY_ORIGIN:
            origin = claim
        else:
            hops.append(claim)
    return origin, hops


cdef bytes name_of(const zs_open_item *item):
    """All that a verdict depends on, self-delimiting: SPI, who signed as what, topic."""
    cdef zs_attestation one
    cdef size_t i
    cdef bytes name = <bytes>item.frame[ZS_NONCE_OFFSET:ZS_SESSION_OFFSET]
    for i in range(item.route.count):
        zs_attestation_read(&one, item.route.frames[i].data, item.route.frames[i].len)
        name += bytes((one.role, one.routing_id_len)) + one.key[:ZS_PUBLIC_KEY_BYTES] + one.routing_id[:one.routing_id_len]
    return name if item.topic.data == NULL else name + b"\xff" + item.topic.data[:item.topic.len]


cdef class Verifier:
    """Verifies the attestations behind sealed parts without any key, and remembers trees whose signature has held."""
    cdef zs_trees *trees
    cdef zs_route_policy policy

    def __cinit__(self):
        self.trees = <zs_trees *>calloc(1, sizeof(zs_trees))
        if self.trees == NULL:
            raise MemoryError()
        memset(&self.policy, 0, sizeof(self.policy))
        self.policy.hops_max, self.policy.keyless = ZS_MAX_ATTESTATION_FRAMES, True

    def __dealloc__(self):
        free(self.trees)

    def verify_many(self, sealed, routes):
        """None for each sealed part whose attestation frames hold, or the reason why a receiver would refuse them."""
        cdef list verdicts = []
        cdef const zs_sodium *sodium = &engine_libs().sodium
        cdef zs_span spans[16]
        cdef zs_route route
        cdef bytes part
        cdef const uint8_t *data
        cdef size_t size
        cdef uint8_t flags
        cdef int status
        for part, frames in zip(sealed, routes, strict=True):
            if not zs_wire_is_sealed(part, len(part)) or len(frames) > ZS_MAX_ATTESTATION_FRAMES:
                verdicts.append(Reason.MALFORMED)
                continue
            fill_route(spans, frames)
            route.frames, route.count = spans, len(frames)
            data, size, flags = <const uint8_t *>PyBytes_AS_STRING(part), len(part), part[5] & 0xF0
            with nogil:
                zs_route_claim(&route, flags)
                if route.count > 0:
                    zs_route_digest(&route, sodium, data, size)
                status = zs_route_verify(&route, self.trees, sodium, flags, &self.policy)
            verdicts.append(None if status == ZS_OK else REASONS[status - 1])
        return verdicts
