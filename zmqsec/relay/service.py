"""The relay as a service (floor 12): legs on the loop's thread, changed, drained and watched from others.

    main thread   signals, configuration          loop's thread   Loop.run, and between two runs whatever was asked for
    ZAP thread    new connections                 keeper's thread follows the block list, which may be slow to answer
    control       what admins ask

Sockets of legs belong to the loop's thread: `ask` has something done there, and waits for it.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import zmq

from .. import __version__
from .._policy import Rules
from .._relay import Lane, Loop
from ..errors import ConfigError
from ..identity import Identity
from ..trust import Trust
from .blocks import BlockStore, normal_address
from .checks import Means, observation, rules_of, throttled_of
from .commands import Commands
from .config import LegConfig, RelayConfig
from .control import Control
from .events import Events
from .hoard import Alarm
from .leg import Leg
from .memory import MemoryWatch
from .metrics import MetricsServer
from .peers import Ledger
from .warden import Warden
from .zap import ZapHandler

T = TypeVar("T")
_TICK_SECONDS = 0.25
_OBSERVED_AT_ONCE, _MOST_OBSERVED = 4096, 65536
_ASK_SECONDS = 30.0
_QUIET_SECONDS = 0.1
_LEAVE_SECONDS = 2.0
_log = logging.getLogger("zmqsec.relay")


class Service:
    """A running relay, from `start` to `stop`."""

    def __init__(self, config: RelayConfig) -> None:
        self.config = config
        self.began = time.time()
        self.events = Events()
        ledger = Ledger(config.thresholds, max_peers=config.max_peers)
        self.identity = None
        if config.identity is not None:
            self.identity = Identity.load(config.identity, os.environ.get("ZMQSEC_PASSPHRASE"))
        self._means = Means.of(config, self.identity)
        self.control = self._controlled(config)
        self.metrics = None if config.metrics is None else MetricsServer(config.metrics, self.snapshot)
        self.warden = Warden(BlockStore(config.blocks), ledger, watch=self._told)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(config.io_threads)
        self._legs: dict[str, Leg] = {}
        self._zap = ZapHandler(self._context, self._is_denied)
        self._bell, control = self._context.socket(zmq.PAIR), self._context.socket(zmq.PAIR)
        address = f"inproc://zmqsec.relay.{id(self):x}"
        for socket in (self._bell, control):
            socket.linger = 0
        self._bell.bind(address)
        control.connect(address)
        self._loop, self._control = Loop(control), control
        self._memory = MemoryWatch(config.memory_mib)
        self._asked: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._ringing, self._reloading = threading.Lock(), threading.Lock()
        self.reloads = {"done": 0, "failed": 0}
        self._cuts = 0
        self._alarm = Alarm()
        self._observed: deque[tuple[str, bytes, bytes, int, int, dict[str, int]]] = deque()
        self._ruled = (-1, -1, math.inf)
        self._waking = threading.Event()
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="zmqsec-keeper", daemon=True)
        self._thread = threading.Thread(target=self._serve, name="zmqsec-relay", daemon=True)
        self.failure: BaseException | None = None

    # -- from any thread -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open every leg and forward; ConfigError where one cannot be opened, and then nothing stays open."""
        try:
            self._zap.start()
            for leg in self.config.legs:
                self._legs[leg.name] = Leg(leg, self._context, self._means)
            self._apply(self._rules())
            self._use_lanes()
            for one in (self.control, self.metrics):
                if one is not None:
                    one.start()
        except BaseException:
            self._hush()
            self._close(0)
            raise
        self._thread.start()
        self._keeper.start()

    def stop(self) -> None:
        """Take no newcomers, forward what has come, and close; at the latest after `drain_seconds`."""
        self._hush()  # while there is still a loop that answers
        self._stopping.set()
        self._waking.set()
        if self._thread.is_alive():
            self._ring()
            self._thread.join()
        if self._keeper.is_alive():
            self._keeper.join()
        if not self._context.closed:
            self._close(int(self.config.drain_seconds * 1000))

    def _hush(self) -> None:
        for one in (self.control, self.metrics):
            if one is not None:
                one.stop()

    @property
    def alive(self) -> bool:
        """Whether it forwards."""
        return self._thread.is_alive()

    def ask(self, what: Callable[[], T]) -> T:
        """Have something done on the loop's thread, between two batches, and wait for what comes of it."""
        future: Future[T] = Future()
        self._asked.append((what, future))
        self._ring()
        return future.result(_ASK_SECONDS)

    def reload(self) -> None:
        """Follow the configuration file as it is now; ConfigError leaves everything as it was. No message is lost."""
        with self._reloading:
            try:
                new = RelayConfig.load(self.config.path)
                trusted = self._check_control(new)
                self.ask(lambda: self._become(new))
            except BaseException:
                self.reloads["failed"] += 1
                raise
            if self.control is not None and new.control is not None and trusted is not None:
                self.control.follow(new.control, trusted)
            self.reloads["done"] += 1

    def snapshot(self) -> dict[str, Any]:
        """Counts of every leg and lane, as plain data."""
        return self.ask(self._snapshot)

    def _controlled(self, config: RelayConfig) -> Control | None:
        if config.control is None or self.identity is None:
            return None
        return Control(
            config.control, self.identity, Commands(self), lambda key: self.warden.is_blocked("", identity=key)
        )

    def _check_control(self, new: RelayConfig) -> Trust | None:
        if (new.identity, new.max_peers) != (self.config.identity, self.config.max_peers):
            raise ConfigError("relay.identity and peers.max_peers cannot change while it runs; start it anew")
        if new.metrics != self.config.metrics:
            raise ConfigError("metrics.endpoint cannot change while it runs; start the relay anew")
        if self.control is not None:
            return self.control.check(new.control)
        if new.control is not None:
            raise ConfigError("[control] cannot come while it runs; start it anew")
        return None

    # -- on the loop's thread --------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while not self._stopping.is_set():
                self._loop.run(until=_TICK_SECONDS)
                self._answer()
                self._tick()
            self._drain()
        except BaseException as error:
            self.failure = error
            _log.exception("the relay has failed")
        finally:
            self._answer(ConfigError("the relay has stopped"))

    def _answer(self, instead: Exception | None = None) -> None:
        while self._asked:
            what, future = self._asked.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if instead is not None:
                    raise instead
                future.set_result(what())
            except Exception as error:
                future.set_exception(error)

    def _tick(self) -> None:
        for leg in self._legs.values():
            if len(self._observed) < _MOST_OBSERVED:  # else it stays in the leg's own tables
                taken = leg.checks.take(_OBSERVED_AT_ONCE)
                self._alarm.count(taken)
                self._observed.extend(taken)
        self._alarm.follow(self._legs.values(), self._memory.share(), time.monotonic())
        if self._memory.is_beyond():
            self._cut()

    def _cut(self) -> None:
        """Cut off everybody at the fronts, and do not let those come back who are to blame."""
        _log.error("memory is beyond %d MiB: fronts are opened anew, unfinished messages go", self._memory.limit_mib)
        self._cuts += 1
        self._alarm.blame(self._legs.values())
        self._waking.set()
        self.reopen_fronts()
        if self.control is not None:
            self.control.reopen()

    def reopen_fronts(self) -> None:
        """Cut off everybody at the fronts; on the loop's thread. An address that was lost meanwhile is told."""
        for name, leg in self._legs.items():
            try:
                leg.reopen_front()
            except ConfigError as error:
                _log.error("leg %s: %s; it is tried again when the configuration is reloaded", name, error)
        self._use_lanes()

    def _drain(self) -> None:
        for leg in self._legs.values():
            leg.front.shut()
        end = self._loop.run(quiet=_QUIET_SECONDS, until=self.config.drain_seconds)
        if end != "quiet":
            _log.warning("messages still came after %g s of draining", self.config.drain_seconds)

    def _become(self, new: RelayConfig) -> None:
        wanted = {leg.name: leg for leg in new.legs}
        self._refuse_what_cannot_change(wanted)
        means = Means.of(new, self.identity)
        made: dict[str, Leg] = {}
        followed: list[Leg] = []
        try:
            for name, config in wanted.items():
                if name not in self._legs:
                    made[name] = Leg(config, self._context, means)
                else:
                    followed.append(self._legs[name])
                    self._legs[name].become(config, means)
        except BaseException:
            for leg in made.values():
                leg.close(0)
            before = {leg.name: leg for leg in self.config.legs}
            for leg in reversed(followed):
                leg.become(before[leg.config.name], self._means)
            raise
        gone = [self._legs.pop(name) for name in tuple(self._legs) if name not in wanted]
        self._legs.update(made)
        self.warden.ledger.thresholds = new.thresholds
        self.config, self._means = new, means
        self._let_go(gone)
        self._apply(self._rules())
        self._use_lanes()
        _log.info("configuration reloaded: %d legs, %d new, %d gone", len(self._legs), len(made), len(gone))

    def _refuse_what_cannot_change(self, wanted: dict[str, LegConfig]) -> None:
        for name, config in wanted.items():
            leg = self._legs.get(name)
            if leg is not None and not leg.can_become(config):
                raise ConfigError(
                    f"leg {name!r}: its pattern, hwm and CURVE keys cannot change while it runs; "
                    "give the leg another name, or start the relay anew"
                )

    def _let_go(self, legs: list[Leg]) -> None:
        """Forward what they hold, then close them."""
        if not legs:
            return
        for leg in legs:
            leg.front.shut()
        self._loop.use_lanes(lane for leg in legs for lane in leg.lanes)
        self._loop.run(quiet=_QUIET_SECONDS, until=_LEAVE_SECONDS)
        self._loop.use_lanes([])
        for leg in legs:
            leg.close(int(_LEAVE_SECONDS * 1000))

    def _use_lanes(self) -> None:
        self._loop.use_lanes(lane for leg in self._legs.values() for lane in leg.lanes)

    def _snapshot(self) -> dict[str, Any]:
        return {
            "name": self.config.name,
            "began": self.began,
            "version": __version__,
            "memory": {"bytes": self._memory.now(), "limit": self._memory.limit_mib << 20, "cuts": self._cuts},
            "reloads": dict(self.reloads),
            "control": {} if self.control is None else self.control.plain(),
            "metrics": {} if self.metrics is None else {"endpoint": self.metrics.endpoint},
            "peers": len(self.warden.ledger),
            "states": self.warden.states(),
            "rules": self.warden.rules.counts(),
            "connections": {"allowed": self._zap.allowed, "denied": self._zap.denied},
            "legs": {
                name: {
                    "pattern": leg.config.pattern,
                    "endpoints": leg.endpoints,
                    "lanes": {way: _counts(lane) for way, lane in zip(("out", "back"), leg.lanes, strict=False)},
                }
                for name, leg in self._legs.items()
            },
        }

    # --------------------------------------------------------------------------------------------------------------

    # -- rules, made on the keeper's thread ------------------------------------------------------------------------

    def _keep(self) -> None:
        while not self._stopping.is_set():
            self._waking.wait(_TICK_SECONDS)
            self._waking.clear()
            try:
                self._turn_away()
                self.warden.observe(observation(self._observed.popleft()) for _ in range(len(self._observed)))
                self.warden.refresh()
                if self._are_new_rules():
                    rules = self._rules()
                    self._asked.append((lambda rules=rules: self._apply(rules), Future()))  # type: ignore[misc]
                    self._ring()
            except Exception:
                _log.exception("the peers cannot be judged now")

    def _is_denied(self, address: str) -> bool:
        return normal_address(address) in self._alarm.blamed or self.warden.is_blocked(address)

    def _turn_away(self) -> None:
        """Make rules of the blame."""
        for address, count in tuple(self._alarm.blamed.items()):
            self.warden.turn_away(address, f"{count >> 10} KiB of messages without an end, beyond the memory's limit")
            del self._alarm.blamed[address]

    def _told(self, event: dict[str, Any]) -> None:
        self.events.tell(event)
        self._waking.set()

    def _are_new_rules(self) -> bool:
        version, throttled, until = self._ruled
        return (self.warden.version, self.warden.ledger.version) != (version, throttled) or time.time() >= until

    def _rules(self) -> tuple[Rules, Rules, bool]:
        now, warden = time.time(), self.warden
        versions = warden.version, warden.ledger.version
        entries, throttled = warden.rules.entries, warden.ledger.throttled
        self._ruled = (
            *versions,
            min((one.until for one in entries if one.until and one.until > now), default=math.inf),
        )
        return rules_of(entries, now), throttled_of(throttled, entries, now), bool(entries or throttled)

    def _apply(self, rules: tuple[Rules, Rules, bool]) -> None:
        """Turn away and slow down from the next batch on; on the loop's thread."""
        for leg in self._legs.values():
            leg.checks.rule(*rules)
            leg.use_policies()

    def _ring(self) -> None:
        with self._ringing:
            self._loop.call()
            if not self._bell.closed:
                self._bell.send(b"", zmq.DONTWAIT)

    def _close(self, linger_ms: int) -> None:
        self._loop.use_lanes([])
        for leg in self._legs.values():
            leg.close(linger_ms)
        self._legs.clear()
        self._zap.stop()
        with self._ringing:
            self._bell.close()
        self._control.close()
        self._context.term()
        self.warden.store.close()


def _counts(lane: Lane) -> dict[str, Any]:
    return {**lane.counts, "holds": lane.holds}
