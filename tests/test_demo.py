"""The demonstration: it runs, it finds what it must find, and it leaves nobody behind."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

import zmqsec
from zmqsec.demo import TOPIC, Course, Source, run, source_of
from zmqsec.demo_capture import Plaintext, Seen, look_through, read_capture
from zmqsec.demo_parts import FRAMES
from zmqsec.demo_stage import DemoError, Part, Stage
from zmqsec.demo_view import Findings, View
from zmqsec.errors import StreamError
from zmqsec.message import Message

TREE = str(Path(zmqsec.__file__).parents[1])
ENVIRONMENT = {**os.environ, "PYTHONPATH": TREE, "COLUMNS": "100"}
COMMAND = [sys.executable, "-m", "zmqsec", "demo"]


@pytest.fixture
def children_find_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", TREE)


# -- whole runs -------------------------------------------------------------------------------------------------------


def test_demo_of_a_file_holds_and_says_so(tmp_path: Path) -> None:
    data = os.urandom(300_001)
    (tmp_path / "file").write_bytes(data)
    command = [*COMMAND, str(tmp_path / "file"), "--watch", "0.5"]
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    shown = result.stdout
    assert hashlib.blake2b(data, digest_size=32).hexdigest() in shown
    assert "Nothing was lost, altered or readable." in shown and "FAILED" not in shown and "\x1b" not in shown
    for expected in ("demo.file", "sealed body", "bound  topic frame", "2 replayed, 1 forged", "throughput"):
        assert expected in shown


def test_demo_as_json_holds_every_finding(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"The same line over and over.\n" * 10_000)
    command = [*COMMAND, str(tmp_path / "file"), "--watch", "0.2", "--size", "64k", "--json"]
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    found = json.loads(result.stdout)
    assert found["held"] and {check["held"] for check in found["checks"]} == {True}
    assert (found["bytes"], found["chunks"]) == (65536, 64)
    parts = found["parts"]
    assert (parts["subscriber"]["first"], parts["subscriber"]["chunks"]) == (0, 64)
    assert parts["late joiner"]["first"] > 0
    assert parts["late joiner"]["first"] + parts["late joiner"]["chunks"] == 64
    assert parts["wrong key"]["messages"] == 0 and set(parts["wrong key"]["refused"]) == {"forged", "unknown-spi"}
    evicted = parts["evicted"]
    assert 0 < evicted["chunks"] < 64 and list(evicted["refused"]) == ["unknown-spi"] and len(evicted["keys"]) >= 1
    assert parts["key server"]["announced"] >= 2
    relay = found["relay"]
    assert relay["topics"] == [TOPIC] and relay["readable_messages"] == relay["unsealed_messages"] == 0
    assert relay["blocks_searched_for"] == 4096 and relay["sample"]["sealed_part"]["body_sealed"]


def test_demo_with_a_shared_key_needs_no_key_server(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(100_000))
    command = [*COMMAND, str(tmp_path / "file"), "--watch", "0.2", "--shared-key", "--json"]
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    found = json.loads(result.stdout)
    assert found["held"] and {"key server", "evicted"}.isdisjoint(found["parts"])
    assert list(found["parts"]["wrong key"]["refused"]) == ["forged"]


def test_demo_of_a_file_that_changes_meanwhile_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], children_find_the_package: None
) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(100_000))
    experiment = Course.experiment

    def change_and_go_on(self: Course) -> dict[str, bool]:
        path.write_bytes(os.urandom(100_000))
        return experiment(self)

    monkeypatch.setattr(Course, "experiment", change_and_go_on)
    assert not run(path, size=1 << 20, watch=0, timeout=60, as_json=True, shared_key=True)
    failed = [check["name"] for check in json.loads(capsys.readouterr().out)["checks"] if not check["held"]]
    assert failed == ["whole", "suffix", "announced"]


# -- nobody is left ---------------------------------------------------------------------------------------------------


def parts_of(parent: int) -> list[int]:
    """The demonstration's processes started by `parent`, as /proc tells."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            father = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if father == parent and b"zmqsec.demo_parts" in command:
            found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    try:
        return b"zmqsec.demo_parts" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


