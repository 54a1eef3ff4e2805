"""Trust (floor 10): which identities may do what: pinned keys, authorities, their credentials and revocation lists.

Message by message, `Trust.check` answers from tables; nothing is verified there that was verified before.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .credential import Credential, authority_of, subject_of
from .errors import IdentityError, Reason, Refusal
from .identity import PublicIdentity
from .limits import MAX_CREDENTIAL_BYTES, MAX_CREDENTIALS, MAX_CREDENTIALS_OF_ONE, PUBLIC_KEY_BYTES
from .revocation import RevocationList
from .rights import PINNED, Rights, Role


def _public(given: Any) -> PublicIdentity:
    if isinstance(given, PublicIdentity):
        return given
    public = getattr(given, "public", None)
    if isinstance(public, PublicIdentity):
        return public
    raise IdentityError(f"{type(given).__name__} is no identity; a PublicIdentity or an Identity is allowed")


class Trust:
    """Who is trusted with what. Changes act at once: every check asks the tables as they are now.

    An identity may do what the operator pinned for its key, or what one credential says that a trusted authority has
    signed, that is valid now, and that the authority's newest revocation list does not take back. Rights of several
    credentials are not added up. `block` overrules both.

    Of the identities whose credentials came with messages at most `max_credentials` are remembered; the one that was
    not asked about for the longest time leaves first, and is learned again with its next credential. With
    `require_current_lists`, credentials of an authority are good only while it has a list whose `next_update` is not
    past.
    """

    def __init__(
        self,
        pins: Iterable[PublicIdentity] = (),
        authorities: Iterable[PublicIdentity] = (),
        *,
        require_current_lists: bool = False,
        max_credentials: int = MAX_CREDENTIALS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(max_credentials, bool) or not isinstance(max_credentials, int) or max_credentials < 1:
            raise IdentityError(f"max_credentials={max_credentials!r}: a whole number of 1 or more is allowed")
        self._require_current_lists = require_current_lists
        self._max_credentials, self._clock = max_credentials, clock
        self._lock = threading.RLock()
        self._pins: dict[bytes, tuple[PublicIdentity, Rights]] = {}
        self._authorities: dict[bytes, PublicIdentity] = {}
        self._lists: dict[bytes, RevocationList] = {}
        self._blocked: set[bytes] = set()
        self._given: dict[bytes, tuple[Credential, ...]] = {}  # by subject, as all that follows
        self._learned: OrderedDict[bytes, tuple[Credential, ...]] = OrderedDict()
        self._listeners: weakref.WeakSet[Any] = weakref.WeakSet()
        #: Grows with each change by the operator; what was learned in messages does not count.
        self.version = 0
        for one in pins:
            self.pin(one)
        for one in authorities:
            self.add_authority(one)

    # -- what the operator says ----------------------------------------------------------------------------------------

    def pin(self, identity: PublicIdentity, rights: Rights = PINNED) -> None:
        """Trust a public key with these rights, whatever authorities say of it; again changes the rights."""
        public = _public(identity)
        with self._lock:
            self._pins[public.key] = (public, rights)
        self._tell()

    def unpin(self, key: bytes) -> None:
        """Forget a pinned key."""
        with self._lock:
            if self._pins.pop(bytes(key), None) is None:
                raise IdentityError(f"{bytes(key).hex()} is not pinned")
        self._tell()

    def add_authority(self, authority: PublicIdentity) -> None:
        """Trust the credentials that this identity signs."""
        public = _public(authority)
        with self._lock:
            self._authorities[public.key] = public
        self._tell()

    def remove_authority(self, key: bytes) -> None:
        """Trust an authority no more, and forget its credentials; its revocation list is kept in case it comes back."""
        with self._lock:
            if self._authorities.pop(bytes(key), None) is None:
                raise IdentityError(f"{bytes(key).hex()} is no trusted authority")
            self._forget_strangers()
        self._tell()

    def revoke(self, revocations: RevocationList) -> None:
        """Take an authority's list in place of its older one; IdentityError if the authority or the number is wrong."""
        if not isinstance(revocations, RevocationList):
            raise IdentityError(f"{type(revocations).__name__} is no RevocationList")
        with self._lock:
            if revocations.authority not in self._authorities:
                raise IdentityError(f"the list is of {revocations.authority.hex()}, which is no trusted authority")
            held = self._lists.get(revocations.authority)
            if held is not None and held.raw == revocations.raw:
                return
            if held is not None and revocations.number <= held.number:
                raise IdentityError(f"a list of number {revocations.number}, and number {held.number} is here already")
            self._lists[revocations.authority] = revocations
        self._tell()

    def block(self, key: bytes) -> None:
        """Refuse an identity whatever else is said of it."""
        if len(key) != PUBLIC_KEY_BYTES:
            raise IdentityError(f"a public key of {len(key)} bytes: exactly {PUBLIC_KEY_BYTES} are allowed")
        with self._lock:
            self._blocked.add(bytes(key))
        self._tell()

    def unblock(self, key: bytes) -> None:
        """Take a block back; one that is not there does no harm."""
        with self._lock:
            self._blocked.discard(bytes(key))
        self._tell()

    def add(self, credential: Credential) -> None:
        """Keep a credential for good; IdentityError if its authority is not trusted."""
        with self._lock:
            if credential.authority not in self._authorities:
                raise IdentityError(f"the credential is of {credential.authority.hex()}, which is no trusted authority")
            held = self._given.get(credential.subject, ())
            if credential not in held:
                self._given[credential.subject] = (*held, credential)
        self._tell()

    def take(self, other: Trust) -> None:
        """Become as another trust is, in one step: pins, authorities, credentials and lists.

        Blocks stay, and so do newer lists, and what was learned of authorities that are still trusted.
        """
        with other._lock:
            pins, authorities = dict(other._pins), dict(other._authorities)
            given, lists = dict(other._given), dict(other._lists)
        with self._lock:
            self._pins, self._authorities, self._given = pins, authorities, given
            for key, one in lists.items():
                if key not in self._lists or one.number > self._lists[key].number:
                    self._lists[key] = one
            self._forget_strangers()
        self._tell()

    def _forget_strangers(self) -> None:
        """Credentials of authorities that are trusted no more."""
        for table in (self._given, self._learned):
            for subject, held in list(table.items()):
                kept = tuple(one for one in held if one.authority in self._authorities)
                if kept:
                    table[subject] = kept
                else:
                    del table[subject]

    @property
    def require_current_lists(self) -> bool:
        """Whether an authority's credentials are good only while it has a current list; may be set at any time."""
        return self._require_current_lists

    @require_current_lists.setter
    def require_current_lists(self, value: bool) -> None:
        self._require_current_lists = bool(value)
        self._tell()

    # -- what messages bring -------------------------------------------------------------------------------------------

    def learn(self, raw: bytes) -> Credential | Refusal:
        """The credential in these bytes, kept from now on, or why it is not.

        Only what a trusted authority has signed is kept, and a credential that is here already is not verified again;
        of another authority nothing is verified at all.
        """
        raw = bytes(raw) if len(raw) <= MAX_CREDENTIAL_BYTES else b""  # which `read` finds malformed
        with self._lock:
            for one in self.credentials(subject_of(raw)):
                if one.raw == raw:
                    return one
            if raw and authority_of(raw) not in self._authorities:
                return Refusal(Reason.NOT_PERMITTED, "a credential of an authority that is not trusted")
        found = Credential.read(raw)
        if isinstance(found, Credential):
            with self._lock:
                self._learn(found)
        return found

    def _learn(self, credential: Credential) -> None:
        if credential.authority not in self._authorities:  # not any more
            return
        held = [one for one in self._learned.get(credential.subject, ()) if one.raw != credential.raw]
        held.append(credential)
        held.sort(key=lambda one: one.not_after, reverse=True)
        self._learned[credential.subject] = tuple(held[:MAX_CREDENTIALS_OF_ONE])
        self._learned.move_to_end(credential.subject)
        while len(self._learned) > self._max_credentials:
            self._learned.popitem(last=False)

    # -- what is asked -------------------------------------------------------------------------------------------------

    def check(
        self,
        key: bytes,
        role: Role,
        topic: bytes | None = None,
        now: float | None = None,
        *,
        routing_id: bytes = b"",
    ) -> Refusal | None:
        """None if the owner of this public key may act in this role, else the refusal.

        Topics are looked at for `SEND` (to publish) and `RECEIVE` (to read), where there is one; a routing id where
        there is one. `blocked` is the reason for a blocked identity, `not-permitted` for all else.
        """
        now = self._clock() if now is None else now
        key = bytes(key)
        with self._lock:
            if key in self._blocked:
                return Refusal(Reason.BLOCKED, f"identity {key.hex()} is blocked")
            faults = []
            for rights, fault in self._claims(key, now):
                if not fault and (lacking := rights.lacks(role, topic, routing_id)):
                    fault = f"lacks {lacking}"
                if not fault:
                    return None
                faults.append(fault)
        why = faults[0] if faults else "is neither pinned nor has a credential of a trusted authority"
        return Refusal(Reason.NOT_PERMITTED, f"identity {key.hex()} {why}")

    def _claims(self, key: bytes, now: float) -> Iterator[tuple[Rights, str]]:
        """All that is said of a key: the rights, and why they do not count if they do not."""
        pinned = self._pins.get(key)
        if pinned is not None:
            yield pinned[1], ""
        if key in self._learned:
            self._learned.move_to_end(key)
        for credential in self.credentials(key):
            yield credential.rights, self._void(credential, now)

    def _void(self, credential: Credential, now: float) -> str:
        """Why a credential does not count now; empty if it does."""
        revocations = self._lists.get(credential.authority)
        if revocations is not None and revocations.revokes(credential):
            return f"has a credential, number {credential.serial}, that is revoked"
        if not credential.is_valid_at(now):
            return f"has a credential, number {credential.serial}, that is not valid now"
        if self._require_current_lists and (revocations is None or now > revocations.next_update):
            return f"has a credential, number {credential.serial}, of an authority without a current revocation list"
        return ""

    def rights(self, key: bytes, now: float | None = None) -> tuple[Rights, ...]:
        """All rights that count for a key now, each for itself; none for a blocked one."""
        now = self._clock() if now is None else now
        with self._lock:
            if bytes(key) in self._blocked:
                return ()
            return tuple(rights for rights, fault in self._claims(bytes(key), now) if not fault)

    def name_of(self, key: bytes, now: float | None = None) -> str:
        """What a key is called: as it was pinned, else the first name that a valid credential gives, else empty."""
        with self._lock:
            pinned = self._pins.get(bytes(key))
            if pinned is not None and pinned[0].name:
                return pinned[0].name
        return next((name for rights in self.rights(key, now) for name in rights.names), "")

    def is_blocked(self, key: bytes) -> bool:
        """Whether the identity is blocked."""
        return bytes(key) in self._blocked

    def credentials(self, key: bytes) -> tuple[Credential, ...]:
        """All that are kept for a key, whether they count or not."""
        key = bytes(key)
        return self._given.get(key, ()) + self._learned.get(key, ())

    @property
    def pins(self) -> dict[bytes, tuple[PublicIdentity, Rights]]:
        """A copy of the pinned keys with their rights."""
        with self._lock:
            return dict(self._pins)

    @property
    def authorities(self) -> tuple[PublicIdentity, ...]:
        """The trusted authorities."""
        with self._lock:
            return tuple(self._authorities.values())

    @property
    def given(self) -> tuple[Credential, ...]:
        """The credentials that the operator gave, in no order; those of messages are not among them."""
        with self._lock:
            return tuple(one for held in self._given.values() for one in held)

    @property
    def lists(self) -> tuple[RevocationList, ...]:
        """The newest revocation list of each authority that has one."""
        with self._lock:
            return tuple(self._lists.values())

    def __bool__(self) -> bool:
        """Whether anybody is trusted at all."""
        return bool(self._pins or self._authorities)

    def listen(self, listener: Any) -> None:
        """Call ``listener.trust_changed()`` after each change by the operator, for as long as the listener lives."""
        with self._lock:
            self._listeners.add(listener)

    def _tell(self) -> None:
        with self._lock:
            self.version += 1
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener.trust_changed()

    def __repr__(self) -> str:
        return f"Trust({len(self._pins)} pinned, {len(self._authorities)} authorities, {len(self._lists)} lists)"
