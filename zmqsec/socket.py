"""The secured socket (floor 11): pyzmq's Socket whose messages are sealed on the way out and opened on the way in.

It never sends or accepts plaintext. What it sends and receives in clear is what ZeroMQ itself needs: topics, which are
bound to their messages, and the envelopes of ROUTER and DEALER (see ``pattern``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import zmq

from . import limits
from .errors import Reason, SocketError
from .keyring import Association, Keyring
from .lockstep import Request
from .pattern import pattern_of
from .receiving import Receiving
from .sending import Sending
from .state import Binding, State
from .stats import OnRefused, Reporter, Stats


class Socket(Sending, Receiving):
    """A socket whose messages are sealed and opened; made by :meth:`zmqsec.Context.socket`.

    `association` names the one to seal with (a name in the context's keyring, or an Association); without one the
    socket sends and accepts nothing. `receive` lists those accepted, by default the same one. `max_message` bounds a
    sealed part, in bytes, and is set as ZMQ_MAXMSGSIZE; `max_parts` and `max_depth` bound its parts. `understood` names
    critical metadata that the application acts on. `on_refused` is called with each Refusal.
    """

    _state: State = None  # type: ignore[assignment]

    def __init__(
        self,
        context: Any = None,
        socket_type: int = 0,
        *,
        association: str | Association | None = None,
        receive: Iterable[str | Association] | None = None,
        max_message: int = limits.MAX_MESSAGE_BYTES,
        max_parts: int = limits.MAX_PARTS,
        max_depth: int = limits.MAX_DEPTH,
        understood: Collection[str] = (),
        on_refused: OnRefused | None = None,
        clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        if options.get("shadow") or isinstance(context, zmq.Socket):
            raise SocketError("a secured socket cannot shadow another; make it with Context.socket")
        pattern = pattern_of(socket_type)
        super().__init__(context, pattern.underlying, **options)
        self.__dict__["type"] = pattern.type
        self._type_name = pattern.type.name
        try:
            super().set(zmq.MAXMSGSIZE, max_message)
            keyring: Keyring | None = getattr(context, "keyring", None)
            channel, binding = None, None
            if association is not None:
                implementation = context.implementation
                binding = Binding(implementation, keyring, association, receive, clock)
                channel = implementation.Channel(
                    self,
                    binding.session() if pattern.sends else None,
                    implementation.Receiver(
                        binding.opening,
                        clock=clock,
                        max_message=max_message,
                        max_parts=max_parts,
                        max_depth=max_depth,
                        understood=understood,
                    ),
                    layout=pattern.layout,
                    accept_subscriptions=pattern.type == zmq.XPUB,
                )
            elif receive is not None:
                raise SocketError("receive=... needs association=..., the one that this socket seals with")
        except BaseException:
            super().close(0)
            raise
        self._state = State(pattern, channel, binding, Reporter(pattern.type.name, on_refused))
        if keyring is not None:
            keyring.listen(self._state)

    # -- options ---------------------------------------------------------------------------------------------------

    def get(self, option: int) -> Any:
        """As pyzmq's; TYPE is the secured type, RCVMORE and EVENTS know of parts that wait here."""
        state = self._state
        if state is not None:
            if option == zmq.TYPE:
                return int(state.pattern.type)
            if option == zmq.RCVMORE:
                return int(bool(state.rest))
            if option == zmq.EVENTS and (state.ready or state.rest):
                return super().get(option) | zmq.POLLIN
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

    setsockopt = set
    getsockopt = get

    @property
    def stats(self) -> Stats:
        """How many sealed parts were sealed, opened, and refused by reason."""
        state = self._state
        if state.channel is None or state.channel.receiver is None:
            return Stats(0, 0, {str(reason): 0 for reason in Reason})
        refused = dict(state.channel.receiver.refused)
        refused[str(Reason.MALFORMED)] += state.refused
        return Stats(state.channel.sealed, state.channel.receiver.opened, refused)

    def poll(self, timeout: int | None = None, flags: int = zmq.POLLIN) -> int:
        """As pyzmq's; messages of a bundle that wait here count as POLLIN."""
        state = self._state
        if flags & zmq.POLLIN and (state.ready or state.rest):
            return int(zmq.POLLIN | (super().poll(0, flags & ~zmq.POLLIN) if flags & ~zmq.POLLIN else 0))
        return int(super().poll(timeout, flags))