@pytest.mark.skipif(not os.path.exists("/proc/self/cmdline"), reason="looks at /proc")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_demo_ended_by_a_signal_leaves_no_process(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    (tmp_path / "file").write_bytes(os.urandom(1 << 20))
    command = [*COMMAND, str(tmp_path / "file"), "--watch", "30"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: len(parts_of(process.pid)) == 7)
        parts = parts_of(process.pid)
        assert process.stdout is not None
        while b"streaming" not in process.stdout.readline():
            pass
        process.send_signal(sent)
        _, said = process.communicate(timeout=20)
    assert process.returncode == code and b"Traceback" not in said
    wait_until(lambda: not any(map(alive, parts)))


@pytest.mark.skipif(not os.path.exists("/proc/self/cmdline"), reason="looks at /proc")
def test_demo_whose_part_dies_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(1 << 20))
    command = [*COMMAND, str(tmp_path / "file"), "--watch", "30"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: len(parts_of(process.pid)) == 7)
        parts = parts_of(process.pid)
        assert process.stdout is not None
        while b"streaming" not in process.stdout.readline():
            pass
        os.kill(min(parts), signal.SIGKILL)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said.decode().splitlines()[-1].endswith("died with exit code -9: no last words")
    wait_until(lambda: not any(map(alive, parts)))


def test_stage_part_with_bad_orders_dies_with_its_last_words(children_find_the_package: None) -> None:
    with Stage(lambda parts: None, 20) as stage:
        stage.start("relay", "relay").order(capture="/nowhere/at/all")
        with pytest.raises(DemoError, match=r"the relay died with exit code 1: FileNotFoundError: .*/nowhere/at/all"):
            stage.until(lambda: False, "nothing was awaited")


def test_stage_step_that_does_not_come_is_named(children_find_the_package: None) -> None:
    with Stage(lambda parts: None, 0.3) as stage:
        stage.start("subscriber", "subscriber")
        with pytest.raises(DemoError, match=r"given up after 0\.3 s, while the moon was rising"):
            stage.until(lambda: False, "the moon was rising")


# -- what the relay saw -----------------------------------------------------------------------------------------------


def captured(path: Path, *messages: list[bytes]) -> Path:
    with open(path, "wb") as file:
        for frames in messages:
            file.write(FRAMES.pack(len(frames)) + b"".join(FRAMES.pack(len(one)) + one for one in frames))
    return path


@pytest.mark.parametrize("offset", range(17))
def test_plaintext_block_is_found_at_every_offset(offset: int) -> None:
    data = os.urandom(4096)
    frame = os.urandom(offset) + data[512:528] + os.urandom(40)
    assert Plaintext(data).find(frame) == offset


def test_plaintext_that_is_not_there_is_not_found() -> None:
    data = os.urandom(4096)
    assert Plaintext(data).find(os.urandom(100_000)) is None
    assert Plaintext(data).find(data[512:527] + b"\x00") is None or data[527] == 0
    assert Plaintext(data).find(b"") is None


def test_plaintext_search_is_not_misled_by_equal_halves_of_blocks() -> None:
    data = b"12345678abcdefgh" * 10
    assert Plaintext(data).find(b"12345678ABCDEFGH" * 10) is None
    assert Plaintext(data).find(b"-12345678abcdefgh") == 1


def test_plaintext_search_of_a_large_file_looks_for_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqsec.demo_capture.MOST_BLOCKS", 100)
    data = os.urandom(16 * 1000)
    search = Plaintext(data)
    assert search.blocks == 100
    assert search.find(data) is not None


