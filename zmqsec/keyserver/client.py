"""A member's side of a key server (floor 13): a thread that keeps a keyring's groups up to date.

    keyring = Keyring.from_server("tcp://keys:5670", identity=me, server=pinned)

It hears announcements and asks besides, so that a lost one costs no more than `every` seconds. While no server answers,
what is there goes on until its end.
"""

from __future__ import annotations

import base64
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from ..context import Context
from ..errors import ZmqsecError
from ..identity import Identity, PublicIdentity
from ..keyring import Keyring
from ..socket import Socket
from .announce import Announcement, topic_of
from .errors import KeyServerError, NotAllowed, Unavailable
from .follower import Follower
from .link import Link

EVERY_SECONDS = 30.0
_ASK_SECONDS = 2.0
_RETRY_SECONDS = 1.0
_TICK_SECONDS = 0.25
_LOOK_SECONDS = 1.0
_GAP_SECONDS = 2.0
_log = logging.getLogger("zmqsec.keyserver")

#: Makes the DEALER that leads to the server at this endpoint, connected.
OpenDealer = Callable[[Context, str], Socket]


def dealer(identity: Identity, server: PublicIdentity) -> OpenDealer:
    """A DEALER whose keys a handshake makes, with this server and nobody else."""

    def open_dealer(context: Context, endpoint: str) -> Socket:
        socket = context.socket(zmq.DEALER, identity=identity, peer=server)
        socket.connect(endpoint)
        return socket

    return open_dealer


def public_of(server: PublicIdentity | bytes | str) -> PublicIdentity:
    """The server's key as it was pinned: a public identity, 32 bytes, or 64 hexadecimal digits."""
    if isinstance(server, PublicIdentity):
        return server
    return PublicIdentity(bytes.fromhex(server) if isinstance(server, str) else bytes(server))


