"""What a secured socket keeps beside libzmq's own state (floor 11)."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import zmq

from .association import Association
from .errors import AssociationError, SocketError
from .expected import Expectation, Expected
from .identity import Identity, PublicIdentity
from .keyring import Keyring
from .lockstep import Reply, Request
from .message import Attest
from .pairing import Pairing
from .pairs import Pairs
from .pattern import Envelopes, Pattern
from .peering import Peering, open_only
from .peers import Peers, Requests
from .stats import Reporter

if TYPE_CHECKING:
    from .channel import Channel
    from .receiver import Receiver

NO_LIMIT = -1


def find(association: str | Association, keyring: Keyring | None) -> Association:
    """The association itself, or the one of that name in the keyring."""
    if isinstance(association, Association):
        return association
    if not isinstance(association, str):
        raise SocketError(f"association={association!r}: a name or an Association is allowed")
    if keyring is None:
        raise AssociationError(f"association={association!r}, but the context has no keyring to look in")
    return keyring.get(association)


def _shown(keyring: Keyring, identity: Identity, now: float) -> bytes | None:
    """The credential that an identity has to show."""
    found = keyring.credential(identity, now)
    return None if found is None else found.raw


class Binding:
    """The associations of a socket as they were named, and as they stand in its session and its receiver."""

    def __init__(
        self,
        implementation: ModuleType,
        keyring: Keyring | None,
        association: str | Association,
        receive: Iterable[str | Association] | None,
        clock: Callable[[], float],
        identity: Identity | PublicIdentity | None = None,
        attest: Attest = "none",
    ) -> None:
        self._implementation, self._keyring, self._clock = implementation, keyring, clock
        self._signs: dict[str, Any] = {"identity": identity, "attest": attest, "routing_id": b""}
        if keyring is not None and isinstance(identity, Identity):
            self._signs["show"] = functools.partial(_shown, keyring, identity)
        self._told: dict[int, Expectation] = {}
        self._sealing_name = association
        self._opening_names = [association] if receive is None else list(receive)
        self.sealing: Association | None = find(association, keyring)
        self.opening = [one for name in self._opening_names for one in self._named(name) or self._only(name)]
        self._look()

    def session(self) -> Any:
        """A new session of the association to seal with."""
        return self._implementation.Session(self.sealing, clock=self._clock, **self._signs)

    def use_routing_id(self, routing_id: bytes, channel: Channel | None) -> None:
        """The routing id that the socket attests with from now on."""
        self._signs["routing_id"] = routing_id
        if channel is not None and channel.session is not None:
            channel.session.use_routing_id(routing_id)

    def _look(self) -> None:
        #: Whether every message that is opened comes from a proven identity.
        self.identifies = bool(self.opening) and all(one.attestation == "required" for one in self.opening)

    def _named(self, name: str | Association) -> tuple[Association, ...]:
        """All that open under a name now; an association that was given itself."""
        if isinstance(name, Association):
            return (name,) if name.direction != "send" else ()
        return self._keyring.opening(name) if isinstance(name, str) and self._keyring is not None else ()

    def _only(self, name: str | Association) -> list[Association]:
        """Nothing where there is one that only seals; else AssociationError says what is wrong with the name."""
        return [one for one in [find(name, self._keyring)] if one.direction != "send"]

    def _to_seal_with(self) -> Association | None:
        name = self._sealing_name
        if isinstance(name, Association):
            return name
        return self._keyring.get(name) if self._keyring is not None and name in self._keyring else None

    def follow_sealing(self, channel: Channel) -> None:
        """Follow the keyring: what left it is not sealed with any more, what came in its place is."""
        sealing = self._to_seal_with()
        if sealing is not self.sealing:
            self.sealing = sealing
            if channel.session is not None or sealing is not None:
                channel.use_session(None if sealing is None else self.session())

    def follow_opening(self, receiver: Receiver | None) -> None:
        """Follow the keyring: what left it is not opened any more, what came in its place is."""
        opening = [one for name in self._opening_names for one in self._named(name)]
        if receiver is not None:
            open_only(receiver, self.opening, opening)
            self._expect(receiver)
        self._look()

    def _expect(self, receiver: Receiver) -> None:
        """Tell the receiver which sessions go on; the floor only once, for it had none of the association's before."""
        told = self._told
        self._told = {}
        for spi in [one.spi for one in self.opening] if self._keyring is not None else ():
            expectation = self._keyring.expectation(spi)  # type: ignore[union-attr]
            if expectation is None:
                continue
            self._told[spi] = expectation
            if spi not in told:
                receiver.raise_floor(spi, expectation.floor)
            if told.get(spi) is not expectation:
                for expected in expectation.sessions:
                    receiver.expect(spi, expected)


