# cython: language_level=3, boundscheck=False, wraparound=False
# _policy.pyx: what a relay holds about peers, keys and rights, between C and Python (floor 9); csrc/checks.c asks it.
"""The tables of a relay's checks in C. None of them may change while a loop runs that uses it."""

from . import limits as L
from .credential import encode
from .errors import REASONS, ConfigError

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from ._attest cimport Attester
from ._library cimport engine_libs
from ._relay_c cimport *

cdef enum:
    MAX_LEARNED = 65536


cdef class Rules:
    """Who is turned away: tuples of subject, value, bits, and what an operator and the relay itself have decided.

    Subjects are 0 a fingerprint, 1 an address (16 bytes) and a routing id behind it, 2 a routing id, 3 a network (16 bytes,
    of which the first `bits` count), no subject and value twice; decisions are 0 none, 1 allowed, 2 turned away.
    """
    cdef zs_rules rules

    def __init__(self, given=()):
        cdef list every = list(given)
        cdef zs_rule *rules = <zs_rule *>calloc(len(every) + 1, sizeof(zs_rule))
        cdef size_t i
        cdef bytes value
        cdef c_bool made
        if rules == NULL:
            raise MemoryError()
        zs_rules_free(&self.rules)
        for i, (subject, value, bits, by_operator, by_relay) in enumerate(every):
            rules[i].value, rules[i].len = <const uint8_t *>PyBytes_AS_STRING(value), len(value)
            rules[i].subject, rules[i].bits = <zs_subject><int>subject, bits
            rules[i].by_operator, rules[i].by_relay = <zs_ruling><int>by_operator, <zs_ruling><int>by_relay
        made = zs_rules_make(&self.rules, rules, len(every))
        free(rules)
        if not made:
            raise MemoryError()

    def __dealloc__(self):
        zs_rules_free(&self.rules)


cdef class Peers:
    """What is counted of each peer; at most `most` of them, the one seen longest ago leaving first."""
    cdef zs_peers peers
    cdef tuple rules

    def __init__(self, most=100_000):
        if not 256 <= most <= 1 << 24:
            raise ConfigError(f"max_peers={most}: 256 to {1 << 24} is allowed")
        zs_peers_free(&self.peers)
        if not zs_peers_init(&self.peers, &engine_libs().sodium, most):
            raise MemoryError()

    def __dealloc__(self):
        zs_peers_free(&self.peers)

    def __len__(self):
        return self.peers.count

    def rule(self, Rules rules not None, Rules throttled not None):
        """Use these from now on: who is turned away, and who is slowed down."""
        self.rules = (rules, throttled)
        zs_peers_rule(&self.peers, &rules.rules, &throttled.rules)

    def take(self, most=256):
        """What was counted since it was taken last, of at most so many peers: tuples of address, routing id, public key
        (empty for a connection), forwarded messages and bytes, and refusals by reason."""
        cdef zs_peer_counts counts
        cdef zs_peer_name name
        cdef const zs_peer *peer
        cdef char address[ZS_MAX_PEER_ADDRESS + 1]
        cdef list out = []
        cdef size_t i
        cdef bytes who
        while len(out) < most:
            peer = zs_peers_take(&self.peers, &counts)
            if peer == NULL:
                break
            name = zs_peer_name_of(peer, address)
            who = <bytes>name.id[:name.id_len]
            is_identity = name.kind == ZS_PEER_IDENTITY
            out.append((address.decode("utf-8", "replace"), b"" if is_identity else who, who if is_identity else b"",
                        counts.forwarded, counts.forwarded_bytes,
                        {REASONS[i - 1].value: counts.refused[i]
                         for i in range(1, ZS_STATUS_COUNT) if counts.refused[i] != 0}))
        return out

    def meet(self, str address, bytes routing_id=b"", bytes identity=b"", *, reason=None, size_t size=0):
        """Count one message of a peer, as the loop does; for tests and measurements."""
        cdef bytes text = address.encode(), who = identity or routing_id
        cdef zs_peer_name name
        cdef zs_peer *peer
        name.kind = ZS_PEER_IDENTITY if identity else ZS_PEER_CONNECTION
        name.address = PyBytes_AS_STRING(text)
        name.id, name.id_len = <const uint8_t *>PyBytes_AS_STRING(who), min(len(who), L.MAX_ROUTING_ID_BYTES)
        peer = zs_peers_meet(&self.peers, &name)
        if peer == NULL:
            raise MemoryError()
        zs_peers_count(&self.peers, peer, <zs_status><int>(0 if reason is None else 1 + REASONS.index(reason)), size)


