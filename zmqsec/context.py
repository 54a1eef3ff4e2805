"""The secured context, which makes secured sockets from a keyring, and a poller that knows them (floor 12)."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

import zmq

from .backend import implementation as default_implementation
from .errors import AssociationError
from .keyring import Association, Keyring
from .socket import Socket


def as_keyring(keyring: Keyring | Iterable[Association] | None) -> Keyring:
    """A keyring as it is, or one made of associations."""
    if keyring is None:
        return Keyring()
    if isinstance(keyring, Keyring):
        return keyring
    if isinstance(keyring, (str, bytes, Association)):
        raise AssociationError(f"keyring={keyring!r}: a Keyring or an iterable of Associations is allowed")
    return Keyring(keyring)


class Context(zmq.Context[Socket]):
    """pyzmq's Context whose sockets are secured.

    `keyring` is a Keyring, or the associations for one; ``ctx.socket(zmq.PUSH, association="orders")`` makes a socket
    that seals with the association of that name. A socket without an association sends and accepts nothing.
    """

    _socket_class = Socket
    keyring: Keyring = None  # type: ignore[assignment]
    implementation: ModuleType = default_implementation

    def __init__(
        self,
        *arguments: Any,
        keyring: Keyring | Iterable[Association] | None = None,
        _implementation: ModuleType | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.__dict__["keyring"] = as_keyring(keyring)
        self.__dict__["implementation"] = _implementation or default_implementation


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
            found[socket] = found.get(socket, 0) | zmq.POLLIN
        return list(found.items())

