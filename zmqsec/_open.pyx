# cython: language_level=3, boundscheck=False, wraparound=False
# _open.pyx: sealed parts opened from any buffers, without a socket (floor 9).
"""open_many by the C core; :mod:`zmqsec.receiver` has its readable twin."""

import zmq
from zmq.utils.garbage import gc as LENT  # holds what copy=False lends to libzmq

from .errors import PartsError
from .receiver import check_route, per_frame

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, Py_buffer, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t
from libc.string cimport memset

from ._attest cimport fill_route
from ._c cimport *
from ._engine cimport Receiver
from ._parts cimport refusal_of


cdef bint is_shared(object frame):
    """Does libzmq share the frame's memory, or may it be that of a Python object that pyzmq holds for libzmq?"""
    return isinstance(frame, zmq.Frame) and (frame.get(zmq.SHARED) != 0 or len(LENT.refs) != 0)


cdef bint overlaps(const zs_open_item *items, size_t i, bint in_place) noexcept:
    """Does item `i` share memory with one before it, where one of the two is opened in place?"""
    cdef size_t j
    for j in range(i):
        if (in_place or items[j].out == NULL) and items[j].frame < items[i].frame + items[i].len \
                and items[i].frame < items[j].frame + items[j].len:
            return True
    return False


cdef uint8_t *address_of(object view) except? NULL:
    """Where the memory of a memoryview begins, which it holds."""
    cdef Py_buffer held
    PyObject_GetBuffer(view, &held, PyBUF_SIMPLE)
    PyBuffer_Release(&held)
    return <uint8_t *>held.buf


cdef object open_chunk(list frames, list topics, list routes, Receiver receiver, bint copy):
    cdef zs_open_item items[64]
    cdef zs_span spans[64 * 16]
    cdef Py_buffer views[64]
    cdef Py_buffer topic_views[64]
    cdef size_t i, count = len(frames), held = 0, topics_held = 0
    cdef list bases = [], out = [], held_routes = []
    memset(items, 0, sizeof(items))
    try:
        for i in range(count):
            frame, shared = frames[i], is_shared(frames[i])
            if isinstance(frame, zmq.Frame):
                frame = frame.buffer
            try:
                view = memoryview(frame)
            except TypeError:
                raise PartsError(f"a frame must be bytes-like or a zmq.Frame, not {type(frame).__name__}") from None
            if not view.c_contiguous:
                view = memoryview(bytes(view))
            in_place = not (copy or shared or view.readonly)
            items[i].frame, items[i].len = address_of(view), view.nbytes
            if overlaps(items, i, in_place):
                in_place, view = False, memoryview(bytes(view))
            PyObject_GetBuffer(view, &views[i], PyBUF_WRITABLE if in_place else PyBUF_SIMPLE)
            held += 1
            items[i].frame = <uint8_t *>views[i].buf
            if in_place:
                bases.append(view.cast("B"))
            else:
                fresh = bytearray(views[i].len)
                items[i].out = <uint8_t *>fresh
                bases.append(memoryview(fresh))
        for i in range(count):
            if topics[i] is not None:
                PyObject_GetBuffer(topics[i], &topic_views[topics_held], PyBUF_SIMPLE)
                items[i].topic.data = <const uint8_t *>topic_views[topics_held].buf
                items[i].topic.len = topic_views[topics_held].len
                topics_held += 1
            if routes[i]:
                route = check_route(routes[i])
                held_routes.append(route)
                fill_route(&spans[16 * i], route)
                items[i].route.frames, items[i].route.count = &spans[16 * i], len(route)
        receiver.open_items(items, count)
        for i in range(count):
            if items[i].status != ZS_OK:
                out.append(refusal_of(&items[i], receiver.details.pop(i, "")))
                continue
            topic = None if topics[i] is None else bytes(topics[i])
            out.append(receiver.message_of(&items[i], None if copy else bases[i],
                                           0 if items[i].out != NULL else items[i].body - items[i].frame, topic, ()))
    finally:
        for i in range(held):
            PyBuffer_Release(&views[i])
        for i in range(topics_held):
            PyBuffer_Release(&topic_views[i])
    return out


def open_many(frames, Receiver receiver not None, *, topics=None, routes=None, copy=False):
    """Open sealed parts (bytes-like or zmq.Frame), in order; a Message or a Refusal for each.

    With `copy=False` a writable buffer that libzmq does not share is opened in place and the Message's leaves are
    memoryviews of it; of a refused one the body is wiped. Any other buffer is opened in fresh memory. With `copy=True`
    leaves are bytes. `topics` gives the topic frame that came with each, or None; `routes` the attestation frames behind
    each.
    """
    cdef list every = list(frames), out = []
    cdef list names = per_frame("topics", topics, len(every), None)
    cdef list behind = per_frame("routes", routes, len(every), ())
    cdef size_t done
    for done in range(0, len(every), ZS_BATCH):
        out += open_chunk(every[done:done + ZS_BATCH], names[done:done + ZS_BATCH], behind[done:done + ZS_BATCH],
                          receiver, copy)
    return out
