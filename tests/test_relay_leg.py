"""A running relay's legs: opened anew, watched, and never stalled or ended by what stands beside the loop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from socket_helpers import TIMEOUT, eventually

pytest.importorskip("zmqsec._relay")

from zmqsec.relay.blocks import Entry
from zmqsec.relay.config import RelayConfig
from zmqsec.relay.service import Service


class Relay:
    """A service with one leg of PULL and PUSH, and plain sockets around it."""

    def __init__(self, folder: Path, scheme: str, settings: str = "", pattern: str = "push-pull") -> None:
        front, back = (
            ("tcp://127.0.0.1:*",) * 2 if scheme == "tcp" else (f"ipc://{folder}/front", f"ipc://{folder}/back")
        )
        path = folder / "relay.toml"
        path.write_text(
            f'{settings}\n[[leg]]\nname = "one"\npattern = "{pattern}"\n'
            f'front = {{ bind = "{front}" }}\nback = {{ bind = "{back}" }}\n'
        )
        self.service = Service(RelayConfig.load(path))
        self.service.start()
        self._context = zmq.Context()
        self._sockets: list[Any] = []

    def connected(self, kind: int, side: str) -> Any:
        socket = self._context.socket(kind)
        socket.linger, socket.rcvtimeo, socket.sndtimeo, socket.reconnect_ivl = 0, TIMEOUT, TIMEOUT, 10
        socket.connect(self.service.snapshot()["legs"]["one"]["endpoints"][side][0])
        self._sockets.append(socket)
        return socket

    def end(self) -> None:
        self.service.stop()
        for socket in self._sockets:
            socket.close()
        self._context.term()


@pytest.fixture
def relays() -> Iterator[list[Relay]]:
    made: list[Relay] = []
    yield made
    for relay in made:
        relay.end()


@pytest.mark.parametrize("scheme", ("tcp", "ipc"))
def test_leg_opened_anew_cuts_off_the_unfinished_and_serves_the_others(
    relays: list[Relay], tmp_path: Path, scheme: str
) -> None:
    """Again and again, at the same address; what never ends its message is gone, who sends whole ones comes back."""
    relay = Relay(tmp_path, scheme)
    relays.append(relay)
    endless, honest, pull = (
        relay.connected(zmq.PUSH, "front"),
        relay.connected(zmq.PUSH, "front"),
        relay.connected(zmq.PULL, "back"),
    )
    before = relay.service.snapshot()["legs"]["one"]["endpoints"]
    for number in range(10):
        endless.send(b"part", zmq.SNDMORE | zmq.NOBLOCK) if number == 0 else None
        relay.service.ask(relay.service.reopen_fronts)
        assert relay.service.snapshot()["legs"]["one"]["endpoints"] == before

        def comes_through(text: bytes = b"%d" % number) -> bool:
            honest.send(text)
            return bool(pull.poll(50)) and pull.recv() == text

        eventually(comes_through)
    assert relay.service.alive and relay.service.failure is None


def test_leg_whose_address_was_taken_meanwhile_is_told_and_the_relay_goes_on(
    relays: list[Relay], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    relay = Relay(tmp_path, "tcp")
    relays.append(relay)
    (endpoint,) = relay.service.snapshot()["legs"]["one"]["endpoints"]["front"]
    with zmq.Context() as context, context.socket(zmq.PULL) as thief:

        def steal() -> None:
            front = relay.service._legs["one"].front
            bind = front._bind

            def bind_late(given: str, real: str) -> None:
                thief.bind(real)  # when the old socket has left it, before the new one has it
                bind(given, real)

            front._bind = bind_late  # type: ignore[method-assign]
            relay.service.reopen_fronts()

        relay.service.ask(steal)
        assert f"cannot bind {endpoint}" in caplog.text
        assert relay.service.alive and relay.service.snapshot()["legs"]["one"]["endpoints"]["front"] == []


def test_service_block_list_of_its_own_is_followed_on_every_thread(
    relays: list[Relay], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By default the list stands in memory, and that is one list."""
    relay = Relay(tmp_path, "tcp")
    relays.append(relay)
    relay.service.warden.store.put(Entry("address", "192.0.2.1"))
    eventually(lambda: relay.service.warden.is_blocked("192.0.2.1"))
    assert "cannot be read" not in caplog.text


def test_service_forwards_while_the_block_list_does_not_answer(
    relays: list[Relay], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay(tmp_path, "tcp")
    relays.append(relay)
    push, pull = relay.connected(zmq.PUSH, "front"), relay.connected(zmq.PULL, "back")
    asked: list[float] = []

    def slow(now: float) -> int:
        asked.append(now)
        time.sleep(2)
        return 0

    monkeypatch.setattr(relay.service.warden.store, "expire", slow)
    eventually(lambda: bool(asked))
    began = time.monotonic()
    for _ in range(10):
        push.send(b"x")
        assert pull.recv() == b"x"
    assert time.monotonic() - began < 1


def test_leg_opened_anew_keeps_whole_messages_that_its_lanes_hold(relays: list[Relay], tmp_path: Path) -> None:
    relay = Relay(tmp_path, "tcp")
    relays.append(relay)
    push = relay.connected(zmq.PUSH, "front")
    sent = [[b"%d" % number, b"and more"] for number in range(40)]
    for message in sent:
        push.send_multipart(message)
    lane = relay.service._legs["one"].lanes[0]
    eventually(lambda: lane.counts["received"] >= 32 and lane.holds)
    held = lane.counts["received"]
    relay.service.ask(relay.service.reopen_fronts)
    pull = relay.connected(zmq.PULL, "back")
    assert [pull.recv_multipart() for _ in range(held)] == sent[:held]
    assert lane.counts["lost"] == 0


def test_leg_of_subscriptions_opened_anew_serves_its_subscribers_again(relays: list[Relay], tmp_path: Path) -> None:
    relay = Relay(tmp_path, "tcp", pattern="pub-sub")
    relays.append(relay)
    publisher, subscriber = relay.connected(zmq.PUB, "front"), relay.connected(zmq.SUB, "back")
    subscriber.subscribe(b"news")

    def comes_through() -> bool:
        publisher.send(b"other")
        publisher.send(b"news")
        return bool(subscriber.poll(50)) and subscriber.recv() == b"news"

    eventually(comes_through)
    relay.service.ask(relay.service.reopen_fronts)
    eventually(comes_through)
