"""The secured context, which makes secured sockets from a keyring, and a poller that knows them (floor 12)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from types import ModuleType
from typing import Any

import zmq

from . import limits
from .association import Association
from .backend import implementation as default_implementation
from .errors import AssociationError, SocketError
from .handshaker import Handshaker
from .identity import Identity, PublicIdentity
from .keyring import Keyring
from .message import Attest
from .peering import Peer
from .socket import Socket
from .stats import OnRefused


def as_keyring(keyring: Keyring | Iterable[Association] | None) -> Keyring:
    """A keyring as it is, or one made of associations."""
    if keyring is None:
        return Keyring()
    if isinstance(keyring, Keyring):
        return keyring
    if isinstance(keyring, (str, bytes, Association)) or not isinstance(keyring, Iterable):
        raise AssociationError(f"keyring={keyring!r}: a Keyring or an iterable of Associations is allowed")
    return Keyring(keyring)


class Context(zmq.Context[Socket]):
    """pyzmq's Context whose sockets are secured.

    `keyring` is a Keyring, or the associations for one; ``ctx.socket(zmq.PUSH, association="orders")`` makes a socket
    that seals with the association of that name. A socket without an association sends and accepts nothing.
    """

    _socket_class: type[Socket] = Socket
    _instance: Any = None  # not shared with the plain Context, which would make plain sockets
    _repr_cls = "zmqsec.Context"
    keyring: Keyring = None  # type: ignore[assignment]
    implementation: ModuleType = default_implementation

    def __init__(
        self,
        *arguments: Any,
        keyring: Keyring | Iterable[Association] | None = None,
        _implementation: ModuleType | None = None,
        **options: Any,
    ) -> None:
        checked = as_keyring(keyring)
        super().__init__(*arguments, **options)
        self.__dict__["keyring"] = checked
        self.__dict__["implementation"] = _implementation or default_implementation

    @classmethod
    def instance(cls, io_threads: int = 1, keyring: Keyring | Iterable[Association] | None = None) -> Context:
        """The global secured context of this process; the first call may give its keyring."""
        with cls._instance_lock:
            known = cls.__dict__.get("_instance")
            if known is None or known.closed or cls._instance_pid != os.getpid():
                known = cls._instance = cls(io_threads=io_threads, keyring=keyring)
                cls._instance_pid = os.getpid()
            elif keyring is not None and keyring is not known.keyring:
                raise AssociationError("the global context has its keyring already; add associations to that one")
        return known

    @property
    def handshaker(self) -> Handshaker:
        """The thread that makes keys for the sockets of this context."""
        with self._instance_lock:
            if self.__dict__.get("_handshaker") is None:
                self.__dict__["_handshaker"] = Handshaker(self.underlying)
            return self.__dict__["_handshaker"]  # type: ignore[no-any-return]

    def _stop_handshakes(self) -> None:
        handshaker = self.__dict__.pop("_handshaker", None)
        if handshaker is not None:
            handshaker.stop()

    def term(self) -> None:
        """As pyzmq's."""
        self._stop_handshakes()
        super().term()

    def destroy(self, linger: int | None = None) -> None:
        """As pyzmq's."""
        self._stop_handshakes()
        super().destroy(linger)

    def __copy__(self, memo: Any = None) -> Context:
        """A shadow with the same keyring."""
        return self.__class__(shadow=self, keyring=self.keyring, _implementation=self.implementation)

    __deepcopy__ = __copy__

    def socket(
        self,
        socket_type: int,
        socket_class: Any = None,
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
    ) -> Socket:
        """A secured socket: PUSH, PULL, PUB, SUB, XPUB, XSUB, DEALER, ROUTER, REQ, REP or PAIR.

        `association` names the one to seal with, in the keyring, or is an Association; without it the socket
        sends and accepts nothing. `receive` lists those accepted, by default the same one. With an `identity`
        messages for others are refused, and what is sent is signed, each message or each batch of `send_many`
        as `attest` says ("none", "message", "batch"; "batch" by default where the identity can sign).
        With `peer` in the place of `association` handshakes make the keys, and new ones every two minutes: on DEALER
        and REQ `peer` is whom they connect to, on ROUTER and REP who may come, and `identity` is needed. It is a public
        identity, a list of them, a Trust (as ``ctx.keyring.trust``), ``zmqsec.anyone``, or a function that permits.
        `handshake` holds arguments of :class:`zmqsec.handshake.Party`, as `hybrid` and `psks`.
        `max_message` bounds a sealed part in bytes (ZMQ_MAXMSGSIZE too), `max_parts` and `max_depth` its parts
        and how deep they nest; `understood` names critical metadata that the application acts on; `on_refused`
        is called with each Refusal; `clock` gives unix seconds. With `socket_class` the socket is one of that
        class, which need not be secured.
        """
        if socket_class is not None and not callable(socket_class):
            raise SocketError(f"socket_class={socket_class!r}: a class is allowed; give a name as association=")
        if socket_class is None or (isinstance(socket_class, type) and issubclass(socket_class, Socket)):
            options.update(
                association=association,
                receive=receive,
                identity=identity,
                attest=attest,
                peer=peer,
                handshake=handshake,
                max_message=max_message,
                max_parts=max_parts,
                max_depth=max_depth,
                understood=understood,
                on_refused=on_refused,
                clock=clock,
            )
        elif any(given is not None for given in (association, receive, identity, attest, peer)):
            raise SocketError(f"{socket_class!r} is not a class of secured sockets, so it has no association")
        return super().socket(socket_type, socket_class, **options)


class Poller(zmq.Poller):
    """pyzmq's Poller, which also reports secured sockets that hold messages of a bundle already received."""

    def poll(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        """As pyzmq's: pairs of socket and events, after at most `timeout` milliseconds."""
        holding = {
            socket
            for socket, flags in self.sockets
            if flags & zmq.POLLIN and isinstance(socket, Socket) and (socket._state.ready or socket._state.rest)
        }
        if not holding:
            return super().poll(None if timeout is None else int(timeout))
        found = dict(super().poll(0))
        for socket in holding:
            found[socket] = found.get(socket, 0) | int(zmq.POLLIN)
        return list(found.items())
