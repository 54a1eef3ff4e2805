# cython: language_level=3, boundscheck=False, wraparound=False
# _deliver.pyx: opened messages become Python objects: bytes, lists, Messages, views of libzmq's memory (floor 9).
"""What the channel hands out."""

from dataclasses import replace

from . import limits as L
from .message import Message

from cpython.buffer cimport PyBuffer_FillInfo, Py_buffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t

from ._c cimport *
from ._engine cimport Receiver
from ._library cimport engine_libs
from ._parts cimport add_leaves, load32

cdef enum:
    FORM_PARTS = 0
    FORM_LISTS = 1
    FORM_MESSAGES = 2
    # Bodies below this are copied out: a small view would keep libzmq's whole receive buffer alive.
    SMALL_BODY = 8192


cdef class Memory:
    """A zmq message that views own: it is closed when the last of them goes."""
    cdef zs_msg message

    def __cinit__(self):
        engine_libs().zmq.msg_init(&self.message)

    def __dealloc__(self):
        engine_libs().zmq.msg_close(&self.message)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, engine_libs().zmq.msg_data(&self.message),
                          engine_libs().zmq.msg_size(&self.message), 0, flags)

    def __releasebuffer__(self, Py_buffer *view):
        pass


cdef int deliver_subscription(zs_channel *channel, list out, list fronts, size_t i, int form) except -1:
    cdef zs_msg *frame = &channel.frames[channel.messages[i].first]
    cdef bytes data = PyBytes_FromStringAndSize(<const char *>channel.zmq.msg_data(frame),
                                                channel.zmq.msg_size(frame))
    if form == FORM_MESSAGES:
        out.append(Message(body=[data], protect="authenticated", kind=L.KIND_CONTROL))
    else:
        out.append(data if form == FORM_PARTS else [data])
    fronts.append(0)
    return 0


cdef list front_of(zs_channel *channel, size_t i):
    """The frames before the sealed part, as bytes."""
    cdef list front = []
    cdef size_t at
    cdef zs_msg *frame
    for at in range(channel.messages[i].first, channel.messages[i].sealed):
        frame = &channel.frames[at]
        front.append(PyBytes_FromStringAndSize(<const char *>channel.zmq.msg_data(frame),
                                               channel.zmq.msg_size(frame)))
    return front


cdef bytes part_of(zs_channel *channel, size_t i):
    """The frame in the sealed part's place, as bytes."""
    cdef const zs_span *part = &channel.messages[i].part
    return PyBytes_FromStringAndSize(<const char *>part.data, part.len)


cdef bytes leaf_of(zs_channel *channel, size_t i, zs_open_item *item):
    """A message of one part with nothing in front; None for any other."""
    if (channel.messages[i].sealed != channel.messages[i].first or item.header.kind == ZS_KIND_BUNDLE
            or not is_one_leaf(item.body, item.body_len)):
        return None
    return PyBytes_FromStringAndSize(<const char *>item.body + ZS_PART_HEAD_BYTES, item.body_len - ZS_PART_HEAD_BYTES)


cdef size_t deliver_leaves(zs_channel *channel, list out, list fronts, const zs_open_item *items,
                           size_t count) except? 0xFFFFFFFF:
    """Messages of one part with nothing in front or behind, up to the first that is another; returns how many."""
    cdef size_t i, taken = 0
    cdef const zs_open_item *item
    for i in range(count):
        item = &items[i]
        if (item.status != ZS_OK or item.far != NULL or item.route.count != 0 or item.header.kind == ZS_KIND_BUNDLE
                or channel.messages[i].sealed != channel.messages[i].first
                or not is_one_leaf(item.body, item.body_len)):
            break
        out.append(PyBytes_FromStringAndSize(<const char *>item.body + ZS_PART_HEAD_BYTES,
                                             item.body_len - ZS_PART_HEAD_BYTES))
        taken += 1
    if channel.layout != ZS_LAYOUT_PLAIN:
        fronts.extend([0] * taken)
    return taken


cdef int deliver(zs_channel *channel, Receiver receiver, list out, size_t i, zs_open_item *item, int form,
                 bint copy) except -1:
    cdef list front
    cdef object view = None
    cdef size_t offset = 0
    cdef list parts
    cdef bytes leaf = leaf_of(channel, i, item) if copy and form == FORM_PARTS else None
    if leaf is not None:
        out.append(leaf)
        return 0
    front = front_of(channel, i)
    if not copy:
        view = view_of(channel, i, item, &offset)
    if form == FORM_MESSAGES:
        return deliver_message(channel, receiver, out, item, front, view, offset)
    if item.header.kind == ZS_KIND_BUNDLE:
        return deliver_bundle(channel, out, item, front, form, view, offset)
    parts = front
    add_leaves(parts, item.body, item.body_len, view, offset)
    out.append(parts[0] if form == FORM_PARTS and len(parts) == 1 and item.found.leaves == 1 else parts)
    return 0


cdef object view_of(zs_channel *channel, size_t i, zs_open_item *item, size_t *offset):
    """A memoryview that begins `offset` bytes before the item's body, and owns its memory."""
    cdef Memory memory
    cdef zs_msg *frame = &channel.frames[channel.messages[i].sealed]
    if item.body_len < SMALL_BODY:
        offset[0] = 0
        return memoryview(item.body[:item.body_len])
    offset[0] = item.body - item.frame
    memory = Memory()
    engine_libs().zmq.msg_move(&memory.message, frame)
    item.frame = <uint8_t *>engine_libs().zmq.msg_data(&memory.message)
    item.body = item.frame + offset[0]
    return memoryview(memory)


cdef int deliver_message(zs_channel *channel, Receiver receiver, list out, zs_open_item *item, list front, object view,
                         size_t offset) except -1:
    cdef object topic = None
    if channel.layout == ZS_LAYOUT_TOPIC and front:
        topic = front.pop()
    message = receiver.message_of(item, view, offset, topic, tuple(front))
    if item.header.kind != ZS_KIND_BUNDLE:
        out.append(message)
        return 0
    out.extend(replace(message, body=body, kind=L.KIND_DATA) for body in message.body if isinstance(body, list))
    return 0


cdef bint is_one_leaf(const uint8_t *data, size_t size) noexcept:
    return size >= ZS_PART_HEAD_BYTES and load32(data) == <uint32_t>((size - ZS_PART_HEAD_BYTES) << 2 | ZS_PART_LEAF)


cdef int deliver_bundle(zs_channel *channel, list out, zs_open_item *item, list front, int form, object view,
                        size_t offset) except -1:
    cdef size_t at = 0, length
    cdef uint32_t head
    cdef list parts
    while at < item.body_len:
        head = load32(item.body + at)
        length = head >> 2
        at += ZS_PART_HEAD_BYTES
        if head & 3 == ZS_PART_LIST:
            if form == FORM_PARTS and view is None and not front and is_one_leaf(item.body + at, length):
                out.append(PyBytes_FromStringAndSize(<const char *>item.body + at + ZS_PART_HEAD_BYTES,
                                                     length - ZS_PART_HEAD_BYTES))
                at += length
                continue
            parts = list(front)
            add_leaves(parts, item.body + at, length, view, offset + at)
            out.append(parts[0] if form == FORM_PARTS and len(parts) == 1 and not front else parts)
        at += length
    return 0
