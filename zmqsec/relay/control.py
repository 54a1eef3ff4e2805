"""The control socket of a relay (floor 12): requests of admins, sealed and signed, obeyed one at a time on its thread.

A request is taken from an admin identity alone: its origin attestation must hold and its key be named in the
configuration or have a credential with the role admin; others get no answer, and are counted. An answer is signed by
the relay's identity, bound to its request and for its asker. A request counts only with the challenge that this process
has drawn: what was recorded at another relay, or before a restart, does nothing but get the challenge told.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import zmq

from ..association import Association
from ..context import Context
from ..errors import ConfigError, ZmqsecError
from ..identity import Identity
from ..keydir import read_directory
from ..keyring import Keyring
from ..message import Message
from ..rights import Role
from ..signer import Signer
from ..socket import Socket
from ..trust import Trust
from .admins import WRONG_CHALLENGE, NamedTrust, attested
from .commands import Commands
from .config import ControlConfig

#: Bytes of any frame that comes in, and of an answer's text.
MAX_REQUEST, MAX_ANSWER = 65536, 8 << 20
_CHALLENGE_BYTES = 16
_TICK_MS = 250
_HWM = 64
_log = logging.getLogger("zmqsec.relay")


class Control:
    """Listens from `start` to `stop`; `is_blocked_key` says whom an operator has blocked, by public key."""

    def __init__(
        self,
        config: ControlConfig,
        identity: Identity,
        commands: Commands,
        is_blocked_key: Callable[[bytes], bool] = lambda key: False,
    ) -> None:
        self.config, self._identity, self._commands = config, identity, commands
        self._association = attested(Association.load(config.association))
        self._trust = NamedTrust(config.admins, role=Role.ADMIN, is_blocked_key=is_blocked_key)
        self._trust.take(_trusted(config))
        # A context of its own has an I/O thread of its own, which no flood at the legs delays.
        self._context = Context(keyring=Keyring([self._association], trust=self._trust))
        self._challenge = os.urandom(_CHALLENGE_BYTES).hex()
        self._thread: threading.Thread | None = None
        self._stopping, self._reopening = threading.Event(), threading.Event()
        #: Requests by what became of them; messages that were refused, by reason.
        self.counts = {"obeyed": 0, "failed": 0}
        self.refused: dict[str, int] = {}
        self.endpoint = ""

    def start(self) -> None:
        """Bind, and obey from now on; ConfigError if the address cannot be had."""
        try:
            socket = self._open(self.config.endpoint)
        except BaseException:
            self._context.term()
            raise
        self._thread = threading.Thread(target=self._serve, args=(socket,), name="zmqsec-control", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer what is being asked, and close."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._context.destroy(0)

    def check(self, config: ControlConfig | None) -> Trust:
        """Whom a new configuration trusts; ConfigError if it changes what cannot change while this runs."""
        old = self.config
        if config is None or (config.endpoint, config.association) != (old.endpoint, old.association):
            raise ConfigError("control: its endpoint and association cannot change while it runs; start the relay anew")
        return _trusted(config)

    def follow(self, config: ControlConfig, trusted: Trust) -> None:
        """Obey those whom a new configuration names, which `check` has looked at."""
        self.config = config
        self._trust.become(config.admins, trusted)

    def plain(self) -> dict[str, Any]:
        """Where it listens and what it has counted, as plain data."""
        return {"endpoint": self.endpoint, **self.counts, "refused": dict(self.refused)}

    def reopen(self) -> None:
        """Cut off everybody, soon: what libzmq holds of unfinished messages, without a bound, goes with them."""
        self._reopening.set()

    # -- on its own thread -----------------------------------------------------------------------------------------

    def _open(self, endpoint: str) -> Socket:
        socket = self._context.socket(
            zmq.ROUTER,
            association=self._association,
            identity=self._identity,
            attest="message",
            max_message=2 * MAX_ANSWER,
            on_refused=self._count,
        )
        socket.linger, socket.rcvtimeo, socket.maxmsgsize = 0, _TICK_MS, MAX_REQUEST
        socket.set_hwm(_HWM)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            socket.close()
            raise ConfigError(f"control: cannot bind {endpoint}: {error.strerror}") from error
        self.endpoint = str(socket.get_string(zmq.LAST_ENDPOINT)).rstrip("\0")
        return socket

    def _count(self, refusal: Any) -> None:
        self.refused[str(refusal.reason)] = self.refused.get(str(refusal.reason), 0) + 1

    def _serve(self, socket: Socket) -> None:
        while not self._stopping.is_set():
            if self._reopening.is_set() and not socket.closed:
                socket.close(0)
            if socket.closed:
                socket = self._open_again(socket)
                continue
            try:
                self._reply(socket, socket.recv_message())
            except zmq.Again:
                continue
            except Exception:
                _log.exception("control: the socket is opened anew")
                self._reopening.set()
        socket.close(0)

    def _open_again(self, socket: Socket) -> Socket:
        try:
            made = self._open(self.endpoint)
        except ConfigError as error:  # libzmq's threads leave an address some time after its socket is closed
            _log.debug("%s; it is tried again", error)
            self._stopping.wait(_TICK_MS / 1000)
            return socket
        self._reopening.clear()
        return made

    def _reply(self, socket: Socket, message: Message) -> None:
        request = _parse(message)
        text = json.dumps({**self._answer(message, request), "challenge": self._challenge}).encode()
        if len(text) > MAX_ANSWER:
            text = json.dumps({"ok": False, "error": f"the answer has more than {MAX_ANSWER} bytes"}).encode()
        socket.send_message(message.reply([text]), flags=zmq.DONTWAIT)

    def _answer(self, message: Message, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if request.get("challenge") != self._challenge:
                return {"ok": False, "error": WRONG_CHALLENGE}
            assert message.origin is not None  # the association demands it
            result = self._commands.carry_out(request.get("do"), request.get("with", {}), author_of(message.origin))
        except (ZmqsecError, OSError) as error:
            self.counts["failed"] += 1
            return {"ok": False, "error": str(error)}
        except Exception:
            self.counts["failed"] += 1
            _log.exception("control: a request has failed")
            return {"ok": False, "error": "the relay has failed at this; its log says how"}
        self.counts["obeyed"] += 1
        return {"ok": True, "result": result}


def author_of(origin: Signer) -> str:
    """An admin as rules and the log name him."""
    return f"{origin.identity} {origin.name}".rstrip()


def _trusted(config: ControlConfig) -> Trust:
    return Trust() if config.trust is None else read_directory(config.trust, trust_only=True).trust


def _parse(message: Message) -> dict[str, Any]:
    """The JSON object of a request; an empty one where there is none, which has no challenge."""
    body = message.body
    try:
        request = json.loads(bytes(body[0])) if len(body) == 1 and isinstance(body[0], bytes) else None
    except (ValueError, RecursionError):
        request = None
    return request if isinstance(request, dict) else {}
