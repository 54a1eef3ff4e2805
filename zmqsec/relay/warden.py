"""The warden of a relay (floor 11): turns refusals into warnings and blocks, and an operator's word into rules.

It joins the ledger (what was seen), the block store (what was decided, for all relays that share it) and the list in
memory that every connection and message is held to. The service calls it between two batches; the ZAP handler asks it
from a thread of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict
from typing import Any

from ..errors import ConfigError, ZmqsecError
from ..identity import fingerprint, fingerprint_text
from .blocks import BlockList, BlockStore, Entry, normal_entry, normal_value
from .events import begins, changes
from .peers import Judgement, Ledger, Observation, Peer, PeerKey, Verdict

_log = logging.getLogger("zmqsec.relay")
_REFRESH_SECONDS = 1.0
_MAX_SHOWN = 1000


class Warden:
    """Who may pass; from any thread. `clock` gives unix seconds; `watch` gets every change of a verdict or a rule."""

    def __init__(
        self,
        store: BlockStore,
        ledger: Ledger | None = None,
        *,
        clock: Callable[[], float] = time.time,
        watch: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.store, self.ledger = store, ledger if ledger is not None else Ledger()
        self._clock, self._watch = clock, watch
        self._lock = threading.RLock()
        self.rules = BlockList(store.entries())
        self._refreshed = clock()
        #: Grows whenever the rules change, so that the loop's own table can follow.
        self.version = 0
        self._failing = False
        self._unsaved: list[Entry] = []  # blocks that the store could not take yet

    # -- what the loop and the ZAP handler ask ---------------------------------------------------------------------

    def is_blocked(self, address: str, routing_id: bytes = b"", identity: bytes = b"") -> bool:
        """Whether a peer is turned away now; `identity` is a public key that was proven."""
        name = fingerprint_text(fingerprint(identity)) if identity else ""
        return self.rules.is_blocked(self._clock(), address=address, routing_id=routing_id, identity=name)

    # -- what the service tells ------------------------------------------------------------------------------------

    def observe(self, observations: Iterable[Observation]) -> list[Judgement]:
        """Take in what the loop counted; blocks that follow from it stand at once, here and in the store."""
        with self._lock:
            now = self._clock()
            judgements = self.ledger.observe(observations, now) + self.ledger.settle(now)
            saved = [judgement for judgement in judgements if self._carry_out(judgement, now)]
            if saved:
                self.refresh(force=True, told={(one.key.kind, self._name(one.key)) for one in saved})
            for judgement in judgements:
                self._tell(self._event(judgement, now))
            return judgements

    def turn_away(self, address: str, note: str) -> None:
        """Block an address for what is known of it besides its refusals, as long as a first block lasts."""
        with self._lock:
            now = self._clock()
            until = now + self.ledger.thresholds.block_seconds
            self._put(Entry("address", address, "block", "relay", now, until, "relay", note))

    def refresh(self, *, force: bool = False, told: Collection[tuple[str, str]] = ()) -> bool:
        """Follow the store, at most once a second; whether the rules have changed.

        A store that cannot be read leaves the rules as they are, and is told once until it can be read again. What
        changed is told to `watch`, but for the rules of those, by kind and value, whom the caller tells about.
        """
        with self._lock:
            now = self._clock()
            if not force and 0 <= now - self._refreshed < _REFRESH_SECONDS:
                return False
            self._refreshed = now
            entries = self._read(now)
            if entries is None or entries == self.rules.entries:
                return False
            before, self.rules = self.rules.entries, BlockList(entries)
            self.version += 1
            for event in changes(before, entries, now):
                if event["event"] == "unblocked":  # by an operator, perhaps of another relay
                    self._forgive(event["kind"], event["value"])
                if (event["kind"], event["value"]) not in told:
                    self._tell(event)
            return True

    def _read(self, now: float) -> tuple[Entry, ...] | None:
        """What stands in the store, once it has taken what it could not take before; None if it cannot be read."""
        try:
            while self._unsaved:
                self.store.put(self._unsaved[0])  # in their order: a later word replaces an earlier one
                del self._unsaved[0]
            self.store.expire(now)
            entries = tuple(self.store.entries())
        except Exception as error:
            if not self._failing:
                _log.error("the block list cannot be read, the rules stay as they are: %s", error)
            self._failing = True
            return None
        if self._failing:
            _log.info("the block list can be read again")
            self._failing = False
        return entries

    # -- what an operator says -------------------------------------------------------------------------------------

    def block(self, kind: str, value: str, *, seconds: float | None = None, author: str, note: str = "") -> Entry:
        """Turn a peer away, for good or for so many seconds; this overrules what the relay found."""
        return self._decide("block", kind, value, seconds, author, note)

    def allow(self, kind: str, value: str, *, seconds: float | None = None, author: str, note: str = "") -> Entry:
        """Let a peer pass whatever the relay finds."""
        with self._lock:
            entry = self._decide("allow", kind, value, seconds, author, note)
            self._forgive(entry.kind, entry.value)
            return entry

    def unblock(self, kind: str, value: str, *, author: str, note: str = "") -> int:
        """Strike out all that was decided about a peer, and begin its score anew; how many lines there were."""
        value = normal_value(kind, value)
        with self._lock:
            count = self._strike_out(kind, value)
            self._forgive(kind, value)
            self.refresh(force=True, told={(kind, value)})
            event = {"event": "unblocked", "kind": kind, "value": value, "lines": count}
            self._tell({**event, "author": author, "note": note})
            return count

    def _strike_out(self, kind: str, value: str) -> int:
        unsaved = [one for one in self._unsaved if (one.kind, one.value) == (kind, value)]
        try:
            count = self.store.remove(kind, value)
        except Exception as error:
            raise ConfigError(
                f"the block list cannot be written now, {kind} {value} stays as it is: {error}"
            ) from error
        self._unsaved = [one for one in self._unsaved if one not in unsaved]
        return count + len(unsaved)

    def listing(self, count: int = 100) -> list[dict[str, Any]]:
        """The peers with the highest scores, as plain data."""
        if not 1 <= count <= 10_000:
            raise ConfigError(f"count={count}: 1 to 10000 is allowed")
        with self._lock:
            now = self._clock()
            return [self._plain(peer, now) for peer in self.ledger.worst(count, now)]

    def states(self) -> dict[str, int]:
        """How many peers there are of each verdict."""
        with self._lock:
            found = self.ledger.states()
        return {verdict.name.lower(): found[verdict] for verdict in Verdict}

    def lines(self) -> list[dict[str, Any]]:
        """The block list, as plain data."""
        return [asdict(entry) for entry in self.rules.entries]

    def show(self, kind: str, value: str) -> dict[str, Any]:
        """What is known and decided about one peer."""
        value = normal_value(kind, value)
        with self._lock:
            now = self._clock()
            peers = [self._plain(peer, now) for peer in self._meant(kind, value)[:_MAX_SHOWN]]
        rules = [asdict(entry) for entry in self.rules.about(kind, value) if entry.in_force(now)]
        return {"kind": kind, "value": value, "peers": peers, "rules": rules}

    # --------------------------------------------------------------------------------------------------------------

    def _decide(self, decision: Any, kind: Any, value: str, seconds: float | None, author: str, note: str) -> Entry:
        if seconds is not None and not 0 < seconds <= 10 * 365 * 86400:
            raise ConfigError(f"seconds={seconds:g}: above 0 and at most ten years is allowed")
        with self._lock:
            now = self._clock()
            until = None if seconds is None else now + seconds
            return self._put(Entry(kind, value, decision, "operator", now, until, author, note))

    def _put(self, entry: Entry) -> Entry:
        """Make a rule count at once, here alone if the store cannot take it now."""
        entry = normal_entry(entry)
        try:
            entry = self.store.put(entry)
            self.refresh(force=True)
        except Exception as error:
            self._keep_here(entry, error)
            self._tell({**asdict(entry), "event": begins(entry)})
        return entry

    def _keep_here(self, entry: Entry, error: Exception) -> None:
        """A rule that the store cannot take yet stands in this relay alone until it can."""
        subject = f"{entry.kind} {entry.value}"
        _log.error("the rule of %s cannot be written yet, it stands in this relay alone: %s", subject, error)
        self._unsaved.append(entry)
        key = (entry.kind, entry.value, entry.origin)
        kept = (one for one in self.rules.entries if (one.kind, one.value, one.origin) != key)
        self.rules = BlockList((*kept, entry))
        self.version += 1

    def _event(self, judgement: Judgement, now: float) -> dict[str, Any]:
        return {
            "event": judgement.verdict.name.lower(),
            "kind": judgement.key.kind,
            "value": self._name(judgement.key),
            "author": "relay",
            "score": round(judgement.score, 1),
            "reasons": dict(sorted(judgement.reasons.items())),
            "until": now + judgement.seconds if judgement.seconds else None,
        }

    def _carry_out(self, judgement: Judgement, now: float) -> bool:
        """Write a block to the store; whether the store has it."""
        key = judgement.key
        if judgement.verdict is not Verdict.BLOCKED or key.kind not in ("address", "identity"):
            return False
        note = ", ".join(f"{reason} {count}" for reason, count in sorted(judgement.reasons.items()))
        until = now + judgement.seconds
        entry = Entry(key.kind, self._name(key), "block", "relay", now, until, "relay", note)
        try:
            self.store.put(entry)
            return True
        except ZmqsecError:
            _log.warning("%s has no IP address, so that no rule can name it", key)  # a peer over ipc or inproc
        except Exception as error:
            self._keep_here(entry, error)
        return False

    def _forgive(self, kind: str, value: str) -> None:
        for peer in self._meant(kind, value):
            self.ledger.forgive(peer.key)

    def _meant(self, kind: str, value: str) -> list[Peer]:
        """The peers that an operator's words name."""
        if kind == "network":
            inside = BlockList([Entry("network", value)])
            return [
                one for one in self.ledger if one.key.kind == "address" and inside.is_blocked(0, address=one.key.value)
            ]
        if kind == "routing-id":
            return [one for one in self.ledger if one.key.kind == kind and one.key.value.partition("@")[0] == value]
        return [one for one in self.ledger if one.key.kind == kind and self._name(one.key) == value]

    def _name(self, key: PeerKey) -> str:
        return fingerprint_text(fingerprint(bytes.fromhex(key.value))) if key.kind == "identity" else key.value

    def _ruling(self, key: PeerKey, now: float) -> Entry | None:
        """The line of the list that decides about a peer of the ledger."""
        if key.kind == "identity":
            return self.rules.ruling(now, identity=self._name(key))
        routing_id, _, address = key.value.partition("@") if key.kind == "routing-id" else ("", "", key.value)
        return self.rules.ruling(now, address=address, routing_id=bytes.fromhex(routing_id))

    def _plain(self, peer: Peer, now: float) -> dict[str, Any]:
        rule = self._ruling(peer.key, now)
        return {
            "kind": peer.key.kind,
            "value": self._name(peer.key),
            "rule": None if rule is None else asdict(rule),
            "verdict": peer.verdict.name.lower(),
            "score": round(peer.score_at(now, self.ledger.thresholds.half_life), 1),
            "forwarded": peer.forwarded,
            "refused": dict(peer.refused),
            "first_seen": peer.first_seen,
            "last_seen": peer.last_seen,
        }

    def _tell(self, event: dict[str, Any]) -> None:
        if self._watch is not None:
            self._watch(event)
