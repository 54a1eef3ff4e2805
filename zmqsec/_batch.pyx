# cython: language_level=3, boundscheck=False, wraparound=False
# _batch.pyx: up to 64 messages on their way from Python's buffers into sealed parts (floor 9).
"""Messages gathered for the C core; used by seal_many and by the channel."""

import zmq

from . import limits as L
from ._parts import encode_parts
from .address import check_name, encode_address
from .errors import PartsError
from .message import Message, Metadata

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from ._parts cimport put_metadata, put_parts

cdef extern from "Python.h":
    PyObject *PyList_GET_ITEM(list messages, Py_ssize_t i) noexcept  # borrowed: no count goes up and down for a look


cdef inline void put_bytes(Batch batch, size_t i, object message) noexcept:
    """Message `i` of a batch that is nothing but bytes so far."""
    cdef zs_seal_item *item = &batch.items[i]
    cdef zs_span *span = &batch.spans[i]
    batch.front_at[i] = batch.body_at[i] = i
    batch.front_counts[i] = 0
    span.data, span.len = <const uint8_t *>PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message)
    span.form = ZS_LEAF
    item.kind, item.flags, item.admits, item.body_count = ZS_KIND_DATA, batch.flags, batch.admits, 1
    item.header.data, item.header.len = batch.header.data, batch.header.len


