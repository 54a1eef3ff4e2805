# _aside.pxd: what a channel keeps aside for handshakes (floor 9).
from ._c cimport *


cdef class Aside:
    # ZS_APART_..., as zs_channel_open_items takes it.
    cdef unsigned apart
    cdef list kept
    cdef int note(self, zs_channel *channel, size_t i) except -1
    cdef int note_unknown(self, zs_channel *channel, size_t i, const zs_open_item *item) except -1
