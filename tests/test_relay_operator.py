"""An operator and running relays: what is blocked gets no connection, survives a restart, and holds at every relay."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth
from cli_helpers import run_here
from postgres import postgres
from service_helpers import Governed, free_port, leg, running
from socket_helpers import TIMEOUT

import zmqsec
from zmqsec import Identity

ROGUE, HONEST = "127.0.0.9", "127.0.0.8"
QUIET = 300  # milliseconds in which a message would have come


@pytest.fixture
def files(tmp_path: Path) -> Governed:
    return Governed.make(tmp_path)


class Ends:
    """Plain pushers from addresses of their own in front of a leg, and a puller behind it."""

    def __init__(self, front: int, back: int) -> None:
        self.front = front
        self.context = zmq.Context()
        self.pull = self.context.socket(zmq.PULL)
        self.pull.rcvtimeo = TIMEOUT
        self.pull.connect(f"tcp://127.0.0.1:{back}")
        self._pushers: list[zmq.Socket[bytes]] = []

    def push(self, source: str, text: bytes) -> None:
        """Send from this address, over a new connection."""
        pusher = self.context.socket(zmq.PUSH)
        pusher.connect(f"tcp://{source}:0;127.0.0.1:{self.front}")
        pusher.send(text)
        self._pushers.append(pusher)

    def passes(self, source: str) -> bool:
        """Whether a message from this address arrives; an honest one behind it does."""
        self.push(source, b"from " + source.encode())
        if self.pull.poll(QUIET):
            assert self.pull.recv() == b"from " + source.encode()
            return True
        self.push(HONEST, b"honest")
        assert self.pull.recv() == b"honest"
        return False

    def close(self) -> None:
        self.context.destroy(0)


@contextmanager
def ends(front: int, back: int) -> Iterator[Ends]:
    made = Ends(front, back)
    try:
        yield made
    finally:
        made.close()


def test_operator_blocks_an_address_and_lets_it_pass_again(files: Governed) -> None:
    ports = free_port(), free_port()
    with running(files.write(leg("one", *ports))), files.connect() as admin, ends(*ports) as peers:
        assert peers.passes(ROGUE)
        admin.ask("block", kind="address", value=ROGUE)
        assert not peers.passes(ROGUE) and admin.ask("status")["connections"]["denied"] >= 1
        admin.ask("unblock", kind="address", value=ROGUE)
        assert peers.passes(ROGUE)
        admin.ask("block", kind="network", value="127.0.0.8/29")
        admin.ask("unblock", kind="address", value=HONEST, allow=1)
        assert not peers.passes(ROGUE), "and the honest one within that network passes"


def test_operator_block_survives_the_death_of_the_relay(files: Governed) -> None:
    ports = free_port(), free_port()
    path = files.write(leg("one", *ports), relay='blocks = "sqlite:///blocks.db"\n')
    with running(path) as process:
        with files.connect() as admin:
            admin.ask("block", kind="address", value=ROGUE, note="floods")
        process.send_signal(signal.SIGKILL)
        process.wait()
    with running(path), ends(*ports) as peers, files.connect() as admin:
        assert not peers.passes(ROGUE)
        (rule,) = admin.ask("list")["rules"]
        assert (rule["value"], rule["note"], rule["author"]) == (ROGUE, "floods", f"{files.admin} alice")


@pytest.fixture(scope="module")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


def test_operator_block_at_one_relay_holds_at_all_that_share_a_postgresql(tmp_path: Path, postgres_url: str) -> None:
    sites = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        sites.append(Governed.make(tmp_path / name))
    first, second = sites
    ports = [(free_port(), free_port()) for _ in sites]
    paths = [
        one.write(leg("one", *pair), relay=f'blocks = "{postgres_url}"\n')
        for one, pair in zip(sites, ports, strict=True)
    ]
    with (
        running(paths[0]),
        running(paths[1]),
        first.connect() as here,
        second.connect() as there,
        ends(*ports[1]) as peers,
    ):
        assert peers.passes(ROGUE)
        here.ask("block", kind="address", value=ROGUE, note="floods")
        event = next_event(there, 0)
        assert (event["event"], event["value"], event["author"]) == ("blocked", ROGUE, f"{first.admin} alice")
        assert not peers.passes(ROGUE)
        there.ask("unblock", kind="address", value=ROGUE)
        assert peers.passes(ROGUE)
        assert next_event(here, 1)["event"] == "unblocked" and here.ask("list")["rules"] == []


def next_event(admin: Any, number: int) -> dict[str, Any]:
    until = time.monotonic() + TIMEOUT / 1000
    while not (found := admin.ask("events", after=number)["events"]):
        assert time.monotonic() < until, "nothing has happened"
        time.sleep(0.05)
    event: dict[str, Any] = found[0]
    return event


def test_operator_is_another_one_after_a_reload(files: Governed) -> None:
    """Whom the file names no more is not obeyed from then on, over a connection that stands."""
    bob = Identity.generate("bob")
    bob.save(files.folder / "bob.toml")
    bob.public.save(files.folder / "bob.pub.toml")
    files.write_admin(files.folder / "bob.admin.toml", "bob.toml")
    legs = leg("one", free_port(), free_port())
    with running(files.write(legs)), files.connect(timeout=0.5) as alice, files.connect("bob.admin.toml") as after:
        alice.ask("status")
        files.write(legs, control='admins = ["bob.pub.toml"]\n')
        alice.ask("reload")
        assert after.ask("status")["reloads"] == {"done": 1, "failed": 0}
        with pytest.raises(zmqsec.SocketError, match="no answer"):
            alice.ask("status")
        files.write(legs, control='admins = ["bob.pub.toml"]\nport = 1\n')
        with pytest.raises(zmqsec.ZmqsecError, match=r"control\.port: unknown"):
            after.ask("reload")
        files.write(legs.replace("push-pull", "pub-sub"), control='admins = ["bob.pub.toml"]\n')
        with pytest.raises(zmqsec.ZmqsecError, match="cannot change while it runs"):
            after.ask("reload")
        assert after.ask("status")["reloads"] == {"done": 1, "failed": 2}
        assert after.ask("status")["control"]["refused"]["not-permitted"] >= 1


def test_operator_blocks_what_comes_under_curve(files: Governed, tmp_path: Path) -> None:
    """zmqsec from end to end, CURVE to the relay, and its ZAP handler between them."""
    zmq.auth.create_certificates(tmp_path, "server")
    zmq.auth.create_certificates(tmp_path, "client")
    server, _ = zmq.auth.load_certificate(tmp_path / "server.key_secret")
    public, secret = zmq.auth.load_certificate(tmp_path / "client.key_secret")
    ports = free_port(), free_port()
    legs = leg("one", *ports).replace(f'127.0.0.1:{ports[0]}"', f'127.0.0.1:{ports[0]}", curve = "server.key_secret"')
    key = zmqsec.Association.generate("orders")
    with running(files.write(legs)), files.connect() as admin, zmqsec.Context(keyring=[key]) as context:

        def push(source: str, text: bytes) -> Any:
            made = context.socket(zmq.PUSH, association="orders")
            made.linger = 0
            made.curve_publickey, made.curve_secretkey, made.curve_serverkey = public, secret, server
            made.connect(f"tcp://{source}:0;127.0.0.1:{ports[0]}")
            made.send(text)
            return made

        pull = context.socket(zmq.PULL, association="orders")
        pull.rcvtimeo = TIMEOUT
        pull.connect(f"tcp://127.0.0.1:{ports[1]}")
        pushers = [push(ROGUE, b"one")]
        assert pull.recv() == b"one"
        admin.ask("block", kind="address", value=ROGUE)
        pushers += [push(ROGUE, b"two"), push(HONEST, b"three")]
        assert pull.recv() == b"three" and not pull.poll(QUIET)
        for socket in (pull, *pushers):
            socket.close()


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """A relay with two legs that runs for all tests of the commands."""
    made = Governed.make(tmp_path_factory.mktemp("site"))
    legs = leg("one", free_port(), free_port()) + leg("two", free_port(), free_port(), "pub-sub")
    with running(made.write(legs)):
        yield made


@pytest.fixture
def say(site: Governed, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command of the admin's; what it prints, or its one line of a mistake."""
    monkeypatch.setenv("ZMQSEC_ADMIN", str(site.folder / "admin.toml"))
    monkeypatch.delenv("ZMQSEC_PASSPHRASE", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def said(line: str, code: int = 0) -> str:
        result = run_here(*line.split(), cwd=site.folder)
        assert result.returncode == code, result.stderr
        text = (result.stderr if code else result.stdout).decode()
        assert not code or (len(text.splitlines()) == 1 and "Traceback" not in text)
        return text

    return said


@pytest.mark.parametrize(
    ("who", "kind", "value"),
    (
        ("192.0.2.1", "address", "192.0.2.1"),
        ("::ffff:192.0.2.2", "address", "192.0.2.2"),
        ("2001:db8::1", "address", "2001:db8::1"),
        ("198.51.100.0/24", "network", "198.51.100.0/24"),
        ("edge.pub.toml", "identity", None),
        ("client-7 --as routing-id", "routing-id", "636c69656e742d37"),
        ("0x00FF --as routing-id", "routing-id", "00ff"),
    ),
)
def test_peers_are_named_in_each_way(site: Governed, say: Any, who: str, kind: str, value: str | None) -> None:
    value = str(site.relay) if value is None else value
    text = say(f"peers block {who} --for 1h --reason noise")
    assert f"{kind} " in text and "noise" in text and f"{site.admin} alice" in text
    (rule,) = json.loads(say(f"peers show {who} --json"))["rules"]
    assert (rule["kind"], rule["value"], rule["decision"]) == (kind, value, "block")
    assert 3500 < rule["until"] - time.time() <= 3600
    assert say(f"peers unblock {who}").startswith("1 rule struck out\n")
    assert "never seen, no rules" in say(f"peers show {who}")


def test_peers_unblocked_for_a_time_pass_whatever_is_found(say: Any) -> None:
    text = say("peers unblock 192.0.2.7 --for ever --reason ours")
    assert text.startswith("0 rules struck out\n") and "allow" in text and "ever" in text
    assert "allow" in say("peers list")
    say("peers unblock 192.0.2.7")
    assert json.loads(say("peers list --json"))["rules"] == []


def test_peers_tables_keep_identities_whole(site: Governed, say: Any) -> None:
    say("peers block edge.pub.toml")
    (line,) = (line for line in say("peers list").splitlines() if "identity" in line)
    assert str(site.relay) in line and f"{site.admin} alice" in line and "ever" in line
    say("peers unblock edge.pub.toml")


def test_peers_watch_prints_what_happens_and_by_whom(site: Governed, say: Any) -> None:
    command = [sys.executable, "-m", "zmqsec", "peers", "watch", "--count", "2", "--last", "1"]
    say("peers block 192.0.2.9 --reason noise")
    with subprocess.Popen(command, env={**os.environ}, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        first = watching.stdout.readline()
        say("peers unblock 192.0.2.9")
        second = watching.stdout.readline()
        assert watching.wait(TIMEOUT / 1000) == 0
    assert first.endswith(f"address 192.0.2.9 is blocked by {site.admin} alice: noise\n")
    assert second.endswith(f"address 192.0.2.9 is unblocked by {site.admin} alice\n")
    (event,) = map(json.loads, say("peers watch --count 1 --last 1 --json").splitlines())
    assert (event["event"], event["value"]) == ("unblocked", "192.0.2.9")


def test_relay_status_and_top_show_every_leg(say: Any) -> None:
    status, picture = say("relay status"), say("top --once --interval 0.1")
    for text in (status, picture):
        assert text.startswith("relay relay, up 0:00:") and "connections: " in text
        assert "one" in text and "push-pull" in text and "two" in text and "pub-sub" in text and "←" in text
    assert "messages/s" in picture and "messages/s" not in status
    found = json.loads(say("relay status --json"))
    assert set(found["legs"]) == {"one", "two"} and found["control"]["obeyed"] > 0


def test_relay_reload_is_told(say: Any) -> None:
    assert say("relay reload") == "relay: 2 legs\n"


@pytest.mark.parametrize(
    ("line", "code", "fault"),
    (
        ("peers block 192.0.2.300", 2, "is no IP address, no network in CIDR form and no identity"),
        ("peers block zs1short", 2, "'zs1short': a fingerprint (zs1…)"),
        ("peers block 192.0.2.1 --for 3q", 2, "90s, 15m, 1h, 7d, 2w and ever are allowed"),
        ("peers block 192.0.2.1 --for 0", 2, "'0' is no duration"),
        ("peers block --as address here", 1, "address 'here'"),
        ("peers block --as routing-id 0x0", 1, "1 to 255 bytes as hexadecimal digits"),
        ("peers list --admin none.toml", 1, "there is no none.toml"),
        ("peers show 192.0.2.1 --admin other.toml --timeout 0.3", 1, "no answer from tcp://127.0.0.1:"),
    ),
)
def test_peers_mistake_is_told_in_one_line(site: Governed, say: Any, line: str, code: int, fault: str) -> None:
    Identity.generate("mallory").save(site.folder / "mallory.toml", overwrite=True)
    site.write_admin(site.folder / "other.toml", "mallory.toml")
    assert fault in say(line, code)


def test_relay_command_takes_a_configuration_without_run(site: Governed, say: Any) -> None:
    assert "2 legs, nothing wrong" in say("relay relay.toml --check")
    assert "2 legs, nothing wrong" in say("relay --check relay.toml")
    assert "2 legs, nothing wrong" in say("relay run relay.toml --check")
