# cython: language_level=3, boundscheck=False, wraparound=False
# _engine.pyx: sessions, receivers, seal_many and open_many over the C core (floor 9).
#
# It converts buffers and statuses, and releases the GIL once a batch; what a message means is decided in csrc/.
"""Batched seal and open by the C core; see :mod:`zmqsec.reference` for the same protocol in Python."""

import time
from collections import deque

from . import limits as L
from ._library import derive_suite_key, random_bytes
from .address import fingerprint_of
from .expected import check_floor
from .errors import REASONS, AssociationError, SequenceExhausted, SocketError
from .judge import Judge
from .parts import encode_metadata
from .rights import Role
from .session import check_attest
from .suites import opened_by, suite_by_number

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from libc.time cimport time as c_time

from ._attest cimport name_of, signers_of, topic_of
from ._batch cimport Batch
from ._library cimport engine_libs
from ._parts cimport address_of, message_of

if not zs_forks_watch():
    raise MemoryError()

# -- sessions ------------------------------------------------------------------------------------------------------


cdef class Session:
    """The sending side of an association: one session at a time, which rotates at its limits (spec, "Sessions").

    `clock` gives unix seconds, `random` bytes; both are for tests and vectors, as is `sequence`, the first number.
    With `rotate=False` a limit raises SequenceExhausted instead. With an `identity` and `attest` of "message" or "batch"
    each sealed part says from whom it is, `identity` and `routing_id`, and has an attestation behind it. `show` gives
    the identity's credential at a time, or None: it travels in a session's first message, and again at most once in a
    second, where it fits.
    """

    def __init__(self, association, *, clock=time.time, random=random_bytes, sequence=0, rotate=True, identity=None,
                 attest="none", routing_id=b"", show=None):
        cdef bytes key = derive_suite_key(association.secret, association.suite, association.spi), secret
        if not 0 <= sequence <= L.MAX_SEQUENCE:
            raise AssociationError(f"sequence {sequence}: 0 to {L.MAX_SEQUENCE} is allowed")
        self.association = association
        self.clock, self.random, self.may_rotate = clock, random, rotate
        self.real_time = clock is time.time
        memcpy(self.sender.key, PyBytes_AS_STRING(key), L.KEY_BYTES)
        self.sender.spi, self.sender.suite = association.spi, association.suite
        self.sender.admits, self.sender.libs = association.admit, engine_libs()
        if association.admit:
            secret = bytes(association.secret)
            zs_admission_key(&engine_libs().sodium, self.sender.admission_key,
                             <const uint8_t *>PyBytes_AS_STRING(secret), association.spi)
        self.suite = None if zs_aead_is_native(engine_libs(), association.suite) else suite_by_number(association.suite)
        self.past = deque(maxlen=L.KEPT_SESSIONS)
        self.identity, self.attest = check_attest(identity, attest), attest
        self.show = show if self.identity is not None else None
        self.use_routing_id(routing_id)
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

    def use_routing_id(self, routing_id):
        """Attest with another routing id from now on."""
        self.attester, self.lead = None, b""
        if self.identity is not None:
            self.attester = Attester(self.identity, <bytes>self.sender.key[:ZS_KEY_BYTES], routing_id)
            self.lead = encode_metadata("from", self.identity.fingerprint + routing_id, False)

    cpdef bytes next_lead(self):
        """The metadata with which the next message's header parts begin: `lead`, and a credential where it is due."""
        cdef int64_t now
        if self.show is None:
            return self.lead
        now = <int64_t>c_time(NULL) if self.real_time else int(self.clock())
        if now == self.shown:
            return self.lead
        self.shown = now
        credential = self.show(now)
        return self.lead if credential is None else self.lead + encode_metadata("cred", credential, False)

    @property
    def lead_size(self):
        """How many parts, at most, are written into the header here, and the bytes of those that are always there."""
        parts = 0 if self.identity is None else 1 if self.show is None else 2
        return parts + self.sender.admits, len(self.lead) + (ZS_ADMIT_BYTES if self.sender.admits else 0)

    def attest_many(self, sealed):
        """The attestations of sealed parts of this session: one signature for each, or with "batch" for up to 64."""
        cdef size_t at, size = ZS_BATCH if self.attest == "batch" else 1
        cdef list frames = []
        if self.attester is None:
            raise SocketError("this session has no identity to attest with")
        for at in range(0, len(sealed), size):
            frames += self.attester.attest(sealed[at:at + size])
        return frames

    def has_sealed(self, bytes message_id not None):
        """Whether this is the id (session and sequence number) of a message of this session, or of one before it."""
        number = int.from_bytes(message_id[ZS_SESSION_BYTES:], "little")
        return any(message_id[:ZS_SESSION_BYTES] == known and number < following
                   for known, following in ((self.session_id, self.following), *self.past))

    @property
    def last_id(self):
        """The id of the message that was sealed last."""
        return self.session_id + int(self.following - 1).to_bytes(8, "little")

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
        self.shown = -1
        if self.following:
            self.past.append((self.session_id, self.following))
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
    `understood` names critical metadata besides `topic`, `kinds` are the kinds of message that are accepted. `me` is
    whose messages are taken where they say whom they are for, an identity or a fingerprint; `trust` says what the
    identities that attestations prove are allowed.
    """

    def __init__(self, associations=(), *, clock=time.time, max_message=L.MAX_MESSAGE_BYTES, max_parts=L.MAX_PARTS,
                 max_depth=L.MAX_DEPTH, max_sessions=L.MAX_SESSIONS, understood=(),
                 kinds=(L.KIND_DATA, L.KIND_BUNDLE), me=None, trust=None):
        cdef bytes mine
        for name, value, most in (("max_message", max_message, L.MAX_PART_BYTES), ("max_parts", max_parts, 1 << 28),
                                  ("max_depth", max_depth, ZS_DEPTH_LIMIT), ("max_sessions", max_sessions, 1 << 24)):
            if not 1 <= value <= most:
                raise AssociationError(f"{name}={value}: 1 to {most} is allowed")
        if self.name_spans != NULL:
            raise AssociationError("this receiver was made already; make another one")
        self.clock, self.real_time = clock, clock is time.time
        self.suites, self.associations, self.verdicts = {}, {}, {}
        self.judge, self.fresh, self.details = Judge(trust), None, {}
        if me is not None:
            mine = fingerprint_of(me, "me")
            self.receiver.has_me = True
            memcpy(self.receiver.me, PyBytes_AS_STRING(mine), ZS_FINGERPRINT_BYTES)
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
        free(self.receiver.trees)
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
        entry.route.required = association.attestation == "required"
        entry.route.hops_min = max(association.hops_min, bool(association.hops))
        entry.route.hops_max = association.hops_max
        zs_commitment(&engine_libs().sodium, entry.route.commitment, <const uint8_t *>PyBytes_AS_STRING(key))
        self.check_idle()
        if not zs_table_add(&self.receiver.table, &entry):
            raise AssociationError(f"SPI {association.spi:#010x} stands already in this receiver")
        memset(&entry, 0, sizeof(entry))
        self.suites[association.spi], self.associations[association.spi] = suite, association
        self.verdicts.clear()
        self.foreign += suite is not None

    def remove(self, spi):
        """Forget an association and all of its sessions."""
        self.check_idle()
        if not zs_table_remove(&self.receiver.table, spi):
            raise AssociationError(f"SPI {spi:#010x} is unknown to this receiver")
        self.foreign -= self.suites.pop(spi) is not None
        del self.associations[spi]
        self.verdicts.clear()

    def raise_floor(self, spi, floor):
        """Unknown sessions of an association that began at that time or before are stale from now on."""
        self.check_idle()
        check_floor(spi, floor, self.associations)
        zs_table_raise_floor(zs_table_association(&self.receiver.table, spi), floor)

    def expect(self, spi, expected):
        """Take a session that goes on although it began before the floor, from its sequence number on."""
        cdef bytes session = expected.session, origin = expected.origin
        self.check_idle()
        check_floor(spi, 0, self.associations)
        cdef const uint8_t *who = <const uint8_t *>PyBytes_AS_STRING(origin) if origin else NULL
        if not zs_table_expect(&self.receiver.table, zs_table_association(&self.receiver.table, spi),
                               <const uint8_t *>PyBytes_AS_STRING(session), who, expected.sequence):
            raise MemoryError()

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
            self.vet_items(items, count, now)
        finally:
            self.busy = False
        return 0

    cdef int vet_items(self, zs_open_item *items, size_t count, uint64_t now) except -1:
        """Refuse what identities did that the receiver's trust does not allow them."""
        cdef size_t i
        cdef bytes named
        self.details.clear()
        for i in range(count):
            if items[i].status != ZS_OK or items[i].route.count == 0:
                continue
            credential = address_of(&items[i], ZS_CRED)
            if credential is not None:
                self.judge.learn(credential, now)
            fresh = self.judge.fresh(now)
            if fresh != self.fresh or len(self.verdicts) > L.MAX_PEERS:
                self.verdicts.clear()
                self.fresh = fresh
            named = name_of(&items[i])
            if named not in self.verdicts:
                self.verdicts[named] = self.ask(&items[i], now)
            refusal = self.verdicts[named]
            if refusal is not None:
                zs_open_refuse(&self.receiver, &items[i], <zs_status><int>(1 + REASONS.index(refusal.reason)))
                self.details[i] = refusal.detail
        return 0

    cdef object ask(self, const zs_open_item *item, uint64_t now):
        origin, hops = signers_of(item)
        return self.judge.verdict(self.associations[item.header.spi], origin, hops, topic_of(item), now)

    cdef object message_of(self, const zs_open_item *item, object view, size_t offset, object topic, object envelope):
        """The Message of an item that opened, with who signed it; see `_parts.message_of`."""
        message = message_of(item, view, offset, topic, envelope)
        if item.route.count > 0:
            now = self.now()
            origin, hops = signers_of(item)
            if origin is not None:
                message.origin = self.judge.signer(origin, Role.SEND, topic_of(item), now)
            message.route = tuple([self.judge.signer(hop, Role.RELAY, None, now) for hop in hops])
        return message

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
            batch.begin(session.next_lead(), session.lead, session.sender.admits)
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
