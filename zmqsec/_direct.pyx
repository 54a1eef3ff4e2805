# cython: language_level=3, boundscheck=False, wraparound=False
# _direct.pyx: bytes straight between a socket's calls and the channel, one message or a batch (floor 9).
"""The short path of messages of one part; every other call goes on to the socket's own methods."""

import zmq

from cpython.bytes cimport PyBytes_CheckExact
from cpython.long cimport PyLong_CheckExact

from ._channel cimport Channel

cdef object ZERO = 0
cdef object DONTWAIT = 1
cdef enum:
    FORM_PARTS = 0
    ZMQ_DONTWAIT = 1


cdef bint are_bytes(list messages) noexcept:
    for message in messages:
        if not PyBytes_CheckExact(message):
            return False
    return True


cdef class Direct:
    """The calls of a socket in its usual state, which `sends` and `receives` say.

    `sending` and `receiving` are the classes whose methods take every call that is not for messages of one part of
    bytes without options, and what was received and is not only that. `partial`, `rest` and `ready` are the socket's
    containers of parts that wait.
    """
    cdef Channel channel
    cdef object sending, receiving, rest, ready
    cdef list partial
    cdef public bint sends, receives

    def __init__(self, Channel channel, sending, receiving, *, list partial, rest, ready):
        self.channel = channel
        self.sending, self.receiving = sending, receiving
        self.partial, self.rest, self.ready = partial, rest, ready

    def send(self, data, flags=0, copy=True, track=False, routing_id=None, group=None):
        """As the socket's own."""
        if (self.sends and PyBytes_CheckExact(data) and (flags is ZERO or flags == DONTWAIT) and track is False
                and routing_id is None and group is None and not self.partial):
            self.channel.send_bytes(data, 0 if flags is ZERO else ZMQ_DONTWAIT)
            return
        return self.sending.send(self.channel.socket, data, flags, copy, track, routing_id, group)

    def send_many(self, messages, *, bundle=False, flags=0):
        """As the socket's own."""
        if (self.sends and bundle is False and flags is ZERO and not self.partial and type(messages) is list
                and are_bytes(messages)):
            return self.channel.send_items(messages, 0)
        return self.sending.send_many(self.channel.socket, messages, bundle=bundle, flags=flags)

    def recv(self, flags=0, copy=True, track=False):
        """As the socket's own."""
        if (self.receives and (flags is ZERO or flags == DONTWAIT) and copy is True and track is False
                and not self.rest and not self.ready):
            received = self.channel.receive_single(0 if flags is ZERO else ZMQ_DONTWAIT)
            if PyBytes_CheckExact(received):
                return received
            return self.receiving._recv_received(self.channel.socket, received, flags)
        return self.receiving.recv(self.channel.socket, flags, copy, track)

    def recv_many(self, max_messages=64, timeout=None, *, multipart=False, copy=True):
        """As the socket's own."""
        cdef list items
        if (self.receives and (timeout is None or timeout is ZERO) and multipart is False and copy is True
                and PyLong_CheckExact(max_messages) and max_messages > 0 and not self.rest and not self.ready):
            try:
                items = self.channel.receive(max_messages, 0 if timeout is None else ZMQ_DONTWAIT, FORM_PARTS, True)
            except zmq.Again:
                return []
            if items and len(items) <= max_messages and self.channel.waiting_refusals == 0:
                return items
            return self.receiving._recv_many_received(self.channel.socket, items, max_messages, timeout)
        return self.receiving.recv_many(self.channel.socket, max_messages, timeout, multipart=multipart, copy=copy)
