"""Rogue peers at a running relay: what is dropped, who is blocked for it, who is not, and what an operator sees."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from helpers import ALICE, BOB
from service_helpers import Governed, RawPusher, free_port, leg, running
from socket_helpers import TIMEOUT, eventually

import zmqsec
from zmqsec.relay.admin import Admin

ROGUE, HONEST = "127.0.0.9", "127.0.0.8"
QUIET = 200  # milliseconds in which a message would have come
KEY = zmqsec.Association.from_secret(bytes(range(32)), name="orders", admit=True)
PEERS = "[peers]\nwarn = 50\nthrottle = 200\nblock = 500\nhalf_life = 60\n"
MEMBERS = 'check = "membership"\nadmissions = ["orders.admission.toml"]\n'


class Site:
    """A relay with one leg, its admin, and secured and raw peers around it."""

    def __init__(self, files: Governed, admin: Admin, front: int, back: int, pattern: str) -> None:
        self.files, self.admin, self.front, self.back = files, admin, front, back
        self.context = zmqsec.Context(keyring=[KEY])
        self.raw = zmq.Context()
        first, last = {"push-pull": (zmq.PUSH, zmq.PULL), "router-dealer": (zmq.DEALER, zmq.ROUTER)}[pattern]
        self._kind = first
        self.sink = self.context.socket(last, association="orders")
        self.sink.rcvtimeo = TIMEOUT
        self.sink.connect(f"tcp://127.0.0.1:{back}")

    def peer(self, source: str, **options: Any) -> Any:
        """A secured socket in front that comes from this address."""
        routing_id = options.pop("routing_id", None)
        made = self.context.socket(self._kind, association="orders", **options)
        made.linger, made.sndtimeo = 0, TIMEOUT
        if routing_id is not None:
            made.routing_id = routing_id
        made.connect(f"tcp://{source}:0;127.0.0.1:{self.front}")
        return made

    def stranger(self, source: str) -> Any:
        """A plain socket in front that comes from this address."""
        made = self.raw.socket(self._kind)
        made.linger, made.sndtimeo = 0, TIMEOUT
        made.connect(f"tcp://{source}:0;127.0.0.1:{self.front}")
        return made

    def got(self) -> bytes:
        """The body of the next message that comes out."""
        body: bytes = self.sink.recv_multipart()[-1]
        return body

    def passes(self, peer: Any, text: bytes, honest: Any) -> bool:
        """Whether a message passes; the honest one that is sent behind it does."""
        peer.send(text)
        time.sleep(QUIET / 1000)  # another connection's message may overtake it
        honest.send(b"honest")
        found = self.got()
        if found == b"honest":
            return False
        assert found == text and self.got() == b"honest"
        return True

    def event(self, name: str) -> dict[str, Any]:
        """The first event of that name, once there is one."""

        def seen() -> list[dict[str, Any]]:
            return [one for one in self.admin.ask("events", most=1000)["events"] if one["event"] == name]

        found: dict[str, Any] = eventually(seen)[0]
        return found

    def peers(self) -> dict[str, dict[str, Any]]:
        """What the relay tells of its peers, by kind and value."""
        return {f"{one['kind']} {one['value']}": one for one in self.admin.ask("list", most=1000)["peers"]}

    def refused(self, way: str = "out") -> dict[str, int]:
        """What the leg has refused, by reason."""
        found: dict[str, int] = self.admin.ask("status")["legs"]["one"]["lanes"][way]["refused"]
        return found

    def close(self) -> None:
        self.raw.destroy(0)
        self.context.destroy(0)


@contextmanager
def site(
    folder: Path, pattern: str = "push-pull", policy: str = "", relay: str = "", peers: str = ""
) -> Iterator[Site]:
    files = Governed.make(folder)
    KEY.admission().save(folder / "orders.admission.toml")
    front, back = free_port(), free_port()
    with (
        running(files.write(leg("one", front, back, pattern) + policy, relay=relay, rest=peers)) as process,
        files.connect() as admin,
    ):
        made = Site(files, admin, front, back, pattern)
        try:
            yield made
        finally:
            made.close()
        process.terminate()
        made_log = process.communicate(timeout=20)[1].decode()
        (folder / "log").write_text(made_log)
        assert process.returncode == 0, made_log


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


@pytest.mark.parametrize(
    ("kind", "value"),
    (("address", ROGUE), ("network", "127.0.0.9/32"), ("identity", str(ALICE)), ("routing-id", b"rogue".hex())),
)
def test_rogue_that_is_connected_is_dropped_once_it_is_blocked(tmp_path: Path, kind: str, value: str) -> None:
    with site(tmp_path, "router-dealer", 'check = "origin"\n') as made:
        rogue = made.peer(ROGUE, identity=ALICE, routing_id=b"rogue")
        honest = made.peer(HONEST, identity=BOB, routing_id=b"honest")
        assert made.passes(rogue, b"before", honest)
        made.admin.ask("block", kind=kind, value=value)
        eventually(lambda: not made.passes(rogue, b"after", honest))
        assert made.refused()["blocked"] >= 1
        made.admin.ask("unblock", kind=kind, value=value)
        eventually(lambda: made.passes(rogue, b"again", honest))


def flood(made: Site, source: str, count: int = 500) -> Any:
    """Garbage from a stranger; each counts 10 against him."""
    stranger = made.stranger(source)
    for _ in range(count):
        stranger.send(bytes(100))
    return stranger


def test_rogue_is_warned_throttled_and_blocked_as_it_goes_on(tmp_path: Path) -> None:
    with site(tmp_path, policy=MEMBERS, peers=PEERS) as made:
        honest = made.peer(HONEST)
        honest.send(b"honest")
        assert made.got() == b"honest"
        for count, verdict in ((8, "warned"), (15, "throttled"), (40, "blocked")):
            flood(made, ROGUE, count)
            event = made.event(verdict)
            assert (event["kind"], event["value"], event["author"]) == ("address", ROGUE, "relay")
        assert event["score"] >= 500 and event["until"] > time.time() and event["reasons"]["malformed"] >= 50
        eventually(lambda: f"address {HONEST}" in made.peers())
        peers = made.peers()
        assert peers[f"address {ROGUE}"]["verdict"] == "blocked" and peers[f"address {HONEST}"]["verdict"] == "fine"
        assert peers[f"address {ROGUE}"]["rule"]["origin"] == "relay" and peers[f"address {HONEST}"]["rule"] is None
        assert made.admin.ask("status")["states"] == {"fine": 1, "warned": 0, "throttled": 0, "blocked": 1}
        honest.send(b"still")
        assert made.got() == b"still"
    told = [(line["event"], line["author"]) for line in log_of(tmp_path) if line.get("value") == ROGUE]
    assert told == [("warned", "relay"), ("throttled", "relay"), ("blocked", "relay")]


def test_rogue_is_unblocked_by_an_operator_who_overrules_the_relay(tmp_path: Path) -> None:
    with site(tmp_path, policy=MEMBERS, peers=PEERS) as made:
        honest = made.peer(HONEST)
        flood(made, ROGUE)
        made.event("blocked")
        made.admin.ask("unblock", kind="address", value=ROGUE, allow=1, note="ours, and being mended")
        member = made.peer(ROGUE)
        eventually(lambda: made.passes(member, b"mended", honest))
        stranger = flood(made, ROGUE)
        eventually(lambda: sum(made.refused().values()) >= 600)
        assert made.passes(member, b"still", honest), "whatever it does"
        peer = made.peers()[f"address {ROGUE}"]
        assert (peer["rule"]["decision"], peer["rule"]["origin"]) == ("allow", "operator")
        stranger.close()


def test_rogue_who_uses_anothers_names_frames_nobody(tmp_path: Path) -> None:
    """Forgeries in Alice's name, of what she has signed: the address that they come from pays, and she does not."""
    policy = 'check = "origin"\n' + MEMBERS.partition("\n")[2]
    with site(tmp_path, "router-dealer", policy, peers=PEERS) as made:
        alice, honest = made.peer(HONEST, identity=ALICE, routing_id=b"alice"), made.peer(HONEST, identity=BOB)
        assert made.passes(alice, b"mine", honest)
        with made.raw.socket(zmq.ROUTER) as tap:
            port = tap.bind_to_random_port("tcp://127.0.0.1")
            recorded = made.context.socket(zmq.DEALER, association="orders", identity=ALICE)
            recorded.routing_id = b"alice"
            recorded.connect(f"tcp://127.0.0.1:{port}")
            recorded.send(b"recorded")
            _, *frames = tap.recv_multipart()
            recorded.close(0)
        mallory = made.raw.socket(zmq.DEALER)
        mallory.linger, mallory.sndtimeo = 0, TIMEOUT
        mallory.routing_id = b"alice2"
        mallory.connect(f"tcp://{ROGUE}:0;127.0.0.1:{made.front}")
        for i in range(400):
            changed = [bytearray(frame) for frame in frames]
            changed[-1 - i % 2][-1 - i % 16] ^= 1  # the attestation, or what it signs
            mallory.send_multipart([bytes(frame) for frame in changed])
        event = made.event("blocked")
        assert (event["kind"], event["value"]) == ("address", ROGUE)
        peers = made.peers()
        for name in (f"identity {ALICE}", f"address {HONEST}"):
            assert (peers[name]["score"], peers[name]["verdict"], peers[name]["rule"]) == (0, "fine", None), name
        assert made.passes(alice, b"and still", honest)
        mallory.close()


