# cython: language_level=3, boundscheck=False, wraparound=False
# _core.pyx: the channel, which moves batches between Python and a socket, and the C core's public names (floor 9).
#
# A batch leaves the GIL once on its way; statuses become Refusals here, and policy stays with the socket above.
"""The C implementation of the protocol; :mod:`zmqsec.reference` has the same names in Python."""

from collections import deque
from dataclasses import replace

import zmq

from . import limits as L
from ._engine import Receiver, Session, open_many, seal_many
from ._library import derive_spi, derive_suite_key, kernels, random_bytes, use_kernels
from ._parts import decode_parts, encode_parts
from .errors import SocketError
from .message import Message

from cpython.buffer cimport PyBuffer_FillInfo, Py_buffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EAGAIN, EINTR
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.time cimport time as c_time

from ._c cimport *
from ._batch cimport Batch
from ._engine cimport Receiver as CReceiver, Session as CSession
from ._library cimport engine_libs
from ._parts cimport add_leaves, load32, message_of, refusal_of

__all__ = ["Channel", "Receiver", "Session", "decode_parts", "derive_spi", "derive_suite_key", "encode_parts",
           "kernels", "open_many", "random_bytes", "seal_many", "use_kernels"]

cdef enum:
    ZMQ_DONTWAIT = 1
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


cdef int raise_zmq(int error) except -1:
    if error == EAGAIN:
        raise zmq.Again(error)
    if error == zmq.ETERM:
        raise zmq.ContextTerminated(error)
    raise zmq.ZMQError(error)


