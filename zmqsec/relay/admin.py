"""An admin's end of a relay's control socket (floor 12): asks, waits for the answer that is bound to it, asks again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq

from ..association import Association
from ..context import Context
from ..credential import Credential
from ..errors import ConfigError, IdentityError, KeyFileError, SocketError
from ..identity import Identity, is_sealed
from ..keydir import Passphrase
from ..keyfile import parse_toml, read_any
from ..keyring import Keyring
from ..limits import MAX_MESSAGE_BYTES
from ..message import Message
from ..socket import Socket
from ..toml import Document
from .admins import WRONG_CHALLENGE, NamedTrust, attested, named

_AGAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class AdminConfig:
    """How to reach a relay: its endpoint, the association's file, one's own identity, and the relay's fingerprint."""

    path: Path
    endpoint: str
    association: Path
    identity: Path
    relay: bytes
    credential: Path | None = None

    @classmethod
    def load(cls, path: Path) -> AdminConfig:
        """Read a TOML file, to which paths in it are relative; ConfigError names its first fault."""
        root = Document.read(path).root
        relay = root.take("relay", str)
        try:
            fingerprint, _ = named(relay, root.folder)
        except (IdentityError, KeyFileError) as error:
            raise root.fault("relay", str(error)) from error
        made = cls(
            path,
            root.take("endpoint", str),
            root.folder / root.take("association", str),
            root.folder / root.take("identity", str),
            fingerprint,
            root.path("credential", None),
        )
        root.end()
        return made


class Admin:
    """A connection to one relay; `with` closes it. Of use to one thread."""

    def __init__(self, config: AdminConfig, passphrase: Passphrase = None, *, timeout: float = 5.0) -> None:
        self.config, self._timeout = config, timeout
        sealed = is_sealed(parse_toml(config.identity, read_any(config.identity)))
        asked = passphrase(config.identity) if callable(passphrase) and sealed else passphrase
        self.identity = Identity.load(config.identity, asked if sealed else None)  # type: ignore[arg-type]
        self._association = attested(Association.load(config.association))
        keyring = Keyring([self._association], identities=[self.identity], trust=NamedTrust([(config.relay, "relay")]))
        if config.credential is not None:
            keyring.add_credential(Credential.load(config.credential))
        self._context = Context(keyring=keyring)
        #: The challenge that the relay has drawn when it was started; what it counts and numbers begins with it.
        self.life = ""
        try:
            self._socket = self._connect()
        except BaseException:
            self._context.term()
            raise

    def ask(self, command: str, **arguments: Any) -> Any:
        """The result of a command, as plain data.

        ConfigError is what the relay says against it; SocketError that no answer has come in time.
        """
        until = time.monotonic() + self._timeout
        while True:
            answer = self._exchange({"do": command, "with": arguments, "challenge": self.life}, until)
            self.life = str(answer.get("challenge", ""))
            if answer.get("ok") is True:
                return answer.get("result")
            if answer.get("error") != WRONG_CHALLENGE:
                raise ConfigError(str(answer.get("error")))

    @property
    def refused(self) -> dict[str, int]:
        """What came and was no answer of the relay's, by reason."""
        return self._socket.stats.refused

    def reconnect(self) -> None:
        """Begin anew, with a session that a relay takes which was started meanwhile."""
        self._socket.close(0)
        self._socket = self._connect()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close(0)
        self._context.term()

    def _exchange(self, request: dict[str, Any], until: float) -> dict[str, Any]:
        """The answer to a request, which is sent again until there is one: a relay may start anew meanwhile."""
        text, ids = json.dumps(request).encode(), set()
        while (left := until - time.monotonic()) > 0:
            self._socket.rcvtimeo = self._socket.sndtimeo = 1 + int(1000 * min(left, _AGAIN_SECONDS))
            try:
                ids.add(self._socket.send_message(Message(body=[text], to=self.config.relay)))
                while (message := self._socket.recv_message()).reply_to not in ids:
                    pass
            except zmq.Again:
                continue
            return _parse(message)
        raise SocketError(
            f"no answer from {self.config.endpoint} within {self._timeout:g} s: nothing listens there, or not the "
            f"relay of {self.config.path}, or {self.identity} is no admin there; the relay's log tells"
        )

    def _connect(self) -> Socket:
        socket = self._context.socket(
            zmq.DEALER, association=self._association, identity=self.identity, max_message=MAX_MESSAGE_BYTES
        )
        try:
            socket.linger = 0
            socket.connect(self.config.endpoint)
        except zmq.ZMQError as error:
            socket.close(0)
            raise ConfigError(f"cannot connect to {self.config.endpoint}: {error.strerror}") from error
        return socket

    def __enter__(self) -> Admin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _parse(message: Message) -> dict[str, Any]:
    """The JSON object of an answer."""
    try:
        answer = json.loads(bytes(message.body[0]))  # type: ignore[arg-type]
    except (ValueError, IndexError, TypeError):
        answer = None
    if not isinstance(answer, dict):
        raise SocketError("the relay's answer cannot be understood")
    return answer
