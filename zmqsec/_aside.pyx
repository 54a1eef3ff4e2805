# cython: language_level=3, boundscheck=False, wraparound=False
# _aside.pyx: what a channel keeps aside of what it receives, for handshakes (floor 9).
"""The C core's side of :mod:`zmqsec.aside`."""

from . import limits as L

from ._deliver cimport front_of, part_of


cdef class Aside:
    """Handshake frames, and the first bytes of messages with an SPI that nobody has here, with the frames in front."""

    def __init__(self, bint subscriptions):
        self.apart = ZS_APART_SUBSCRIPTIONS if subscriptions else 0
        self.kept = []

    @property
    def keeps(self):
        """Whether anything is kept; then `take` must follow every call that receives."""
        return bool(self.apart & ZS_APART_HANDSHAKES)

    @keeps.setter
    def keeps(self, bint value):
        self.apart = self.apart | ZS_APART_HANDSHAKES if value else self.apart & ~<unsigned>ZS_APART_HANDSHAKES

    cdef int note(self, zs_channel *channel, size_t i) except -1:
        """Keep the frame of a handshake; 0 for any other that got no item."""
        if not zs_channel_is_handshake(channel, i):
            return 0
        self.kept.append((front_of(channel, i), part_of(channel, i)))
        return 1

    cdef int note_unknown(self, zs_channel *channel, size_t i, const zs_open_item *item) except -1:
        """Keep what is needed to answer a message whose SPI nobody has."""
        if item.status == ZS_UNKNOWN_SPI and self.apart & ZS_APART_HANDSHAKES and len(self.kept) < L.BATCH:
            self.kept.append((front_of(channel, i), <bytes>item.frame[:L.MIN_SEALED_BYTES]))
        return 0

    def take(self):
        """What was kept since the last call."""
        cdef list taken = self.kept
        self.kept = []
        return taken
