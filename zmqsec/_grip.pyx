# cython: language_level=3, boundscheck=False, wraparound=False
# _grip.pyx: a socket in the hands of one call at a time: its handle, alive and open while the call lasts (floor 8).
"""What the channel holds its socket by."""

import weakref

import zmq

from .errors import SocketError

from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject, PyTypeObject
from cpython.pythread cimport PyThread_get_thread_ident
from cpython.ref cimport Py_DECREF
from cpython.weakref cimport PyWeakref_GetRef
from libc.errno cimport EAGAIN
from libc.stdint cimport uintptr_t

# The descriptors themselves: pyzmq's sockets have a __getattr__, which makes every ordinary look-up slow. The second
# one is not in every backend; it says without making an integer whether the first has changed.
cdef object UNDERLYING = zmq.Socket.underlying
cdef object CLOSED = getattr(zmq.Socket, "_closed", None)


cdef inline object read(object descriptor, object socket):
    cdef object kind = type(descriptor)
    return (<PyTypeObject *>kind).tp_descr_get(descriptor, socket, <object>type(socket))


cdef inline uintptr_t handle_of(object socket) except? 0:
    """libzmq's socket, or 0 once it is closed."""
    return read(UNDERLYING, socket)


cdef int raise_zmq(int error) except -1:
    if error == EAGAIN:
        raise zmq.Again(error)
    if error == zmq.ETERM:
        raise zmq.ContextTerminated(error)
    raise zmq.ZMQError(error)


cdef class Grip:
    """Takes a socket for one call; in between it is referred to weakly, for it owns what owns this."""

    cdef int hold(self, object socket) except -1:
        self.socket_reference = weakref.ref(socket)
        self.channel.socket = <void *>handle_of(socket)
        return 0

    @property
    def socket(self):
        """The socket, or None once it is gone."""
        return self.socket_reference()

    cdef int enter(self) except -1:
        """Take the socket for one call, and keep it alive meanwhile."""
        cdef PyObject *socket = NULL
        cdef bint usable = False
        if self.busy:
            raise SocketError("this socket is in use by another call, of another thread or around a signal's handler; "
                              "ZeroMQ's sockets are not thread-safe")
        if PyWeakref_GetRef(self.socket_reference, &socket):
            self.held = <object>socket
            Py_DECREF(self.held)
            usable = handle_of(self.held) != 0 if CLOSED is None else read(CLOSED, self.held) is False
        if not usable:
            self.held = None
            raise zmq.ZMQError(zmq.ENOTSOCK)
        self.owner = PyThread_get_thread_ident()
        self.busy = True
        return 0

    cdef int leave(self) except -1:
        self.held = None
        self.busy = False
        return 0

    cdef int let_signals_in(self) except -1:
        """Python's handlers have their turn in the middle of a call; one may close the socket, or raise."""
        PyErr_CheckSignals()
        if handle_of(self.held) != <uintptr_t>self.channel.socket:
            raise zmq.ZMQError(zmq.ENOTSOCK)
        return 0

    def is_used_elsewhere(self):
        """Whether another thread is in a call on the socket now: libzmq ends the process if it is closed then."""
        return self.busy and self.owner != PyThread_get_thread_ident()

    def poll(self, timeout, int flags):
        """As zmq.Socket.poll, in milliseconds."""
        self.enter()
        try:
            return zmq.Socket.poll(self.held, timeout, flags)
        finally:
            self.leave()
