"""The clerk (floor 11): the one thread of a key server that talks to the database, however slow that is.

It carries out changes, makes keys when they are due, follows what other servers of the realm did, and enters what
senders reported, once a second.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import enrolment, epochs, operations, traffic
from .book import Book
from .errors import KeyServerError, Unavailable
from .realm import SERVER, Realm
from .rpc import Request, encode_error, encode_ok
from .traffic import Report

_log = logging.getLogger("zmqsec.keyserver")
_ROUND_SECONDS = 1.0
_SESSIONS_SECONDS = 5.0
_MAX_WAITING = 1000
_SESSION_KEPT = 7200


@dataclass(frozen=True, slots=True)
class Task:
    """A request that needs the database: whose, and where its answer goes."""

    caller: bytes
    request: Request
    back: Any


class Clerk:
    """From `start` to `stop`. `answer` gets each task with its leaf, `rekeyed` the groups with a new key."""

    def __init__(
        self,
        realm: Realm,
        book: Book,
        *,
        clock: Callable[[], float],
        answer: Callable[[Task, bytes], None],
        rekeyed: Callable[[list[str]], None],
    ) -> None:
        self._realm, self._book, self._clock = realm, book, clock
        self._answer, self._rekeyed = answer, rekeyed
        self._tasks: queue.Queue[Task | None] = queue.Queue(_MAX_WAITING)
        self._reports: dict[tuple[int, int, bytes], Report] = {}
        self._held: dict[tuple[int, int], int] = {}
        self._noting = threading.Lock()
        self._sessions_at = 0.0
        self._thread = threading.Thread(target=self._work, name="zmqsec-clerk", daemon=True)
        #: What the database said when it last failed, empty while it does not.
        self.trouble = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what was taken, enter what was noted, and end."""
        self._tasks.put(None)
        self._thread.join()

    def take(self, task: Task) -> bytes | None:
        """Have a task done; a leaf that says why not, if too many wait."""
        try:
            self._tasks.put_nowait(task)
        except queue.Full:
            return encode_error(task.request.id, Unavailable(f"{_MAX_WAITING} requests wait already; try again"))
        return None

    @property
    def waiting(self) -> int:
        """How many requests wait for the database."""
        return self._tasks.qsize()

    def note(self, reports: list[Report]) -> None:
        """Enter these sessions on the next round."""
        with self._noting:
            for one in reports:
                self._reports[one.group_id, one.member_id, one.session] = one

    def note_held(self, group_id: int, member_id: int, epoch: int) -> None:
        """Enter on the next round that a member has fetched this epoch."""
        with self._noting:
            self._held[group_id, member_id] = epoch

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        next_round = time.monotonic()
        while True:
            try:
                task = self._tasks.get(timeout=max(0.0, next_round - time.monotonic()))
            except queue.Empty:
                next_round = time.monotonic() + _ROUND_SECONDS
                self._guarded(self._round)
                continue
            if task is None:
                self._guarded(self._enter)
                return
            self._carry_out(task)
            if time.monotonic() >= next_round:
                next_round = time.monotonic() + _ROUND_SECONDS
                self._guarded(self._round)

    def _carry_out(self, task: Task) -> None:
        request = task.request
        try:
            found = operations.run(self._realm, task.caller, request.id, request.op, request.args, int(self._clock()))
            leaf = encode_ok(request.id, found)
            self._follow()
        except KeyServerError as error:
            leaf = encode_error(request.id, error)
        except Exception:
            _log.exception("request %s has failed", request.op)
            leaf = encode_error(request.id, KeyServerError("the server has failed at this; its log says how"))
        self._answer(task, leaf)

    def _guarded(self, what: Callable[[], None]) -> None:
        """A database that fails is told once, tried again on the next round, and stops nobody who fetches."""
        try:
            what()
            if self.trouble:
                _log.warning("the database answers again")
            self.trouble = ""
        except Exception as error:
            if str(error) != self.trouble:
                _log.error("%s", error, exc_info=None if isinstance(error, KeyServerError) else error)
            self.trouble = str(error) or type(error).__name__

    def _round(self) -> None:
        now = int(self._clock())
        with self._realm.view(now) as view:
            due = epochs.anything_due(view)
        if due:
            with self._realm.change(SERVER, now) as change:
                epochs.due(change)
                enrolment.expire(change)
        self._enter()
        self._follow()
        self._book.forget_ended(now)
        if time.monotonic() >= self._sessions_at:
            self._sessions_at = time.monotonic() + _SESSIONS_SECONDS
            self._read_sessions()

    def _read_sessions(self) -> None:
        """What senders reported to other servers of the realm."""
        ids = [keys.group.id for keys in self._book.groups.values()]
        with self._realm.store.view() as connection:
            live = {group: traffic.live(connection, group) for group in ids}
        for group, sessions in live.items():
            self._book.use_sessions(group, sessions)

    def _enter(self) -> None:
        with self._noting:
            reports, self._reports = list(self._reports.values()), {}
            held, self._held = self._held, {}
        if not reports and not held:
            return
        now = int(self._clock())
        with self._realm.store.change() as connection:
            traffic.report(connection, reports, now)
            traffic.note_held(connection, [(group, member, epoch) for (group, member), epoch in held.items()])
            traffic.forget(connection, now - _SESSION_KEPT)
            groups = {one.group_id for one in reports}
            live = {group: traffic.live(connection, group) for group in groups}
        for group, sessions in live.items():
            self._book.use_sessions(group, sessions)

    def _follow(self) -> None:
        names = self._book.follow(int(self._clock()))
        if names:
            self._rekeyed(names)
