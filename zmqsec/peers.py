"""The peers of a ROUTER: where each identity was last seen, and which request of whom is answered next (floor 11).

Spec, "Routing metadata". The newest 65,536 of each are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from . import limits

_Route = tuple[bytes, ...]
_DELIMITER = b""
_SEQUENCE = slice(limits.SESSION_BYTES, limits.MESSAGE_ID_BYTES)


def split(envelope: Sequence[bytes]) -> tuple[_Route, bool]:
    """The routing ids of an envelope, and whether an empty delimiter ends it."""
    delimited = len(envelope) > 1 and envelope[-1] == _DELIMITER
    return tuple(envelope[:-1] if delimited else envelope), delimited


@dataclass(slots=True)
class _Place:
    route: _Route
    last_id: bytes
    request: bytes | None  # the newest that came with a delimiter, and so awaits a reply


class Peers:
    """Verified identities, by fingerprint, and the route that leads to each.

    A route belongs to the identity that was proven on it last: whoever takes over a routing id takes no message that
    was meant for the one before.
    """

    def __init__(self) -> None:
        self._places: OrderedDict[bytes, _Place] = OrderedDict()
        self._owners: dict[_Route, bytes] = {}

    def seen(self, fingerprint: bytes, envelope: Sequence[bytes], message_id: bytes) -> tuple[bytes, ...]:
        """A message of this identity came by this envelope; returns the envelope that its user sees."""
        route, delimited = split(envelope)
        shown = (fingerprint, _DELIMITER) if delimited else (fingerprint,)
        place = self._places.get(fingerprint)
        if place is not None:
            if _is_older(message_id, place.last_id):
                return shown  # a message that was overtaken, or held back, moves nobody
            if place.route != route:
                self._leave(place.route, fingerprint)
            place.route, place.last_id = route, message_id
            self._places.move_to_end(fingerprint)
        else:
            place = self._places[fingerprint] = _Place(route, message_id, None)
        if delimited:
            place.request = message_id
        before = self._owners.get(route)
        if before is not None and before != fingerprint:
            del self._places[before]
        self._owners[route] = fingerprint
        if len(self._places) > limits.MAX_PEERS:
            gone, left = self._places.popitem(last=False)
            self._leave(left.route, gone)
        return shown

    def _leave(self, route: _Route, fingerprint: bytes) -> None:
        if self._owners.get(route) == fingerprint:
            del self._owners[route]

    def find(self, fingerprint: bytes) -> tuple[_Route, bytes | None] | None:
        """The route to an identity, and its newest request; None where no route leads to it."""
        place = self._places.get(fingerprint)
        return None if place is None else (place.route, place.request)

    def __len__(self) -> int:
        return len(self._places)


def _is_older(message_id: bytes, than: bytes) -> bool:
    """Whether a message was sent before another one of the same session."""
    if message_id[: limits.SESSION_BYTES] != than[: limits.SESSION_BYTES]:
        return False
    return int.from_bytes(message_id[_SEQUENCE], "little") < int.from_bytes(than[_SEQUENCE], "little")


class Requests:
    """The newest request by each envelope that ends with a delimiter: the one that the next reply there answers."""

    def __init__(self) -> None:
        self._ids: OrderedDict[tuple[bytes, ...], bytes] = OrderedDict()

    def seen(self, envelope: Sequence[bytes], message_id: bytes) -> None:
        """A message came by this envelope."""
        if len(envelope) < 2 or envelope[-1] != _DELIMITER:
            return
        key = tuple(envelope)
        self._ids[key] = message_id
        self._ids.move_to_end(key)
        if len(self._ids) > limits.MAX_PEERS:
            self._ids.popitem(last=False)

    def find(self, envelope: tuple[bytes, ...]) -> bytes | None:
        """The id of the request that came by this envelope last."""
        return self._ids.get(envelope)