cdef class Batch:
    """Up to 64 messages about to be sealed: spans into the users' buffers, which it holds until `clear`."""

    def __cinit__(self):
        self.grow()
        self.begin(b"", b"", False)

    def __dealloc__(self):
        self.clear()
        free(self.spans)
        free(self.views)

    cdef int clear(self) except -1:
        cdef size_t i
        for i in range(self.view_count):
            PyBuffer_Release(&self.views[i])
        if self.kept is None:
            self.kept = []
        elif self.kept:
            self.kept.clear()
        self.count = self.bytes = self.span_count = self.view_count = 0
        return 0

    cdef int begin(self, bytes first, bytes lead, bint admits) except -1:
        """Header parts begin with `lead` from now on, empty where the session attests nothing, and end with an admission.

        Those of the batch's first message begin with `first`, which is longer or the same, where that fits.
        """
        self.first, self.lead, self.admits = first, lead, admits
        self.header.data, self.header.len = <const uint8_t *>PyBytes_AS_STRING(lead), len(lead)
        self.flags = ZS_FLAG_ORIGIN_ATTESTED if lead else 0
        return 0

    cdef int put_first(self, size_t max_message) except -1:
        """The first item's header begins with `first`, if the sealed part does not get too long."""
        cdef zs_span without = self.items[0].header
        cdef bytes header = self.first
        if isinstance(self.leader, Message):
            header = self.header_of(self.leader, self.first)
        self.kept.append(header)
        self.items[0].header.data, self.items[0].header.len = <const uint8_t *>PyBytes_AS_STRING(header), len(header)
        if zs_seal_measure(&self.items[0], max_message) != ZS_OK:
            self.items[0].header = without
        return 0

    cdef int fill(self, list messages, size_t start, size_t max_message) except -1:
        """Take messages from `start` on, until the batch is full; sets `count`."""
        cdef size_t total
        cdef list taken
        self.clear()
        taken = messages[start:start + ZS_BATCH]  # of its own: the list may change while the GIL is given away
        self.kept.append(taken)
        total = len(taken)
        self.leader = taken[0] if total else None
        self.add_bytes(taken)
        while self.count < total and self.bytes < ZS_CHANNEL_BYTES:
            self.add(taken[self.count], max_message)
        return self.measure(start, max_message)

    cdef int measure(self, size_t start, size_t max_message) except -1:
        """Once no span moves any more: the size of each sealed part, `start` being the first message's number."""
        cdef size_t i
        for i in range(self.count):
            self.items[i].body = self.spans + self.body_at[i]
            self.fronts[i] = self.spans + self.front_at[i]
            if i == 0 and self.first is not self.lead:
                self.put_first(max_message)
            if zs_seal_measure(&self.items[i], max_message) != ZS_OK:
                raise PartsError(f"message {start + i} cannot be sealed: its sealed part would pass {max_message} bytes "
                                 f"or its header parts {L.MAX_HEADER_PARTS_BYTES}, or it has no part at all")
        return 0

    cdef size_t fill_bundle(self, list messages, size_t start, size_t max_message) except 0:
        """One bundle of messages of one part each, from `start` on; returns how many it took."""
        cdef size_t taken = 0, heads = (2 if self.lead else 0) + self.admits, most = (ZS_MAX_PARTS - heads) // 2
        cdef size_t fixed = ZS_HEADER_BYTES + ZS_TAG_BYTES + len(self.lead) + (ZS_ADMIT_BYTES if self.admits else 0)
        cdef size_t room = max_message - min(fixed, max_message)
        cdef list some = messages[start:start + most]
        cdef size_t total = len(some)
        self.clear()
        memset(&self.items[0], 0, sizeof(self.items[0]))
        self.items[0].flags, self.items[0].header, self.items[0].admits = self.flags, self.header, self.admits
        while taken < total:
            self.add_span(some[taken], ZS_LIST_OF_LEAF)
            self.bytes += self.spans[taken].len + 2 * ZS_PART_HEAD_BYTES
            if self.bytes > room and taken > 0:
                self.span_count -= 1
                break
            taken += 1
        self.count = 1
        self.front_counts[0] = 0
        self.fronts[0] = self.items[0].body = self.spans
        self.items[0].body_count, self.items[0].kind = self.span_count, ZS_KIND_BUNDLE
        self.leader = None
        if self.first is not self.lead:
            self.put_first(max_message)
        if zs_seal_measure(&self.items[0], max_message) != ZS_OK:
            raise PartsError(f"message {start} cannot be sealed: its sealed part would pass {max_message} bytes")
        return taken

    cdef int add_bytes(self, list messages) except -1:
        """The messages, at most 64, up to the first that is not one part of bytes; the list holds them."""
        cdef size_t i, taken = 0, total = len(messages)
        cdef PyObject *message
        for i in range(total):
            message = PyList_GET_ITEM(messages, i)
            if taken >= ZS_CHANNEL_BYTES or not PyBytes_CheckExact(<object>message):
                total = i
                break
            put_bytes(self, i, <object>message)
            taken += PyBytes_GET_SIZE(<object>message)
        self.count = self.span_count = total
        self.bytes = taken
        return 0

    cdef int add_one(self, bytes message) except -1:
        """As add_bytes for a message alone, which the caller holds."""
        put_bytes(self, 0, message)
        self.count = self.span_count = 1
        self.bytes = PyBytes_GET_SIZE(message)
        return 0

    cdef int add(self, object message, size_t max_message) except -1:
        cdef zs_seal_item *item = &self.items[self.count]
        cdef size_t i = self.count
        memset(item, 0, sizeof(item[0]))
        item.flags, item.header, item.admits = self.flags, self.header, self.admits
        self.front_at[i] = self.body_at[i] = self.span_count
        self.front_counts[i] = 0
        if isinstance(message, Message):
            self.add_message(message)
        elif isinstance(message, (list, tuple)):
            if any(isinstance(part, (list, tuple, Metadata)) for part in message):
                self.add_span(encode_parts(message), ZS_RAW)
            else:
                for part in message:
                    self.add_span(part, ZS_LEAF)
        else:
            self.add_span(message, ZS_LEAF)
        item.body_count = self.span_count - self.body_at[i]
        for at in range(self.body_at[i], self.span_count):
            self.bytes += self.spans[at].len
        self.count += 1
        return 0

    cdef int add_message(self, object message) except -1:
        cdef zs_seal_item *item = &self.items[self.count]
        cdef bytes encoded
        for front in message.envelope:
            self.add_span(front, ZS_RAW)
        if message.topic is not None:
            self.add_span(message.topic, ZS_RAW)
        self.front_counts[self.count] = self.span_count - self.front_at[self.count]
        encoded = self.header_of(message, self.lead)
        self.kept.append(encoded)
        item.header.data, item.header.len = <const uint8_t *>PyBytes_AS_STRING(encoded), len(encoded)
        item.kind = message.kind
        if message.protect not in ("sealed", "authenticated"):
            raise PartsError(f"protect={message.protect!r}: 'sealed' or 'authenticated' is allowed")
        if message.protect == "authenticated":
            item.flags |= ZS_FLAG_CLEAR_BODY
        self.body_at[self.count] = self.span_count
        self.add_span(encode_parts(message.body), ZS_RAW)
        return 0

    cdef bytes header_of(self, object message, bytes lead):
        """The header parts of a Message, encoded."""
        cdef bytearray header = bytearray()
        if message.topic is not None:
            put_metadata(header, "topic", message.topic, True)
        if lead or message.to is not None or message.reply_to is not None:
            header += encode_address(message, lead)
        for name, value in message.metadata.items():
            critical = isinstance(value, Metadata) and value.critical
            check_name(name, critical)
            put_metadata(header, name, value.value if isinstance(value, Metadata) else value, critical)
        put_parts(header, message.header, 1)
        return bytes(header)

    cdef int add_span(self, object data, zs_form form) except -1:
        cdef zs_span *span
        cdef Py_buffer *view
        if self.span_count == self.span_room:
            self.grow()
        span = &self.spans[self.span_count]
        if PyBytes_CheckExact(data):
            span.data, span.len = <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
        else:
            if isinstance(data, zmq.Frame):
                data = data.buffer
            if isinstance(data, str):
                raise PartsError(f"a message must be bytes-like, not str: {data!r}; use send_string or encode it")
            if self.view_count == self.view_room:
                self.grow_views()
            view = &self.views[self.view_count]
            try:
                PyObject_GetBuffer(data, view, PyBUF_SIMPLE)
            except TypeError:
                raise PartsError(f"a message must be bytes-like, a list of parts or a Message, "
                                 f"not {type(data).__name__}") from None
            except BufferError:
                raise PartsError("a message's buffer must be C-contiguous") from None
            self.view_count += 1
            span.data, span.len = <const uint8_t *>view.buf, view.len
        self.kept.append(data)
        span.form = form
        self.span_count += 1
        return 0

    cdef int grow(self) except -1:
        cdef zs_span *grown = <zs_span *>realloc(self.spans, (2 * self.span_room + ZS_BATCH) * sizeof(zs_span))
        if grown == NULL:
            raise MemoryError()
        self.spans, self.span_room = grown, 2 * self.span_room + ZS_BATCH
        return 0

    cdef int grow_views(self) except -1:
        cdef size_t room = 2 * self.view_room + ZS_BATCH
        cdef Py_buffer *grown = <Py_buffer *>realloc(self.views, room * sizeof(Py_buffer))
        if grown == NULL:
            raise MemoryError()
        self.views, self.view_room = grown, room
        return 0

    cdef int seal(self, const zs_libs *libs, object suite, zs_sender *sender, uint64_t first) except -1:
        """Seal into each item's `out`, by the core, or by a `suite` written in Python.

        `sender` is the caller's copy, so that no rotation can reach it meanwhile.
        """
        cdef size_t i
        cdef zs_aead_job *job
        cdef bytes sealed
        if suite is None:
            with nogil:
                zs_seal_prepare(sender, first, self.items, self.count, self.jobs, zs_aead_far_from(libs, sender.suite))
                zs_aead_seal_many(libs, sender.suite, self.jobs, self.count)
            return 0
        zs_seal_prepare(sender, first, self.items, self.count, self.jobs, <size_t>-1)
        for i in range(self.count):
            job = &self.jobs[i]
            sealed = suite.seal(<bytes>sender.key[:L.KEY_BYTES], <bytes>job.ad[ZS_NONCE_OFFSET:ZS_HEADER_BYTES],
                                        <bytes>job.ad[:job.ad_len], <bytes>job.data[:job.len])
            if len(sealed) != job.len + ZS_TAG_BYTES:
                raise PartsError(f"suite {sender.suite} gave {len(sealed)} bytes for {job.len}; "
                                 f"{ZS_TAG_BYTES} more are allowed")
            memcpy(job.out, PyBytes_AS_STRING(sealed), job.len + ZS_TAG_BYTES)
        return 0
