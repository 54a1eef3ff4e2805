"""The keyring (floor 11): associations, identities and trust of a program, which running sockets follow."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from .association import Association
from .credential import Credential, newest
from .errors import AssociationError, IdentityError
from .expected import Expectation, Expected
from .identity import Identity, PublicIdentity
from .keydir import Passphrase, read_directory
from .trust import Trust

if TYPE_CHECKING:
    from .keyserver.client import KeyClient


class Keyring:
    """The associations of a program, by name and by SPI. Changes reach running sockets at their next call.

    Under one name there can be several, one for each epoch: the current one seals, and all of them open. So a key
    changes without a lost message: `accept` the next one at every receiver, `replace` the current one at the senders,
    and `retire` the previous one when nothing sealed with it is under way any more. Of a handshake's pair the receiving
    half is accepted and retired, and the sending half only replaced: it never opens, and its SPI is the peer's affair.
    """

    def __init__(
        self,
        associations: Iterable[Association] = (),
        *,
        identities: Iterable[Identity] = (),
        trust: Trust | None = None,
    ) -> None:
        self._by_name: dict[str, Association] = {}
        self._accepted: dict[str, tuple[Association, ...]] = {}  # beside the current one, the newest last
        self._by_spi: dict[int, Association] = {}
        self._expected: dict[int, Expectation] = {}
        self._listeners: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()  # sockets are made in one thread while another changes the keyring
        #: What follows a key server, where the keyring came from one.
        self.client: KeyClient | None = None
        self._identities: dict[str, Identity] = {}
        self._own: dict[bytes, tuple[Credential, ...]] = {}  # of these identities, by public key
        #: Which other identities are trusted; a change reaches running sockets as that of an association does.
        self.trust: Final = Trust() if trust is None else trust
        self.trust.listen(self)
        for association in associations:
            self.add(association)
        for identity in identities:
            self.add_identity(identity)

    @classmethod
    def load(cls, directory: str | os.PathLike[str], passphrase: Passphrase = None) -> Keyring:
        """Associations, identities, pinned keys, authorities, credentials and revocation lists of a directory.

        Every ``*.toml``, ``*.cred`` and ``*.revoked`` is read, in the order of their names. `passphrase` is one for all
        identities that have one, or a function that is given the file's path.
        """
        found = read_directory(directory, passphrase)
        made = cls(found.associations, identities=found.identities, trust=found.trust)
        for credential in found.own:
            made.add_credential(credential)
        return made

    @classmethod
    def from_server(
        cls,
        endpoint: str | Iterable[str],
        *,
        identity: Identity,
        server: PublicIdentity | bytes | str,
        groups: Iterable[str] | None = None,
        timeout: float = 10.0,
    ) -> Keyring:
        """The keys of one's groups from a key server, which then change on their own until `close`.

        `endpoint` is where the server is, or several servers of one realm are; `server` the public key that they have,
        pinned. `groups` are the names of some, by default all that the member is in; each is the name of its
        association. KeyServerError if there are no keys in `timeout` seconds.
        """
        from .keyserver import client

        pinned = client.public_of(server)
        made = cls(identities=[identity])
        made.trust.add_authority(pinned)
        endpoints = [endpoint] if isinstance(endpoint, str) else list(endpoint)
        follower = client.KeyClient(made, endpoints, pinned, groups=groups, open_dealer=client.dealer(identity, pinned))
        follower.start(timeout)
        made.client = follower
        return made

    def close(self) -> None:
        """Follow the key server no more, if the keyring does; the keys that are here stay."""
        if self.client is not None:
            self.client.close()

    def reload_trust(self, directory: str | os.PathLike[str]) -> None:
        """Read a directory again, and trust whom it names now, in one step.

        The credentials of one's own identities are read again too; associations and identities stay as they are.
        """
        found = read_directory(directory, trust_only=True)
        keys = {one.key for one in self.identities}
        self._own = {key: tuple(one for one in found.own if one.subject == key) for key in keys}
        self.trust.take(found.trust)

    def add(self, association: Association) -> None:
        """Add an association; its name and its SPI must be new."""
        self._check(association)
        if association.name in self._by_name:
            raise AssociationError(f"the keyring has an association named {association.name!r} already; see replace")
        self._by_name[association.name] = association
        self._enter(association)
        self._tell()

    def accept(self, association: Association) -> None:
        """Open with this association too under its name, and do not seal with it yet; its SPI must be new."""
        self._check(association, seals=False)
        self._accepted[association.name] = (*self._accepted.get(association.name, ()), association)
        self._by_spi[association.spi] = association
        self._tell()

    def replace(self, association: Association) -> None:
        """Seal with this association under its name; the one before goes on opening until it is retired."""
        name = association.name
        self._check(association, may_stand=True)
        before = self._by_name.get(name)
        if before is association:
            return
        others = tuple(one for one in self._accepted.get(name, ()) if one is not association)
        self._accepted[name] = (*others, before) if before is not None and _opens(before) else others
        self._by_name[name] = association
        self._enter(association)
        self._tell()

    def retire(self, spi: int) -> None:
        """Forget one association by its SPI, with its windows and keys in every running socket."""
        association = self._by_spi.get(spi)
        if association is None:
            raise AssociationError(f"SPI {spi:#010x} is none of this keyring's")
        name = association.name
        if self._by_name.get(name) is association:
            del self._by_name[name]
        self._accepted[name] = tuple(one for one in self._accepted.get(name, ()) if one is not association)
        del self._by_spi[spi]
        self._expected.pop(spi, None)
        self._tell()

    def expect(self, spi: int, expectation: Expectation) -> None:
        """Tell receivers that join late which sessions of an association go on, now or before it is accepted.

        The floor is that of sockets that take the association up from now on; in the others it stays, and sessions
        below it that they have not met are taken from their sequence number on.
        """
        if self._expected.get(spi) != expectation:
            self._expected[spi] = expectation
            self._tell()

    def expectation(self, spi: int) -> Expectation | None:
        """What was told last of an association."""
        return self._expected.get(spi)

    def sealing(self) -> list[tuple[int, Expected]]:
        """The sessions in which running sockets seal now, each with its SPI: what others may be told to expect."""
        with self._lock:
            listeners = tuple(self._listeners)
        found = (one.sealing() for one in listeners if hasattr(one, "sealing"))
        return [one for one in found if one is not None]

    def remove(self, name: str) -> None:
        """Forget all associations of that name."""
        if not self.opening(name) and name not in self:
            self.get(name)  # which says what names there are
        for association in self.opening(name):
            del self._by_spi[association.spi]
            self._expected.pop(association.spi, None)
        self._by_name.pop(name, None)
        self._accepted.pop(name, None)
        self._tell()

    def opening(self, name: str) -> tuple[Association, ...]:
        """All that open under this name, the current one first; empty if there are none."""
        current = self._by_name.get(name)
        return (*((current,) if current is not None and _opens(current) else ()), *self._accepted.get(name, ()))

    def opens(self, spi: int) -> bool:
        """Whether an association with this SPI opens; one that is drawn at random must not."""
        return spi in self._by_spi

    def _enter(self, association: Association) -> None:
        if _opens(association):
            self._by_spi[association.spi] = association

    def _check(self, association: Association, *, seals: bool = True, may_stand: bool = False) -> None:
        if not isinstance(association, Association):
            raise AssociationError(f"a keyring holds Association objects, not {type(association).__name__}")
        if association.direction == ("receive" if seals else "send"):
            raise AssociationError(f"{association!r} {'opens and never seals' if seals else 'seals and never opens'}")
        there = self._by_spi.get(association.spi) if _opens(association) else None
        if there is not None and not (may_stand and there is association):
            other = there.name
            raise AssociationError(f"SPI {association.spi:#010x} of {association.name!r} is that of {other!r}")

    def get(self, name: str) -> Association:
        """The association of that name; AssociationError names those that are there."""
        try:
            return self._by_name[name]
        except KeyError:
            there = ", ".join(sorted(self._by_name)) or "none"
            raise AssociationError(f"no association named {name!r} in the keyring; there are: {there}") from None

    def add_identity(self, identity: Identity) -> None:
        """Add an identity of one's own; its name must be new."""
        if not isinstance(identity, Identity):
            raise IdentityError(f"{type(identity).__name__} is no Identity of one's own; see trust.pin for others'")
        if identity.name in self._identities:
            raise IdentityError(f"the keyring has an identity named {identity.name!r} already")
        self._identities[identity.name] = identity

    def identity(self, name: str) -> Identity:
        """One's own identity of that name; IdentityError names those that are there."""
        try:
            return self._identities[name]
        except KeyError:
            there = ", ".join(map(repr, sorted(self._identities))) or "none"
            raise IdentityError(f"no identity named {name!r} in the keyring; there are: {there}") from None

    @property
    def identities(self) -> tuple[Identity, ...]:
        """One's own identities."""
        return tuple(self._identities.values())

    def add_credential(self, credential: Credential) -> None:
        """Keep a credential of an identity of one's own, to be shown to others."""
        if all(credential.subject != one.key for one in self._identities.values()):
            raise IdentityError(f"the credential is of {credential.subject.hex()}, none of this keyring's identities")
        held = self._own.get(credential.subject, ())
        kept = (one for one in held if one.not_after >= credential.not_before)  # the others are of no use any more
        self._own[credential.subject] = (*kept, credential)

    def credential(self, identity: Identity, now: float | None = None) -> Credential | None:
        """What this identity has to show: of its credentials that hold now, the one that holds longest."""
        now = time.time() if now is None else now
        return newest(one for one in self._own.get(identity.key, ()) if one.is_valid_at(now))

    def trust_changed(self) -> None:
        """The trust calls this after each change."""
        self._tell()

    def listen(self, listener: Any) -> None:
        """Call ``listener.keyring_changed()`` after each change, for as long as the listener lives."""
        with self._lock:
            self._listeners.add(listener)

    def _tell(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener.keyring_changed()

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Association]:
        return iter(tuple(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._by_name) or 'empty'})"


def _opens(association: Association) -> bool:
    return association.direction != "send"
