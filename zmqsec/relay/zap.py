"""The ZAP handler of a relay (floor 11): decides about each new connection before libzmq takes a message from it.

ZeroMQ RFC 27. libzmq asks on ``inproc://zeromq.zap.01``, one request for each connection that has been handshaken:
NULL connections by their address, CURVE ones by their public key besides.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection

import zmq

_ENDPOINT = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_ALLOWED, _DENIED = (b"200", b"OK"), (b"400", b"denied")
_LEAST_FRAMES = 6
_log = logging.getLogger("zmqsec.relay")


class ZapHandler:
    """Answers libzmq's questions on a thread of its own, from `start` to `stop`.

    `is_blocked(address)` says whether a peer's address is turned away; `curve_keys` are the public keys (32 bytes each)
    that CURVE connections may have, None allows any. What is asked in an unknown form is denied.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        is_blocked: Callable[[str], bool],
        curve_keys: Collection[bytes] | None = None,
    ) -> None:
        self._context, self._is_blocked, self._curve_keys = context, is_blocked, curve_keys
        self._thread: threading.Thread | None = None
        self._control_address = f"inproc://zmqsec.zap.{id(self):x}"
        self.allowed = self.denied = 0

    def start(self) -> None:
        """Bind, and answer from now on; zmq.ZMQError if the context has a handler already."""
        socket = self._context.socket(zmq.REP, socket_class=zmq.Socket)
        control = self._context.socket(zmq.PULL, socket_class=zmq.Socket)
        try:
            socket.linger = control.linger = 0
            socket.bind(_ENDPOINT)
            control.bind(self._control_address)
        except BaseException:
            socket.close()
            control.close()
            raise
        self._thread = threading.Thread(target=self._serve, args=(socket, control), name="zmqsec-zap", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; libzmq then denies nothing, as without a handler."""
        if self._thread is None:
            return
        with self._context.socket(zmq.PUSH, socket_class=zmq.Socket) as bell:
            bell.linger = 0
            bell.connect(self._control_address)
            bell.send(b"")
            self._thread.join()
        self._thread = None

    def _serve(self, socket: zmq.Socket[bytes], control: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(control, zmq.POLLIN)
        with socket, control:
            while True:
                ready = dict(poller.poll())
                if control in ready:
                    return
                socket.send_multipart(self._answer(socket.recv_multipart()))

    def _answer(self, request: list[bytes]) -> list[bytes]:
        known = len(request) >= _LEAST_FRAMES and request[0] == _VERSION
        allowed = known and self._allows(request[3].decode("utf-8", "replace"), request[5], request[6:])
        self.allowed += allowed
        self.denied += not allowed
        user = request[6].hex().encode() if allowed and request[5] == b"CURVE" else b""
        number = request[1] if len(request) > 1 else b""
        return [_VERSION, number, *(_ALLOWED if allowed else _DENIED), user, b""]

    def _allows(self, address: str, mechanism: bytes, credentials: list[bytes]) -> bool:
        try:
            if self._is_blocked(address):
                return False
        except Exception:
            _log.exception("the block list cannot be asked; %s is denied", address)
            return False
        if mechanism == b"NULL":
            return True
        if mechanism == b"CURVE" and len(credentials) == 1:
            return self._curve_keys is None or credentials[0] in self._curve_keys
        return False
