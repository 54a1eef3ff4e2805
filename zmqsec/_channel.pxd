# _channel.pxd: the channel as the short path uses it (floor 9).
from libc.stdint cimport uint64_t

from ._answers cimport Answers
from ._aside cimport Aside
from ._batch cimport Batch
from ._c cimport *
from ._engine cimport Receiver, Session
from ._grip cimport Grip


cdef class Channel(Grip):
    cdef zs_ahead ahead
    cdef Batch batch
    cdef readonly Session session
    cdef readonly Receiver receiver
    cdef object refusals
    # How many frames stood in front of each item that the last receive gave; empty where none can.
    cdef readonly list fronts
    # What is to be known of answers.
    cdef readonly Answers answers
    # Sealed parts sent, and refusals that take_refusals would give.
    cdef readonly uint64_t sealed
    cdef readonly uint64_t waiting_refusals
    # What came of handshakes, where it is kept.
    cdef readonly Aside aside
    # Whether bundles come: then a batch of sealed parts would be far more messages than were asked for.
    cdef bint bundled
    # What long messages are decrypted into, by the item's place in its batch.
    cdef list far
    cdef bint wants_bytes
    # Whether the keyring has changed since the receiver followed it, and what makes it follow.
    cdef public bint stale
    cdef public object follow
    # Whether the core opens by itself: no clock and no suite written in Python take part.
    cdef bint alone
    cdef readonly size_t max_message
    cdef int send_bytes(self, bytes data, int flags) except -1
    cdef size_t send_items(self, list messages, int flags) except? 0xFFFFFFFF
    cdef size_t send_batch(self, int flags) except? 0xFFFFFFFF
    cdef object receive_single(self, int flags)
    cdef int begin_receive(self, bint parts) except -1
    cdef list receive(self, size_t maximum, int flags, int form, bint copy)
    cdef int receive_batch(self, size_t maximum, int flags, bint may_be_empty, zs_open_item *items, size_t *owners,
                           size_t *opening) except -1
    cdef int open_received(self, zs_open_item *items, size_t *owners, size_t *opening) noexcept nogil
    cdef int follow_changes(self) noexcept
    cdef int make_far(self, zs_open_item *items, size_t count) noexcept
    cdef int deliver_far(self, list out, size_t i, zs_open_item *item) except -1
    cdef int deliver_batch(self, list out, zs_open_item *items, size_t *owners, size_t opening, int form,
                           bint copy) except -1
