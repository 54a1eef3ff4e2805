"""What changing keys costs a running stream: DEALER to ROUTER over tcp, with new keys often and without, in turn.

    python -m bench.rekey [--rounds N] [--seconds S] [--every S]

Two threads of one process, batches of 64 messages of 64 bytes. Keys change every `--every` seconds in the one stream,
which is far more often than the 120 s of the default, so that the cost can be seen at all; the last line reckons what
it is at 120 s.
"""

from __future__ import annotations

import argparse
import threading
import time
from statistics import median

import zmq

import zmqsec
from zmqsec import limits

ALICE, BOB = zmqsec.Identity.generate("alice"), zmqsec.Identity.generate("bob")
BATCH = [bytes(64)] * 64


class Stream:
    """A stream that has begun; `rate` lets it run for a while."""

    def __init__(self, context: zmqsec.Context, every: float) -> None:
        times = {"rekey_after": every, "reject_after": 2 * every}
        self.router = context.socket(zmq.ROUTER, identity=BOB, peer=[ALICE.public], handshake=times)
        port = self.router.bind_to_random_port("tcp://127.0.0.1")
        self.dealer = context.socket(zmq.DEALER, identity=ALICE, peer=BOB.public, handshake=times)
        self.dealer.connect(f"tcp://127.0.0.1:{port}")
        self.received = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()

    def _receive(self) -> None:
        while not self._stop.is_set():
            self.received += len(self.router.recv_many(64, timeout=0.05))

    def rate(self, seconds: float) -> float:
        """Messages a second that were opened."""
        end = time.monotonic() + seconds
        self.dealer.send_many(BATCH)
        before, began = self.received, time.monotonic()
        while time.monotonic() < end:
            self.dealer.send_many(BATCH)
        return (self.received - before) / (time.monotonic() - began)

    def close(self) -> int:
        """End it; how many handshakes there were."""
        self._stop.set()
        self._thread.join()
        assert sum(self.router.stats.refused.values()) == 0, self.router.stats.refused
        peer = self.dealer.peer
        assert peer is not None
        self.dealer.close(0)
        self.router.close(0)
        return peer.handshakes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--every", type=float, default=0.25)
    given = parser.parse_args()
    with zmqsec.Context() as context:
        often, never = Stream(context, given.every), Stream(context, 1e6)
        for one in (often, never):
            one.rate(0.5)
        ratios = []
        for turn in range(given.rounds):
            order = (often, never) if turn % 2 else (never, often)
            rates = {id(one): one.rate(given.seconds) for one in order}
            ratios.append(rates[id(often)] / rates[id(never)])
            print(f"{rates[id(often)]:12,.0f} {rates[id(never)]:12,.0f} messages/s, ratio {ratios[-1]:.3f}", flush=True)
        handshakes = often.close()
        never.close()
    ratio = median(ratios)
    print(f"new keys every {given.every:g} s, {handshakes} handshakes: {ratio:.3f} of the rate without "
          f"({min(ratios):.3f} to {max(ratios):.3f})")  # fmt: skip
    cost = max(0.0, 1 - ratio) * given.every / limits.PAIR_REKEY_TIME
    print(f"every {limits.PAIR_REKEY_TIME} s: {cost:.4%} of the throughput (goal: less than 1%)")


if __name__ == "__main__":
    main()
