"""What is told of refused messages: counts, a callback for each, and log lines at a bounded rate."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import zmq
from helpers import FakeClock
from socket_helpers import Net, eventually, nothing_comes, refusals

from zmqsec import Association, Reason, Refusal, Stats, stats
from zmqsec.stats import Reporter

FORGED = Refusal(Reason.FORGED, spi=5)


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The monotonic clock of the module."""
    clock = FakeClock(1000.0)
    monkeypatch.setattr(stats.time, "monotonic", clock)
    return clock


def test_stats_total_is_of_every_reason() -> None:
    assert Stats(1, 2, {"forged": 3, "replayed": 4}).total_refused == 7
    assert Stats(0, 0).total_refused == 0


def test_log_line_says_what_was_refused(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    Reporter("PULL", None).report([Refusal(Reason.UNKNOWN_CRITICAL, "unknown critical metadata: a\nb", 0x01020304)])
    assert caplog.record_tuples == [
        (
            "zmqsec",
            logging.WARNING,
            "zmqsec: PULL refused a message: unknown-critical ('unknown critical metadata: a\\nb') spi=0x01020304",
        )
    ]


def test_log_lines_come_once_a_second_and_tell_how_many_did_not(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    reporter = Reporter("SUB", None)
    for _ in range(10):
        reporter.report([FORGED] * 50)
        clock.now += 0.0999
    clock.now += 0.01
    reporter.report([FORGED])
    clock.now += 1
    reporter.report([Refusal(Reason.MALFORMED)])
    assert [record.message for record in caplog.records] == [
        "zmqsec: SUB refused a message: forged spi=0x00000005",
        "zmqsec: SUB refused a message: forged spi=0x00000005; 499 more were refused since the last line",
        "zmqsec: SUB refused a message: malformed",
    ]


def test_log_lines_of_two_sockets_do_not_wait_for_each_other(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one", "two"):
        Reporter(name, None).report([FORGED])
    assert len(caplog.records) == 2


def test_callback_that_raises_is_logged_at_the_same_pace(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Refusal] = []

    def callback(refusal: Refusal) -> None:
        told.append(refusal)
        raise RuntimeError("a mistake of the application")

    reporter = Reporter("PULL", callback)
    reporter.report([FORGED] * 100)
    clock.now += 1
    reporter.report([FORGED])
    assert len(told) == 101
    failed = [record for record in caplog.records if record.exc_info]
    assert [record.message for record in failed] == ["zmqsec: the on_refused callback of a PULL socket failed"] * 2


@pytest.mark.parametrize("call", ["recv_many", "recv"])
def test_flood_of_forged_messages_reaches_the_callback_and_hardly_the_log(
    net: Net, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    """More than a batch: each is told to the callback, the good one behind them arrives, and the log is not flooded."""
    told: list[Refusal] = []
    pull = net.socket(zmq.PULL, on_refused=told.append)
    other = Association.from_secret(b"\7" * 32, name="other", spi=net.key.spi)
    stranger, push = net.socket(zmq.PUSH, association=other), net.socket(zmq.PUSH)
    address = net.bind(pull, "inproc")
    stranger.connect(address)
    push.connect(address)
    stranger.send_many([b"x"] * 900)
    push.send(b"good")
    got = pull.recv() if call == "recv" else pull.recv_many(1000)
    if call == "recv":  # libzmq takes from both in turn
        assert eventually(lambda: nothing_comes(pull, 50) and len(told) >= 900)
    assert got in (b"good", [b"good"])
    assert told == [Refusal(Reason.FORGED, spi=net.key.spi)] * 900
    assert refusals(pull) == {"forged": 900} and pull.stats.opened == 1
    lines = [record for record in caplog.records if record.name == "zmqsec"]
    assert 1 <= len(lines) <= 3


def test_refused_plain_messages_are_told_too(net: Net) -> None:
    told: list[Refusal] = []
    pull = net.socket(zmq.PULL, on_refused=told.append)
    raw = net.raw(zmq.PUSH)
    raw.connect(net.bind(pull, "inproc"))
    for frames in ([b"plaintext"], [b""], [b"two", b"frames"], [b"\0ZS" + bytes(60)], [b"x" * 100] * 60):
        raw.send_multipart(frames)
    assert nothing_comes(pull)
    assert [str(one.reason) for one in told] == ["malformed", "malformed", "malformed", "version", "malformed"]