class State:
    """A plain object, quicker to write to than pyzmq's attributes."""

    def __init__(
        self, pattern: Pattern, channel: Channel | None, binding: Binding | Peering | None, reporter: Reporter
    ) -> None:
        self.pattern, self.channel, self.binding, self.reporter = pattern, channel, binding, reporter
        self.stale = self.is_closed = False
        self.ready: deque[tuple[Any, int]] = deque()  # items of a bundle not yet asked for, with their fronts
        self.partial: list[Any] = []  # parts given with SNDMORE
        self.rest: deque[Any] = deque()  # parts of a message that recv has begun to hand out
        self.envelopes, self.requests, self.peers = Envelopes(), Requests(), Peers()
        self.mandatory = False  # ROUTER_MANDATORY
        self.lockstep: Request | Reply | None = None
        self.refused = 0  # by the socket itself, all of them `malformed`
        self.receive_timeout = NO_LIMIT
        self.shortcut: Any = None  # the C core's Direct, if it stands in front of send and recv
        if pattern.type == zmq.REQ:
            self.lockstep = Request()
        elif pattern.type == zmq.REP:
            self.lockstep = Reply()
        if channel is not None and binding is not None:
            channel.answers.marking = pattern.type in (zmq.ROUTER, zmq.REP)
            channel.answers.matching = pattern.answers
            channel.follow = functools.partial(binding.follow_opening, channel.receiver)
        self.shakes_hands = isinstance(binding, Peering)
        self.pairing: Pairing | None = None
        self.pairs: Pairs | None = None
        if isinstance(binding, Peering) and channel is not None:
            binding.attach(channel, self.keyring_changed)
            self.pairing, self.pairs = binding.pairing, binding.pairs
        self.choose_path()

    @property
    def by_identity(self) -> bool:
        """Whether peers are addressed by their fingerprints: on a ROUTER that opens attested messages only."""
        return self.pattern.type == zmq.ROUTER and self.binding is not None and self.binding.identifies

    def choose_path(self) -> None:
        """Whether send and recv may go straight to the channel: nothing has to stand in front or be looked at."""
        usable = self.channel is not None and not self.stale and self.lockstep is None and not self.pattern.routes
        self.direct = (
            usable and self.pattern.sends and self.pattern.type != zmq.XSUB and self.channel.session is not None  # type: ignore[union-attr]
        )
        if self.shortcut is not None:
            self.shortcut.sends = self.direct
            self.shortcut.receives = usable and self.pattern.receives and self.receive_timeout < 0

    def keyring_changed(self) -> None:
        """Leave the fast path; the next call on the socket's own thread follows the keyring."""
        self.stale = True
        if self.channel is not None:
            self.channel.stale = True  # for a call that is waiting now
        self.choose_path()

    def sealing(self) -> tuple[int, Expected] | None:
        """The session in which the socket seals now, with its SPI; asked for by any thread."""
        session = None if self.channel is None else self.channel.session
        if session is None or self.is_closed:
            return None
        origin = b"" if session.identity is None else session.identity.key
        # The number is read last: the session may move on meanwhile, and what is told is never too high.
        return session.association.spi, Expected(session.session_id, session.sequence, origin)

    def forget(self) -> None:
        """The socket is closed: nothing waits here any more."""
        self.is_closed = True
        self.ready.clear()
        self.rest.clear()
        self.partial.clear()

    def refresh(self) -> None:
        """Follow the keyring."""
        self.stale = False
        if self.channel is not None and self.binding is not None:
            self.channel.stale = False
            self.binding.follow_opening(self.channel.receiver)
            self.binding.follow_sealing(self.channel)
        self.choose_path()
        if self.stale:  # another thread changed the keyring meanwhile
            self.choose_path()
