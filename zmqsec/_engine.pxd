# _engine.pxd: the classes that the extension modules share (floor 8).
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ._c cimport *

cdef class Session:
    cdef zs_sender sender
    cdef readonly object association
    cdef object suite, clock, random
    cdef uint64_t following, started, generation
    cdef bint may_rotate, real_time
    cdef int begin(self) except -1
    cdef uint64_t take(self, uint64_t count) except? 0xFFFFFFFFFFFFFFFF


cdef class Receiver:
    cdef zs_receiver receiver
    cdef dict suites
    cdef list names
    cdef zs_span *name_spans
    cdef object clock
    cdef bint busy, real_time
    # Associations whose suite is written in Python; 0 lets a whole batch run without the GIL.
    cdef size_t foreign
    cdef uint64_t now(self) except? 0xFFFFFFFFFFFFFFFF
    cdef int open_items(self, zs_open_item *items, size_t count) except -1
    cdef int open_foreign(self, zs_open_item *item) except -1
