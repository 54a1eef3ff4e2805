# cython: language_level=3
# _direct.pyx: one message of bytes straight between `send`, `recv` and the channel (floor 9).
"""The short path of single messages; every other call goes on to the socket's own methods."""

from cpython.bytes cimport PyBytes_CheckExact

from ._channel cimport Channel

cdef object ZERO = 0
cdef object DONTWAIT = 1
cdef enum:
    FORM_PARTS = 0
    ZMQ_DONTWAIT = 1


cdef class Direct:
    """`send` and `recv` of a socket in its usual state, which `sends` and `receives` say.

    `send_other(socket, ...)` and `recv_other(socket, ...)` take every call that is not for one part of bytes without
    options; `recv_rest(socket, items, flags)` takes what was received and is not one part of bytes. `partial`, `rest` and
    `ready` are the socket's containers of parts that wait.
    """
    cdef Channel channel
    cdef object send_other, recv_other, recv_rest, rest, ready
    cdef list partial
    cdef public bint sends, receives

    def __init__(self, Channel channel, send_other, recv_other, recv_rest, *, list partial, rest, ready):
        self.channel = channel
        self.send_other, self.recv_other, self.recv_rest = send_other, recv_other, recv_rest
        self.partial, self.rest, self.ready = partial, rest, ready

    def send(self, data, flags=0, copy=True, track=False, routing_id=None, group=None):
        """As the socket's own."""
        if (self.sends and PyBytes_CheckExact(data) and (flags is ZERO or flags == DONTWAIT) and track is False
                and routing_id is None and group is None and not self.partial):
            self.channel.send_bytes(data, 0 if flags is ZERO else ZMQ_DONTWAIT)
            return
        return self.send_other(self.channel.socket, data, flags, copy, track, routing_id, group)

    def recv(self, flags=0, copy=True, track=False):
        """As the socket's own."""
        cdef list items
        if (self.receives and (flags is ZERO or flags == DONTWAIT) and copy is True and track is False
                and not self.rest and not self.ready):
            items = self.channel.receive(1, 0 if flags is ZERO else ZMQ_DONTWAIT, FORM_PARTS, True)
            if len(items) == 1 and PyBytes_CheckExact(items[0]):
                return items[0]
            return self.recv_rest(self.channel.socket, items, flags)
        return self.recv_other(self.channel.socket, flags, copy, track)
