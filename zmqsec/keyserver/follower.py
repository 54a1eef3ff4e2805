"""The follower of one group (floor 12), sans-I/O: which epoch a member seals with, and which it opens, at what time.

It is told what the server said and when, in monotonic seconds, and moves the keyring: a key that is fetched opens at
once, seals when its time has come, and is forgotten when its time is over. A clock that is set does nothing to it.
"""

from __future__ import annotations

import base64
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..admission import AdmissionKey
from ..association import Association
from ..credential import Credential
from ..expected import Expectation, Expected
from ..keyring import Keyring
from .policy import Policy

_LAST = float("inf")
_LEAST_SPREAD = 0.5
_log = logging.getLogger("zmqsec.keyserver")


@dataclass(slots=True)
class _Held:
    epoch: int
    association: Association
    send_at: float
    end_at: float


class Follower:
    """`group` is also the name of its associations in the keyring."""

    def __init__(self, group: str, keyring: Keyring, *, uniform: Callable[[], float] = random.random) -> None:
        self.group, self._keyring, self._uniform = group, keyring, uniform
        self._held: list[_Held] = []
        #: The newest epoch that is held, and when to fetch next.
        self.epoch = 0
        self.fetch_at = 0.0
        #: For a relay: what lets it tell members from strangers.
        self.admission: tuple[AdmissionKey, ...] = ()
        self.sends = False

    # -- what the server says ------------------------------------------------------------------------------------------

    def announced(self, epoch: int, spread: float, now: float) -> None:
        """A new epoch: fetch it at a time of one's own, within the time that all members have."""
        if epoch > self.epoch:
            self.fetch_at = min(self.fetch_at, now + 0.8 * max(spread, _LEAST_SPREAD) * self._uniform())

    def failed(self, now: float, retry: float) -> None:
        """The server did not answer: ask again soon."""
        self.fetch_at = now + retry * (0.5 + self._uniform())

    def fetched(self, said: dict[str, Any], now: float, every: float) -> None:
        """Take what a fetch gave."""
        self.fetch_at = now + every * (0.75 + 0.5 * self._uniform())
        policy = Policy.of(said["policy"])
        self.sends = "send" in said["roles"]
        if "relay" in said["roles"]:
            self.admission = tuple(
                AdmissionKey(self.group, one["spi"], base64.b64decode(one["admission"])) for one in said["epochs"]
            )
            self.epoch = said["epoch"]
            return
        told = {one["epoch"]: one for one in said["epochs"]}
        known = {one.epoch for one in self._held}
        for held in self._held:
            if held.epoch in told:
                held.end_at = min(held.end_at, now + told[held.epoch]["accept_for"])
            elif held.epoch < max(told, default=0):  # a newer one is one that this server has not heard of yet
                held.end_at = now
        for number in sorted(told.keys() - known):
            one = told[number]
            association = policy.association(self.group, one["spi"], base64.b64decode(one["secret"]))
            self._held.append(_Held(number, association, now + one["send_in"], now + one["accept_for"]))
        for held in self._held:
            # First what goes on, then the key: no recording of what began before comes in between.
            self._keyring.expect(held.association.spi, _expectation(held.association.spi, said, policy.queued))
            if held.epoch not in known:
                self._keyring.accept(held.association)
        self.epoch = max(self.epoch, said["epoch"])
        self._learn(said)
        self.move(now)

    def _learn(self, said: dict[str, Any]) -> None:
        """What the realm says of this member, to be shown to others."""
        if "credential" not in said:
            return
        credential = Credential.read(base64.b64decode(said["credential"]))
        if isinstance(credential, Credential):
            mine = {identity.key: identity for identity in self._keyring.identities}
            held = self._keyring.credential(mine[credential.subject]) if credential.subject in mine else None
            if credential.subject in mine and (held is None or held.raw != credential.raw):
                self._keyring.add_credential(credential)

    def evicted(self) -> None:
        """The member is not in the group any more: forget its keys at once."""
        for held in self._held:
            self._keyring.retire(held.association.spi)
        self._held.clear()
        self.admission, self.epoch = (), 0

    # -- time ----------------------------------------------------------------------------------------------------------

    def move(self, now: float) -> None:
        """Seal with the newest key whose time has come, and forget those whose time is over."""
        for held in tuple(self._held):
            if now >= held.end_at:
                self._held.remove(held)
                self._keyring.retire(held.association.spi)
                if not self._held:
                    _log.error("group %s: its last key has ended, and the key server has given no other", self.group)
        ready = [held for held in self._held if now >= held.send_at]
        if ready:
            self._keyring.replace(max(ready, key=lambda held: held.epoch).association)

    def next_move(self) -> float:
        """When `move` has something to do."""
        return min((at for held in self._held for at in (held.send_at, held.end_at)), default=_LAST)

    @property
    def spis(self) -> tuple[int, ...]:
        """The SPIs of the keys that are held."""
        return tuple(held.association.spi for held in self._held)


def _expectation(spi: int, said: dict[str, Any], queued: bool) -> Expectation:
    """The sessions of one key, as a fetch tells them; where messages wait in queues no number is used up."""
    return Expectation(
        said["began"],
        tuple(
            Expected(
                base64.b64decode(one["session"]), 0 if queued else one["sequence"], base64.b64decode(one["origin"])
            )
            for one in said["sessions"]
            if one["spi"] == spi
        ),
    )
