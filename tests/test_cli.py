"""The command line as a user runs it: real processes, real files, and mistakes told in one line."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq
from cli_helpers import COMMAND, ENVIRONMENT, failure, run, run_here

import zmqsec
from zmqsec.stream import Kind, Outgoing, Record


class Process:
    """A `recv` or `send` in the background."""

    def __init__(self, cwd: Path, *arguments: object, stdin: int = subprocess.DEVNULL) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd,
            env=ENVIRONMENT,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def endpoint(self) -> str:
        """Where it listens, as its first line says."""
        assert self.process.stderr is not None
        line = self.process.stderr.readline().decode()
        match = re.fullmatch(r"zmqsec: listening at (\S+)\n", line)
        assert match, line
        return match[1]

    def end(self, timeout: float = 30) -> tuple[int, bytes, str]:
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err.decode()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Process]]:
    processes: list[Process] = []
    yield processes
    for one in processes:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    zmqsec.Association.from_secret(bytes(range(32)), name="pipe", spi=77).save(tmp_path / "k.toml")
    zmqsec.Association.from_secret(bytes(range(1, 33)), name="pipe", spi=77).save(tmp_path / "wrong.toml")
    return tmp_path


def receiver(place: Path, started: list[Process], *options: object, key: str = "k.toml") -> tuple[Process, str]:
    process = Process(place, "recv", "tcp://127.0.0.1:*", "-k", key, *options)
    started.append(process)
    return process, process.endpoint()


# -- keygen -----------------------------------------------------------------------------------------------------------


def test_keygen_writes_a_private_file_and_never_shows_the_secret(tmp_path: Path) -> None:
    result = run("keygen", "orders.toml", "--suite", "xchacha20poly1305", cwd=tmp_path)
    assert result.returncode == 0
    assert stat.S_IMODE((tmp_path / "orders.toml").stat().st_mode) == 0o600
    association = zmqsec.Association.load(tmp_path / "orders.toml")
    shown = result.stdout.decode()
    assert association.secret.hex() not in shown + result.stderr.decode()
    for expected in ("orders", f"{association.spi:08x}", "xchacha20poly1305", "orders.toml"):
        assert expected in shown


def test_keygen_signed_demands_attestations(tmp_path: Path) -> None:
    for options, expected in (((), "none"), (("--signed",), "required")):
        assert run_here("keygen", "k.toml", "--force", *options, cwd=tmp_path).returncode == 0
        assert zmqsec.Association.load(tmp_path / "k.toml").attestation == expected


def test_keygen_keeps_an_existing_file_unless_forced(tmp_path: Path) -> None:
    assert run("keygen", "--name", "a", cwd=tmp_path).returncode == 0
    before = (tmp_path / "a.toml").read_text()
    assert "a.toml exists already; pass --force" in failure(run("keygen", "a.toml", cwd=tmp_path), 1)
    assert (tmp_path / "a.toml").read_text() == before
    assert run("keygen", "a.toml", "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "a.toml").read_text() != before


def test_keygen_into_a_missing_folder_says_so(tmp_path: Path) -> None:
    assert "No such file or directory" in failure(run("keygen", "nowhere/k.toml", cwd=tmp_path), 1)


# -- the sealed pipe --------------------------------------------------------------------------------------------------


def test_pipe_of_a_file_arrives_whole(place: Path, started: list[Process]) -> None:
    data = os.urandom(3_000_001)
    (place / "data").write_bytes(data)
    process, endpoint = receiver(place, started, "-o", "out")
    sent = run("send", endpoint, "data", "-k", "k.toml", cwd=place)
    code, _, said = process.end()
    assert (sent.returncode, code) == (0, 0), sent.stderr.decode() + said
    assert (place / "out").read_bytes() == data and not (place / "out.part").exists()
    digest = re.search(r"BLAKE2b-256 ([0-9a-f]{64})", sent.stderr.decode())
    assert digest and digest[1] in said and "received data: 3.0 MB" in said


@pytest.mark.parametrize("size", [0, 1, 131072, 131073])
def test_pipe_between_standard_streams_arrives_whole(place: Path, started: list[Process], size: int) -> None:
    data = os.urandom(size)
    (place / "data").write_bytes(data)
    process, endpoint = receiver(place, started)
    with open(place / "data", "rb") as stdin:
        sender = Process(place, "send", endpoint, "-k", "k.toml", "-q", stdin=stdin.fileno())
    started.append(sender)
    code, out, said = process.end()
    assert code == 0 and out == data, said
    assert sender.end() == (0, b"", "")


def test_pipe_with_the_sender_bound_over_ipc_arrives_whole(place: Path, started: list[Process]) -> None:
    (place / "data").write_bytes(b"x" * 200_000)
    sender = Process(place, "send", "ipc://pipe", "data", "-k", "k.toml", "--bind")
    started.append(sender)
    result = run("recv", "ipc://pipe", "-k", "k.toml", "--connect", cwd=place)
    code, _, said = sender.end()
    assert (code, result.returncode) == (0, 0), said + result.stderr.decode()
    assert result.stdout == b"x" * 200_000


def test_pipe_from_a_slow_source_outlives_the_receivers_timeout(place: Path, started: list[Process]) -> None:
    process, endpoint = receiver(place, started, "--timeout", "3")
    sender = Process(place, "send", endpoint, "-k", "k.toml", stdin=subprocess.PIPE)
    started.append(sender)
    assert sender.process.stdin is not None
    sender.process.stdin.write(b"first ")
    sender.process.stdin.flush()
    time.sleep(4.5)
    sender.process.stdin.write(b"second")
    code, _, said = sender.end()
    assert code == 0, said
    assert process.end()[:2] == (0, b"first second")


def test_pipe_cut_by_the_senders_death_leaves_no_file(place: Path, started: list[Process]) -> None:
    process, endpoint = receiver(place, started, "-o", "out", "--timeout", "2.5")
    sender = Process(place, "send", endpoint, "-k", "k.toml", stdin=subprocess.PIPE)
    started.append(sender)
    assert sender.process.stdin is not None
    sender.process.stdin.write(b"x" * 1000)
    sender.process.stdin.flush()
    while not (place / "out.part").exists() or (place / "out.part").stat().st_size < 1000:
        time.sleep(0.02)
    sender.process.kill()
    code, _, said = process.end()
    assert code == 1 and "the stream is cut after 1,000 bytes: nothing more came within 2.5 s" in said
    assert not (place / "out").exists() and not (place / "out.part").exists()


def test_pipe_interrupted_at_the_sender_is_an_error_at_once(place: Path, started: list[Process]) -> None:
    process, endpoint = receiver(place, started, "-o", "out")
    sender = Process(place, "send", endpoint, "-k", "k.toml", stdin=subprocess.PIPE)
    started.append(sender)
    assert sender.process.stdin is not None
    sender.process.stdin.write(b"x" * 1000)
    sender.process.stdin.flush()
    while not (place / "out.part").exists() or (place / "out.part").stat().st_size < 1000:
        time.sleep(0.02)
    sender.process.send_signal(signal.SIGINT)
    assert sender.process.wait(10) == 130
    code, _, said = process.end(10)
    assert code == 1 and "the sender gave up after 1,000 bytes: interrupted" in said
    assert not (place / "out").exists()


def test_pipe_to_a_failing_output_fails_at_the_sender_too(place: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb") as full:
        command = [*COMMAND, "recv", "ipc://full", "-k", "k.toml"]
        with subprocess.Popen(command, cwd=place, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE) as one:
            sent = run("send", "ipc://full", "-k", "k.toml", cwd=place, given=b"x" * 100_000)
            said = one.communicate(timeout=20)[1].decode()
    assert one.returncode == 1 and "cannot write standard output: No space left on device" in said
    assert "the receiver failed: cannot write standard output" in failure(sent, 1)


def test_send_with_the_wrong_key_is_told_at_both_ends(place: Path, started: list[Process]) -> None:
    process, endpoint = receiver(place, started, "--timeout", "4")
    sent = run("send", endpoint, "-k", "wrong.toml", "--timeout", "1", cwd=place, given=b"secret")
    assert "the receiver has not answered within 1 s; it may hold another key" in failure(sent, 1)
    code, out, said = process.end()
    assert (code, out) == (1, b"")
    assert "nothing opened within 4 s; 1 message refused: forged" in said


def test_stranger_with_the_wrong_key_does_not_disturb_a_stream(place: Path, started: list[Process]) -> None:
    process, endpoint = receiver(place, started)
    stranger = run("send", endpoint, "-k", "wrong.toml", "--timeout", "1", cwd=place, given=b"other")
    assert stranger.returncode == 1
    assert run("send", endpoint, "-k", "k.toml", cwd=place, given=b"right").returncode == 0
    code, out, said = process.end()
    assert (code, out) == (0, b"right") and "besides, 1 message refused: forged" in said


def test_send_to_a_closed_port_gives_up_in_time(place: Path) -> None:
    result = run("send", "tcp://127.0.0.1:9", "-k", "k.toml", "--timeout", "0.5", cwd=place, given=b"x")
    assert "no receiver within 0.5 s; nobody is at the other end of tcp://127.0.0.1:9" in failure(result, 1)


def test_recv_that_nobody_sends_to_gives_up_in_time(place: Path) -> None:
    result = run("recv", "tcp://127.0.0.1:*", "-k", "k.toml", "--timeout", "0.5", "-q", cwd=place)
    assert "nothing opened within 0.5 s; no message came at all" in failure(result, 1)


def test_recv_shows_a_name_of_control_characters_harmlessly(place: Path, started: list[Process]) -> None:
    process, endpoint = receiver(place, started)
    sent = run("send", endpoint, "-k", "k.toml", "--name", "\x1b[2Jfile\n", cwd=place, given=b"x")
    code, _, said = process.end()
    assert (sent.returncode, code) == (0, 0)
    assert "received '\\x1b[2Jfile\\n': 1 byte" in said and "\x1b" not in said


# -- send and recv by identities --------------------------------------------------------------------------------------


@pytest.fixture
def parties(place: Path) -> Path:
    """Alice, Bob and Carol, who hold the key; two directories of trust: in Alice's is Bob, in Bob's an authority."""
    for name in ("alice", "bob", "carol", "ops"):
        zmqsec.Identity.generate(name).save(place / f"{name}.toml")
    for arguments in (
        ("identity", "export", "bob.toml", "-o", "of-alice/bob.toml"),
        ("identity", "export", "ops.toml", "--authority", "-o", "of-bob/ops.toml"),
        ("authority", "issue", "ops.toml", "alice.toml", "--role", "send", "-o", "alice.cred"),
    ):
        if (folder := Path(arguments[-1]).parent) != Path():
            (place / folder).mkdir()
        assert run_here(*arguments, cwd=place).returncode == 0
    return place


def test_pipe_of_an_identity_arrives_with_its_name_at_both_ends(parties: Path, started: list[Process]) -> None:
    process, endpoint = receiver(parties, started, "-i", "bob.toml", "--trust", "of-bob")
    signed = ("-i", "alice.toml", "--credential", "alice.cred", "--trust", "of-alice")
    sent = run("send", endpoint, "-k", "k.toml", *signed, cwd=parties, given=b"from Alice" * 1000)
    code, out, said = process.end()
    assert (sent.returncode, code) == (0, 0), (sent.stderr, said)
    assert out == b"from Alice" * 1000
    alice, bob = (zmqsec.Identity.load(parties / f"{name}.toml") for name in ("alice", "bob"))
    assert f"received a stream from alice ({alice})" in said
    assert f"sent a stream to bob ({bob})" in sent.stderr.decode()


@pytest.mark.parametrize(
    ("signed", "refused"),
    [
        ((), "unattested"),
        (("-i", "carol.toml"), "not-permitted"),
        (("-i", "alice.toml"), "not-permitted"),
    ],
    ids=["unsigned", "unknown", "without its credential"],
)
def test_pipe_of_nobody_that_is_trusted_is_refused(
    parties: Path, started: list[Process], signed: tuple[str, ...], refused: str
) -> None:
    process, endpoint = receiver(parties, started, "--trust", "of-bob", "--timeout", "3")
    sent = run("send", endpoint, "-k", "k.toml", *signed, "--timeout", "1", cwd=parties, given=b"x")
    assert "it may hold another key, not trust who sends, or be no zmqsec recv" in failure(sent, 1)
    code, out, said = process.end()
    assert (code, out) == (1, b"") and f"1 message refused: {refused}" in said


def test_pipe_to_somebody_else_than_is_trusted_is_not_sent(parties: Path, started: list[Process]) -> None:
    """Whoever holds the key and listens in the receiver's place gets nothing: its answer is not believed."""
    process, endpoint = receiver(parties, started, "-i", "carol.toml", "--timeout", "3")
    trusting = ("--trust", "of-alice", "--timeout", "1")
    sent = run("send", endpoint, "-k", "k.toml", *trusting, cwd=parties, given=b"a secret")
    assert "the receiver has not answered within 1 s; 1 message refused: not-permitted" in failure(sent, 1)
    assert process.end()[:2] == (1, b"")


