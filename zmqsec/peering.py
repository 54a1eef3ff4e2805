"""How a socket gets keys for its peers by handshakes (floor 11): whom it takes for one, and what follows its pairs.

A DEALER or a REQ opens handshakes with the one peer that it connects to (`zmqsec.pairing`); a ROUTER or a REP answers
those of many (`zmqsec.pairs`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import zmq

from .association import Association
from .errors import Reason, Refusal, SocketError
from .handshaker import Handshaker
from .identity import Identity, PublicIdentity
from .keyring import Keyring
from .message import Attest
from .pairing import Pairing
from .pairs import Pairs
from .party import Party, Permit, trusted_by
from .trust import Trust

if TYPE_CHECKING:
    from .channel import Channel
    from .receiver import Receiver

#: What a socket takes for its peer: one identity, several, whom a trust permits, or whom a function permits.
Peer = PublicIdentity | Identity | bytes | Trust | Permit | Iterable[PublicIdentity]

_OPEN = (zmq.DEALER, zmq.REQ)
_ANSWER = (zmq.ROUTER, zmq.REP)
#: Options of the transport, which a connection for handshakes needs as its socket has them.
_TRANSPORT = frozenset(
    int(getattr(zmq, name))
    for name in (
        "AFFINITY", "BINDTODEVICE", "CONNECT_TIMEOUT", "CURVE_PUBLICKEY", "CURVE_SECRETKEY", "CURVE_SERVERKEY",
        "HANDSHAKE_IVL", "HEARTBEAT_IVL", "HEARTBEAT_TIMEOUT", "HEARTBEAT_TTL", "IPV6", "PLAIN_PASSWORD",
        "PLAIN_USERNAME", "RECONNECT_IVL", "RECONNECT_IVL_MAX", "SOCKS_PROXY", "TCP_KEEPALIVE", "TCP_KEEPALIVE_CNT",
        "TCP_KEEPALIVE_IDLE", "TCP_KEEPALIVE_INTVL", "TOS", "ZAP_DOMAIN",
    )
    if hasattr(zmq, name)
)  # fmt: skip


def public_of(peer: Any) -> PublicIdentity | None:
    """The one identity that `peer` names; None for what is a policy."""
    if isinstance(peer, Identity):
        return peer.public
    if isinstance(peer, PublicIdentity):
        return peer
    return PublicIdentity(bytes(peer)) if isinstance(peer, (bytes, bytearray)) else None


def permit_of(peer: Any, trust: Trust) -> Permit:
    """Whom `peer` lets in."""
    one = public_of(peer)
    if one is not None:
        return _one_of((one,), trust)
    if isinstance(peer, Trust):
        return trusted_by(peer)
    if callable(peer):
        return peer  # type: ignore[no-any-return]
    if isinstance(peer, Iterable) and not isinstance(peer, str):
        every = list(peer)
        known = [found for found in map(public_of, every) if found is not None]
        if every and len(known) == len(every):
            return _one_of(tuple(known), trust)
    raise SocketError(
        f"peer={peer!r}: a public identity, a list of them, a Trust (as keyring.trust), zmqsec.anyone, or a function "
        "that permits are allowed"
    )


def _one_of(allowed: tuple[PublicIdentity, ...], trust: Trust) -> Permit:
    """Naming a peer is trusting it; only a block is stronger."""
    keys = frozenset(one.key for one in allowed)
    by_trust = trusted_by(trust)

    def permit(key: bytes, credential: bytes) -> Refusal | None:
        if key not in keys:
            return Refusal(Reason.NOT_PERMITTED, "not the peer that was named")
        refusal = by_trust(key, credential)
        return refusal if refusal is not None and refusal.reason == Reason.BLOCKED else None

    return permit


def open_only(receiver: Receiver, opening: list[Association], wanted: Sequence[Association]) -> None:
    """Open with these associations and no others; `opening` are those that the receiver has, before and afterwards."""
    for gone in tuple(opening):
        if not any(gone is one for one in wanted):
            receiver.remove(gone.spi)
            opening.remove(gone)
    for new in wanted:
        if not any(new is one for one in opening):
            receiver.add(new)
            opening.append(new)


class Peering:
    """What stands in the place of a socket's associations where handshakes make its keys."""

    identifies = True

    def __init__(
        self,
        implementation: ModuleType,
        keyring: Keyring | None,
        peer: Any,
        identity: Any,
        attest: Attest | None,
        clock: Callable[[], float],
        options: Mapping[str, Any],
        socket_type: int,
        handshaker: Handshaker,
    ) -> None:
        if socket_type not in (*_OPEN, *_ANSWER):
            name = zmq.SocketType(socket_type).name
            raise SocketError(
                f"peer= with {name}: DEALER and REQ open handshakes, ROUTER and REP answer them; "
                "the other types share a key, so give them association="
            )
        if not isinstance(identity, Identity):
            raise SocketError(f"peer= needs identity=, an Identity of one's own, and not {type(identity).__name__}")
        self._implementation, self._clock, self._handshaker = implementation, clock, handshaker
        self._keyring = Keyring() if keyring is None else keyring
        self._signs: dict[str, Any] = {}
        if attest not in (None, "none"):
            self._signs = {"identity": identity, "attest": attest, "routing_id": b""}
        self._identity = identity
        options = dict(options)
        times = {name: options.pop(name) for name in ("rekey_after", "reject_after", "quiet_after") if name in options}
        permit = permit_of(peer, self._keyring.trust)
        self._party = Party(identity, permit=permit, credential=self._credential, **options)
        self.sealing: Association | None = None
        self.opening: list[Association] = []
        self.pairing: Pairing | None = None
        self.pairs: Pairs | None = None
        self._times = times
        self._transport: dict[int, Any] = {}
        if socket_type in _OPEN:
            self.pairing = Pairing(self._party, public_of(peer), clock=time.monotonic, **times)
        self._front = [b""] if socket_type == zmq.REQ else []

    def attach(self, channel: Channel, changed: Callable[[], None]) -> None:
        """The channel that the keys are for; `changed` is called when there are new ones."""
        receiver = channel.receiver
        assert receiver is not None
        channel.aside.keeps = True
        if self.pairing is not None:
            self.pairing.changed = changed
            self.pairing.used = lambda: (channel.sealed, receiver.opened)
            return
        times = {"reject_after": self._times["reject_after"]} if "reject_after" in self._times else {}
        self.pairs = Pairs(self._party, receiver, self._session, clock=time.monotonic, **times)
        channel.answers.pairs = self.pairs

    def _credential(self) -> bytes:
        found = self._keyring.credential(self._identity)
        return b"" if found is None else found.raw

    def _session(self, association: Association) -> Any:
        return self._implementation.Session(association, clock=self._clock, **self._signs)

    def keep_option(self, option: int, value: Any) -> None:
        """An option of the socket; those of the transport are the handshakes' too."""
        if option in _TRANSPORT:
            self._transport[option] = value

    # -- the thread that makes keys ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The socket is in use, so its handshakes begin."""
        if self.pairing is not None and not self.pairing.wanted and self.pairing.want():
            self._handshaker.wake()

    def connect(self, endpoint: str) -> None:
        """The socket connects there, and so do its handshakes."""
        if self.pairing is not None:
            self._handshaker.connect(self.pairing, endpoint, self._front, self._transport)

    def disconnect(self, endpoint: str) -> None:
        """And no more."""
        if self.pairing is not None:
            self._handshaker.disconnect(self.pairing, endpoint)

    def close(self) -> None:
        """The socket is closed."""
        if self.pairing is not None:
            self._handshaker.forget(self.pairing)

    # -- as a Binding --------------------------------------------------------------------------------------------------

    def use_routing_id(self, routing_id: bytes, channel: Channel | None) -> None:
        """The routing id that the socket attests with from now on."""
        if self._signs:
            self._signs["routing_id"] = routing_id
            if channel is not None and channel.session is not None:
                channel.session.use_routing_id(routing_id)

    def follow_sealing(self, channel: Channel) -> None:
        """Seal with the newest key."""
        if self.pairing is not None and self.pairing.sending is not self.sealing:
            self.sealing = self.pairing.sending
            channel.use_session(None if self.sealing is None else self._session(self.sealing))

    def follow_opening(self, receiver: Receiver | None) -> None:
        """Open with all keys whose time is not over, and with none of a peer that is not permitted any more."""
        if self.pairs is not None:
            self.pairs.review()
        if self.pairing is None or receiver is None:
            return
        self.pairing.review()
        open_only(receiver, self.opening, self.pairing.receiving)
