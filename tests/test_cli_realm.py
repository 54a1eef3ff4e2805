"""``zmqsec keyserver``, ``group`` and ``member`` as users run them: a realm from nothing, over handshakes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from cli_helpers import COMMAND, ENVIRONMENT, failure, run_here
from keyserver_helpers import until

import zmqsec
from zmqsec.keyserver.errors import NotAllowed, Unavailable


class Realm:
    """A folder with a realm, and the process that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports = [_free_port() for _ in range(3)]
        self.endpoint = f"tcp://127.0.0.1:{ports[0]}"
        self.metrics = f"http://127.0.0.1:{ports[2]}/metrics"
        self.process: subprocess.Popen[bytes] | None = None
        self.json("identity", "new", "ops.toml")
        (folder / "keys.toml").write_text(
            f'[keyserver]\nroot_key = "root.key"\nbind = "{self.endpoint}"\nannounce = "tcp://127.0.0.1:{ports[1]}"\n'
            f'metrics = "127.0.0.1:{ports[2]}"\n'
        )
        self.server = self.json("keyserver", "init", "keys.toml", "--admin", "ops.toml")

    def start(self) -> None:
        systemd = self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = self.folder / "notify"
        address.unlink(missing_ok=True)
        systemd.bind(str(address))
        systemd.settimeout(20)
        self.process = subprocess.Popen(
            [*COMMAND, "keyserver", "keys.toml"],
            cwd=self.folder,
            env={**ENVIRONMENT, "NOTIFY_SOCKET": str(address)},
            stderr=subprocess.PIPE,
        )
        assert systemd.recv(100) == b"READY=1"

    def stop(self, how: signal.Signals = signal.SIGTERM) -> str:
        assert self.process is not None
        self.process.send_signal(how)
        said = self.process.communicate(timeout=20)[1].decode()
        self.systemd.close()
        assert self.process.returncode == (0 if how == signal.SIGTERM else -how), said
        self.process = None
        return said

    def run(self, *arguments: object, fails: int = 0) -> str:
        done = run_here(*arguments, cwd=self.folder)
        if fails:
            return failure(done, fails)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def json(self, *arguments: object) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def asked(self, *arguments: object, who: str = "ops.toml") -> tuple[object, ...]:
        where = ("--server", self.endpoint, "--server-key", "server.pub.toml", "--identity", who)
        return (*arguments, *where)

    def enrol(self, name: str, role: str, *more: object) -> zmqsec.Identity:
        token = self.json(*self.asked("member", "token", name, "--group", "weather", "--role", role, *more))["token"]
        self.run("member", "enrol", token, self.endpoint, "-o", f"{name}.toml")
        return zmqsec.Identity.load(self.folder / f"{name}.toml")

    def keyring(self, identity: zmqsec.Identity) -> zmqsec.Keyring:
        pinned = zmqsec.PublicIdentity.load(self.folder / "server.pub.toml")
        return zmqsec.Keyring.from_server(self.endpoint, identity=identity, server=pinned)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def realm(tmp_path: Path) -> Iterator[Realm]:
    made = Realm(tmp_path)
    made.start()
    yield made
    if made.process is not None:
        made.stop(signal.SIGKILL)


def test_realm_from_nothing_to_messages(realm: Realm, tmp_path: Path) -> None:
    """Two machines enrol with a command each, and talk with a line of Python each; then one is revoked."""
    quick = ("--urgent-spread", 0, "--urgent-overlap", 1, "--attestation", "required")
    assert realm.json(*realm.asked("group", "create", "weather", *quick))["policy"]["attestation"] == "required"
    alice, bob = realm.enrol("alice", "send"), realm.enrol("bob", "receive")
    assert alice.name == "alice" and (tmp_path / "alice.toml").stat().st_mode & 0o777 == 0o600
    keyrings = [realm.keyring(one) for one in (alice, bob)]
    contexts = [zmqsec.Context(keyring=one) for one in keyrings]
    push = contexts[0].socket(zmq.PUSH, association="weather", identity=alice)
    pull = contexts[1].socket(zmq.PULL, association="weather")
    push.bind(f"ipc://{tmp_path}/stream")
    pull.connect(f"ipc://{tmp_path}/stream")
    push.send(b"sunny")
    message = pull.recv_message()
    assert (bytes(message.body[0]), message.origin.name) == (b"sunny", "alice")  # type: ignore[union-attr,arg-type]

    rows = realm.json(*realm.asked("group", "members", "weather"))
    assert [(row["name"], row["roles"]) for row in rows] == [("alice", ["send"]), ("bob", ["receive"])]
    assert realm.json(*realm.asked("member", "revoke", "bob"))["groups"] == ["weather"]
    until(lambda: "weather" not in keyrings[1] and keyrings[1].opening("weather") == (), 15)
    assert keyrings[0].get("weather") is not None
    with pytest.raises(NotAllowed, match="not a member of the realm"):
        realm.keyring(bob)
    for socket_, context, keyring in zip((push, pull), contexts, keyrings, strict=True):
        socket_.close(0)
        keyring.close()
        context.term()
    assert "stopped" in realm.stop()