def test_pipe_after_a_revocation_is_refused(parties: Path, started: list[Process]) -> None:
    revoke = ("authority", "revoke", "ops.toml", "of-bob/ops.revoked", "--credential", "alice.cred")
    assert run_here(*revoke, cwd=parties).returncode == 0
    process, endpoint = receiver(parties, started, "--trust", "of-bob", "--timeout", "3")
    signed = ("-i", "alice.toml", "--credential", "alice.cred", "--timeout", "1")
    failure(run("send", endpoint, "-k", "k.toml", *signed, cwd=parties, given=b"x"), 1)
    assert "1 message refused: not-permitted" in process.end()[2]


def test_pipe_of_one_identity_takes_nothing_of_another_that_is_trusted_too(
    parties: Path, started: list[Process]
) -> None:
    """Carol holds the key, may send, and has read number and challenge of Alice's stream."""
    assert run_here("identity", "export", "carol.toml", "-o", "of-bob/carol.toml", cwd=parties).returncode == 0
    process, endpoint = receiver(parties, started, "-i", "bob.toml", "--trust", "of-bob")
    identities = [zmqsec.Identity.load(parties / f"{name}.toml") for name in ("alice", "carol", "bob")]
    keys = zmqsec.Keyring([zmqsec.Association.load(parties / "k.toml")], identities=identities)
    keys.trust.pin(identities[2].public)
    keys.add_credential(zmqsec.Credential.load(parties / "alice.cred"))
    with zmqsec.Context(keyring=keys) as context:
        alice, carol = (context.socket(zmq.DEALER, association="pipe", identity=one) for one in identities[:2])
        for one in (alice, carol):
            one.linger, one.rcvtimeo = 5000, 10_000
            one.connect(endpoint)
        stream = Outgoing("letter")
        alice.send_multipart(stream.begin().parts())
        while not stream.ready:
            stream.accept(Record.from_parts(alice.recv_multipart()))
        alice.send_multipart(stream.chunk(b"Alice's first words. ").parts())
        forged = Record(Kind.CHUNK, stream.stream, stream.challenge, 1, b"Carol's words.")
        for kind in (forged, replace(forged, kind=Kind.END), replace(forged, kind=Kind.ABORT)):
            carol.send_multipart(kind.parts())
        time.sleep(0.3)
        alice.send_multipart(stream.chunk(b"And her last.").parts())
        alice.send_multipart(stream.end().parts())
        while not stream.done:
            stream.accept(Record.from_parts(alice.recv_multipart()))
        alice.close()
        carol.close()
    code, out, said = process.end()
    assert (code, out) == (0, b"Alice's first words. And her last.") and "letter from alice (zs1" in said