def test_capture_with_a_readable_message_is_noticed(tmp_path: Path) -> None:
    data = b"x" + os.urandom(999)
    session = zmqsec.Session(zmqsec.Association.generate("x"))
    sealed, clear = zmqsec.seal_many(
        [Message(body=[data], topic=b"t"), Message(body=[data], topic=b"t", protect="authenticated")], session
    )
    path = captured(tmp_path / "c", [b"\x01t"], [b"t", bytes(sealed)], [b"t", bytes(clear)], [b"t", data], [data])
    seen = look_through(path, Plaintext(data), sample_at=1)
    assert (seen.messages, seen.unsealed, seen.readable, seen.topics) == (4, 3, 3, {b"t"})
    assert seen.sample == (b"t", bytes(sealed))


def test_capture_cut_in_the_middle_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = captured(tmp_path / "c", [b"a", b"b"], [b"c"])
    assert list(read_capture(path)) == [[b"a", b"b"], [b"c"]]
    path.write_bytes(path.read_bytes()[:-1])
    assert list(read_capture(path)) == [[b"a", b"b"]]


# -- judgement --------------------------------------------------------------------------------------------------------

DATA = bytes(range(256)) * 16
DIGEST = hashlib.blake2b(DATA, digest_size=32).hexdigest()


class Actor:
    """A part that has told what the test gives it."""

    def __init__(self, name: str) -> None:
        rest = hashlib.blake2b(DATA[64 * 10 :], digest_size=32).hexdigest()
        told: dict[str, dict[str, Any]] = {
            "subscriber": {"first": 0, "chunks": 64, "digest": DIGEST, "announced": DIGEST},
            "late joiner": {"first": 10, "chunks": 54, "digest": rest, "announced": DIGEST},
            "wrong key": {"messages": 0, "refused": {"forged": 70}},
        }
        self.part = Part(name, cast("Any", None), {"progress": told.get(name, {})})


def judged(tmp_path: Path, part: str = "", **changes: object) -> list[str]:
    """The names of the checks that fail when a part tells something else."""

    class FakeStage:
        def start(self, name: str, role: str) -> Part:
            return Actor(name).part

    course = Course(cast("Stage", FakeStage()), View(True), Source(tmp_path / "f", "f", len(DATA)), tmp_path, 0, True)
    for one in (course.early, course.late, course.wrong):
        if one.name == part:
            one.told["progress"].update(changes)
    findings = Findings("f", len(DATA), 64, DIGEST, 1, 1.0, {}, Seen())
    course._judge_subscribers(findings, DATA)
    return [name for name, held, _ in findings.checks if not held]


def test_judgement_of_a_whole_run_finds_nothing(tmp_path: Path) -> None:
    assert judged(tmp_path) == []


@pytest.mark.parametrize(
    ("part", "changes", "failed"),
    [
        ("subscriber", {"chunks": 63}, ["whole"]),
        ("subscriber", {"digest": "00" * 32}, ["whole"]),
        ("subscriber", {"first": 1}, ["whole"]),
        ("subscriber", {"announced": ""}, ["announced"]),
        ("subscriber", {"complaint": "chunk 3 came where 2 was due"}, ["in order"]),
        ("late joiner", {"chunks": 53}, ["suffix"]),
        ("late joiner", {"digest": DIGEST}, ["suffix"]),
        ("late joiner", {"first": None, "chunks": 0}, ["suffix"]),
        ("wrong key", {"messages": 1}, ["wrong key"]),
        ("wrong key", {"refused": {}}, ["wrong key"]),
        ("wrong key", {"refused": {"unknown-spi": 70}}, ["wrong key"]),
        ("wrong key", {"refused": {"forged": 69, "replayed": 1}}, ["wrong key"]),
    ],
)
def test_judgement_of_a_flawed_run_names_the_flaw(
    tmp_path: Path, part: str, changes: dict[str, object], failed: list[str]
) -> None:
    assert judged(tmp_path, part, **changes) == failed


