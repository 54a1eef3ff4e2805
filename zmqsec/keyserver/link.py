"""The way to a key server (floor 13): requests over a pairwise association, asked again until an answer comes.

A request that is asked again has the same id, so the server does nothing twice. One thread uses a link.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import zmq

from .. import sodium
from ..context import Context
from ..message import Message
from ..parts import leaves
from ..socket import Socket
from .errors import Invalid, KeyServerError, Unavailable
from .rpc import ID_BYTES, Request, decode_answer

FIRST_RETRY_SECONDS = 0.5
_MOST_RETRY_SECONDS = 4.0
PATIENCE_SECONDS = 10.0
_SLICE_SECONDS = 0.2
_KEYS_SECONDS = 0.02

#: Makes the DEALER that leads to the server, connected, from the link's own context.
OpenDealer = Callable[[Context], Socket]


class Link:
    """`server` is the public key, 32 bytes, whose answers count; `while_waiting` is called several times a second."""

    def __init__(
        self,
        open_dealer: OpenDealer,
        server: bytes,
        *,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self._context = Context()
        self._server, self._while_waiting = server, while_waiting
        try:
            self._dealer = open_dealer(self._context)
        except BaseException:
            self._context.destroy(0)
            raise
        self._dealer.set(zmq.LINGER, 0)

    @property
    def context(self) -> Context:
        """Where sockets of the link's thread can be made."""
        return self._context

    def ask(self, op: str, patience: float = PATIENCE_SECONDS, **args: Any) -> dict[str, Any]:
        """What the server answers; KeyServerError if it refuses, Unavailable if nothing comes for so many seconds."""
        request = Request(sodium.random_bytes(ID_BYTES), op, args)
        leaf = request.encode()
        end, wait = time.monotonic() + patience, FIRST_RETRY_SECONDS
        again_at = time.monotonic()
        while (now := time.monotonic()) < end:
            if now >= again_at:
                if self._send(leaf):
                    again_at, wait = now + wait, min(2 * wait, _MOST_RETRY_SECONDS)
                else:
                    again_at = now + _KEYS_SECONDS
            found = self._receive(request.id, min(again_at, end))
            if isinstance(found, KeyServerError):
                raise found
            if found is not None:
                return found
        raise Unavailable(f"no key server has answered {op} within {patience:g} seconds")

    def pages(self, op: str, **args: Any) -> list[dict[str, Any]]:
        """All rows of a list that comes in pages."""
        rows: list[dict[str, Any]] = []
        while True:
            found = self.ask(op, **args)
            rows += found["rows"]
            if not found["more"]:
                return rows
            args["after"] = rows[-1]["name"]

    def _send(self, leaf: bytes) -> bool:
        """False while there are no keys, or nobody is there."""
        try:
            self._dealer.send_message(Message(body=[leaf]), flags=zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def _receive(self, request: bytes, until: float) -> dict[str, Any] | KeyServerError | None:
        """The answer to this request; answers to older ones, which came again, are passed over."""
        while (left := until - time.monotonic()) > 0:
            self._while_waiting()
            if not self._dealer.poll(int(1000 * min(left, _SLICE_SECONDS)) + 1):
                continue
            try:
                message = self._dealer.recv_message(zmq.DONTWAIT)
            except zmq.Again:
                continue
            if message.origin is None or message.origin.key != self._server:
                continue
            parts = leaves(message.body)
            try:
                answered, found = decode_answer(bytes(parts[0]) if len(parts) == 1 else b"")
            except Invalid:
                continue
            if answered in (request, bytes(ID_BYTES)):
                return found
        return None

    def close(self) -> None:
        """Close the way and everything that was made in its context."""
        self._context.destroy(0)
