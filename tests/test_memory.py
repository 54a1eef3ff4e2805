"""Memory that is the user's, or libzmq's, or both: who writes to it, how long it lives, what if it changes."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from helpers import FakeAssociation, as_plain, outcome, outcomes, receiver_of, session_of
from socket_helpers import TRANSPORTS, Net

import zmqsec
from zmqsec import Metadata, PartsError

LONG = 70_000  # pyzmq lends libzmq what is longer than 65,536 bytes unless told otherwise


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made


def sealed_by(implementation: ModuleType, *bodies: Any) -> list[bytes]:
    return list(implementation.seal_many(bodies, session_of(implementation)))


# -- whose memory it is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "options"), [(100, {"copy": False}), (LONG, {"copy": False}), (LONG, {})])
def test_memory_of_bytes_lent_to_a_frame_stays_as_it_was(
    implementation: ModuleType, size: int, options: dict[str, bool]
) -> None:
    """Such a frame's buffer is writable and libzmq calls it unshared, but it is that of the bytes object."""
    (sealed,) = sealed_by(implementation, b"x" * size)
    before = bytes(bytearray(sealed))
    frame = zmq.Frame(sealed, **options)
    assert frame.get(zmq.SHARED) == 0 and not frame.buffer.readonly
    (opened,) = implementation.open_many([frame], receiver_of(implementation))
    assert as_plain(opened.body) == [b"x" * size]
    assert sealed == before and bytes(frame) == before


@pytest.mark.parametrize("size", [100, LONG])
def test_memory_of_bytes_sent_without_a_copy_stays_as_it_was(net: Net, size: int) -> None:
    push, pull = net.raw(zmq.PUSH), net.socket(zmq.PULL)
    push.connect(net.bind(pull, "inproc"))
    (sealed,) = net.implementation.seal_many([b"x" * size], net.implementation.Session(net.key))
    before = bytes(bytearray(sealed))
    push.send(sealed, copy=False)
    assert bytes(pull.recv(copy=False)) == b"x" * size
    assert sealed == before


@pytest.mark.parametrize("first", ["read-only", "writable"])
def test_memory_given_twice_in_a_batch_opens_once(implementation: ModuleType, first: str) -> None:
    """Once as what may be written to, and once as what may not."""
    buffers = [bytearray(frame) for frame in sealed_by(implementation, *[b"x" * 300] * 40)]
    frames: list[Any] = []
    for buffer in buffers:
        pair = [memoryview(buffer).toreadonly(), buffer]
        frames += pair if first == "read-only" else pair[::-1]
    opened = implementation.open_many(frames, receiver_of(implementation))
    assert [outcome(one) for one in opened] == ["opened", "replayed"] * 40
    assert all(as_plain(one.body) == [b"x" * 300] for one in opened[::2])


def test_memory_of_frames_side_by_side_opens_and_of_overlapping_ones_is_refused(implementation: ModuleType) -> None:
    one, two = sealed_by(implementation, b"x" * 300, b"y" * 300)
    together = memoryview(bytearray(one + two))
    both = [together[: len(one)], together[len(one) :]]
    opened = implementation.open_many(both, receiver_of(implementation))
    assert [as_plain(message.body) for message in opened] == [[b"x" * 300], [b"y" * 300]]
    together = memoryview(bytearray(one + two))
    crossed = [together[: len(one)], together[100:], together[: len(one) + 50], together[len(one) :]]
    found = outcomes(implementation, crossed, receiver_of(implementation))
    assert found == ["opened", "malformed", "replayed", "opened"]


# -- how long it lives ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("size", [10, 8_192, LONG])
def test_memory_of_views_outlives_socket_and_context(
    implementation: ModuleType, tmp_path: Path, transport: str, size: int
) -> None:
    with Net(implementation, tmp_path) as net:
        push, pull = net.pair(zmq.PUSH, zmq.PULL, transport)
        push.send_many([b"%c" % (65 + i) * size for i in range(20)])
        push.send_message(body=[[b"z" * size], b"y"])
        views = [pull.recv(copy=False) for _ in range(20)]
        message = pull.recv_message(copy=False)
        frame = memoryview(message.body[0][0])[1:]
    del message, push, pull, net
    gc.collect()
    rubbish = [bytearray(size) for _ in range(200)]
    assert [bytes(view) for view in views] == [b"%c" % (65 + i) * size for i in range(20)]
    assert bytes(frame) == b"z" * (size - 1)
    del views, frame
    gc.collect()
    assert not any(map(any, rubbish))


def test_memory_of_a_view_is_not_that_of_the_next_message(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
    held = []
    for i in range(50):
        push.send(b"%c" % (65 + i % 26) * 9000)
        held.append(pull.recv(copy=False))
    assert all(bytes(view) == b"%c" % (65 + i % 26) * 9000 for i, view in enumerate(held))
    if not held[0].readonly:
        held[0][:] = b"!" * 9000  # it is the user's now
    assert bytes(held[1]) == b"B" * 9000


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_receiver_is_not_copied(implementation: ModuleType, way: Any) -> None:
    """A copy would accept again what the first one has accepted since."""
    with pytest.raises(TypeError, match="neither copied nor pickled"):
        way(receiver_of(implementation))


def test_receiver_is_not_made_twice() -> None:
    core = pytest.importorskip("zmqsec._core")
    receiver = receiver_of(core)
    frames = sealed_by(core, b"x")
    assert outcomes(core, frames, receiver) == ["opened"]
    with pytest.raises(zmqsec.AssociationError, match="made already"):
        receiver.__init__((FakeAssociation(),))
    assert outcomes(core, frames, receiver) == ["replayed"]


# -- what happens if it changes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x40", b"\x02\x00\x00\x00", b"\x0a\x00\x00\x00"])
def test_memory_written_to_by_another_thread_is_not_read_beyond_its_end(
    monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    """Between the check of the parts and their delivery Python code runs, and with it whoever has the same buffer."""
    core = pytest.importorskip("zmqsec._core")
    parts = pytest.importorskip("zmqsec._parts")
    (sealed,) = sealed_by(core, [Metadata("m", b"v"), b"leaf"])
    buffer = bytearray(sealed)
    at = 32 + 4 + 3  # behind the metadata: the leaf's head

    def writes(*fields: Any) -> Metadata:
        buffer[at : at + 4] = head
        return Metadata(*fields)

    monkeypatch.setattr(parts, "Metadata", writes)
    with pytest.raises(PartsError, match="was written to while it was opened"):
        core.open_many([buffer], receiver_of(core))


@pytest.mark.parametrize("call", ["send_many", "send_bundles"])
def test_memory_of_a_list_that_changes_while_it_is_sent(net: Net, call: str) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)

    class Clears(zmq.Frame):
        @property
        def buffer(self) -> Any:
            messages.clear()
            return memoryview(b"the second")

    messages: list[Any] = [b"the first", Clears(b""), *[b"%d" % i for i in range(600)]]
    expected = [b"the first", b"the second", *messages[2:]]
    sent = getattr(push._state.channel, call)(messages)
    assert 2 <= sent <= len(expected) and not messages
    got: list[Any] = []
    while len(got) < sent:
        got += pull.recv_many(1000)
    assert got == expected[:sent]
