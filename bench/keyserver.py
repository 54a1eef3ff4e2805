"""A group of simulated members gets a new key: how long until all of them hold it, and the server's memory.

    python -m bench.keyserver [--members N] [--spread SECONDS]

The server is `zmqsec keyserver` itself, with its database, in a process of its own. Each member has an identity and a
pairwise association by a handshake, as real ones have; what is simulated is that they share a few connections, behind
which ROUTER tells them apart by a frame, as behind a relay. The time is from the admin's request to the last member
that has opened the new key; the spread, over which members fetch at times of their own, is part of it.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from zmqsec import Identity, Message, PublicIdentity, Receiver, Role, Session, open_many, seal_many
from zmqsec.handshake import Accept, Established, Initiator, Party, Send, is_handshake
from zmqsec.keyserver import client, groups, members, tables
from zmqsec.keyserver.announce import Announcement
from zmqsec.keyserver.config import Config
from zmqsec.keyserver.link import Link
from zmqsec.keyserver.policy import Policy
from zmqsec.keyserver.realm import Realm
from zmqsec.keyserver.rootkey import RootKey
from zmqsec.keyserver.rpc import Request, decode_answer
from zmqsec.parts import leaves

CONNECTIONS = 16
GROUP = "weather"
GOAL_SECONDS, GOAL_MIB = 10.0, 200.0
_AT_ONCE = 128  # handshakes under way
_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class Member:
    """A simulated one; `session` seals for the server, and `epoch` is the newest that it has fetched."""

    number: int
    identity: Identity
    socket: Any
    initiator: Initiator | None = None
    session: Any = None
    receiver: Any = None
    epoch: int = 0

    def send(self, frame: bytes) -> None:
        self.socket.send_multipart([self.number.to_bytes(4, "big"), frame])


class Crowd:
    """All members, over a few connections."""

    def __init__(self, endpoint: str, server: PublicIdentity, identities: list[Identity]) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._server = server
        self._sockets = []
        for _ in range(CONNECTIONS):
            socket = self._context.socket(zmq.DEALER)
            socket.set(zmq.LINGER, 0)
            socket.set(zmq.SNDHWM, 0)
            socket.set(zmq.RCVHWM, 0)
            socket.connect(endpoint)
            self._sockets.append(socket)
        self.members = [Member(n, one, self._sockets[n % CONNECTIONS]) for n, one in enumerate(identities)]
        self._poller = zmq.Poller()
        for socket in self._sockets:
            self._poller.register(socket, zmq.POLLIN)

    def _received(self, timeout: float) -> Iterator[tuple[Member, bytes]]:
        for socket, _ in self._poller.poll(int(1000 * timeout)):
            try:
                for _ in range(64):
                    number, frame = socket.recv_multipart(zmq.DONTWAIT)
                    yield self.members[int.from_bytes(number, "big")], frame
            except zmq.Again:
                continue

    def shake_hands(self) -> None:
        """Every member gets its keys."""
        todo, under_way = list(reversed(self.members)), set[int]()
        while todo or under_way:
            while todo and len(under_way) < _AT_ONCE:
                member = todo.pop()
                party = Party(member.identity)
                member.initiator = Initiator(party, self._server)
                member.receiver = Receiver(me=member.identity, max_sessions=4)
                under_way.add(member.number)
            now = time.monotonic()
            for number in tuple(under_way):
                member = self.members[number]
                assert member.initiator is not None
                deadline = member.initiator.next_deadline()
                if deadline is not None and deadline <= now:
                    self._do(member, member.initiator.poll(now), under_way)
            for member, frame in self._received(0.01):
                if is_handshake(frame) and member.initiator is not None:
                    self._do(member, member.initiator.receive(frame, time.monotonic()), under_way)

    def _do(self, member: Member, events: list[Any], under_way: set[int]) -> None:
        for event in events:
            if isinstance(event, Send):
                member.send(event.frame)
            elif isinstance(event, Accept):
                member.receiver.add(event.association)
            elif isinstance(event, Established):
                member.session, member.initiator = Session(event.pair.send), None
                under_way.discard(member.number)

    def fetch(self, epoch: int, spread: float) -> float:
        """Every member fetches at a time of its own until it has this epoch; the longest that an answer took."""
        began = time.monotonic()
        due = [(began + random.random() * 0.8 * spread, member.number) for member in self.members]
        heapq.heapify(due)
        asked: dict[int, float] = {}
        left, longest = len(self.members), 0.0
        leaf = Request(bytes(16), "fetch", {"group": GROUP}).encode()
        while left:
            now = time.monotonic()
            while due and due[0][0] <= now:
                _, number = heapq.heappop(due)
                member = self.members[number]
                if member.epoch < epoch:
                    asked.setdefault(number, now)
                    member.send(seal_many([leaf], member.session)[0])
                    heapq.heappush(due, (now + _RETRY_SECONDS, number))
            for member, frame in self._received(0.005):
                (opened,) = open_many([frame], member.receiver)
                if not isinstance(opened, Message):
                    raise SystemExit(f"member {member.number} got what it cannot open: {opened}")
                found = decode_answer(bytes(leaves(opened.body)[0]))[1]
                if not isinstance(found, dict):
                    raise SystemExit(f"member {member.number} was refused: {found}")
                if member.epoch < epoch <= found["epoch"]:
                    member.epoch, left = found["epoch"], left - 1
                    longest = max(longest, time.monotonic() - asked[member.number])
        return longest

    def close(self) -> None:
        self._context.destroy(0)


def _member(number: int, identity: Identity, now: int) -> dict[str, Any]:
    return {
        "key": identity.key,
        "fingerprint": str(identity),
        "name": f"member {number}",
        "admin": False,
        "registered": now,
    }


def _membership(group: int, member: int, now: int) -> dict[str, Any]:
    everything = json.dumps(["*"])
    return {
        "group_id": group,
        "member_id": member,
        "roles": int(Role.RECEIVE),
        "publish": everything,
        "read": everything,
        "added": now,
        "held": 0,
    }


def prepare(folder: Path, count: int, spread: int) -> tuple[Identity, list[Identity], PublicIdentity]:
    """A realm with this many members of one group, before the server runs."""
    path = folder / "keys.toml"
    path.write_text(
        f'[keyserver]\nroot_key = "root.key"\nbind = "ipc://{folder}/keys"\nannounce = "ipc://{folder}/news"\n'
    )
    config, admin = Config.load(path), Identity.generate("ops")
    identities = [Identity.generate() for _ in range(count)]
    realm = Realm.create(config.open_store(), RootKey.create(folder / "root.key"), admin.public, int(time.time()))
    with realm.change("bench", int(time.time())) as change:
        group, now = groups.create(change, GROUP, Policy(spread=spread)), int(time.time())
        # Straight into the tables: what is measured comes later.
        change.connection.execute(tables.members.insert(), [_member(n, one, now) for n, one in enumerate(identities)])
        first = members.find(change, "member 0").id
        change.connection.execute(
            tables.memberships.insert(), [_membership(group.id, first + n, now) for n in range(count)]
        )
    realm.close()
    return admin, identities, realm.identity.public


@contextmanager
def serving(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "zmqsec", "keyserver", str(folder / "keys.toml")])
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def memory(process: int) -> float:
    """The most resident memory that a process has had, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(count: int, spread: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        admin, identities, server = prepare(folder, count, spread)
        with serving(folder) as process:
            endpoint = f"ipc://{folder}/keys"
            opened = client.dealer(admin, server)
            link = Link(lambda context: opened(context, endpoint), server.key)
            realm = bytes.fromhex(link.ask("hello", 30)["realm"])
            crowd = Crowd(endpoint, server, identities)
            began = time.monotonic()
            crowd.shake_hands()
            handshakes = time.monotonic() - began
            crowd.fetch(1, 0)
            plain: zmq.Context[Any] = zmq.Context()
            news = plain.socket(zmq.SUB)
            news.subscribe(b"")
            news.connect(f"ipc://{folder}/news")
            news.recv_multipart()  # what is told again every ten seconds: now it is heard
            began = time.monotonic()
            epoch = link.ask("group.rekey", group=GROUP)["epoch"]
            said = None
            while said is None or said.epoch != epoch:
                said = Announcement.verify(news.recv_multipart()[1], server.key, realm)
            longest = crowd.fetch(epoch, said.spread)
            took = time.monotonic() - began
            most = memory(process.pid)
            for closed in (crowd, link):
                closed.close()
            plain.destroy(0)
    return {
        "members": count,
        "spread": spread,
        "handshakes_seconds": handshakes,
        "rekeyed_seconds": took,
        "longest_answer_seconds": longest,
        "server_mib": most,
        "cores": len(os.sched_getaffinity(0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.keyserver", description=__doc__)
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--spread", type=int, default=8, help="seconds over which members fetch (default 8)")
    options = parser.parse_args()
    found = measure(options.members, options.spread)
    print(json.dumps(found, indent=2))
    for name, got, wanted in (
        ("seconds until all members have the new key", found["rekeyed_seconds"], GOAL_SECONDS),
        ("MiB of the server", found["server_mib"], GOAL_MIB),
    ):
        print(f"{name}: {got:.1f}, goal {wanted:g}, {'met' if got < wanted else 'MISSED'}")


if __name__ == "__main__":
    main()
