"""The secured socket (floor 11): pyzmq's Socket whose messages are sealed on the way out and opened on the way in.

It never sends or accepts plaintext. What it sends and receives in clear is what ZeroMQ itself needs: topics, which are
bound to their messages, and the envelopes of ROUTER and DEALER (see ``pattern``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import zmq

from . import limits
from .association import Association
from .backend import implementation as default_implementation
from .errors import Reason, SocketError
from .identity import Identity, PublicIdentity
from .keyring import Keyring
from .lockstep import Request
from .message import Attest
from .pairing import PeerState
from .pattern import Pattern, pattern_of
from .peering import Peer, Peering
from .receiving import Receiving
from .sending import Sending
from .state import Binding, State
from .stats import OnRefused, Reporter, Stats

if TYPE_CHECKING:
    from .channel import Channel


def _signing(
    pattern: Pattern, identity: Identity | PublicIdentity | None, attest: Attest | None
) -> tuple[Identity | PublicIdentity | None, Attest]:
    """Who attests what a socket of this pattern sends, and how."""
    able = pattern.sends and isinstance(identity, Identity)
    if attest is None:
        attest = "batch" if able else "none"
    elif attest != "none" and not pattern.sends:
        raise SocketError(f"attest={attest!r}: {pattern.type.name} sends nothing that it could attest")
    return identity, attest


class Socket(Sending, Receiving):
    """A socket whose messages are sealed and opened; made by :meth:`zmqsec.Context.socket`.

    `association` names the one to seal with (a name in the context's keyring, or an Association), or `peer` says whom
    handshakes make keys with; without either the socket sends and accepts nothing. `receive` lists those accepted, by
    default the same one. `max_message` bounds a sealed part, in bytes, and is set as ZMQ_MAXMSGSIZE; `max_parts` and
    `max_depth` bound its parts. `understood` names critical metadata that the application acts on. `on_refused` is
    called with each Refusal.
    """

    _state: State = None  # type: ignore[assignment]
    _repr_cls = "zmqsec.Socket"
    _plain_class: Any = zmq.Socket

    def __init__(
        self,
        context: Any = None,
        socket_type: int = 0,
        *,
        association: str | Association | None = None,
        receive: Iterable[str | Association] | None = None,
        identity: Identity | PublicIdentity | None = None,
        attest: Attest | None = None,
        peer: Peer | None = None,
        handshake: Mapping[str, Any] | None = None,
        max_message: int = limits.MAX_MESSAGE_BYTES,
        max_parts: int = limits.MAX_PARTS,
        max_depth: int = limits.MAX_DEPTH,
        understood: Collection[str] = (),
        on_refused: OnRefused | None = None,
        clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        if options.get("shadow") or not isinstance(context, zmq.Context):
            raise SocketError("a secured socket cannot shadow another; make it with Context.socket")
        pattern = pattern_of(socket_type)
        super().__init__(context, pattern.underlying, **options)
        self.__dict__["type"] = pattern.type
        self._type_name = pattern.type.name
        try:
            super().set(zmq.MAXMSGSIZE, max_message)
            keyring: Keyring | None = getattr(context, "keyring", None)
            channel: Channel | None = None
            binding: Binding | Peering | None = None
            implementation = getattr(context, "implementation", default_implementation)
            session = None
            if peer is not None:
                if association is not None or receive is not None:
                    raise SocketError("peer= makes keys by handshakes; association= and receive= are for shared ones")
                handshaker = getattr(context, "handshaker", None)
                if handshaker is None:
                    raise SocketError("peer= needs a zmqsec.Context, whose thread makes the keys")
                binding = Peering(
                    implementation, keyring, peer, identity, attest, clock, handshake or {}, pattern.type, handshaker
                )
            elif association is not None:
                signing = _signing(pattern, identity, attest)
                binding = Binding(implementation, keyring, association, receive, clock, *signing)
                session = binding.session() if pattern.sends else None
            elif receive is not None or identity is not None or attest is not None or handshake is not None:
                raise SocketError(
                    "receive=, identity=, attest= and handshake= need association=, the one to seal with, or peer="
                )
            if binding is not None:
                channel = implementation.Channel(
                    self,
                    session,
                    implementation.Receiver(
                        binding.opening,
                        clock=clock,
                        max_message=max_message,
                        max_parts=max_parts,
                        max_depth=max_depth,
                        understood=understood,
                        me=identity,
                        trust=getattr(keyring, "trust", None),
                    ),
                    layout=pattern.layout,
                    accept_subscriptions=pattern.type == zmq.XPUB,
                )
        except BaseException:
            super().close(0)
            raise
        self._state = State(pattern, channel, binding, Reporter(pattern.type.name, on_refused))
        self._shorten(getattr(getattr(context, "implementation", default_implementation), "Direct", None))
        if keyring is not None:
            keyring.listen(self._state)
            self._state.keyring_changed()  # it may have changed since the association was looked up

    def _shorten(self, direct: Any) -> None:
        """Let the C core's `Direct` take these calls first, unless a subclass has its own."""
        state, cls = self._state, type(self)
        own = {"send": Sending, "send_many": Sending, "recv": Receiving, "recv_many": Receiving}
        if direct is None or state.channel is None:
            return
        if any(getattr(cls, name) is not getattr(half, name) for name, half in own.items()):
            return
        state.shortcut = direct(
            state.channel, Sending, Receiving, partial=state.partial, rest=state.rest, ready=state.ready
        )
        state.choose_path()
        self.__dict__.update((name, getattr(state.shortcut, name)) for name in own)

    # -- options ---------------------------------------------------------------------------------------------------

    def get(self, option: int) -> Any:
        """As pyzmq's; TYPE is the secured type, RCVMORE and EVENTS know of parts that wait here."""
        state = self._state
        if state is not None:
            if option == zmq.TYPE:
                return int(state.pattern.type)
            if option == zmq.RCVMORE and not self.closed:
                return int(bool(state.rest))
            if option == zmq.EVENTS and (state.ready or state.rest):
                return int(super().get(option)) | int(zmq.POLLIN)
        return super().get(option)

    def set(self, option: int, value: Any) -> None:
        """As pyzmq's; REQ_RELAXED and REQ_CORRELATE work on a REQ socket."""
        state = self._state
        if state is not None:
            if option == zmq.RCVTIMEO:
                state.receive_timeout = int(value)
                state.choose_path()
            if isinstance(state.lockstep, Request) and option in (zmq.REQ_RELAXED, zmq.REQ_CORRELATE):
                setattr(state.lockstep, "relaxed" if option == zmq.REQ_RELAXED else "correlate", bool(value))
                return
        super().set(option, value)
        if state is not None and isinstance(state.binding, Peering):
            state.binding.keep_option(option, value)
        if state is not None and option == zmq.ROUTER_MANDATORY:
            state.mandatory = bool(value)
        elif state is not None and option == zmq.ROUTING_ID and state.binding is not None:
            state.binding.use_routing_id(bytes(value), state.channel)

    setsockopt = set  # type: ignore[assignment]
    getsockopt = get

    # -- endpoints -------------------------------------------------------------------------------------------------

    def bind(self, addr: str) -> Any:
        """As pyzmq's; a socket that opens handshakes connects."""
        if self._state is not None and self._state.pairing is not None:
            raise SocketError(f"{self._type_name} with peer= opens handshakes, so it connects; let its peer bind")
        return super().bind(addr)

    def connect(self, addr: str) -> Any:
        """As pyzmq's; with peer= a second connection is made, for handshakes."""
        made = super().connect(addr)
        if self._state is not None and isinstance(self._state.binding, Peering):
            self._state.binding.connect(addr)
        return made

    def disconnect(self, addr: str | bytes) -> None:
        """As pyzmq's."""
        super().disconnect(addr)
        if self._state is not None and isinstance(self._state.binding, Peering):
            self._state.binding.disconnect(addr if isinstance(addr, str) else addr.decode())

    @property
    def peer(self) -> PeerState | None:
        """For a socket that opens handshakes: its peer, and whether there are keys and the peer answers; else None."""
        state = self._state
        return None if state.pairing is None else state.pairing.state

    @property
    def stats(self) -> Stats:
        """How many sealed parts were sealed, opened, and refused by reason."""
        state = self._state
        if state.channel is None or state.channel.receiver is None:
            return Stats(0, 0, {str(reason): 0 for reason in Reason})
        refused = dict(state.channel.receiver.refused)
        refused[str(Reason.MALFORMED)] += state.refused
        return Stats(state.channel.sealed, state.channel.receiver.opened, refused)

    def close(self, linger: int | None = None) -> None:
        """As pyzmq's, but not while another thread is in a call on the socket: libzmq would end the process."""
        state = self._state
        if state is not None and state.channel is not None and state.channel.is_used_elsewhere():
            raise SocketError(
                "another thread is in a call on this socket; let it return, or terminate the context, which wakes it"
            )
        super().close(linger)
        if state is not None:
            state.forget()
            if isinstance(state.binding, Peering):
                state.binding.close()

    def get_monitor_socket(self, events: int | None = None, addr: str | None = None) -> Any:
        """As pyzmq's, and a plain socket: what it receives are libzmq's own events within this process."""
        monitor = self._monitor_socket
        if monitor is None or monitor.closed:
            address = addr or f"inproc://monitor.s-{self.get(zmq.FD)}"
            self.monitor(address, zmq.EVENT_ALL if events is None else events)
            monitor = self._monitor_socket = self.context.socket(zmq.PAIR, socket_class=self._plain_class)
            monitor.connect(address)
        return monitor

    def poll(self, timeout: int | None = None, flags: int = zmq.POLLIN) -> int:
        """As pyzmq's, in milliseconds; messages of a bundle that wait here count as POLLIN.

        POLLIN says that a message came, not that it will open: to be sure not to wait, receive with NOBLOCK.
        """
        state = self._state
        if isinstance(state.binding, Peering):
            state.binding.begin()
        if flags & zmq.POLLIN and (state.ready or state.rest):
            return int(zmq.POLLIN | (super().poll(0, flags & ~zmq.POLLIN) if flags & ~zmq.POLLIN else 0))
        if state.channel is None:
            return int(super().poll(timeout, flags))
        return int(state.channel.poll(timeout, flags))
