"""A leg of a relay on its sockets (floor 11): made, changed while it runs, closed to newcomers, closed.

All of it happens on the relay's own thread, between two runs of the loop.
"""

from __future__ import annotations

from collections.abc import Collection

import zmq
import zmq.auth

from .._relay import Lane
from ..errors import ConfigError
from .checks import Checks, Means
from .config import PATTERNS, LegConfig, Side

#: libzmq asks the ZAP handler about each connection of a socket with a domain, with or without CURVE.
ZAP_DOMAIN = b"zmqsec"
_ONE_WAY = "push-pull"
_SUBSCRIBE_ALL = b"\x01"
_LEAVE_MS = 2000

_Context = zmq.Context[zmq.Socket[bytes]]


class End:
    """One side of a leg: a socket, and where each of its endpoints really is."""

    def __init__(self, context: _Context, kind: int, side: Side, max_message: int) -> None:
        self._context, self._kind = context, kind
        self.side = side
        self._bound: dict[str, str] = {}
        self.socket = self._make(max_message)
        try:
            for endpoint in side.bind:
                self._bind(endpoint, endpoint)
            for endpoint in side.connect:
                self._connect(endpoint)
        except BaseException:
            self.socket.close(0)
            raise

    @property
    def endpoints(self) -> list[str]:
        """Where it is bound, with the ports that were chosen."""
        return list(self._bound.values())

    def follow(self, side: Side, max_message: int) -> None:
        """Other endpoints on the same socket: new ones first, so that a fault leaves the old ones as they are."""
        bound, connected = [one for one in side.bind if one not in self._bound], []
        try:
            for endpoint in bound:
                self._bind(endpoint, endpoint)
            for endpoint in side.connect:
                if endpoint not in self.side.connect:
                    self._connect(endpoint)
                    connected.append(endpoint)
        except ConfigError:
            for endpoint in bound:
                self._unbind(endpoint)
            for endpoint in connected:
                self.socket.disconnect(endpoint)
            raise
        for endpoint in tuple(self._bound):
            if endpoint not in side.bind:
                self._unbind(endpoint)
        for endpoint in self.side.connect:
            if endpoint not in side.connect:
                self.socket.disconnect(endpoint)
        self.socket.maxmsgsize = max_message
        self.side = side

    def shut(self) -> None:
        """Take no newcomers; who is connected may finish."""
        for endpoint in tuple(self._bound):
            self._unbind(endpoint)

    def replace(self) -> zmq.Socket[bytes]:
        """Go on with a new socket, which is nowhere yet; the one before."""
        before = self.socket
        self.socket = self._make(int(before.get(zmq.MAXMSGSIZE)))
        return before

    def succeed(self, before: zmq.Socket[bytes]) -> None:
        """Cut off everybody at the socket before and bind where it was; what cannot be bound is not, and raises."""
        known = dict(self._bound)
        _leave(before, known.values())
        self._bound.clear()
        for given, real in known.items():
            self._bind(given, real)
        for endpoint in self.side.connect:
            self._connect(endpoint)

    def _make(self, max_message: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(self._kind)
        try:
            socket.linger = 0
            socket.sndhwm = socket.rcvhwm = self.side.hwm
            socket.maxmsgsize = max_message
            socket.zap_domain = ZAP_DOMAIN
            if self.side.curve is not None:
                _use_curve(socket, self.side)
        except BaseException:
            socket.close(0)
            raise
        return socket

    def _bind(self, given: str, endpoint: str) -> None:
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise ConfigError(f"cannot bind {endpoint}: {error.strerror}") from error
        self._bound[given] = str(self.socket.get_string(zmq.LAST_ENDPOINT)).rstrip("\0")

    def _connect(self, endpoint: str) -> None:
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            raise ConfigError(f"cannot connect to {endpoint}: {error.strerror}") from error

    def _unbind(self, given: str) -> None:
        real = self._bound.pop(given, None)
        if real is not None:
            self.socket.unbind(real)


class Leg:
    """The two ends of a leg, and the lanes between them."""

    def __init__(self, config: LegConfig, context: _Context, means: Means) -> None:
        self.config = config
        self.checks = Checks(config, means)
        first, last = PATTERNS[config.pattern]
        self.front = End(context, first, config.front, config.policy.max_message)
        try:
            self.back = End(context, last, config.back, config.policy.max_message)
        except BaseException:
            self.front.socket.close(0)
            raise
        out, back = self.checks.policies()
        self.lanes = [Lane(self.front.socket, self.back.socket, out)]
        if config.pattern != _ONE_WAY:
            self.lanes.append(Lane(self.back.socket, self.front.socket, back))

    @property
    def endpoints(self) -> dict[str, list[str]]:
        """Where each side is bound."""
        return {"front": self.front.endpoints, "back": self.back.endpoints}

    def count_peers(self, wanted: bool) -> None:
        """Count peers from the next batch on though nothing else asks for it, or no more."""
        if self.checks.counts_peers != wanted:
            self.checks.counts_peers = wanted
            self.use_policies()

    def front_ports(self) -> set[int]:
        """The TCP ports at which it listens in front."""
        return {int(one.rpartition(":")[2]) for one in self.front.endpoints if one.startswith("tcp://")}

    def can_become(self, config: LegConfig) -> bool:
        """Whether a new configuration needs no new sockets, and leaves replies under way their form."""
        same = (config.pattern, config.policy.sign_envelopes) == (
            self.config.pattern,
            self.config.policy.sign_envelopes,
        )
        return same and all(
            (old.curve, old.curve_server, old.hwm) == (new.curve, new.curve_server, new.hwm)
            for old, new in ((self.config.front, config.front), (self.config.back, config.back))
        )

    def become(self, config: LegConfig, means: Means) -> None:
        """Follow a new configuration on the same sockets; what is under way goes on."""
        self.front.follow(config.front, config.policy.max_message)
        self.back.follow(config.back, config.policy.max_message)
        self.config = config
        self.checks.follow(config, means)
        self.use_policies()

    def use_policies(self) -> None:
        """Ask from the next batch on what the configuration and the rules say now."""
        for lane, policy in zip(self.lanes, self.checks.policies(), strict=False):
            lane.use_policy(policy)

    def reopen_front(self) -> None:
        """Cut off everybody at the front: what libzmq holds of unfinished messages, without a bound, goes with them.

        Whole messages that the lanes hold go on. New publishers are told of no subscriptions any more, but to send all.
        """
        before = self.front.replace()
        for lane in self.lanes:
            ends = [self.front.socket if end is before else end for end in (lane.source, lane.sink)]
            lane.move(*ends)
        if self.config.pattern == "pub-sub":
            self.front.socket.send(_SUBSCRIBE_ALL)
        self.front.succeed(before)

    def close(self, linger_ms: int) -> None:
        """Close both sockets; what is queued for the network may still go for so long."""
        self.lanes = []
        self.front.socket.close(linger_ms)
        self.back.socket.close(linger_ms)


def _leave(socket: zmq.Socket[bytes], endpoints: Collection[str]) -> None:
    """Close a socket when its addresses are free: libzmq's threads leave them some time after they were told to."""
    monitor = socket.get_monitor_socket(zmq.EVENT_CLOSED)
    left = 0
    try:
        for endpoint in endpoints:
            socket.unbind(endpoint)
        while left < len(endpoints) and monitor.poll(_LEAVE_MS):
            monitor.recv_multipart()
            left += 1
    finally:
        socket.disable_monitor()
        monitor.close(0)
        socket.close(0)


def _use_curve(socket: zmq.Socket[bytes], side: Side) -> None:
    try:
        public, secret = zmq.auth.load_certificate(str(side.curve))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the CURVE certificate {side.curve}: {error}") from error
    if secret is None:
        raise ConfigError(f"the CURVE certificate {side.curve} holds no secret key")
    socket.curve_publickey, socket.curve_secretkey = public, secret
    if side.curve_server is None:
        socket.curve_server = True
    else:
        socket.curve_serverkey = side.curve_server.encode("ascii")
