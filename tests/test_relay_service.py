"""``zmqsec relay`` as a process: it forwards, follows its configuration while it runs, and drains when told to end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from service_helpers import free_port, leg, running
from socket_helpers import TIMEOUT

import zmqsec
from zmqsec.errors import ConfigError
from zmqsec.relay import config

pytest.importorskip("zmqsec._relay")

KEY = zmqsec.Association.from_secret(bytes(range(32)), name="orders")


@pytest.fixture
def context() -> Iterator[zmqsec.Context]:
    with zmqsec.Context(keyring=[KEY]) as made:
        yield made


def ends(
    context: zmqsec.Context, front: int, back: int, first: int = zmq.PUSH, last: int = zmq.PULL
) -> tuple[Any, Any]:
    made = []
    for kind, port in ((first, front), (last, back)):
        one = context.socket(kind, association="orders")
        one.linger, one.rcvtimeo, one.sndtimeo = 0, TIMEOUT, TIMEOUT
        one.connect(f"tcp://127.0.0.1:{port}")
        made.append(one)
    return made[0], made[1]


def test_relay_process_forwards_reloads_and_drains(tmp_path: Path, context: zmqsec.Context) -> None:
    """Nothing is lost by SIGHUP under load, nor is what came before SIGTERM."""
    path = tmp_path / "relay.toml"
    ports = [free_port() for _ in range(4)]
    path.write_text('[relay]\nlog = "json"\n' + leg("one", *ports[:2]))
    with running(path) as process:
        push, pull = ends(context, *ports[:2])
        sent = [b"%d" % i for i in range(2000)]
        for message in sent[:1000]:
            push.send(message)
        path.write_text('[relay]\nlog = "json"\n' + leg("one", *ports[:2]) + leg("two", *ports[2:], "router-dealer"))
        process.send_signal(signal.SIGHUP)
        for message in sent[1000:]:
            push.send(message)
        assert [pull.recv() for _ in sent] == sent
        got = [process.systemd.recv(200).partition(b"\n")[0] for _ in range(2)]  # type: ignore[attr-defined]
        assert got == [b"RELOADING=1", b"READY=1"]
        dealer, service = ends(context, *ports[2:], zmq.REQ, zmq.REP)
        dealer.send(b"question")
        assert service.recv() == b"question"
        service.send(b"answer")
        assert dealer.recv() == b"answer"
        path.write_text("[relay\n")
        process.send_signal(signal.SIGHUP)
        assert process.systemd.recv(200).startswith(b"RELOADING=1")  # type: ignore[attr-defined]
        push.send_many(sent[:500])
        assert [pull.recv() for _ in range(500)] == sent[:500], "a wrong configuration changes nothing"
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=20)
        assert process.returncode == 0
        lines = [json.loads(line) for line in told.decode().splitlines()]
        messages = [line["message"] for line in lines]
        assert "stopped" in messages and any(f"{path}: " in one and "stays as it was" in one for one in messages)
        for one in (push, pull, dealer, service):
            one.close()


@pytest.mark.parametrize(
    ("text", "fault"),
    (
        ("", "1: leg: 0 legs"),
        ("[relay\n", "(at line 1"),
        ('[relay]\nnam = "x"\n' + leg("a", 1, 2), "2: relay.nam: unknown"),
        ('[relay]\nname = "a b"\n', "2: relay.name: 'a b': 1 to 64 letters"),
        ('[peers]\nwarn = "x"\n', "2: peers.warn: 'x': a number is allowed"),
        ("[peers]\nwarn = 900\nthrottle = 5\n", "1: peers: warn=900"),
        ('[[leg]]\nname = "x"\npattern = "ring"\n', "3: leg[1].pattern: 'ring': one of pub-sub"),
        ('[[leg]]\nname = "x"\npattern = "pub-sub"\n', "1: leg[1]: a table [front] must be there"),
        (leg("a", 1, 2) + leg("a", 3, 4), "7: leg[2].name: 'a' is the name of a leg before"),
        (leg("a", 1, 2) + 'association = "orders.toml"\n', "6: leg[1].association: a relay holds no body keys"),
        (leg("a", 1, 2) + 'checks = "origin"\n', "6: leg[1].checks: unknown"),
        (leg("a", 1, 2).replace("tcp://127.0.0.1:1", "http://x"), "4: leg[1].front.bind: 'http://x'"),
    ),
)
def test_relay_configuration_fault_is_told_with_line_and_key(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.RelayConfig.load(path)
    assert str(path) in str(caught.value) and fault in str(caught.value)


def test_relay_with_a_port_that_is_taken_says_so_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path.write_text(leg("one", taken.getsockname()[1], free_port()))
        done = subprocess.run([sys.executable, "-m", "zmqsec", "relay", path], capture_output=True, timeout=30)
    assert done.returncode == 1 and b"cannot bind tcp://127.0.0.1:" in done.stderr