def test_rogue_that_sends_frames_without_end_is_found_and_cut_off(tmp_path: Path) -> None:
    """Memory stays bounded, its address gets no new connection, and an honest peer goes on."""
    with site(tmp_path, relay="memory_mib = 192\n") as made:
        honest = made.peer(HONEST)
        honest.send(b"before")
        assert made.got() == b"before"
        most, until = 0, time.monotonic() + 60
        while not (blocked := made.admin.ask("list")["rules"]) and time.monotonic() < until:
            pusher = RawPusher(ROGUE, made.front)
            with contextlib.suppress(OSError):  # cut off
                while time.monotonic() < until:
                    for _ in range(50):
                        pusher.more(20_000)
                    most = max(most, made.admin.ask("status")["memory"]["bytes"])
            pusher.close()
        (rule,) = blocked
        assert (rule["kind"], rule["value"], rule["origin"]) == ("address", ROGUE, "relay")
        assert "without an end" in rule["note"]
        assert most < 600 << 20 and made.admin.ask("status")["memory"]["cuts"] >= 1
        eventually(lambda: made.passes(honest, b"after", honest))
        before = made.admin.ask("status")["connections"]["denied"]
        with pytest.raises(OSError):
            RawPusher(ROGUE, made.front)
        assert made.admin.ask("status")["connections"]["denied"] > before
