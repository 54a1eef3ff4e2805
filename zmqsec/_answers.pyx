# cython: language_level=3, boundscheck=False, wraparound=False
# _answers.pyx: which messages a channel's traffic answers (floor 9).
"""The C core's side of :mod:`zmqsec.answers`."""

from collections import deque

from . import limits as L
from .answers import WRONG_REPLY

from ._parts cimport address_of


cdef class Answers:
    """The sessions that a channel has sealed with, the reply it expects, and the marks of what it received."""

    def __init__(self):
        self.marks = {}
        self.past = deque(maxlen=L.KEPT_SESSIONS)

    def keep(self, session):
        """This session seals no more; replies to its messages may still come."""
        if session is not None:
            self.past.append(session)

    cdef int match(self, Receiver receiver, Session session, zs_open_item *items, size_t count) except -1:
        """Refuse replies to messages that were not sent here."""
        cdef size_t i
        for i in range(count):
            if items[i].status == ZS_OK and not self.fit(session, &items[i]):
                zs_open_refuse(&receiver.receiver, &items[i], ZS_NOT_PERMITTED)
                receiver.details[i] = WRONG_REPLY
        return 0

    cdef bint fit(self, Session session, const zs_open_item *item) except -1:
        """Is the item no reply, or one to a message of ours: to the one that is expected, if there is one?"""
        reply_to = address_of(item, ZS_REPLY_TO)
        if self.expected is not None:
            return reply_to == self.expected
        if reply_to is None:
            return True
        known = (*self.past, session) if self.pairs is None else self.pairs.sessions_of(item.header.spi)
        return any([one.has_sealed(reply_to) for one in known if one is not None])

    cdef int mark(self, const zs_open_item *item, size_t start, size_t until) except -1:
        """The items from number `start` up to `until` came in this message."""
        cdef bytes message_id = (item.frame[ZS_SESSION_OFFSET:ZS_SESSION_OFFSET + ZS_SESSION_BYTES]
                                 + item.frame[ZS_SEQUENCE_OFFSET:ZS_HEADER_BYTES])
        if self.pairs is not None:
            origin = self.pairs.origin_of(item.header.spi)
        else:
            origin = None if item.route.origin == NULL else <bytes>item.route.fingerprint[:ZS_FINGERPRINT_BYTES]
        for at in range(start, until):
            self.marks[at] = (message_id, origin)
        return 0
