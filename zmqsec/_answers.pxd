# _answers.pxd: what the channel knows of answers (floor 9).
from ._c cimport *
from ._engine cimport Receiver, Session


cdef class Answers:
    cdef public bint marking, matching
    cdef public dict marks
    cdef public bytes expected
    # For a socket with keys for each peer: who they are by SPI, and what was sealed for them.
    cdef public object pairs
    cdef object past
    cdef int match(self, Receiver receiver, Session session, zs_open_item *items, size_t count) except -1
    cdef bint fit(self, Session session, const zs_open_item *item) except -1
    cdef int mark(self, const zs_open_item *item, size_t start, size_t until) except -1
