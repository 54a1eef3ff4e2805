"""Processes on both sides of a relay that does one wrong thing, or all: what it leaves whole arrives, and nothing else.

The relay says in the end what it did to which message, so that each can be accounted for.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from faults_sender import bodies
from helpers import ALICE, BOB
from socket_helpers import TIMEOUT, Net, eventually, refusals

HERE = Path(__file__).parent
COUNT = 600
VERBS = ("drop", "double", "reorder", "delay", "truncate", "corrupt")
#: What may be said of a message that was cut, in any of its frames; and of one with another bit.
CUT = {"malformed", "forged", "topic-mismatch", "bad-attestation"}
ALTERED = CUT | {"version", "suite", "unknown-spi", "stale-session", "replayed", "not-permitted"}


class Processes:
    """A relay, a sender, and whatever else runs beside the test."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []

    def start(self, program: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(HERE / program), *map(str, arguments)]
        made = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._running.append(made)
        return made

    def end(self) -> None:
        for one in self._running:
            one.communicate(timeout=20)
            assert one.returncode == 0


def tell(process: subprocess.Popen[str]) -> None:
    """The line that a process waits for."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def processes() -> Iterator[Processes]:
    made = Processes()
    yield made
    made.end()


def receive_through(
    net: Net, processes: Processes, kind: str, seed: int, verbs: tuple[str, ...], identified: bool
) -> tuple[list[bytes], dict[str, int], dict[str, list[int]]]:
    """What a receiver opens and refuses of what a sender sends through a relay, and what the relay did."""
    relay = processes.start("faults_relay.py", kind, seed, COUNT, *verbs)
    front, back = said(relay), said(relay)
    keys = net.folder / "keys"
    keys.mkdir()
    net.key.save(keys / "orders.toml")
    if identified:
        ALICE.save(keys / "alice.toml")
    receiver = net.socket(zmq.PULL if kind == "push" else zmq.SUB)
    receiver.set_hwm(0)
    if kind == "publish":
        receiver.subscribe(b"")
    receiver.connect(back)
    sender = processes.start("faults_sender.py", keys, kind, front, COUNT)
    assert receiver.poll(10 * TIMEOUT)
    tell(sender)
    while receiver.recv_multipart()[-1] != b"last probe":
        pass
    tell(relay)
    assert said(relay) == "begun"
    tell(sender)
    tally: dict[str, list[int]] = json.loads(said(relay))
    sent = COUNT - len(tally.get("drop", ())) + len(tally.get("double", ()))
    got: list[bytes] = []

    def all_came() -> bool:
        got.extend(parts[-1] for parts in receiver.recv_many(100, timeout=0.02, multipart=True))
        return len(got) + sum(refusals(receiver).values()) == sent

    eventually(all_came)
    return got, refusals(receiver), tally


def numbers(got: list[bytes]) -> list[int]:
    """The numbers of messages, each of which is what was sent under it."""
    expected = bodies(COUNT)
    found = [int(body.split(b":")[0]) for body in got]
    assert all(body == expected[number] for number, body in zip(found, got, strict=True))
    return found


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path, identified: bool) -> Iterator[Net]:
    with Net(implementation, tmp_path, **{"attestation": "required"} if identified else {}) as made:
        yield made.trusting(ALICE, BOB)


@pytest.mark.parametrize("identified", [False, True], ids=["members", "identities"])
@pytest.mark.parametrize("verb", VERBS)
def test_faults_of_one_kind_have_their_one_outcome(net: Net, processes: Processes, verb: str, identified: bool) -> None:
    got, refused, tally = receive_through(net, processes, "push", 7, (verb,), identified)
    found, struck = numbers(got), tally[verb]
    assert len(struck) > COUNT / 4, "the premise: it happened, and often"
    if verb in ("drop", "truncate", "corrupt"):
        assert found == tally["pass"]
    else:
        assert sorted(found) == list(range(COUNT)), "nothing is lost, and nothing comes twice"
        assert (found == sorted(found)) == (verb == "double")
    if verb in ("drop", "reorder", "delay"):
        assert refused == {}
    elif verb == "double":
        assert refused == {"replayed": len(struck)}
    else:
        assert set(refused) <= (CUT if verb == "truncate" else ALTERED) and sum(refused.values()) == len(struck)
        assert ("bad-attestation" in refused) == identified and "forged" in refused


@pytest.mark.parametrize("identified", [False, True], ids=["members", "identities"])
@pytest.mark.parametrize(("kind", "seed"), [("push", 1), ("publish", 2)])
def test_faults_of_all_kinds_leave_what_is_whole(
    net: Net, processes: Processes, kind: str, seed: int, identified: bool
) -> None:
    got, refused, tally = receive_through(net, processes, kind, seed, VERBS, identified)
    assert min(len(tally[verb]) for verb in VERBS) > 10, "the premise: all of them happened"
    damaged = {*tally["truncate"], *tally["corrupt"]}
    assert sorted(numbers(got)) == sorted(set(range(COUNT)) - damaged - set(tally["drop"]))
    assert set(refused) <= ALTERED and refused["replayed"] >= len(tally["double"])
    assert sum(refused.values()) == len(tally["double"]) + len(damaged)


@pytest.mark.parametrize("identified", [True], ids=["identities"])
@pytest.mark.parametrize("seed", [3, 4])
def test_faults_on_both_ways_give_no_request_the_answer_of_another(
    net: Net, processes: Processes, seed: int, identified: bool
) -> None:
    relay = processes.start("faults_relay.py", "request", seed, 200, *VERBS)
    front, back = said(relay), said(relay)
    client, server = net.socket(zmq.DEALER, identity=ALICE), net.socket(zmq.ROUTER, identity=BOB)
    client.connect(front)
    server.connect(back)
    tell(relay)
    assert said(relay) == "begun"
    asked = {client.send_message(body=[b"%d" % i]): i for i in range(200)}
    got: dict[Any, list[bytes]] = {}

    def exchange() -> bool:
        for request in _messages(server):
            assert request.origin.identity == ALICE.public
            server.send_message(request.reply([b"re " + request.body[0]]))
        for reply in _messages(client):
            assert reply.reply_to not in got and reply.origin.identity == BOB.public
            got[reply.reply_to] = reply.body
        return len(got) > 60

    eventually(exchange)
    assert all(body == [b"re %d" % asked[message_id]] for message_id, body in got.items())
    for socket in (client, server):
        assert set(refusals(socket)) <= ALTERED and refusals(socket)["replayed"] > 0


def _messages(socket: Any) -> Iterator[Any]:
    while socket.poll(20):
        try:
            yield socket.recv_message(zmq.NOBLOCK)
        except zmq.Again:
            return
