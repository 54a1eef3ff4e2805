# cython: language_level=3, boundscheck=False, wraparound=False
# _channel.pyx: the channel, which moves messages between Python and a socket, a batch at a time (floor 9).
#
# A batch leaves the GIL once on its way; statuses become Refusals here, and policy stays with the socket above.
"""The C core's channel; :mod:`zmqsec.channel` is its readable twin."""

from collections import deque

import zmq

from . import limits as L
from .bundle import bundles_of
from .errors import SocketError

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, EINTR
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy
from libc.time cimport time as c_time

from ._answers cimport Answers
from ._aside cimport Aside
from ._batch cimport Batch
from ._engine cimport Receiver, Session
from ._deliver cimport deliver, deliver_leaves, deliver_subscription, leaf_of
from ._grip cimport Grip, raise_zmq
from ._library cimport engine_libs
from ._parts cimport refusal_of

cdef enum:
    ZMQ_DONTWAIT = 1
    FORM_PARTS = 0
    # One message whose sealed part is no longer than this is sealed or opened sooner than the GIL is given away.
    SHORT_PART = 4096
    NEAR_OF_LEAF = ZS_NEAR_BYTES - ZS_PART_HEAD_BYTES


cdef class Channel(Grip):
    """A socket's traffic in batches; `layout` says where the sealed part stands (spec, "The frames around the sealed part").

    `receiver` opens what comes, `session` seals what goes; either may be None for a socket of one direction.
    """
    def __init__(self, socket, Session session, Receiver receiver, *, layout=L.LAYOUT_PLAIN,
                 accept_subscriptions=False):
        if layout not in (L.LAYOUT_PLAIN, L.LAYOUT_TOPIC, L.LAYOUT_ENVELOPE):
            raise SocketError(f"layout {layout}: 0 (plain), 1 (topic) or 2 (envelope) is allowed")
        self.session, self.receiver = session, receiver
        self.batch = Batch()
        self.fronts, self.answers, self.aside = [], Answers(), Aside(accept_subscriptions)
        self.refusals = deque(maxlen=L.MAX_KEPT_REFUSALS)
        self.max_message = L.MAX_MESSAGE_BYTES if receiver is None else receiver.receiver.max_message
        zs_channel_init(&self.channel, &engine_libs().zmq, <zs_layout><int>layout)
        self.hold(socket)

    def __dealloc__(self):
        zs_wipe(&self.ahead, sizeof(self.ahead))
        if self.channel.zmq != NULL:
            zs_channel_release(&self.channel)

    def use_session(self, Session session):
        """Seal with another session from now on; None: seal nothing."""
        self.answers.keep(self.session)
        self.session = session

    def seal_with(self, Session session not None):
        """Seal with a session that `Answers.pairs` knows, for as long as messages go to its peer."""
        self.session = session

    @property
    def last_id(self):
        """The id of the message that was sent last."""
        return self.session.last_id

    def bundles_of(self, messages):
        """Bundles of these messages as large as may be, with the number of messages in each."""
        return bundles_of(messages, self.max_message, (0, 0) if self.session is None else self.session.lead_size)

    # -- send --

    def send_one(self, message, int flags=0):
        """Seal and send one message; raises zmq.Again where it cannot be queued, as pyzmq does."""
        if self.send_items([message], flags) == 0:
            raise zmq.Again(EAGAIN)

    cdef int send_bytes(self, bytes data, int flags) except -1:
        """As send_one for a short message, with the GIL held unless it has to wait."""
        cdef Batch batch = self.batch
        cdef size_t sent = 0
        cdef int error
        if (self.session is None or self.session.suite is not None or self.session.attester is not None
                or len(data) > SHORT_PART):
            self.send_one(data, flags)
            return 0
        self.enter()
        try:
            batch.clear()
            if batch.flags or batch.admits != self.session.sender.admits:
                batch.begin(b"", b"", self.session.sender.admits)
            batch.add_one(data)
            batch.measure(0, self.max_message)
            error = zs_channel_allocate(&self.channel, batch.items, 1)
            if error == 0:
                zs_seal_prepare(&self.session.sender, self.session.take(1), batch.items, 1, batch.jobs, <size_t>-1)
                if self.session.sender.suite == ZS_SUITE_XCHACHA20POLY1305:
                    zs_ahead_seal(engine_libs(), &self.ahead, batch.jobs)
                else:
                    zs_aead_seal_many(engine_libs(), self.session.sender.suite, batch.jobs, 1)
                error = zs_channel_send(&self.channel, batch.fronts, batch.front_counts, &sent, ZMQ_DONTWAIT)
            while flags == 0 and error == EAGAIN or error == EINTR:
                with nogil:
                    error = zs_channel_send(&self.channel, batch.fronts, batch.front_counts, &sent, flags)
                if error == EAGAIN:
                    break  # SNDTIMEO has passed
                self.let_signals_in()
            if error != 0:
                raise_zmq(error)
            self.sealed += 1
        finally:
            zs_channel_release(&self.channel)
            self.leave()
        return 0

    def send_many(self, messages, int flags=0):
        """Seal and send; returns how many went, fewer than given only with DONTWAIT or SNDTIMEO."""
        return self.send_items(messages if type(messages) is list else list(messages), flags)

    @staticmethod
    def are_plain(list messages, bint lists):
        """Is each message one part of bytes, or with `lists` a list or tuple of parts? Then none needs a look."""
        for message in messages:
            if PyBytes_CheckExact(message):
                continue
            kind = type(message)
            if not (kind is bytearray or kind is memoryview or lists and (kind is list or kind is tuple)):
                return False
        return True

    def send_bundles(self, list messages, int flags=0):
        """Seal messages of one part each in bundles as large as may be; returns how many messages went."""
        cdef size_t sent = 0, taken
        if self.session is None:
            raise SocketError("this socket has no session to seal with")
        self.enter()
        try:
            while sent < <size_t>len(messages):
                self.batch.begin(self.session.next_lead(), self.session.lead, self.session.sender.admits)
                taken = self.batch.fill_bundle(messages, sent, self.max_message)
                if self.send_batch(flags) == 0:
                    break
                sent += taken
        finally:
            self.leave()
            self.batch.clear()
        return sent

    cdef size_t send_items(self, list messages, int flags) except? 0xFFFFFFFF:
        cdef size_t sent = 0, went
        if self.session is None:
            raise SocketError("this socket has no session to seal with")
        self.enter()
        try:
            while sent < <size_t>len(messages):
                self.batch.begin(self.session.next_lead(), self.session.lead, self.session.sender.admits)
                self.batch.fill(messages, sent, self.max_message)
                went = self.send_batch(flags)
                sent += went
                if went < self.batch.count:
                    break
        finally:
            self.leave()
            self.batch.clear()
        return sent

    cdef size_t send_batch(self, int flags) except? 0xFFFFFFFF:
        cdef zs_sender sender
        cdef Batch batch = self.batch
        cdef size_t sent = 0
        cdef int error = 0
        cdef bint sealed = False, together = self.session.attest == "batch"
        cdef zs_attester *attester = NULL if self.session.attester is None else &self.session.attester.attester
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
                        zs_seal_prepare(&sender, first, batch.items, batch.count, batch.jobs,
                                        zs_aead_far_from(libs, sender.suite))
                        zs_aead_seal_many(libs, sender.suite, batch.jobs, batch.count)
                        sealed = True
                    if attester != NULL and self.channel.attesting == 0:
                        error = zs_channel_attest(&self.channel, &libs.sodium, attester, batch.items, batch.count,
                                                  together)
                    if error == 0 or error == EINTR:
                        error = zs_channel_send(&self.channel, batch.fronts, batch.front_counts, &sent, flags)
                if error != EINTR:
                    break
                self.let_signals_in()
            if error != 0 and error != EAGAIN:
                raise_zmq(error)
            return sent
        finally:
            self.sealed += sent
            zs_wipe(&sender, sizeof(sender))
            zs_channel_release(&self.channel)

    # -- receive --

    def recv_one(self, int flags=0, int form=FORM_PARTS, bint copy=True):
        """The messages of one sealed part, or None if it was refused; raises zmq.Again as pyzmq does."""
        return self.receive(1, flags, form, copy) or None

    def recv_many(self, size_t max_messages, int flags=0, int form=FORM_PARTS, bint copy=True):
        """Up to `max_messages` sealed parts, opened; blocks for the first as `flags` and RCVTIMEO say.

        A bundle gives one item for each of its messages, all of them, and where bundles come one is taken at a time
        until there are enough. [] if all that came was refused.
        """
        return self.receive(max_messages, flags, form, copy)

    def take_refusals(self):
        """The refusals since the last call, at most the newest 4,096; all are counted in the receiver."""
        cdef list taken = list(self.refusals)
        self.refusals.clear()
        self.waiting_refusals = 0
        return taken

    cdef object receive_single(self, int flags):
        """As `receive` of one sealed part, but a message of one part of bytes comes as that."""
        cdef list out
        cdef size_t opening = 0, owner
        cdef zs_open_item item
        self.begin_receive(True)
        try:
            self.receive_batch(1, flags, False, &item, &owner, &opening)
            if opening == 1 and item.status == ZS_OK and item.far == NULL and not self.answers.marking:
                leaf = leaf_of(&self.channel, 0, &item)
                if leaf is not None:
                    return leaf
            out = []
            self.deliver_batch(out, &item, &owner, opening, FORM_PARTS, True)
            self.bundled = len(out) > 1
            return out
        finally:
            zs_channel_release(&self.channel)
            self.leave()

    cdef int begin_receive(self, bint parts) except -1:
        if self.receiver is None:
            raise SocketError("this socket has no association to open with")
        self.enter()
        if self.channel.layout != ZS_LAYOUT_PLAIN:
            self.fronts, self.answers.marks = [], {}
        self.wants_bytes = parts and self.channel.layout == ZS_LAYOUT_PLAIN
        return 0

    cdef list receive(self, size_t maximum, int flags, int form, bint copy):
        cdef list out = []
        cdef size_t taken = 0, opening = 0, held = 0, before
        cdef zs_open_item items[64]
        cdef size_t owners[64]
        self.begin_receive(copy and form == FORM_PARTS)
        try:
            while taken < maximum and <size_t>len(out) < maximum:
                self.receive_batch(1 if self.bundled else maximum - taken, flags, taken > 0, items, owners, &opening)
                if self.channel.message_count == 0:
                    break
                taken += self.channel.message_count
                flags |= ZMQ_DONTWAIT
                before = len(out)
                self.deliver_batch(out, items, owners, opening, form, copy)
                self.bundled = <size_t>len(out) > before + self.channel.message_count
                zs_channel_release(&self.channel)
                held += self.channel.bytes
                if self.channel.drained or held >= ZS_CHANNEL_BYTES:
                    break
        finally:
            zs_channel_release(&self.channel)
            self.leave()
        return out

    cdef int receive_batch(self, size_t maximum, int flags, bint may_be_empty, zs_open_item *items, size_t *owners,
                           size_t *opening) except -1:
        """Receive and open without the GIL, but for a single short message that is there already."""
        cdef int error = EAGAIN
        if self.receiver.busy:
            self.receiver.check_idle()
        self.receiver.busy = True
        try:
            if maximum == 1:
                error = zs_channel_receive(&self.channel, 1, flags | ZMQ_DONTWAIT)
            if error == 0 and self.channel.bytes <= SHORT_PART:
                error = self.open_received(items, owners, opening)
            elif error == 0 or error == EAGAIN:
                with nogil:
                    if error != 0:
                        error = zs_channel_receive(&self.channel, maximum, flags)
                    if error == 0:
                        error = self.open_received(items, owners, opening)
        finally:
            self.receiver.busy = False
        if error == EINTR:
            self.let_signals_in()
            return self.receive_batch(maximum, flags, may_be_empty, items, owners, opening)
        if error != 0 and may_be_empty:
            return 0  # what was received before goes out; the next call meets the error again
        if error != 0:
            raise_zmq(error)
        if not self.alone:
            self.receiver.open_items(items, opening[0])
        elif self.channel.attested:
            self.receiver.vet_items(items, opening[0], <uint64_t>c_time(NULL))
        if self.answers.matching:
            self.answers.match(self.receiver, self.session, items, opening[0])
        return 0

    cdef int follow_changes(self) noexcept:
        """A call that waited for long may hold messages of keys that came meanwhile."""
        self.stale = False
        self.receiver.busy = False
        try:
            self.follow()
        except Exception:
            pass  # the socket's next call follows too, and raises
        finally:
            self.receiver.busy = True
        return 0

    cdef int open_received(self, zs_open_item *items, size_t *owners, size_t *opening) noexcept nogil:
        """Open what was received, unless a clock or a suite written in Python has to take part."""
        cdef zs_receiver *receiver = &self.receiver.receiver
        cdef int error = zs_channel_open_items(&self.channel, self.aside.apart, items, owners, opening)
        cdef uint64_t now
        if self.stale:
            with gil:
                self.follow_changes()
        self.alone = self.receiver.real_time and self.receiver.foreign == 0
        if error == 0 and self.alone:
            now = <uint64_t>c_time(NULL)
            zs_open_check(receiver, items, opening[0], now)
            if self.wants_bytes and self.channel.longest >= zs_aead_far_from(receiver.libs, ZS_SUITE_XCHACHA20POLY1305):
                with gil:
                    self.make_far(items, opening[0])
            zs_open_aead(receiver, items, opening[0])
            zs_open_commit(receiver, items, opening[0], now)
        return error

    cdef int make_far(self, zs_open_item *items, size_t count) noexcept:
        """For each long message the bytes that it will be, so that it is decrypted straight into them."""
        cdef size_t i, size
        cdef bytes whole
        self.far = [None] * count
        for i in range(count):
            size = zs_open_far(&self.receiver.receiver, &items[i])
            if size != 0:
                whole = PyBytes_FromStringAndSize(NULL, NEAR_OF_LEAF + size)
                items[i].far = <uint8_t *>PyBytes_AS_STRING(whole) + NEAR_OF_LEAF
                self.far[i] = whole
        return 0

    cdef int deliver_far(self, list out, size_t i, zs_open_item *item) except -1:
        cdef bytes whole = self.far[i]
        memcpy(PyBytes_AS_STRING(whole), item.body + ZS_PART_HEAD_BYTES, NEAR_OF_LEAF)
        self.far[i] = None
        out.append(whole)
        return 0

    cdef int deliver_batch(self, list out, zs_open_item *items, size_t *owners, size_t opening, int form,
                           bint copy) except -1:
        cdef size_t i, at = 0, front
        if copy and form == FORM_PARTS and opening == self.channel.message_count and self.answers.pairs is None:
            at = deliver_leaves(&self.channel, out, self.fronts, items, opening)
        for i in range(at, self.channel.message_count):
            if at == opening or owners[at] != i:
                if not self.aside.note(&self.channel, i):
                    deliver_subscription(&self.channel, out, self.fronts, i, form)
                continue
            if items[at].status != ZS_OK:
                self.aside.note_unknown(&self.channel, i, &items[at])
                self.refusals.append(refusal_of(&items[at], self.receiver.details.pop(at, "")))
                self.waiting_refusals += 1
            elif items[at].far != NULL:
                self.deliver_far(out, at, &items[at])
            else:
                deliver(&self.channel, self.receiver, out, i, &items[at], form, copy)
                if self.channel.layout != ZS_LAYOUT_PLAIN:
                    front = self.channel.messages[i].sealed - self.channel.messages[i].first
                    if self.answers.marking and (front > 1 or items[at].route.origin != NULL
                                                 or self.answers.pairs is not None):
                        self.answers.mark(&items[at], len(self.fronts), len(out))
                    self.fronts.extend([front] * (len(out) - len(self.fronts)))
            at += 1
        return 0
