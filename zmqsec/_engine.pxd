# _engine.pxd: the classes that the extension modules share (floor 9).
from cpython.buffer cimport Py_buffer
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ._c cimport *

cdef zs_libs *engine_libs() noexcept


cdef class Session:
    cdef zs_sender sender
    cdef readonly object association
    cdef object suite, clock, random
    cdef uint64_t following, started, generation
    cdef bint may_rotate
    cdef int begin(self) except -1
    cdef uint64_t take(self, uint64_t count) except? 0xFFFFFFFFFFFFFFFF


cdef class Receiver:
    cdef zs_receiver receiver
    cdef dict suites
    cdef list names
    cdef zs_span *name_spans
    cdef object clock
    cdef bint busy
    cdef uint64_t now(self) except? 0xFFFFFFFFFFFFFFFF
    cdef int open_items(self, zs_open_item *items, size_t count) except -1
    cdef int open_foreign(self, zs_open_item *item) except -1


cdef class Batch:
    cdef zs_seal_item items[64]
    cdef zs_aead_job jobs[64]
    cdef size_t body_at[64]
    cdef size_t front_at[64]
    cdef size_t front_counts[64]
    cdef const zs_span *fronts[64]
    cdef zs_span *spans
    cdef Py_buffer *views
    cdef list kept
    cdef size_t count, bytes, span_count, span_room, view_count, view_room
    cdef int clear(self) except -1
    cdef int fill(self, list messages, size_t start, size_t max_message) except -1
    cdef int add(self, object message, size_t max_message) except -1
    cdef int add_message(self, object message) except -1
    cdef int add_span(self, object data, bint leaf) except -1
    cdef int seal(self, Session session, zs_sender *sender, uint64_t first) except -1