def test_key_that_demands_attestations_wants_to_know_whose(parties: Path) -> None:
    strict = zmqsec.Association.generate("strict", attestation="required")
    strict.save(parties / "strict.toml")
    for command in (("send", "tcp://127.0.0.1:9"), ("recv", "tcp://127.0.0.1:*")):
        said = failure(run_here(*command, "-k", "strict.toml", cwd=parties), 2)
        assert "strict.toml demands signed messages; say with --trust DIR whose are taken" in said
        said = failure(run_here(*command, "-k", "k.toml", "--credential", "alice.cred", cwd=parties), 2)
        assert "--credential is shown by an identity; give it with --identity" in said


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["send", "nowhere", "-k", "k.toml"], 2, "'nowhere' is no endpoint; tcp://HOST:PORT and ipc://PATH are"),
        (["send", "tcp://host", "-k", "k.toml"], 2, "'tcp://host' has no port"),
        (["send", "tcp://host:99999", "-k", "k.toml"], 2, "has the port '99999'; tcp://HOST:PORT with a port of 0"),
        (["send", "tcp://127.0.0.1:9"], 2, "Missing option '-k' / '--key'"),
        (["send", "tcp://127.0.0.1:9", "-k", "k.toml", "--timeout", "soon"], 2, "'soon' is no time"),
        (["send", "tcp://127.0.0.1:9", "-k", "none.toml"], 1, "cannot read none.toml: No such file"),
        (["send", "tcp://127.0.0.1:9", "none", "-k", "k.toml"], 1, "cannot read none: No such file"),
        (["recv", "tcp://203.0.113.1:9", "-k", "k.toml"], 1, "cannot bind tcp://203.0.113.1:9: Cannot assign"),
        (["recv", "tcp://127.0.0.1:*", "-k", "k.toml", "-o", "no/out", "-q"], 1, "cannot write no/out.part: No such"),
        (["keygen", "--suite", "rot13"], 2, "'rot13' is not one of"),
        (["demo", "none"], 1, "cannot stream none: there is no such file"),
        (["demo", "k.toml", "--size", "-3"], 2, "'-3' is no size"),
        (["demo", "k.toml", "--size", "4"], 1, "4 bytes to stream; the demo needs 16 or more"),
        (["inspect", "none"], 1, "cannot read none: No such file"),
        (["inspect", "k.toml"], 1, "malformed: k.toml: begins with 23 20 7a"),
        (["fly"], 2, "no command 'fly'; admission, authority, demo, group, identity, inspect, keygen, "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistake_is_told_in_one_line(place: Path, arguments: list[str], code: int, said: str) -> None:
    assert said in failure(run(*arguments, cwd=place), code)


def test_key_that_others_can_read_is_refused(place: Path) -> None:
    (place / "k.toml").chmod(0o640)
    said = failure(run("send", "tcp://127.0.0.1:9", "-k", "k.toml", cwd=place), 1)
    assert "k.toml has mode 0640: others could use the key; run chmod 600 k.toml" in said


# -- inspect, help ----------------------------------------------------------------------------------------------------


def test_inspect_shows_tree_and_bytes_without_a_key(tmp_path: Path) -> None:
    association = zmqsec.Association.generate("x")
    (sealed,) = zmqsec.seal_many([b"hidden words"], zmqsec.Session(association))
    (tmp_path / "part").write_bytes(sealed)
    result = run("inspect", "part", cwd=tmp_path)
    shown = result.stdout.decode()
    assert result.returncode == 0 and result.stderr == b""
    assert f"SPI {association.spi:08x}" in shown and "body, 16 bytes: sealed" in shown and "hidden" not in shown
    piped = run("inspect", "-", "--json", cwd=tmp_path, given=sealed.hex().encode())
    assert json.loads(piped.stdout)["spi"] == f"{association.spi:08x}"


@pytest.mark.parametrize("columns", [80, 120])
def test_inspect_fits_its_terminal_and_loses_nothing(tmp_path: Path, columns: int) -> None:
    session = zmqsec.Session(zmqsec.Association.generate("x", suite="aes256ctr-hmacsha256"))
    metadata = {"a" * 60: zmqsec.Metadata("a" * 60, b"\1" * 40, critical=True)}
    message = zmqsec.Message(body=[bytes(1000)], topic=b"weather.oslo", metadata=metadata, protect="authenticated")
    (tmp_path / "part").write_bytes(zmqsec.seal_many([message], session)[0])
    environment = ENVIRONMENT | {"COLUMNS": str(columns)}
    shown = subprocess.check_output([*COMMAND, "inspect", "part"], cwd=tmp_path, env=environment, timeout=30)
    lines = shown.decode().splitlines()
    assert max(map(len, lines)) <= columns
    assert "".join(lines).count("01 01") > 10 and any("session began 20" in line for line in lines)
    assert any(line.startswith("0008" if columns == 80 else "0010") for line in lines)


def test_version_names_backend_and_libzmq(tmp_path: Path) -> None:
    shown = run("--version", cwd=tmp_path).stdout.decode()
    assert shown.startswith(f"zmqsec {zmqsec.__version__} (backend {zmqsec.backend}, libzmq ")


@pytest.mark.parametrize("command", ["", "keygen", "send", "recv", "inspect", "demo"])
def test_help_is_there_for_every_command(tmp_path: Path, command: str) -> None:
    result = run(*([command] if command else []), "--help", cwd=tmp_path)
    assert result.returncode == 0 and result.stdout.decode().startswith(f"Usage: zmqsec {command}")


def test_output_into_a_closed_pipe_ends_without_a_traceback(tmp_path: Path) -> None:
    (sealed,) = zmqsec.seal_many([bytes(100_000)], zmqsec.Session(zmqsec.Association.generate("x")))
    (tmp_path / "part").write_bytes(sealed)
    script = f"{sys.executable} -m zmqsec inspect part --rows 100000 | head -1"
    result = subprocess.run(script, shell=True, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, timeout=30)
    assert b"Traceback" not in result.stderr and b"sealed part" in result.stdout


# -- admission ---------------------------------------------------------------------------------------------------------


def test_admission_gives_relays_a_key_that_opens_nothing(tmp_path: Path) -> None:
    assert run("keygen", "orders.toml", "--admit", cwd=tmp_path).returncode == 0
    result = run("admission", "orders.toml", cwd=tmp_path)
    assert result.returncode == 0 and b"orders.admission.toml (mode 0600)" in result.stdout and result.stderr == b""
    key = zmqsec.Association.load(tmp_path / "orders.toml")
    assert key.admit and zmqsec.AdmissionKey.load(tmp_path / "orders.admission.toml") == key.admission()
    assert "exists" in failure(run("admission", "orders.toml", cwd=tmp_path), 1)
    assert "is unknown" in failure(run("admission", "orders.admission.toml", "x.toml", cwd=tmp_path), 1)


def test_admission_of_an_association_whose_senders_do_not_admit_says_so(tmp_path: Path) -> None:
    assert run("keygen", "orders.toml", cwd=tmp_path).returncode == 0
    assert b"orders.toml says admit = false" in run("admission", "orders.toml", cwd=tmp_path).stderr