class KeyClient:
    """Follows the groups of a member, all of them or those named; from `start` to `close`.

    With several endpoints, those of the servers of one realm, the next one is asked when one does not answer.
    """

    def __init__(
        self,
        keyring: Keyring,
        endpoints: Iterable[str],
        server: PublicIdentity,
        *,
        groups: Iterable[str] | None = None,
        open_dealer: OpenDealer,
        every: float = EVERY_SECONDS,
    ) -> None:
        self._keyring, self._endpoints, self._server = keyring, list(endpoints), server
        self._wanted = None if groups is None else list(groups)
        self._open_dealer, self._every = open_dealer, every
        self._followers: dict[str, Follower] = {}
        self._topics: dict[bytes, Follower] = {}
        self._realm = b""
        self._announce = ""
        self._subscriber: zmq.Socket[bytes] | None = None
        self._link: Link | None = None
        self._at = self._failures = 0
        self._hello_at = self._look_at = self._report_at = 0.0
        self._reported: set[bytes] = set()
        self._stopping, self._ready = threading.Event(), threading.Event()
        self._failure: ZmqsecError | None = None
        self._thread = threading.Thread(target=self._run, name="zmqsec-keys", daemon=True)
        #: Whether the server answered when it was last asked, and what it said if it did not give what was asked for.
        self.reachable, self.trouble = False, ""

    def start(self, timeout: float) -> None:
        """Fetch all keys, and follow from now on; an error if they are not there in so many seconds."""
        self._thread.start()
        done = self._ready.wait(timeout)
        if self._failure is not None or not done:
            self.close()
            why = self.trouble or "no answer"
            raise self._failure or Unavailable(f"no keys from {', '.join(self._endpoints)} in {timeout:g} s: {why}")

    def close(self) -> None:
        """Follow no more; what the keyring holds stays until it is retired by hand."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def followers(self) -> dict[str, Follower]:
        """What is followed, by the name of the group."""
        return dict(self._followers)

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._round()
                self._wait()
        except Exception as error:
            _log.exception("keys are followed no more")
            self.trouble = str(error)
            self._failure = error if isinstance(error, ZmqsecError) else KeyServerError(str(error))
        finally:
            self._ready.set()
            self._close_link()

    def _round(self) -> None:
        """Ask for all that is due; a server that does not answer is asked again soon, or another one is."""
        try:
            now = time.monotonic()
            if now >= self._hello_at:
                self._hello()
            for follower in tuple(self._followers.values()):
                if time.monotonic() >= follower.fetch_at:
                    self._fetch(follower)
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + _LOOK_SECONDS
                self._report()
            if self._followers or self._wanted is None:
                self._ready.set()
        except Unavailable as error:
            self._lost(error)
        except NotAllowed as error:
            self._refused(error)
        except KeyServerError as error:
            _log.error("%s", error)
            self.trouble = str(error)
            self._put_off()

    def _ask(self, op: str, **args: Any) -> dict[str, Any]:
        if self._link is None:
            endpoint = self._endpoints[self._at % len(self._endpoints)]
            self._link = Link(
                lambda context: self._open_dealer(context, endpoint), self._server.key, while_waiting=self._tick
            )
        found = self._link.ask(op, _ASK_SECONDS, **args)
        if not self.reachable and self.trouble:
            _log.warning("the key server answers again")
        self.reachable, self.trouble, self._failures = True, "", 0
        return found

    def _lost(self, error: Unavailable) -> None:
        if self._stopping.is_set():
            return
        if self.reachable or not self.trouble:
            _log.warning("%s; the keys that are here go on until their end", error)
        self.reachable, self.trouble = False, str(error)
        self._failures += 1
        if self._failures > 1 or len(self._endpoints) > 1:  # a server that is only slow is not to make new keys too
            self._at, self._failures = self._at + 1, 0
            self._close_link()
        self._put_off()

    def _put_off(self) -> None:
        now = time.monotonic()
        self._hello_at = max(self._hello_at, now + _RETRY_SECONDS)
        for follower in self._followers.values():
            if follower.fetch_at <= now:
                follower.failed(now, _RETRY_SECONDS)

    def _refused(self, error: NotAllowed) -> None:
        """Not a member, or not any more: no key is used any longer. Asked again as often as ever, it may come back."""
        if not self._ready.is_set():
            raise error
        self.reachable, self.trouble = True, str(error)
        _log.error("%s; its keys are forgotten", error)
        for name in tuple(self._followers):
            self._leave(name)
        self._hello_at = time.monotonic() + self._every * random.uniform(0.75, 1.25)

    def _hello(self) -> None:
        said = self._ask("hello")
        self._hello_at = time.monotonic() + self._every * random.uniform(0.75, 1.25)
        self._listen(bytes.fromhex(said["realm"]), str(said["announce"]))
        mine = said["groups"] if self._wanted is None else self._wanted
        for name in tuple(self._followers):
            if name not in mine:
                self._leave(name)
        for name in mine:
            if name not in self._followers:
                self._join(name)

    def _listen(self, realm: bytes, announce: str) -> None:
        if announce.startswith(":"):
            announce = self._endpoints[self._at % len(self._endpoints)].rpartition(":")[0] + announce
        if (realm, announce) == (self._realm, self._announce) and self._subscriber is not None:
            return
        assert self._link is not None
        self._hang_up()
        self._realm, self._announce = realm, announce
        plain: zmq.Context[zmq.Socket[bytes]] = zmq.Context.shadow(self._link.context.underlying)
        self._subscriber = plain.socket(zmq.SUB)
        self._subscriber.set(zmq.MAXMSGSIZE, 4096)
        self._connections = self._subscriber.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._connected = False
        self._topics = {topic_of(realm, name): follower for name, follower in self._followers.items()}
        for topic in self._topics:
            self._subscriber.subscribe(topic)
        self._subscriber.connect(announce)

    def _join(self, name: str) -> None:
        follower = self._followers[name] = Follower(name, self._keyring)
        topic = topic_of(self._realm, name)
        self._topics[topic] = follower
        if self._subscriber is not None:
            self._subscriber.subscribe(topic)

    def _leave(self, name: str) -> None:
        follower = self._followers.pop(name)
        follower.evicted()
        topic = topic_of(self._realm, name)
        self._topics.pop(topic, None)
        if self._subscriber is not None:
            self._subscriber.unsubscribe(topic)

    def _fetch(self, follower: Follower) -> None:
        asked = time.monotonic()
        try:
            said = self._ask("fetch", group=follower.group)
            more = said.get("more")
            while more is not None:
                page = self._ask("sessions", group=follower.group, **{"from": more})
                said["sessions"] += page["sessions"]
                more = page["more"]
        except NotAllowed as error:
            if not self._ready.is_set():
                raise
            _log.error("%s; its keys are forgotten", error)
            self.trouble = str(error)
            follower.evicted()
            follower.failed(asked, self._every)
            return
        follower.fetched(said, asked, self._every)  # as if it had been told when it was asked: never too late

    def _report(self) -> None:
        """Tell of sessions that have begun at once, and of all of them now and then."""
        sends = {spi: one for one in self._followers.values() if one.sends for spi in one.spis}
        found = [(spi, session) for spi, session in self._keyring.sealing() if spi in sends]
        now = time.monotonic()
        if now < self._report_at and all(session.session in self._reported for _, session in found):
            return
        for at in range(0, len(found), 100):
            said = [
                {
                    "group": sends[spi].group,
                    "spi": spi,
                    "session": base64.b64encode(one.session).decode(),
                    "sequence": one.sequence,
                    "attested": bool(one.origin),
                }
                for spi, one in found[at : at + 100]
            ]
            self._ask("report", sessions=said)
        self._reported = {one.session for _, one in found}
        self._report_at = now + self._every * random.uniform(0.75, 1.25)

    # -- time ----------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """What must not wait for an answer: keys whose time has come or is over, and announcements."""
        if self._stopping.is_set():
            raise Unavailable("this keyring follows the key server no more")
        now = time.monotonic()
        for follower in self._followers.values():
            follower.move(now)
        self._look_for_gaps(now)
        self._hear(now)

    def _look_for_gaps(self, now: float) -> None:
        """A connection for announcements that is a new one: what was announced meanwhile is asked for."""
        while self._subscriber is not None and self._connections.poll(0):
            recv_monitor_message(self._connections)
            if self._connected:
                for follower in self._followers.values():
                    follower.fetch_at = min(follower.fetch_at, now + _GAP_SECONDS * random.random())
            self._connected = True

    def _hear(self, now: float) -> None:
        while self._subscriber is not None:
            try:
                frames = self._subscriber.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            follower = self._topics.get(frames[0])
            said = Announcement.verify(frames[-1], self._server.key, self._realm) if len(frames) == 2 else None
            if follower is not None and said is not None and said.topic == frames[0]:
                follower.announced(said.epoch, said.spread, now)

    def _wait(self) -> None:
        if self._stopping.is_set():
            return
        self._tick()
        now = time.monotonic()
        due = [self._hello_at, self._look_at, *(f.fetch_at for f in self._followers.values())]
        due += [f.next_move() for f in self._followers.values()]
        seconds = min(_TICK_SECONDS, max(0.0, min(due) - now))
        if self._subscriber is None:
            self._stopping.wait(seconds)
        else:
            self._subscriber.poll(int(1000 * seconds) + 1)

    def _hang_up(self) -> None:
        if self._subscriber is not None:
            self._subscriber.disable_monitor()
            self._connections.close(0)
            self._subscriber.close(0)
            self._subscriber = None

    def _close_link(self) -> None:
        self._hang_up()
        if self._link is not None:
            self._link.close()
            self._link = None
