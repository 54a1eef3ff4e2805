# _engine.pxd: the classes that the extension modules share (floor 9).
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ._attest cimport Attester
from ._c cimport *

cdef class Session:
    cdef zs_sender sender
    cdef readonly object association
    cdef object suite, clock, random, past
    # Who attests what is sealed, each message alone or a batch together; and the metadata in front of every header.
    cdef readonly object identity
    cdef readonly str attest
    cdef readonly bytes lead
    cdef Attester attester
    cdef object show
    cdef int64_t shown
    cdef uint64_t following, started, generation
    cdef bint may_rotate, real_time
    cpdef bytes next_lead(self)
    cdef int begin(self) except -1
    cdef uint64_t take(self, uint64_t count) except? 0xFFFFFFFFFFFFFFFF


cdef class Receiver:
    cdef zs_receiver receiver
    cdef dict suites
    cdef list names
    cdef zs_span *name_spans
    cdef object clock
    cdef bint busy, real_time
    cdef dict associations, verdicts
    # Details of refusals, by an item's place in its batch.
    cdef dict details
    cdef object judge, fresh
    # Associations whose suite is written in Python; 0 lets a whole batch run without the GIL.
    cdef size_t foreign
    cdef uint64_t now(self) except? 0xFFFFFFFFFFFFFFFF
    cdef int open_items(self, zs_open_item *items, size_t count) except -1
    cdef int vet_items(self, zs_open_item *items, size_t count, uint64_t now) except -1
    cdef object ask(self, const zs_open_item *item, uint64_t now)
    cdef object message_of(self, const zs_open_item *item, object view, size_t offset, object topic, object envelope)
    cdef int open_foreign(self, zs_open_item *item) except -1
