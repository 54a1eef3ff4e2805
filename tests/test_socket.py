"""Secured sockets as pyzmq's: every type over every transport, every kind of call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from socket_helpers import TRANSPORTS, Net, eventually, nothing_comes

from zmqsec import Message, Metadata, PartsError, SocketError
from zmqsec.errors import ZmqsecError


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made


# -- every type, every transport --------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("sender", "receiver"),
    [
        (zmq.PUSH, zmq.PULL),
        (zmq.PAIR, zmq.PAIR),
        (zmq.PUB, zmq.SUB),
        (zmq.XPUB, zmq.XSUB),
        (zmq.DEALER, zmq.DEALER),
        (zmq.DEALER, zmq.ROUTER),
        (zmq.REQ, zmq.REP),
    ],
)
def test_socket_pair_carries_a_message(net: Net, transport: str, sender: int, receiver: int) -> None:
    first, second = net.pair(sender, receiver, transport)
    if sender == zmq.XPUB:
        eventually(lambda: second.send(b"\x01") or first.poll(20))
        assert first.recv() == b"\x01"
    first.send(b"sealed")
    parts = second.recv_multipart()
    assert parts[-1] == b"sealed" and len(parts) == (2 if receiver == zmq.ROUTER else 1)
    if receiver in (zmq.ROUTER, zmq.REP):
        second.send_multipart([*parts[:-1], b"answer"])
        assert first.recv() == b"answer"
    assert first.stats.sealed >= 1 and second.stats.opened >= 1


def test_socket_sends_nothing_readable(net: Net) -> None:
    push, pull = net.socket(zmq.PUSH), net.raw(zmq.PULL)
    push.connect(net.bind(pull, "tcp"))
    push.send_multipart([b"a secret word", b"another secret"])
    push.send_many([b"a secret word"] * 2, bundle=True)
    for _ in range(2):
        frames = pull.recv_multipart()
        assert len(frames) == 1 and frames[0].startswith(b"\0ZS") and b"secret" not in frames[0]


def test_socket_type_is_what_was_asked_for(net: Net) -> None:
    for kind in (zmq.REQ, zmq.REP, zmq.PUSH, zmq.XSUB):
        socket = net.socket(kind)
        assert socket.type == kind and socket.get(zmq.TYPE) == kind and socket.getsockopt(zmq.TYPE) == kind
        assert zmq.SocketType(kind).name in repr(socket) and isinstance(socket, zmq.Socket)
    with pytest.warns(DeprecationWarning):
        assert net.socket(zmq.REP).socket_type == zmq.REP


@pytest.mark.parametrize("kind", [zmq.STREAM, zmq.DRAFT_API + 1000])
def test_socket_type_unsupported_is_refused_with_those_allowed(net: Net, kind: int) -> None:
    with pytest.raises(SocketError, match=r"cannot be secured; PUSH, PULL, .*REP are allowed"):
        net.context.socket(kind, association="orders")


# -- the calls --------------------------------------------------------------------------------------------------------


def test_send_of_other_kinds_of_data(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    for given in (b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), zmq.Frame(b"bytes")):
        push.send(given)
        push.send_multipart([b"1", given])
        assert pull.recv() == b"bytes"
        assert pull.recv_multipart() == [b"1", b"bytes"]
    push.send_string("naïve")
    push.send_json({"a": [1]})
    push.send_pyobj({"b": (2,)})
    push.send_serialized("x,y", lambda text: [one.encode() for one in text.split(",")])
    assert pull.recv_string() == "naïve" and pull.recv_json() == {"a": [1]} and pull.recv_pyobj() == {"b": (2,)}
    assert pull.recv_serialized(lambda parts: b",".join(parts).decode()) == "x,y"


@pytest.mark.parametrize("size", [0, 1, 63, 64, 8191, 8192, 100_000, 3_000_000])
@pytest.mark.parametrize("copy", [True, False])
def test_recv_of_any_size_as_bytes_or_view(net: Net, size: int, copy: bool) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
    data = bytes(i * 7 & 0xFF for i in range(251)) * (size // 251 + 1)
    push.send(data[:size])
    got = pull.recv(copy=copy)
    assert type(got) is (bytes if copy else memoryview)
    push.send(b"x" * size)
    pull.recv(copy=copy)
    assert bytes(got) == data[:size]


def test_recv_view_outlives_its_socket(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
    push.send(b"x" * 20_000)
    view = pull.recv(copy=False)
    pull.close()
    assert view[:3] == b"xxx" and len(view) == 20_000


def test_sndmore_gathers_one_message(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    part = bytearray(b"1")
    push.send(part, zmq.SNDMORE)
    part[0] = 0
    assert nothing_comes(pull, 30)
    push.send_string("2", zmq.SNDMORE)
    push.send_multipart([b"3", b"4"], zmq.SNDMORE)
    push.send(b"5")
    push.send(b"6")
    assert pull.recv_multipart() == [b"1", b"2", b"3", b"4", b"5"]
    assert pull.recv_multipart() == [b"6"]
    assert push.stats.sealed == 2


def test_sndmore_forbids_whole_messages_in_between(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    push.send(b"1", zmq.SNDMORE)
    for call in (lambda: push.send_many([b"x"]), lambda: push.send_message(body=[b"x"])):
        with pytest.raises(SocketError, match="1 parts given with SNDMORE wait"):
            call()
    push.send(b"2")
    assert pull.recv_multipart() == [b"1", b"2"]


def test_sndmore_after_again_keeps_the_parts_before(net: Net) -> None:
    push, pull = net.socket(zmq.PUSH), net.socket(zmq.PULL)
    push.send(b"1", zmq.SNDMORE)
    with pytest.raises(zmq.Again):
        push.send(b"2", zmq.NOBLOCK)
    net.join(push, pull)
    push.send(b"2")
    assert pull.recv_multipart() == [b"1", b"2"]


def test_rcvmore_answers_in_all_its_forms(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    push.send_multipart([b"1", b"2", b"3"])
    assert not pull.get(zmq.RCVMORE)
    assert pull.recv() == b"1"
    assert pull.get(zmq.RCVMORE) == 1 and pull.getsockopt(zmq.RCVMORE) == 1 and pull.rcvmore == 1
    assert pull.poll(0) == zmq.POLLIN and pull.get(zmq.EVENTS) & zmq.POLLIN
    with pytest.raises(SocketError, match="2 parts of the message before still wait"):
        pull.recv_message()
    assert pull.recv() == b"2" and pull.recv_multipart() == [b"3"]
    assert not pull.rcvmore and not pull.poll(0)


def test_send_many_and_recv_many_move_batches(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    messages = [b"%d" % i for i in range(500)]
    assert push.send_many(messages) == 500
    got: list[Any] = []
    while len(got) < 500:
        got += pull.recv_many(100)
    assert got == messages
    assert push.send_many(iter([b"1", [b"2", b"3"], bytearray(b"4")])) == 3
    assert pull.recv_many() == [b"1", [b"2", b"3"], b"4"]
    push.send_many([b"1", (b"2", b"3")])
    assert pull.recv_many(multipart=True) == [[b"1"], [b"2", b"3"]]
    assert push.send_many([]) == 0 and push.send_many([], bundle=True) == 0


def test_recv_many_takes_no_more_than_asked_for(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    push.send_many([b"x"] * 10)
    assert [len(pull.recv_many(4)) for _ in range(3)] == [4, 4, 2]
    with pytest.raises(SocketError, match="max_messages=0: 1 or more"):
        pull.recv_many(0)


@pytest.mark.parametrize(("timeout", "least"), [(0, 0.0), (0.15, 0.14), (None, 0.09)])
def test_recv_many_of_nothing_is_an_empty_list(net: Net, timeout: float | None, least: float) -> None:
    pull = net.socket(zmq.PULL)
    pull.setsockopt(zmq.RCVTIMEO, 100)
    began = time.monotonic()
    assert pull.recv_many(8, timeout=timeout) == []
    assert least <= time.monotonic() - began < least + 1


def test_send_many_beyond_the_high_water_mark_says_how_many_went(net: Net) -> None:
    push, pull = net.socket(zmq.PUSH), net.socket(zmq.PULL)
    push.set_hwm(10)
    pull.set_hwm(10)
    net.join(push, pull)
    sent = push.send_many([b"%d" % i for i in range(100)], flags=zmq.NOBLOCK)
    assert 10 <= sent < 100
    with pytest.raises(zmq.Again):
        push.send(b"x", zmq.NOBLOCK)
    push.setsockopt(zmq.SNDTIMEO, 50)
    assert push.send_many([b"x"] * 3) == 0
    got = pull.recv_many(100)
    assert got == [b"%d" % i for i in range(sent)]


def test_recv_timeouts_raise_again(net: Net) -> None:
    pull = net.socket(zmq.PULL)
    pull.rcvtimeo = 80
    began = time.monotonic()
    for call in (pull.recv, pull.recv_multipart, pull.recv_message):
        with pytest.raises(zmq.Again):
            call()
        with pytest.raises(zmq.Again):
            call(zmq.NOBLOCK)
    assert 0.2 < time.monotonic() - began < 2


def test_send_message_gives_the_whole_structure(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    push.send_message(
        header=[b"seen by all", [b"nested"]],
        body=[b"a", [b"b", [b"c"]], Metadata("note", b"n")],
        metadata={"sent": b"now", "note": Metadata("note", b"me")},
    )
    got = pull.recv_message()
    assert got.body == [b"a", [b"b", [b"c"]], Metadata("note", b"n")]
    assert got.header == [b"seen by all", [b"nested"]] and got.metadata == {"sent": b"now", "note": b"me"}
    assert got.protect == "sealed" and got.spi == net.key.spi and len(got.session) == 12 and got.sequence == 0
    push.send_message(got)
    assert pull.recv_multipart() == [b"a", b"b", b"c"]
    push.send_message(body=[b"x"], protect="authenticated")
    again = pull.recv_message()
    assert again.protect == "authenticated" and again.sequence == 2


def test_send_message_critical_metadata_needs_an_understanding_receiver(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL, understood=["deadline"])
    push.send_message(body=[b"x"], metadata={"deadline": Metadata("deadline", b"noon", critical=True)})
    assert pull.recv_message().metadata == {"deadline": Metadata("deadline", b"noon", critical=True)}
    push.send_message(body=[b"x"], metadata={"other": Metadata("other", b"", critical=True)})
    assert nothing_comes(pull)
    assert pull.stats.refused["unknown-critical"] == 1


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["text", 5, None, object()])
def test_send_of_no_bytes_is_refused(net: Net, given: Any) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    calls = [
        lambda: push.send(given),
        lambda: push.send(given, zmq.SNDMORE),
        lambda: push.send_multipart([b"1", given]),
        lambda: push.send_multipart([given], zmq.SNDMORE),
        lambda: push.send_many([b"1", given]),
        lambda: push.send_many([b"1", given], bundle=True),
        lambda: push.send_message(body=[given]),
    ]
    for call in calls:
        with pytest.raises(PartsError, match=f"bytes-like.*not {type(given).__name__}"):
            call()
    push.send(b"after")
    assert pull.recv() == b"after"


def test_send_of_the_wrong_shape_is_refused(net: Net) -> None:
    push = net.socket(zmq.PUSH)
    cases: list[tuple[Any, str]] = [
        (lambda: push.send([b"x"]), "one bytes-like part, not list; see send_multipart"),
        (lambda: push.send(b"x", track=True), "track="),
        (lambda: push.send(b"x", group="g"), "group="),
        (lambda: push.send_multipart([b"x"], track=True), "track="),
        (lambda: push.send_multipart([]), "0 parts; 1 or more"),
        (lambda: push.send_message(b"x"), "takes a Message, not bytes"),
        (lambda: push.send_message(body=[b"x"], topic=b"t"), "PUSH has no topics"),
        (lambda: push.send_many([Message([b"x"], topic=b"t")]), "PUSH has no topics"),
        (lambda: push.send_many([Message([b"x"], envelope=(b"e",))]), "PUSH takes no envelope"),
        (lambda: push.send_message(body=[b"x"], envelope=[b"e"]), "PUSH takes no envelope"),
        (lambda: push.send_message(body=[b"x"], flags=zmq.SNDMORE), "flags=2: 0 or zmq.DONTWAIT"),
        (lambda: push.send_many([b"x"], flags=zmq.SNDMORE), "flags=2: 0 or zmq.DONTWAIT"),
    ]
    for call, message in cases:
        with pytest.raises(SocketError, match=message):
            call()
    with pytest.raises(ZmqsecError, match="no part"):
        push.send_message(body=[])
    assert push.stats.sealed == 0


def test_recv_track_is_refused(net: Net) -> None:
    pull = net.socket(zmq.PULL)
    for call in (pull.recv, pull.recv_multipart):
        with pytest.raises(SocketError, match="track=True is for plain sockets"):
            call(track=True)


def test_direction_that_a_type_has_not_raises_as_in_pyzmq(net: Net) -> None:
    for call in (net.socket(zmq.PULL).send, net.socket(zmq.SUB).send):
        with pytest.raises(zmq.ZMQError) as caught:
            call(b"x")
        assert caught.value.errno == zmq.ENOTSUP
    for call in (net.socket(zmq.PUSH).recv, net.socket(zmq.PUB).recv_many):
        with pytest.raises(zmq.ZMQError) as caught:
            call()
        assert caught.value.errno == zmq.ENOTSUP


def test_association_unknown_to_the_keyring_is_refused(net: Net) -> None:
    with pytest.raises(ZmqsecError, match="no association named 'other' in the keyring; there are: orders"):
        net.context.socket(zmq.PUSH, association="other")
    with pytest.raises(SocketError, match="association=5: a name or an Association"):
        net.context.socket(zmq.PUSH, association=5)
    with pytest.raises(SocketError, match="give a name as association="):
        net.context.socket(zmq.PUSH, "orders")
    with pytest.raises(SocketError, match=r"receive=.* need association"):
        net.context.socket(zmq.PULL, receive=["orders"])


# -- topics -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_pub_first_part_is_the_topic_in_clear_and_bound(net: Net, transport: str) -> None:
    pub, sub = net.pair(zmq.PUB, zmq.SUB, transport)
    pub.send_multipart([b"weather.rain", b"10 mm", b"today"])
    assert sub.recv_multipart() == [b"weather.rain", b"10 mm", b"today"]
    pub.send_multipart([b"weather", b"x"])
    assert sub.recv() == b"weather" and sub.rcvmore and sub.recv() == b"x"
    pub.send_multipart([b"only"])
    assert sub.recv_multipart() == [b"only"]
    pub.send_message(topic=b"t", body=[b"x"])
    got = sub.recv_message()
    assert got.topic == b"t" and got.body == [b"x"] and got.envelope == ()
    pub.send_multipart([b"", b"empty topic"])
    assert sub.recv_message().topic == b""
    pub.send_many([[b"a", b"1"], b"2", Message([b"3"], topic=b"c")])
    assert [sub.recv_multipart() for _ in range(3)] == [[b"a", b"1"], [b"2"], [b"c", b"3"]]


def test_sub_prefix_filters_at_the_publisher(net: Net) -> None:
    pub, sub = net.pair(zmq.PUB, zmq.SUB, "tcp")
    sub.subscribe(b"a")
    sub.unsubscribe(b"")
    time.sleep(0.1)
    for topic in (b"b", b"ab", b"c", b"a"):
        pub.send_multipart([topic, b"x"])
    assert sub.recv_multipart()[0] == b"ab" and sub.recv_multipart()[0] == b"a"
    assert nothing_comes(sub, 50)


def test_topic_that_looks_sealed_is_refused(net: Net) -> None:
    pub = net.socket(zmq.PUB)
    with pytest.raises(SocketError, match=r"topic .* has the form of a sealed part"):
        pub.send_multipart([b"\0ZS" + bytes(60), b"x"])


def test_topic_exchanged_on_the_way_is_refused(net: Net) -> None:
    pub, listener = net.socket(zmq.PUB), net.raw(zmq.SUB)
    listener.subscribe(b"")
    pub.connect(net.bind(listener, "tcp"))
    plain, sub = net.raw(zmq.PUB), net.socket(zmq.SUB)
    sub.subscribe(b"")
    sub.connect(net.bind(plain, "tcp"))
    hear_raw(pub, listener)
    pub.send_multipart([b"buy", b"x"])
    _, sealed = listener.recv_multipart()
    time.sleep(0.1)
    plain.send_multipart([b"sell", sealed])
    plain.send(sealed)
    plain.send_multipart([b"buy", sealed])
    assert nothing_comes(sub)
    assert sub.stats.refused["topic-mismatch"] == 1 and sub.stats.refused["replayed"] == 2


def hear_raw(publisher: Any, listener: Any) -> None:
    """Publish until the plain listener hears, then empty it."""
    while not listener.poll(20):
        publisher.send(b"probe")
    while listener.poll(50):
        listener.recv_multipart()


@pytest.mark.parametrize("size", [40, 2_000, 100_000])
@pytest.mark.parametrize("copy", [True, False])
def test_inproc_pub_to_two_subs_opening_in_place_changes_no_other(net: Net, size: int, copy: bool) -> None:
    pub, subs = net.fan(3)
    pub.send_multipart([b"topic", b"x" * size])
    got = [sub.recv_multipart(copy=copy) for sub in subs]
    assert all([bytes(part) for part in one] == [b"topic", b"x" * size] for one in got)
    pub.send(b"y" * size)
    assert all(bytes(sub.recv(copy=copy)) == b"y" * size for sub in subs)
    assert all(sub.stats.total_refused == 0 for sub in subs)
