"""Messages that libzmq shares: one memory for all inproc subscribers, and for the connections that still send it.

Opening in place would take the ciphertext from whoever opens, or sends, after. No subscriber may notice another.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from helpers import as_plain
from socket_helpers import Net, eventually, hear, nothing_comes, refusals

from zmqsec import Association, Message, limits

# Around libzmq's messages without memory of their own (33 bytes, topics), the bodies that are copied out (8,192), the
# first body whose views own libzmq's memory, and more than a batch holds.
SIZES = (0, 1, 29, 33, 34, 8_191, 8_192, 70_000, 1_200_000)
MAX = 10_000


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made


def body(size: int, salt: int = 0) -> bytes:
    return (bytes((i * 7 + salt) & 0xFF for i in range(251)) * (size // 251 + 1))[:size]


class Fan:
    """One inproc publisher with secured subscribers and, between them in the order of connection, plain ones."""

    def __init__(self, net: Net, secured: int, plain: int = 1, kind: int = zmq.PUB, **options: Any) -> None:
        self.pub = net.socket(kind)
        self.address = net.bind(self.pub, "inproc")
        self.subs: list[Any] = []
        self.raws: list[Any] = []
        for _ in range(max(secured, plain)):
            if len(self.raws) < plain:
                self.raws.append(self._joined(net.raw(zmq.SUB)))
            if len(self.subs) < secured:
                self.subs.append(self._joined(net.socket(zmq.SUB, **options)))
        hear(self.pub, *self.subs)
        for raw in self.raws:
            while raw.poll(0):  # the publisher wrote to all of them at once
                raw.recv_multipart()

    def _joined(self, sub: Any) -> Any:
        sub.set_hwm(0)
        sub.subscribe(b"")
        sub.connect(self.address)
        return sub


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("count", [2, 5])
def test_shared_message_of_any_size_opens_at_every_subscriber(net: Net, count: int, copy: bool) -> None:
    fan = Fan(net, count, plain=0)
    for number, size in enumerate(SIZES):
        fan.pub.send_multipart([b"topic", body(size, number), b"", body(size // 2, number + 1)])
    fan.pub.send(body(SIZES[-1]))
    held = []
    for sub in fan.subs:  # one after the other, so that each but the first opens what others have opened
        for number, size in enumerate(SIZES):
            topic, first, empty, second = sub.recv_multipart(copy=copy)
            held.append((first, body(size, number)))
            assert (bytes(topic), bytes(empty), bytes(second)) == (b"topic", b"", body(size // 2, number + 1))
        held.append((sub.recv(copy=copy), body(SIZES[-1])))
        assert refusals(sub) == {}
    assert all(bytes(got) == expected for got, expected in held), "a view was written to by another subscriber"


@pytest.mark.parametrize("size", [0, 29, 500, 8_192, 200_000])
def test_shared_message_that_others_opened_is_still_ciphertext(net: Net, size: int) -> None:
    fan = Fan(net, 3, plain=2)
    fan.pub.send_multipart([b"topic", body(size)])
    early = fan.raws[0].recv_multipart(copy=False)
    assert early[-1].get(zmq.SHARED), "the premise: libzmq shares this memory"
    before = [bytes(frame) for frame in early]
    views = [sub.recv_multipart(copy=False) for sub in fan.subs]
    assert [bytes(frame) for frame in early] == before
    assert [bytes(frame) for frame in fan.raws[1].recv_multipart(copy=False)] == before, "received after the opening"
    assert all(bytes(view[-1]) == body(size) for view in views)
    again = net.implementation.Receiver([net.key])
    (opened,) = net.implementation.open_many([before[-1]], again, topics=[before[0]])
    assert as_plain(opened.body) == [body(size)], "and it opens"


@pytest.mark.parametrize("bundle", [False, True])
@pytest.mark.parametrize("copy", [True, False])
def test_shared_batches_and_bundles_open_at_every_subscriber(net: Net, bundle: bool, copy: bool) -> None:
    fan = Fan(net, 3)
    messages = [[b"topic", body(20 + 90 * (i % 200), i)] for i in range(1000)]
    assert fan.pub.send_many(messages, bundle=bundle) == 1000
    for sub in fan.subs:
        got: list[Any] = []
        while len(got) < 1000:
            got += sub.recv_many(300, copy=copy)
        assert [[bytes(part) for part in one] for one in got] == messages
        assert refusals(sub) == {}
    sealed = 0
    while fan.raws[0].poll(0):
        assert fan.raws[0].recv_multipart()[-1].startswith(limits.MAGIC)
        sealed += 1
    assert (sealed < 100) if bundle else (sealed == 1000)


def test_shared_structure_opens_at_every_subscriber(net: Net) -> None:
    fan = Fan(net, 3, kind=zmq.XPUB)
    fan.pub.send_message(topic=b"t", body=[[b"deep", [body(9000)]], b"leaf"], header=[b"front"], metadata={"a": b"b"})
    fan.pub.send_message(topic=b"t", body=[body(9000)], protect="authenticated")
    for sub in fan.subs:
        got = sub.recv_message(copy=False)
        assert as_plain(got.body) == [[b"deep", [body(9000)]], b"leaf"]
        assert as_plain(got.header) == [b"front"] and got.metadata == {"a": b"b"} and got.topic == b"t"
        clear = sub.recv_message(copy=False)
        assert as_plain(clear.body) == [body(9000)] and clear.protect == "authenticated"


def test_shared_message_refused_by_some_is_wiped_for_none(net: Net) -> None:
    """Another secret under the same SPI makes the tag fail: that receiver wipes what it has opened, and only that."""
    wrong = Association.from_secret(bytes(range(1, 33)), name="wrong", spi=net.key.spi)
    fan = Fan(net, 2, plain=1)
    stranger = fan._joined(net.socket(zmq.SUB, association=wrong))
    short = fan._joined(net.socket(zmq.SUB, max_message=MAX))
    eventually(lambda: fan.pub.send(b"x") or stranger.poll(20))
    for sub in (*fan.subs, *fan.raws, short):
        eventually(lambda sub=sub: sub.recv_multipart() and not sub.poll(0))
    assert refusals(short) == {}
    fan.pub.send(body(MAX))
    eventually(lambda: nothing_comes(short, 10) and refusals(short))
    assert refusals(short) == {"too-large": 1}
    eventually(lambda: nothing_comes(stranger, 10) and not stranger.poll(0))
    assert refusals(stranger).keys() == {"forged"}
    assert [bytes(sub.recv(copy=False)) for sub in fan.subs] == [body(MAX)] * 2
    sealed = fan.raws[0].recv()
    assert len(sealed) > MAX and sealed.count(0) < MAX // 10


def test_shared_message_still_being_sent_is_not_opened_in_place(net: Net) -> None:
    """A tcp connection of the same publisher reads the same memory, later and in another thread."""
    fan = Fan(net, 2, plain=0)
    fan.pub.bind("tcp://127.0.0.1:*")
    far = net.socket(zmq.SUB)
    far.set_hwm(0)
    far.subscribe(b"")
    far.connect(fan.pub.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
    hear(fan.pub, far)
    for sub in fan.subs:
        while sub.poll(0):
            sub.recv()
    for number in range(40):
        fan.pub.send(body(300_000, number))
        assert [bytes(sub.recv(copy=False)) for sub in fan.subs] == [body(300_000, number)] * 2
    assert all(bytes(far.recv(copy=False)) == body(300_000, number) for number in range(40))
    assert refusals(far) == {}


def test_shared_messages_open_in_several_threads_at_once(net: Net) -> None:
    fan = Fan(net, 4, plain=0)
    messages = [body(5_000 + 31 * i, i) for i in range(400)]
    assert fan.pub.send_many(messages) == 400
    results: dict[int, list[bytes]] = {}

    def open_all(number: int, sub: Any) -> None:
        got: list[Any] = []
        while len(got) < 400 and (more := sub.recv_many(64, copy=number % 2 == 0)):
            got += more
        results[number] = [bytes(one) for one in got]

    threads = [threading.Thread(target=open_all, args=pair) for pair in enumerate(fan.subs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [results[number] == messages for number in range(4)] == [True] * 4


def test_shared_frame_opened_by_open_many_stays_as_it_was_while_an_own_one_is_opened_in_place(net: Net) -> None:
    """open_many on zmq.Frame: a batch of both kinds, and the same shared frame given twice."""
    fan = Fan(net, 0, plain=2)
    eventually(lambda: fan.pub.send(b"x") or (fan.raws[0].poll(0) and fan.raws[1].poll(0)))
    for raw in fan.raws:
        while raw.poll(0):
            raw.recv()
    sealed = net.implementation.seal_many([body(9000, i) for i in range(2)], net.implementation.Session(net.key))
    zmq.Socket.send(fan.pub, sealed[0])
    one, two = (raw.recv(copy=False) for raw in fan.raws)
    near, far = net.raw(zmq.PAIR), net.raw(zmq.PAIR)
    near.connect(net.bind(far, "inproc"))
    near.send(sealed[1])
    own = far.recv(copy=False)
    assert (one.get(zmq.SHARED), two.get(zmq.SHARED), own.get(zmq.SHARED)) == (1, 1, 0)
    receiver = net.implementation.Receiver([net.key])
    first, second, third = net.implementation.open_many([one, own, two], receiver)
    assert as_plain(first.body) == [body(9000, 0)] and as_plain(second.body) == [body(9000, 1)]
    assert str(third.reason) == "replayed"
    assert bytes(one) == bytes(two) == sealed[0]
    again = net.implementation.Receiver([net.key])
    (opened,) = net.implementation.open_many([two], again, copy=True)
    assert isinstance(opened, Message) and opened.body == [body(9000, 0)] and bytes(two) == sealed[0]
