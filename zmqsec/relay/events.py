"""What has happened to peers (floor 11): the newest events, numbered, for the log and for those who watch."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .blocks import Entry  # which an admin's machine need not be able to import

_LEVELS = {"blocked": logging.WARNING, "warned": logging.WARNING, "throttled": logging.WARNING}
_log = logging.getLogger("zmqsec.relay")


class Events:
    """The newest `most` events, numbered from 1 on; from any thread."""

    def __init__(self, most: int = 1000) -> None:
        self._kept: deque[tuple[int, dict[str, Any]]] = deque(maxlen=most)
        self._lock = threading.Lock()
        self.last = 0

    def tell(self, event: dict[str, Any]) -> None:
        """Keep an event, and write it to the log."""
        with self._lock:
            self.last += 1
            self._kept.append((self.last, {"at": time.time(), **event}))
        _log.log(_LEVELS.get(event["event"], logging.INFO), "peer %s", in_words(event), extra={"zmqsec": event})

    def after(self, number: int, most: int = 100) -> tuple[list[dict[str, Any]], int]:
        """At most so many events behind that number, each with its `number` and time, and how many are forgotten."""
        with self._lock:
            kept = [{"number": at, **event} for at, event in self._kept if at > number]
            oldest = self._kept[0][0] if self._kept else self.last + 1
        return kept[:most], max(0, oldest - number - 1)


def changes(before: Collection[Entry], after: Collection[Entry], now: float) -> Iterator[dict[str, Any]]:
    """One event for each rule that began or ended between two states of the list."""
    old, new = set(before), set(after)
    current = {(one.kind, one.value, one.origin) for one in new}
    for entry in before:
        if entry not in new and (entry.kind, entry.value, entry.origin) not in current:
            yield {**asdict(entry), "event": "unblocked" if entry.in_force(now) else "ended", "author": "", "note": ""}
    for entry in after:
        if entry not in old:
            yield {**asdict(entry), "event": begins(entry)}


def begins(entry: Entry) -> str:
    """What the event is called that a rule begins with."""
    return {"block": "blocked", "allow": "allowed"}[entry.decision]


def in_words(event: dict[str, Any]) -> str:
    """An event for people: who, what, by whom, until when and why."""
    words = [f"{event['kind']} {event['value']} is {event['event']}"]
    if event.get("author"):
        words.append(f"by {event['author']}")
    if event.get("until"):
        words.append(f"until {datetime.fromtimestamp(event['until'], timezone.utc):%Y-%m-%d %H:%M:%S} UTC")
    why = event.get("note") or ", ".join(f"{reason} {count}" for reason, count in event.get("reasons", {}).items())
    return " ".join(words) + (f": {why}" if why else "")