cdef class Channel:
    """A socket's traffic in batches; `layout` says where the sealed part stands (spec, "The frames around it").

    `receiver` opens what comes, `session` seals what goes; either may be None for a socket of one direction.
    """
    cdef zs_channel channel
    cdef Batch batch
    cdef readonly object socket
    cdef readonly CSession session
    cdef readonly CReceiver receiver
    cdef object refusals
    # How many frames stood in front of each item that the last receive gave; empty where none can.
    cdef readonly list fronts
    # Sealed parts sent, and refusals that take_refusals would give.
    cdef readonly uint64_t sealed
    cdef readonly uint64_t waiting_refusals
    cdef bint subscriptions
    cdef bint busy
    cdef readonly size_t max_message

    def __init__(self, socket, CSession session, CReceiver receiver, *, layout=L.LAYOUT_PLAIN,
                 accept_subscriptions=False):
        if layout not in (L.LAYOUT_PLAIN, L.LAYOUT_TOPIC, L.LAYOUT_ENVELOPE):
            raise SocketError(f"layout {layout}: 0 (plain), 1 (topic) or 2 (envelope) is allowed")
        self.socket, self.session, self.receiver = socket, session, receiver
        self.subscriptions = accept_subscriptions
        self.batch = Batch()
        self.fronts = []
        self.refusals = deque(maxlen=L.MAX_KEPT_REFUSALS)
        self.max_message = L.MAX_MESSAGE_BYTES if receiver is None else receiver.receiver.max_message
        zs_channel_init(&self.channel, &engine_libs().zmq, <zs_layout><int>layout)

    def __dealloc__(self):
        if self.channel.zmq != NULL:
            zs_channel_release(&self.channel)

    cdef int enter(self) except -1:
        cdef uintptr_t handle
        if self.busy:
            raise SocketError("this socket is in use by another thread; ZeroMQ's sockets are not thread-safe")
        handle = self.socket.underlying
        if handle == 0:
            raise zmq.ZMQError(zmq.ENOTSOCK)
        self.channel.socket = <void *>handle
        self.busy = True
        return 0

    def use_session(self, CSession session):
        """Seal with another session from now on; None: seal nothing."""
        self.session = session

    # -- send --

    def send_one(self, message, int flags=0):
        """Seal and send one message; raises zmq.Again where it cannot be queued, as pyzmq does."""
        if self.send_items([message], flags) == 0:
            raise zmq.Again(EAGAIN)

    def send_many(self, messages, int flags=0):
        """Seal and send; returns how many went, fewer than given only with DONTWAIT or SNDTIMEO."""
        return self.send_items(list(messages), flags)

    def send_bundles(self, list messages, int flags=0):
        """Seal messages of one part each in bundles as large as may be; returns how many messages went."""
        cdef size_t total = len(messages), sent = 0, taken
        if self.session is None:
            raise SocketError("this socket has no session to seal with")
        self.enter()
        try:
            while sent < total:
                taken = self.batch.fill_bundle(messages, sent, self.max_message)
                if self.send_batch(flags) == 0:
                    break
                self.sealed += 1
                sent += taken
        finally:
            self.busy = False
            self.batch.clear()
        return sent

    cdef size_t send_items(self, list messages, int flags) except? 0xFFFFFFFF:
        cdef size_t total = len(messages), sent = 0, went
        if self.session is None:
            raise SocketError("this socket has no session to seal with")
        self.enter()
        try:
            while sent < total:
                self.batch.fill(messages, sent, self.max_message)
                went = self.send_batch(flags)
                sent += went
                if went < self.batch.count:
                    break
        finally:
            self.sealed += sent
            self.busy = False
            self.batch.clear()
        return sent

    cdef size_t send_batch(self, int flags) except? 0xFFFFFFFF:
        cdef zs_sender sender
        cdef Batch batch = self.batch
        cdef size_t sent = 0
        cdef int error
        cdef bint sealed = False
        cdef zs_libs *libs = engine_libs()
        cdef uint64_t first = self.session.take(batch.count)
        sender = self.session.sender
        try:
            error = zs_channel_allocate(&self.channel, batch.items, batch.count)
            if error != 0:
                raise_zmq(error)
            if self.session.suite is not None:
                batch.seal(engine_libs(), self.session.suite, &sender, first)
                sealed = True
            while True:
                with nogil:
                    if not sealed:
                        zs_seal_prepare(&sender, first, batch.items, batch.count, batch.jobs)
                        zs_aead_seal_many(libs, sender.suite, batch.jobs, batch.count)
                        sealed = True
                    error = zs_channel_send(&self.channel, batch.fronts, batch.front_counts, &sent, flags)
                if error != EINTR:
                    break
                PyErr_CheckSignals()
            if error != 0 and error != EAGAIN:
                raise_zmq(error)
            return sent
        finally:
            zs_wipe(&sender, sizeof(sender))
            zs_channel_release(&self.channel)

    # -- receive --

    def recv_one(self, int flags=0, int form=FORM_PARTS, bint copy=True):
        """The messages of one sealed part, or None if it was refused; raises zmq.Again as pyzmq does."""
        return self.receive(1, flags, form, copy) or None

    def recv_many(self, size_t max_messages, int flags=0, int form=FORM_PARTS, bint copy=True):
        """Up to `max_messages` sealed parts, opened; blocks for the first as `flags` and RCVTIMEO say.

        A bundle gives one item for each of its messages. [] if all that came was refused.
        """
        return self.receive(max_messages, flags, form, copy)

    def take_refusals(self):
        """The refusals since the last call, at most the newest 64; all are counted in the receiver."""
        cdef list taken = list(self.refusals)
        self.refusals.clear()
        self.waiting_refusals = 0
        return taken

    cdef list receive(self, size_t maximum, int flags, int form, bint copy):
        cdef list out = []
        cdef size_t taken = 0, opening = 0
        cdef zs_open_item items[64]
        cdef size_t owners[64]
        if self.receiver is None:
            raise SocketError("this socket has no association to open with")
        self.enter()
        if self.channel.layout != ZS_LAYOUT_PLAIN:
            self.fronts = []
        try:
            while taken < maximum:
                self.receive_batch(maximum - taken, flags, taken > 0, items, owners, &opening)
                if self.channel.message_count == 0:
                    break
                taken += self.channel.message_count
                flags |= ZMQ_DONTWAIT
                self.deliver_batch(out, items, owners, opening, form, copy)
                zs_channel_release(&self.channel)
        finally:
            zs_channel_release(&self.channel)
            self.busy = False
        return out

    cdef int receive_batch(self, size_t maximum, int flags, bint may_be_empty, zs_open_item *items, size_t *owners,
                           size_t *opening) except -1:
        """Receive and open without the GIL; with a clock or a suite in Python, open with it."""
        cdef int error
        cdef bint alone = self.receiver.real_time and self.receiver.foreign == 0
        cdef zs_receiver *receiver = &self.receiver.receiver
        cdef bint subscriptions = self.subscriptions
        cdef uint64_t now
        self.receiver.check_idle()
        while True:
            self.receiver.busy = True
            with nogil:
                error = zs_channel_receive(&self.channel, maximum, flags)
                if error == 0:
                    error = zs_channel_open_items(&self.channel, subscriptions, items, owners, opening)
                    if error == 0 and alone:
                        now = <uint64_t>c_time(NULL)
                        zs_open_check(receiver, items, opening[0], now)
                        zs_open_aead(receiver, items, opening[0])
                        zs_open_commit(receiver, items, opening[0], now)
            self.receiver.busy = False
            if error != EINTR:
                break
            PyErr_CheckSignals()
        if error == EAGAIN and may_be_empty:
            return 0
        if error != 0:
            raise_zmq(error)
        if not alone:
            self.receiver.open_items(items, opening[0])
        return 0

    cdef int deliver_batch(self, list out, zs_open_item *items, size_t *owners, size_t opening, int form,
                           bint copy) except -1:
        cdef size_t i, at = 0
        for i in range(self.channel.message_count):
            if at == opening or owners[at] != i:
                self.deliver_subscription(out, i, form)
                self.fronts.append(0)
                continue
            if items[at].status != ZS_OK:
                self.refusals.append(refusal_of(&items[at]))
                self.waiting_refusals += 1
            else:
                self.deliver(out, i, &items[at], form, copy)
                if self.channel.layout != ZS_LAYOUT_PLAIN:
                    while len(self.fronts) < len(out):
                        self.fronts.append(self.channel.messages[i].sealed - self.channel.messages[i].first)
            at += 1
        return 0

    cdef int deliver_subscription(self, list out, size_t i, int form) except -1:
        cdef zs_msg *frame = &self.channel.frames[self.channel.messages[i].first]
        cdef bytes data = PyBytes_FromStringAndSize(<const char *>self.channel.zmq.msg_data(frame),
                                                    self.channel.zmq.msg_size(frame))
        if form == FORM_MESSAGES:
            out.append(Message(body=[data], protect="authenticated", kind=L.KIND_CONTROL))
        else:
            out.append(data if form == FORM_PARTS else [data])
        return 0

    cdef list front_of(self, size_t i):
        """The frames before the sealed part, as bytes."""
        cdef list front = []
        cdef size_t at
        cdef zs_msg *frame
        for at in range(self.channel.messages[i].first, self.channel.messages[i].sealed):
            frame = &self.channel.frames[at]
            front.append(PyBytes_FromStringAndSize(<const char *>self.channel.zmq.msg_data(frame),
                                                   self.channel.zmq.msg_size(frame)))
        return front

    cdef int deliver(self, list out, size_t i, zs_open_item *item, int form, bint copy) except -1:
        cdef list front
        cdef object view = None
        cdef size_t offset = 0
        cdef list parts
        cdef bint alone = self.channel.messages[i].sealed == self.channel.messages[i].first
        if alone and copy and form == FORM_PARTS and item.header.kind != ZS_KIND_BUNDLE and self.is_one_leaf(
                item.body, item.body_len):
            out.append(PyBytes_FromStringAndSize(<const char *>item.body + ZS_PART_HEAD_BYTES,
                                                 item.body_len - ZS_PART_HEAD_BYTES))
            return 0
        front = [] if alone else self.front_of(i)
        if not copy:
            view = self.view_of(i, item, &offset)
        if form == FORM_MESSAGES:
            return self.deliver_message(out, item, front, view, offset)
        if item.header.kind == ZS_KIND_BUNDLE:
            return self.deliver_bundle(out, item, front, form, view, offset)
        parts = front
        add_leaves(parts, item.body, item.body_len, view, offset)
        out.append(parts[0] if form == FORM_PARTS and len(parts) == 1 and item.found.leaves == 1 else parts)
        return 0

    cdef object view_of(self, size_t i, zs_open_item *item, size_t *offset):
        """A memoryview that begins `offset` bytes before the item's body, and owns its memory."""
        cdef Memory memory
        cdef zs_msg *frame = &self.channel.frames[self.channel.messages[i].sealed]
        if item.body_len < SMALL_BODY:
            offset[0] = 0
            return memoryview(item.body[:item.body_len])
        offset[0] = item.body - item.frame
        memory = Memory()
        engine_libs().zmq.msg_move(&memory.message, frame)
        item.frame = <uint8_t *>engine_libs().zmq.msg_data(&memory.message)
        item.body = item.frame + offset[0]
        return memoryview(memory)

    cdef int deliver_message(self, list out, zs_open_item *item, list front, object view, size_t offset) except -1:
        cdef object topic = None
        if self.channel.layout == ZS_LAYOUT_TOPIC and front:
            topic = front.pop()
        message = message_of(item, view, offset, topic, tuple(front))
        if item.header.kind != ZS_KIND_BUNDLE:
            out.append(message)
            return 0
        out.extend(replace(message, body=body, kind=L.KIND_DATA) for body in message.body if isinstance(body, list))
        return 0

    cdef bint is_one_leaf(self, const uint8_t *data, size_t size) noexcept:
        return size >= ZS_PART_HEAD_BYTES and load32(data) == <uint32_t>((size - ZS_PART_HEAD_BYTES) << 2 | ZS_PART_LEAF)

    cdef int deliver_bundle(self, list out, zs_open_item *item, list front, int form, object view,
                            size_t offset) except -1:
        cdef size_t at = 0, length
        cdef uint32_t head
        cdef list parts
        while at < item.body_len:
            head = load32(item.body + at)
            length = head >> 2
            at += ZS_PART_HEAD_BYTES
            if head & 3 == ZS_PART_LIST:
                if form == FORM_PARTS and view is None and not front and self.is_one_leaf(item.body + at, length):
                    out.append(PyBytes_FromStringAndSize(<const char *>item.body + at + ZS_PART_HEAD_BYTES,
                                                         length - ZS_PART_HEAD_BYTES))
                    at += length
                    continue
                parts = list(front)
                add_leaves(parts, item.body + at, length, view, offset + at)
                out.append(parts[0] if form == FORM_PARTS and len(parts) == 1 and not front else parts)
            at += length
        return 0