cdef class Admissions:
    """The admission keys that a relay holds: objects with `spi` and `key`, no SPI twice."""
    cdef zs_admissions *admissions

    def __init__(self, keys):
        cdef list every = list(keys)
        cdef zs_admission *given = <zs_admission *>calloc(len(every) + 1, sizeof(zs_admission))
        cdef size_t i
        cdef bytes key
        cdef c_bool made
        self.admissions = <zs_admissions *>calloc(1, sizeof(zs_admissions))
        if given == NULL or self.admissions == NULL:
            free(given)
            raise MemoryError()
        for i, one in enumerate(every):
            key = one.key
            given[i].spi = one.spi
            memcpy(given[i].key, PyBytes_AS_STRING(key), ZS_KEY_BYTES)
        made = zs_admissions_make(self.admissions, given, len(every))
        zs_wipe(given, len(every) * sizeof(zs_admission))
        free(given)
        if not made:
            raise ConfigError("two admission keys have the same SPI")

    def __dealloc__(self):
        if self.admissions != NULL:
            zs_admissions_free(self.admissions)
            free(self.admissions)

    def check_many(self, sealed):
        """For each of up to 64 sealed parts None, or why it is refused; `zmqsec.admission.check_admission` says the same."""
        cdef zs_admit_item items[64]
        cdef list every = list(sealed)
        cdef size_t i
        cdef bytes frame
        if len(every) > 64:
            raise ValueError(f"{len(every)} sealed parts: at most 64 are allowed")
        for i, frame in enumerate(every):
            items[i].sealed = <const uint8_t *>PyBytes_AS_STRING(frame)
            items[i].status = zs_wire_read(&items[i].header, items[i].sealed, len(frame), len(frame))
        zs_admit_check(self.admissions, engine_libs(), items, len(every))
        return [None if items[i].status == 0 else REASONS[<int>items[i].status - 1] for i in range(len(every))]


cdef class Grants:
    """Who is trusted with what, as a `Trust` says it now; `before` gives what messages have brought until now."""
    cdef zs_grants grants

    def __init__(self, trust, Grants before=None):
        cdef bytes raw
        zs_grants_free(&self.grants)
        if not zs_grants_init(&self.grants, &engine_libs().sodium, MAX_LEARNED):
            raise MemoryError()
        self.grants.require_current_lists = trust.require_current_lists
        lists = {one.authority: one for one in trust.lists}
        for authority in trust.authorities:
            self.trust(authority.key, lists.get(authority.key))
        for key, (_, rights) in trust.pins.items():
            if not trust.is_blocked(key):
                # in the form of a credential that it gives itself, and that nobody has to sign
                raw = encode(key, key, rights, 0, 0, (1 << 64) - 1) + bytes(L.SIGNATURE_BYTES)
                self.add(raw, True)
        for credential in trust.given:
            if not trust.is_blocked(credential.subject):
                self.add(credential.raw, False)
        if before is not None:
            zs_grants_inherit(&self.grants, &before.grants)

    def __dealloc__(self):
        zs_grants_free(&self.grants)

    @property
    def learned(self):
        """How many credentials messages have brought."""
        return self.grants.learned

    cdef int add(self, bytes raw, bint pinned) except -1:
        if not zs_grants_add(&self.grants, <const uint8_t *>PyBytes_AS_STRING(raw), len(raw), pinned):
            raise MemoryError()
        return 0

    cdef int trust(self, bytes key, object revocations) except -1:
        cdef zs_authority authority
        cdef bytes serials = b"", keys = b""
        memset(&authority, 0, sizeof(authority))
        memcpy(authority.key, PyBytes_AS_STRING(key), ZS_PUBLIC_KEY_BYTES)
        if revocations is not None:
            import sys

            serials = b"".join(one.to_bytes(8, sys.byteorder) for one in sorted(revocations.serials))
            keys = b"".join(sorted(revocations.keys))
            authority.has_list, authority.next_update = True, revocations.next_update
        authority.serials, authority.serial_count = <const uint64_t *><void *>PyBytes_AS_STRING(serials), len(serials) // 8
        authority.keys, authority.key_count = <const uint8_t *>PyBytes_AS_STRING(keys), len(keys) // ZS_PUBLIC_KEY_BYTES
        if not zs_grants_trust(&self.grants, &authority):
            raise MemoryError()
        return 0


