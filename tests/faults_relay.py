"""A plain relay in a process of its own that loses, doubles, turns round, keeps, cuts and alters messages, by a seed.

``faults_relay.py push|publish|request SEED COUNT VERB...`` prints its two addresses, front and back. A line at its
standard input lets it begin; until then it is honest. From the front it then gives COUNT messages one of these verbs
each, or none, lets go all that it keeps, prints in JSON what became of which message, and is honest again. Replies get
the same verbs. It ends with its standard input.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import sys
import time

import zmq

KINDS = {"push": (zmq.PULL, zmq.PUSH), "publish": (zmq.XSUB, zmq.XPUB), "request": (zmq.ROUTER, zmq.DEALER)}
#: Most messages that overtake one that is turned round, and seconds that one is kept.
OVERTAKING, KEPT = 50, 0.1

Frames = list[bytes]


class Fates:
    """What becomes of the messages of one direction, until `count` of them have had their verb."""

    def __init__(self, seed: int, count: int, verbs: list[str]) -> None:
        self._random, self._left, self._verbs = random.Random(seed), count, verbs
        self._number = -1
        self.tally: dict[str, list[int]] = {verb: [] for verb in verbs}
        self._behind: list[tuple[int, int, Frames]] = []  # which message lets it go, its number, itself
        self._until: list[tuple[float, int, Frames]] = []  # heap: when it goes on, a tie-breaker, itself
        self._ties = itertools.count()

    @property
    def over(self) -> bool:
        """Whether all that had a verb have gone on."""
        return self._left == 0 and not self._behind and not self._until

    def take(self, frames: Frames) -> list[Frames]:
        """A message came; what goes on now."""
        if self._left == 0:
            return [frames]
        self._left -= 1
        self._number += 1
        number = self._number
        verb = self._random.choice(self._verbs) if self._random.random() < 0.4 else "pass"
        self.tally.setdefault(verb, []).append(number)
        sent = [frames]
        if verb == "drop":
            sent = []
        elif verb == "double":
            sent = [frames, frames]
        elif verb == "reorder":
            self._behind.append((number + self._random.randint(1, OVERTAKING), number, frames))
            sent = []
        elif verb == "delay":
            heapq.heappush(self._until, (time.monotonic() + self._random.random() * KEPT, next(self._ties), frames))
            sent = []
        elif verb in ("truncate", "corrupt"):
            sent = [self._damaged(frames, verb)]
        sent += [one for until, _, one in self._behind if until <= number or self._left == 0]
        self._behind = [one for one in self._behind if one[0] > number and self._left > 0]
        return sent

    def _damaged(self, frames: Frames, verb: str) -> Frames:
        """The message with one of its frames cut, or with another bit in it, behind the delimiter if there is one."""
        first = frames.index(b"") + 1 if b"" in frames else 0
        which = self._random.randrange(first, len(frames))
        changed = bytearray(frames[which])
        at = self._random.randrange(len(changed))
        if verb == "truncate":
            del changed[at:]
        else:
            changed[at] ^= 1 << self._random.randrange(8)
        return [*frames[:which], bytes(changed), *frames[which + 1 :]]

    def due(self) -> list[Frames]:
        """What was kept for long enough."""
        sent = []
        while self._until and self._until[0][0] <= time.monotonic():
            sent.append(heapq.heappop(self._until)[2])
        return sent

    def wait(self) -> int | None:
        """Milliseconds until something is due; None: for ever."""
        return max(0, int((self._until[0][0] - time.monotonic()) * 1000)) + 1 if self._until else None


class Relay:
    """Both directions, from the first line of standard input on with faults."""

    def __init__(self, kind: str, seed: int, count: int, verbs: list[str]) -> None:
        self._context = zmq.Context()
        self._ends = [self._context.socket(one) for one in KINDS[kind]]
        for end in self._ends:
            end.set_hwm(0)
            end.linger = 5000
            end.bind("tcp://127.0.0.1:*")
            print(end.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0"), flush=True)
        honest = Fates(0, 0, [])
        self._fates = [honest, honest]
        answers = Fates(seed + 1, count, verbs) if kind == "request" else honest
        self._next = [Fates(seed, count, verbs), answers]
        self._told = False

    def run(self) -> None:
        poller = zmq.Poller()
        poller.register(sys.stdin.fileno(), zmq.POLLIN)
        for end in self._ends:
            if end.type != zmq.PUSH:
                poller.register(end, zmq.POLLIN)
        while True:
            waits = [one for one in (fates.wait() for fates in self._fates) if one is not None]
            ready = dict(poller.poll(min(waits, default=None)))
            if sys.stdin.fileno() in ready:
                if not sys.stdin.readline():
                    return
                self._fates = self._next
                print("begun", flush=True)
            for fates, source, target in zip(self._fates, self._ends, reversed(self._ends), strict=True):
                for frames in [*fates.due(), *(fates.take(source.recv_multipart()) if source in ready else [])]:
                    target.send_multipart(frames)
            if not self._told and self._fates is self._next and self._fates[0].over:
                self._told = True
                print(json.dumps(self._fates[0].tally), flush=True)

    def close(self) -> None:
        """Return once all that was sent has left."""
        for end in self._ends:
            end.close()
        self._context.term()


if __name__ == "__main__":
    relay = Relay(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    relay.run()
    relay.close()
