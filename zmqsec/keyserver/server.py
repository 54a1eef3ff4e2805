"""The key server as a service (floor 13): one thread for its sockets, and the clerk's for the database.

    members -> ROUTER, a pairwise association each -> answered from the book, or by the clerk -> ROUTER
    a new key of a group -> PUB, in clear and signed

Who asks is whoever the handshake has proven; whether it is a member is looked up for every request.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from ..context import Context
from ..errors import ConfigError, SocketError
from ..message import Message
from ..parts import leaves
from ..party import anyone
from ..socket import Socket
from .announce import Announcement, topic_of
from .book import Book
from .clerk import Clerk, Task
from .config import Config
from .errors import Invalid, KeyServerError
from .giving import Giving
from .operations import ENROL
from .realm import Realm
from .rpc import MAX_BYTES, Request, encode_error, encode_ok, is_ok

_TICK_MS = 250
_AT_ONCE = 256
_AGAIN_SECONDS = 10.0
#: Of a frame that comes in: a request with its attestation's metadata around it.
MAX_FRAME = MAX_BYTES + 4096
_HWM = 100_000
_log = logging.getLogger("zmqsec.keyserver")

#: Makes the ROUTER that members come to, from the service's own context.
OpenRouter = Callable[[Context, Realm], Socket]


def handshaking_router(context: Context, realm: Realm) -> Socket:
    """A ROUTER that makes keys with everybody who proves an identity: what it may do is decided request by request."""
    return context.socket(zmq.ROUTER, identity=realm.identity, peer=anyone, max_message=MAX_FRAME)


class Service:
    """A running key server, from `start` to `stop`. `open_router` is for tests with keys of their own."""

    def __init__(
        self,
        config: Config,
        *,
        open_router: OpenRouter = handshaking_router,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.config, self._clock = config, clock
        self.realm = Realm(config.open_store(), config.read_root_key())
        self.book = Book(self.realm, int(clock()))
        self.clerk = Clerk(self.realm, self.book, clock=clock, answer=self._answer_later, rekeyed=self._announce_later)
        self._context = Context()
        self._open_router = open_router
        self._waiting: deque[tuple[Message, bytes]] = deque()
        self._announcing: deque[str] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="zmqsec-keyserver", daemon=True)
        self.failure: BaseException | None = None
        #: What was asked, by operation and by what came of it; what did not reach its asker.
        self.requests: dict[tuple[str, str], int] = {}
        self.announced = self.dropped = 0
        self.began, self.turns, self._again_at = clock(), 0, 0.0

    def start(self) -> None:
        """Bind and serve; ConfigError where an address cannot be had."""
        try:
            self._open()
        except BaseException:
            self._context.destroy(0)
            self.realm.close()
            raise
        self.clerk.start()
        self._thread.start()

    def _open(self) -> None:
        self._router = self._open_router(self._context, self.realm)
        plain = zmq.Socket[bytes]
        self._publisher = self._context.socket(zmq.PUB, plain)
        self._bell = self._context.socket(zmq.PULL, plain)
        self._ringer = self._context.socket(zmq.PUSH, plain)
        self._ringing = threading.Lock()
        self._router.set(zmq.SNDHWM, _HWM)
        address = f"inproc://zmqsec.keyserver.{id(self):x}"
        self._bell.bind(address)
        self._ringer.connect(address)
        try:
            for endpoint in self.config.bind:
                self._router.bind(endpoint)
            self._publisher.bind(self.config.announce)
        except (zmq.ZMQError, SocketError) as error:
            raise ConfigError(f"{self.config.path}: cannot bind {self.config.bind}: {error}") from error
        self.endpoint = self._router.get(zmq.LAST_ENDPOINT).decode()
        heard = self._publisher.get(zmq.LAST_ENDPOINT).decode()
        # A member that came to this host hears announcements at this host.
        told = self.config.announce_as or (":" + heard.rpartition(":")[2] if heard.startswith("tcp://") else heard)
        self._giving = Giving(self.book, self.realm.id, self.realm.identity, told)

    def stop(self) -> None:
        """Answer what was asked, and close."""
        self._stopping.set()
        if self._thread.is_alive():
            self._ring()
            self._thread.join()

    def snapshot(self) -> dict[str, Any]:
        """What is counted, as plain data."""
        keys = list(self.book.groups.items())
        return {
            "began": self.began,
            "members": len(self.book.members),
            "groups": {name: {"members": len(one.grants), "epoch": one.group.epoch} for name, one in keys},
            "sessions": sum(len(one.sessions) for _, one in keys),
            "requests": dict(self.requests),
            "announced": self.announced,
            "dropped": self.dropped,
            "waiting": self.clerk.waiting,
            "changes": self.book.revision,
            "trouble": self.clerk.trouble,
            "refused": self._router.stats.refused,
        }

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._thread.is_alive()

    # -- from the clerk's thread ---------------------------------------------------------------------------------------

    def _answer_later(self, task: Task, leaf: bytes) -> None:
        self._count(task.request.op, leaf)
        self._waiting.append((task.back, leaf))
        self._ring()

    def _announce_later(self, groups: list[str]) -> None:
        self._announcing.extend(groups)
        self._ring()

    def _ring(self) -> None:
        with self._ringing:
            if not self._ringer.closed:
                try:
                    self._ringer.send(b"", zmq.DONTWAIT)
                except zmq.Again:
                    return  # it rings already

    # -- on the sockets' thread ----------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            poller = zmq.Poller()
            poller.register(self._router, zmq.POLLIN)
            poller.register(self._bell, zmq.POLLIN)
            while not self._stopping.is_set():
                poller.poll(_TICK_MS)
                self._drain_bell()
                self._take_requests()
                self._flush()
                self._announce_again()
                self.turns += 1
            self.clerk.stop()
            self._flush()
        except BaseException as error:
            self.failure = error
            _log.exception("the key server has failed")
        finally:
            with self._ringing:
                self._ringer.close(0)
            self._context.destroy(1000)
            self.realm.close()

    def _drain_bell(self) -> None:
        try:
            while True:
                self._bell.recv(zmq.DONTWAIT)
        except zmq.Again:
            return

    def _flush(self) -> None:
        while self._waiting:
            self._send(*self._waiting.popleft())
        while self._announcing:
            self._announce(self._announcing.popleft())

    def _take_requests(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                message = self._router.recv_message(zmq.DONTWAIT)
            except zmq.Again:
                return
            leaf = self._answer(message)
            if leaf is not None:
                self._send(message, leaf)

    def _answer(self, message: Message) -> bytes | None:
        """The leaf to answer with; None if the clerk will, or if there is nobody to answer."""
        if message.origin is None:
            return None
        found = leaves(message.body)
        try:
            request = Request.decode(bytes(found[0]) if len(found) == 1 else b"")
        except Invalid as error:
            self._count("malformed", b"")
            return encode_error(bytes(16), error)
        return self._carry_out(message.origin.key, request, message)

    def _carry_out(self, caller: bytes, request: Request, message: Message) -> bytes | None:
        try:
            if request.op == ENROL:
                return self.clerk.take(Task(caller, request, message))
            member = self.book.member(caller)
            quick = {"hello": self._giving.hello, "fetch": self._giving.fetch, "sessions": self._giving.sessions}
            if request.op in quick:
                found = quick[request.op](member, request.args, self._clock())
                if request.op == "fetch":
                    self.clerk.note_held(self.book.groups[found["group"]].group.id, member.id, found["epoch"])
                leaf = encode_ok(request.id, found)
            elif request.op == "report":
                self.clerk.note(self._giving.reports(member, request.args))
                leaf = encode_ok(request.id, {})
            else:
                return self.clerk.take(Task(caller, request, message))
        except KeyServerError as error:
            leaf = encode_error(request.id, error)
        self._count(request.op, leaf)
        return leaf

    def _count(self, op: str, leaf: bytes) -> None:
        outcome = "ok" if is_ok(leaf) else "error"
        known = op if (op, outcome) in self.requests or len(self.requests) < 64 else "other"
        self.requests[known, outcome] = self.requests.get((known, outcome), 0) + 1

    def _send(self, message: Message, leaf: bytes) -> None:
        try:
            sent = self._router.send_message(message.reply(body=[leaf]), flags=zmq.DONTWAIT)
        except (zmq.ZMQError, SocketError):
            sent = b""
        if not sent:
            self.dropped += 1  # the asker has gone, or will ask again

    def _announce_again(self) -> None:
        """For those who have not heard it: what did not arrive costs them no more than these seconds."""
        if time.monotonic() < self._again_at:
            return
        self._again_at = time.monotonic() + _AGAIN_SECONDS
        for name in tuple(self.book.groups):
            self._announce(name)

    def _announce(self, name: str) -> None:
        keys = self.book.groups.get(name)
        if keys is None or not keys.epochs:
            return
        now = self._clock()
        newest = keys.epochs[-1]
        topic = topic_of(self.realm.id, name)
        spread = max(0, int(newest.send_from - now))
        blob = Announcement(self.realm.id, topic, newest.epoch, spread, int(now)).sign(self.realm.identity)
        self._publisher.send_multipart([topic, blob], zmq.DONTWAIT)
        self.announced += 1
