# _grip.pxd: a socket in the hands of one call at a time (floor 8).
from ._c cimport *


cdef int raise_zmq(int error) except -1


cdef class Grip:
    cdef zs_channel channel
    cdef object socket_reference, held
    cdef bint busy
    cdef long owner
    cdef int hold(self, object socket) except -1
    cdef int enter(self) except -1
    cdef int leave(self) except -1
    cdef int let_signals_in(self) except -1