def test_realm_survives_the_death_of_its_server(realm: Realm) -> None:
    realm.run(*realm.asked("group", "create", "weather", "--spread", 0))
    keyring = realm.keyring(realm.enrol("alice", "send"))
    assert keyring.client is not None
    before = keyring.get("weather").spi
    time.sleep(5)  # a pair that is younger is not made anew
    realm.stop(signal.SIGKILL)
    realm.start()
    back = time.monotonic()
    assert realm.json(*realm.asked("group", "rekey", "weather"))["epoch"] == 2
    until(lambda: keyring.get("weather").spi != before, 15)
    assert time.monotonic() - back < 5
    keyring.close()


def test_realm_of_another_server_is_not_believed(realm: Realm, tmp_path: Path) -> None:
    alice = zmqsec.Identity.generate()
    with pytest.raises(Unavailable, match="no keys from"):
        zmqsec.Keyring.from_server(realm.endpoint, identity=alice, server=zmqsec.Identity.generate().key, timeout=1.5)


def test_realm_commands_show_tables_and_json(realm: Realm, tmp_path: Path) -> None:
    asked, run = realm.asked, realm.run
    assert "reject after" in run(*asked("group", "create", "weather", "--lifetime", 600, "--queued"))
    run("identity", "new", "carol.toml")
    assert "carol is a member: zs1" in run(*asked("member", "register", "carol.toml"))
    added = run(*asked("group", "add", "weather", "carol", "--role", "send", "--role", "receive", "--publish", "w.*"))
    assert added == "carol is in weather: send, receive\n"
    assert "w.*" in run(*asked("group", "members", "weather"))
    assert run(*asked("group", "rekey", "weather", "--urgent")) == "weather: epoch 2 begins\n"
    assert "1200" in run(*asked("group", "policy", "weather", "--lifetime", 1200))
    found = realm.json(*asked("group", "show", "weather"))
    assert (found["epoch"], found["policy"]["lifetime"], found["policy"]["queued"]) == (3, 1200, True)
    assert "is out of weather, epoch 4 begins" in run(*asked("group", "remove", "weather", "carol"))
    assert "carol was not in it" in run(*asked("group", "remove", "weather", "carol"))
    assert [row["name"] for row in realm.json(*asked("group", "list"))] == ["weather"]
    assert [row["name"] for row in realm.json(*asked("member", "list"))] == ["carol", "ops"]
    assert "carol is revoked; new keys for no group" in run(*asked("member", "revoke", "carol"))
    metrics = urllib.request.urlopen(realm.metrics, timeout=10).read().decode()
    assert 'zmqsec_keyserver_group_epoch{group="weather"} 4.0' in metrics
    assert "zmqsec_keyserver_members 1.0" in metrics and "zmqsec_keyserver_database_up 1.0" in metrics

    log = run(*asked("keyserver", "log", "--from", 2)).splitlines()
    assert len(log) == 10 and "group.create" in log[0]
    audit = run("keyserver", "audit", "keys.toml").splitlines()
    assert len(audit) == 12 and audit[1:-1] == log and "11 entries, unbroken" in audit[-1]
    assert len(run("keyserver", "audit", "keys.toml", "--json", "--from", 11).splitlines()) == 1


def test_realm_backup_is_restored_elsewhere(realm: Realm, tmp_path: Path) -> None:
    realm.run(*realm.asked("group", "create", "weather"))
    assert "rows" in realm.run("keyserver", "backup", "keys.toml", "realm.backup")
    realm.stop()
    text = (tmp_path / "keys.toml").read_text()
    (tmp_path / "other.toml").write_text(text + 'database = "sqlite:///other.db"\n')
    assert "restored, 5 changes" in realm.run("keyserver", "restore", "other.toml", "realm.backup")
    assert "realm.restore" in realm.run("keyserver", "audit", "other.toml")
    assert "holds a realm already" in realm.run("keyserver", "restore", "other.toml", "realm.backup", fails=1)


def test_realm_mistakes_are_told_in_one_line(realm: Realm, tmp_path: Path) -> None:
    asked = realm.asked
    assert "no group 'nothing'" in realm.run(*asked("group", "show", "nothing"), fails=1)
    assert "lifetime=1: 10 to" in realm.run(*asked("group", "create", "x", "--lifetime", 1), fails=1)
    assert "Missing option '--server'" in realm.run("group", "list", fails=2)
    assert "--group needs --role" in realm.run(*asked("member", "token", "x", "--group", "g"), fails=2)
    assert "that is no token" in realm.run("member", "enrol", "zst1", realm.endpoint, fails=1)
    assert "holds a realm already" in realm.run("keyserver", "init", "keys.toml", "--admin", "ops.toml", fails=1)
    realm.run("identity", "new", "eve.toml")
    refused = realm.run(*asked("group", "list", who="eve.toml"), fails=1)
    assert "is not a member of the" in refused
    os.truncate(tmp_path / "keys.toml", 12)
    assert "root_key" in realm.run("keyserver", "serve", "keys.toml", "--check", fails=1)
