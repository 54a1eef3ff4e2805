# cython: language_level=3, boundscheck=False, wraparound=False
# _engine.pyx: sessions, receivers, seal_many and open_many over the C core (floor 8).
#
# It converts buffers and statuses, and releases the GIL once a batch; what a message means is decided in csrc/.
"""Batched seal and open by the C core; see :mod:`zmqsec.reference` for the same protocol in Python."""

import time

import zmq
from zmq.utils.garbage import gc as LENT  # holds what copy=False lends to libzmq

from . import limits as L
from ._library import derive_suite_key, random_bytes
from .errors import REASONS, AssociationError, PartsError, SequenceExhausted, SocketError
from .suites import opened_by, suite_by_number

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from libc.time cimport time as c_time

from ._batch cimport Batch
from ._library cimport engine_libs
from ._parts cimport message_of, refusal_of

if not zs_forks_watch():
    raise MemoryError()

# -- sessions ------------------------------------------------------------------------------------------------------


cdef class Session:
    """The sending side of an association: one session at a time, which rotates at its limits (spec, "Sessions").

    `clock` gives unix seconds, `random` bytes; both are for tests and vectors, as is `sequence`, the first number.
    With `rotate=False` a limit raises SequenceExhausted instead.
    """

    def __init__(self, association, *, clock=time.time, random=random_bytes, sequence=0, rotate=True):
        cdef bytes key = derive_suite_key(association.secret, association.suite, association.spi)
        if not 0 <= sequence <= L.MAX_SEQUENCE:
            raise AssociationError(f"sequence {sequence}: 0 to {L.MAX_SEQUENCE} is allowed")
        self.association = association
        self.clock, self.random, self.may_rotate = clock, random, rotate
        self.real_time = clock is time.time
        memcpy(self.sender.key, PyBytes_AS_STRING(key), L.KEY_BYTES)
        self.sender.spi, self.sender.suite = association.spi, association.suite
        self.suite = None if zs_aead_is_native(engine_libs(), association.suite) else suite_by_number(association.suite)
        self.begin()
        self.following = sequence

    def __dealloc__(self):
        zs_wipe(&self.sender, sizeof(self.sender))

    @property
    def session_id(self):
        """The 12 bytes of the running session: start time and random."""
        return <bytes>self.sender.session[:ZS_SESSION_BYTES]

    @property
    def sequence(self):
        """The sequence number of the next message."""
        return self.following

    @property
    def start(self):
        """When the session began, unix seconds."""
        return self.started

    def rotate(self):
        """Begin a new session now."""
        self.begin()

    def reserve(self, n):
        """Take `n` consecutive sequence numbers of one session and return the first."""
        if not 1 <= n <= L.MAX_SEQUENCE:
            raise AssociationError(f"{n} sequence numbers: 1 to {L.MAX_SEQUENCE} can be reserved at once")
        return self.take(n)

    def __reduce__(self):
        raise TypeError("a session cannot be pickled: its nonces must not be used twice")

    cdef int begin(self) except -1:
        cdef bytes session
        self.started = <uint64_t>c_time(NULL) if self.real_time else int(self.clock())
        session = int(self.started).to_bytes(4, "little") + self.random(8)
        zs_sender_begin(&self.sender, &engine_libs().sodium, session)
        self.following = 0
        self.generation = zs_forks()
        return 0

    cdef uint64_t take(self, uint64_t count) except? 0xFFFFFFFFFFFFFFFF:
        cdef uint64_t now = <uint64_t>c_time(NULL) if self.real_time else int(self.clock())
        cdef uint64_t first
        if (self.generation != zs_forks() or self.following + count > ZS_REKEY_AFTER_MESSAGES
                or now < self.started or now - self.started >= <uint64_t>ZS_REKEY_AFTER_TIME):
            if not self.may_rotate:
                raise SequenceExhausted(f"this session may not rotate and has reached a limit: {self.following} of "
                                        f"{L.REKEY_AFTER_MESSAGES} messages, {int(now) - int(self.started)} of "
                                        f"{L.REKEY_AFTER_TIME} seconds, or a fork")
            self.begin()
        first = self.following
        self.following += count
        return first