cdef class Envelopes:
    """The signed identities that a relay has put into envelopes, at most `most`; those unused for `lifetime` seconds, or of
    peers who are turned away, are withdrawn."""
    cdef zs_envelopes envelopes

    def __init__(self, identity, most=100_000, lifetime=3600.0):
        cdef bytes key = identity.key, secret = identity.secret_key
        zs_envelopes_free(&self.envelopes)
        if not zs_envelopes_init(&self.envelopes, engine_libs(), most):
            raise MemoryError()
        memcpy(self.envelopes.key, PyBytes_AS_STRING(key), ZS_PUBLIC_KEY_BYTES)
        memcpy(self.envelopes.secret, PyBytes_AS_STRING(secret), ZS_SECRET_KEY_BYTES)
        self.envelopes.lifetime = int(lifetime * 1000)

    def __dealloc__(self):
        zs_envelopes_free(&self.envelopes)

    def __len__(self):
        return self.envelopes.count

    def rule(self, Peers peers not None):
        """Withdraw those of peers whom the rules of `peers` turn away."""
        if peers.peers.rules != NULL:
            zs_envelopes_rule(&self.envelopes, peers.peers.rules)


cdef zs_rate rate_of(object pair):
    """Of a second and of a burst; None is no limit."""
    cdef zs_rate rate
    rate.per_second, rate.burst = (0, 0) if pair is None else pair
    return rate


cdef class Policy:
    """What one lane asks about its messages; all zeros, and so made without arguments, it asks nothing.

    `check` is 0 nothing, 1 membership, 2 origin. `topics` are patterns, sorted. Rates are pairs of a number in a second and a
    burst. What is None is not asked.
    """

    def __init__(self, *, check=0, layout=L.LAYOUT_PLAIN, subscriptions=False, names_peers=False, handshakes=False,
                 max_message=0, topics=None, messages=None, bytes=None, peer_messages=None, peer_bytes=None,
                 throttled_messages=None, throttled_bytes=None, Admissions admissions=None, Grants grants=None,
                 Peers peers=None, Envelopes sign=None, Envelopes open=None, Attester hop=None):
        cdef zs_policy *policy = &self.policy
        cdef object patterns = None
        if topics is not None:
            patterns = b"".join(b"%c%b" % (len(one), one) for one in topics)
            policy.has_topics, policy.topics.count = True, len(topics)
            policy.topics.data = <const uint8_t *>PyBytes_AS_STRING(patterns)
        self.kept, self.peers = (patterns, admissions, grants, peers, sign, open, hop), peers
        policy.check, policy.layout = <zs_check><int>check, <zs_layout><int>layout
        policy.subscriptions, policy.names_peers, policy.handshakes = subscriptions, names_peers, handshakes
        policy.max_message = max_message
        policy.messages, policy.bytes = rate_of(messages), rate_of(bytes)
        policy.peer_messages, policy.peer_bytes = rate_of(peer_messages), rate_of(peer_bytes)
        policy.throttled_messages, policy.throttled_bytes = rate_of(throttled_messages), rate_of(throttled_bytes)
        policy.admissions = NULL if admissions is None else admissions.admissions
        policy.grants = NULL if grants is None else &grants.grants
        policy.peers = NULL if peers is None else &peers.peers
        if sign is not None:
            policy.envelopes, policy.envelope_use = &sign.envelopes, ZS_ENVELOPES_SIGN
        elif open is not None:
            policy.envelopes, policy.envelope_use = &open.envelopes, ZS_ENVELOPES_OPEN
        policy.hop = NULL if hop is None else &hop.attester
        if policy.check == ZS_CHECK_ORIGIN and policy.trees == NULL:
            policy.trees = <zs_trees *>calloc(1, sizeof(zs_trees))
            if policy.trees == NULL:
                raise MemoryError()

    def __dealloc__(self):
        free(self.policy.trees)
