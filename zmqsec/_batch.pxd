# _batch.pxd: the batch that seal_many and the channel share (floor 9).
from cpython.buffer cimport Py_buffer
from libc.stdint cimport uint8_t, uint64_t

from ._c cimport *


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
    # What header parts begin with, and those of the first message where that fits; and that message.
    cdef bytes first, lead
    cdef object leader
    cdef zs_span header
    cdef uint8_t flags
    cdef bint admits
    cdef size_t count, bytes, span_count, span_room, view_count, view_room
    cdef int clear(self) except -1
    cdef int begin(self, bytes first, bytes lead, bint admits) except -1
    cdef int put_first(self, size_t max_message) except -1
    cdef int fill(self, list messages, size_t start, size_t max_message) except -1
    cdef int grow(self) except -1
    cdef int grow_views(self) except -1
    cdef int measure(self, size_t start, size_t max_message) except -1
    cdef int add_bytes(self, list messages) except -1
    cdef int add_one(self, bytes message) except -1
    cdef int add(self, object message, size_t max_message) except -1
    cdef bytes header_of(self, object message, bytes lead)
    cdef int add_message(self, object message) except -1
    cdef size_t fill_bundle(self, list messages, size_t start, size_t max_message) except 0
    cdef int add_span(self, object data, zs_form form) except -1
    cdef int seal(self, const zs_libs *libs, object suite, zs_sender *sender, uint64_t first) except -1