cdef class Receiver:
    """The receiving side: associations, sessions with their replay windows, limits, and counts.

    `max_message` is in bytes of a sealed part, `max_sessions` counts sessions of all associations together,
    `understood` names critical metadata besides `topic`, `kinds` are the kinds of message that are accepted.
    """

    def __init__(self, associations=(), *, clock=time.time, max_message=L.MAX_MESSAGE_BYTES, max_parts=L.MAX_PARTS,
                 max_depth=L.MAX_DEPTH, max_sessions=L.MAX_SESSIONS, understood=(),
                 kinds=(L.KIND_DATA, L.KIND_BUNDLE)):
        for name, value, most in (("max_message", max_message, L.MAX_PART_BYTES), ("max_parts", max_parts, 1 << 28),
                                  ("max_depth", max_depth, ZS_DEPTH_LIMIT), ("max_sessions", max_sessions, 1 << 24)):
            if not 1 <= value <= most:
                raise AssociationError(f"{name}={value}: 1 to {most} is allowed")
        if self.name_spans != NULL:
            raise AssociationError("this receiver was made already; make another one")
        self.clock, self.real_time = clock, clock is time.time
        self.suites = {}
        self.receiver.libs = engine_libs()
        self.receiver.max_message = max_message
        self.receiver.limits.max_parts, self.receiver.limits.max_depth = max_parts, max_depth
        for kind in kinds:
            self.receiver.kinds |= 1 << <int>kind
        self.names = [name.encode("utf-8") for name in understood]
        self.name_spans = <zs_span *>malloc(sizeof(zs_span) * (len(self.names) + 1))
        if self.name_spans == NULL or not zs_table_init(&self.receiver.table, &engine_libs().sodium, self.now(), max_sessions):
            raise MemoryError()
        for i, name in enumerate(self.names):
            self.name_spans[i].data, self.name_spans[i].len = <const uint8_t *>PyBytes_AS_STRING(name), len(name)
        self.receiver.limits.understood = self.name_spans
        self.receiver.limits.understood_count = len(self.names)
        for association in associations:
            self.add(association)

    def __dealloc__(self):
        zs_table_free(&self.receiver.table)
        zs_wipe(&self.receiver.ahead, sizeof(self.receiver.ahead))
        free(self.name_spans)

    def __reduce__(self):
        raise TypeError("a receiver is neither copied nor pickled: its windows must not be taken back")

    def add(self, association):
        """Accept an association's messages from now on; its SPI must not stand yet."""
        cdef zs_association entry
        cdef bytes key = derive_suite_key(association.secret, association.suite, association.spi)
        suite = None if zs_aead_is_native(engine_libs(), association.suite) else suite_by_number(association.suite)
        memset(&entry, 0, sizeof(entry))
        memcpy(entry.key, PyBytes_AS_STRING(key), L.KEY_BYTES)
        entry.spi, entry.suite, entry.allow_clear = association.spi, association.suite, association.allow_clear
        entry.lifetime, entry.skew, entry.late_join = association.lifetime, association.skew, association.late_join
        self.check_idle()
        if not zs_table_add(&self.receiver.table, &entry):
            raise AssociationError(f"SPI {association.spi:#010x} stands already in this receiver")
        memset(&entry, 0, sizeof(entry))
        self.suites[association.spi] = suite
        self.foreign += suite is not None

    def remove(self, spi):
        """Forget an association and all of its sessions."""
        self.check_idle()
        if not zs_table_remove(&self.receiver.table, spi):
            raise AssociationError(f"SPI {spi:#010x} is unknown to this receiver")
        self.foreign -= self.suites.pop(spi) is not None

    @property
    def refused(self):
        """How many messages were refused, by reason."""
        return {str(reason): self.receiver.refused[i + 1] for i, reason in enumerate(REASONS)}

    @property
    def opened(self):
        """How many sealed parts opened."""
        return self.receiver.opened

    @property
    def sessions(self):
        """How many sessions have a window now."""
        return self.receiver.table.session_count

    cdef uint64_t now(self) except? 0xFFFFFFFFFFFFFFFF:
        return <uint64_t>c_time(NULL) if self.real_time else max(0, int(self.clock()))

    def check_idle(self):
        """Raise if another thread is opening with this receiver now."""
        if self.busy:
            raise SocketError("this receiver is opening in another thread; use one receiver for each thread")

    cdef int open_items(self, zs_open_item *items, size_t count) except -1:
        cdef uint64_t now = self.now()
        cdef size_t i
        self.check_idle()
        self.busy = True
        try:
            with nogil:
                zs_open_check(&self.receiver, items, count, now)
                zs_open_aead(&self.receiver, items, count)
            for i in range(count if self.foreign else 0):
                if items[i].status == ZS_OK:
                    self.open_foreign(&items[i])
            zs_open_commit(&self.receiver, items, count, now)
        finally:
            self.busy = False
        return 0

    cdef int open_foreign(self, zs_open_item *item) except -1:
        """Open one item by a suite written in Python, where the core has none of its own."""
        suite = self.suites[item.header.spi]
        if suite is None:
            return 0
        cdef size_t before = item.len - ZS_TAG_BYTES - item.body_len
        cdef bint clear = item.header.flags & ZS_FLAG_CLEAR_BODY
        cdef size_t covered = item.len - ZS_TAG_BYTES if clear else before
        cdef bytes key = item.association.key[:L.KEY_BYTES]
        opened = opened_by(suite, key, item.frame[ZS_NONCE_OFFSET:ZS_HEADER_BYTES], item.frame[:covered],
                           item.frame[covered:item.len])
        if opened is None:
            item.status = ZS_FORGED
        elif not clear:
            memcpy(item.body, PyBytes_AS_STRING(opened), len(opened))
        return 0