@pytest.mark.parametrize(
    ("keys", "changes", "failed"),
    [
        (3, {}, []),
        (2, {}, ["three keys"]),
        (4, {}, ["three keys"]),
        (3, {"chunks": 0}, ["evicted"]),
        (3, {"chunks": 31}, ["evicted"]),
        (3, {"announced": DIGEST}, ["evicted"]),
        (3, {"refused": {}}, ["evicted"]),
        (3, {"refused": {"unknown-spi": 34}}, ["evicted"]),
        (3, {"refused": {"unknown-spi": 40, "forged": 1}}, ["evicted"]),
    ],
)
def test_judgement_of_the_keys_names_the_flaw(
    tmp_path: Path, keys: int, changes: dict[str, object], failed: list[str]
) -> None:
    class FakeStage:
        def start(self, name: str, role: str) -> Part:
            return Actor(name).part

    course = Course(cast("Stage", FakeStage()), View(True), Source(tmp_path / "f", "f", len(DATA)), tmp_path, 0, True)
    course.put_out_at = 30  # of 64 chunks
    told = {"first": 0, "chunks": 30, "announced": "", "refused": {"unknown-spi": 40}, **changes}
    findings = Findings("f", len(DATA), 64, DIGEST, 1, 1.0, {}, Seen())
    seen = Seen(keys=Counter(range(keys)))
    course._judge_keys(findings, seen, Part("evicted", cast("Any", None), {"progress": told}))
    assert [name for name, held, _ in findings.checks if not held] == failed


@pytest.mark.parametrize(
    ("seen", "failed"),
    [
        (Seen(messages=65, topics={TOPIC.encode()}, blocks=9), []),
        (Seen(messages=65, topics={TOPIC.encode()}, blocks=9, readable=1), ["unreadable"]),
        (Seen(messages=65, topics={TOPIC.encode()}, blocks=0), ["unreadable"]),
        (Seen(messages=65, topics={TOPIC.encode()}, blocks=9, unsealed=1), ["sealed"]),
        (Seen(messages=9, topics={TOPIC.encode()}, blocks=9), ["sealed"]),
        (Seen(messages=65, topics=set(), blocks=9), ["topic"]),
        (Seen(messages=65, topics={TOPIC.encode(), b"x"}, blocks=9), ["topic"]),
    ],
)
def test_judgement_of_the_relay_names_the_flaw(tmp_path: Path, seen: Seen, failed: list[str]) -> None:
    class FakeStage:
        def start(self, name: str, role: str) -> Part:
            return Actor(name).part

    course = Course(cast("Stage", FakeStage()), View(True), Source(tmp_path / "f", "f", len(DATA)), tmp_path, 0, True)
    findings = Findings("f", len(DATA), 64, DIGEST, 1, 1.0, {}, seen)
    course._judge_relay(findings, seen)
    assert [name for name, held, _ in findings.checks if not held] == failed


def test_findings_without_any_check_do_not_hold() -> None:
    assert not Findings("f", 1, 1, DIGEST, 1, 1.0, {}, Seen()).held


# -- what is streamed -------------------------------------------------------------------------------------------------


def test_source_by_default_is_the_standard_library_up_to_the_limit(tmp_path: Path) -> None:
    source = source_of(None, 1_000_000, tmp_path)
    assert source.size == 1_000_000 and "standard library" in source.title
    assert source.read() == source_of(None, 1_000_000, tmp_path).read()


@pytest.mark.parametrize("size", [16, 17, 64, 4096, 4097, 1 << 20, 5_000_000])
def test_source_chunks_cover_it_and_hold_whole_blocks(tmp_path: Path, size: int) -> None:
    source = Source(tmp_path / "f", "f", size)
    assert source.chunk % 16 == 0 and 64 <= source.chunk <= 16384
    assert (source.count - 1) * source.chunk < size <= source.count * source.chunk


def test_source_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r"cannot stream .*: it is no regular file"):
        source_of(tmp_path, 100, tmp_path)


def test_source_without_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(StreamError, match="0 bytes to stream; the demo needs 16 or more"):
        source_of(tmp_path / "empty", 100, tmp_path)