def seal_many(messages, Session session not None):
    """Seal each message (bytes-like, a list of parts, or a Message) and return the sealed parts, as bytes.

    The ciphertext is written straight into the memory that is returned. Raises PartsError for what cannot be sealed.
    """
    cdef list items = list(messages), out = []
    cdef Batch batch = Batch()
    cdef zs_sender sender
    cdef size_t i, done = 0
    cdef uint64_t first
    cdef bytes sealed
    try:
        while done < <size_t>len(items):
            batch.fill(items, done, L.MAX_PART_BYTES)
            first = session.take(batch.count)
            sender = session.sender
            for i in range(batch.count):
                sealed = PyBytes_FromStringAndSize(NULL, batch.items[i].size)
                batch.items[i].out = <uint8_t *>PyBytes_AS_STRING(sealed)
                out.append(sealed)
            batch.seal(engine_libs(), session.suite, &sender, first)
            done += batch.count
    finally:
        zs_wipe(&sender, sizeof(sender))
        batch.clear()
    return out


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


cdef object open_chunk(list frames, list topics, Receiver receiver, bint copy):
    cdef zs_open_item items[64]
    cdef Py_buffer views[64]
    cdef Py_buffer topic_views[64]
    cdef size_t i, count = len(frames), held = 0, topics_held = 0
    cdef list bases = [], out = []
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
            if topics is not None and topics[i] is not None:
                PyObject_GetBuffer(topics[i], &topic_views[topics_held], PyBUF_SIMPLE)
                items[i].topic.data = <const uint8_t *>topic_views[topics_held].buf
                items[i].topic.len = topic_views[topics_held].len
                topics_held += 1
        receiver.open_items(items, count)
        for i in range(count):
            if items[i].status != ZS_OK:
                out.append(refusal_of(&items[i]))
                continue
            topic = None if topics is None or topics[i] is None else bytes(topics[i])
            out.append(message_of(&items[i], None if copy else bases[i],
                                  0 if items[i].out != NULL else items[i].body - items[i].frame, topic, ()))
    finally:
        for i in range(held):
            PyBuffer_Release(&views[i])
        for i in range(topics_held):
            PyBuffer_Release(&topic_views[i])
    return out


def open_many(frames, Receiver receiver not None, *, topics=None, copy=False):
    """Open sealed parts (bytes-like or zmq.Frame), in order; a Message or a Refusal for each.

    With `copy=False` a writable buffer that libzmq does not share is opened in place and the Message's leaves are
    memoryviews of it; of a refused one the body is wiped. Any other buffer is opened in fresh memory. With `copy=True`
    leaves are bytes. `topics` gives the topic frame that came with each, or None.
    """
    cdef list every = list(frames), out = []
    cdef list names = None if topics is None else list(topics)
    cdef size_t done
    if names is not None and len(names) != len(every):
        raise SocketError(f"{len(names)} topics for {len(every)} frames; give one (or None) for each")
    for done in range(0, len(every), ZS_BATCH):
        out += open_chunk(every[done:done + ZS_BATCH], None if names is None else names[done:done + ZS_BATCH], receiver,
                          copy)
    return out
