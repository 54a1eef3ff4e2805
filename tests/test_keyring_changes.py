"""Changes of a keyring reach sockets that run: what left it is neither sealed with nor opened, what came in is."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from helpers import has_aes256gcm
from socket_helpers import TIMEOUT, Net, eventually, nothing_comes, refusals
from threads import sleeping

import zmqsec
from zmqsec import Association, AssociationError, Keyring, SocketError
from zmqsec.header import Header


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made


class Sides:
    """A sender and a receiver in one network, each with a keyring of its own; they share the association "orders"."""

    def __init__(self, net: Net, sender: int = zmq.PUSH, receiver: int = zmq.PULL, **options: Any) -> None:
        self.near, self.far = net.keyring, Keyring([net.key, *options.pop("others", ())])
        self._shadow = zmqsec.Context(shadow=net.context, keyring=self.far, _implementation=net.implementation)
        self.first = net.socket(sender)
        self.last = net._tracked(self._shadow.socket(receiver, association="orders", **options))
        self.receiver = self.last._state.channel.receiver
        net.join(self.first, self.last)


class Feed:
    """A plain sender of what any association has sealed, to a secured PULL with a keyring of its own."""

    def __init__(self, net: Net, *others: Association, **options: Any) -> None:
        self.net, self.keyring = net, Keyring([net.key, *others])
        self._shadow = zmqsec.Context(shadow=net.context, keyring=self.keyring, _implementation=net.implementation)
        self.pull = net._tracked(self._shadow.socket(zmq.PULL, association="orders", **options))
        self.receiver = self.pull._state.channel.receiver
        self._push = net.raw(zmq.PUSH)
        self._push.connect(net.bind(self.pull, "inproc"))
        self._sessions: dict[int, Any] = {}

    def send(self, association: Association, *texts: bytes) -> None:
        session = self._sessions.setdefault(id(association), self.net.implementation.Session(association))
        for frame in self.net.implementation.seal_many(texts, session):
            self._push.send(frame)


def replace(keyring: Keyring, new: Association) -> None:
    keyring.remove(new.name)
    keyring.add(new)


@pytest.fixture
def new() -> Association:
    return Association.generate("orders")


def nothing_but_refused(socket: Any, expected: dict[str, int]) -> None:
    """So many messages are refused, in as much time as that takes, and none comes."""
    eventually(lambda: nothing_comes(socket, 10) and socket.stats.total_refused >= sum(expected.values()))
    assert refusals(socket) == expected


SENDS: list[tuple[str, Callable[[Any, bytes], Any]]] = [
    ("send", lambda push, text: push.send(text)),
    ("multipart", lambda push, text: push.send_multipart([text])),
    ("sndmore", lambda push, text: (push.send(b"a", zmq.SNDMORE), push.send(text))),
    ("many", lambda push, text: push.send_many([text])),
    ("bundle", lambda push, text: push.send_many([text], bundle=True)),
    ("message", lambda push, text: push.send_message(body=[text])),
]
RECEIVES: list[tuple[str, Callable[[Any], bytes]]] = [
    ("recv", lambda pull: pull.recv()),
    ("multipart", lambda pull: pull.recv_multipart()[-1]),
    ("many", lambda pull: pull.recv_many(1)[0]),
    ("message", lambda pull: pull.recv_message().body[-1]),
]
BY_SEND = pytest.mark.parametrize("send", [one[1] for one in SENDS], ids=[one[0] for one in SENDS])
BY_RECEIVE = pytest.mark.parametrize("receive", [one[1] for one in RECEIVES], ids=[one[0] for one in RECEIVES])


# -- removed ----------------------------------------------------------------------------------------------------------


@BY_SEND
def test_keyring_without_the_association_stops_the_sender(net: Net, send: Callable[[Any, bytes], Any]) -> None:
    push, raw = net.socket(zmq.PUSH), net.raw(zmq.PULL)
    push.connect(net.bind(raw, "inproc"))
    send(push, b"x")
    assert raw.recv()
    net.keyring.remove("orders")
    for _ in range(2):
        with pytest.raises(SocketError, match="its keyring lost it"):
            send(push, b"x")
    assert not raw.poll(30) and push.stats.sealed == 1


@BY_RECEIVE
def test_keyring_without_the_association_opens_nothing(net: Net, receive: Callable[[Any], bytes]) -> None:
    """Not even what came before the change and waits."""
    sides = Sides(net)
    for text in (b"1", b"2", b"3"):
        sides.first.send(text)
    assert receive(sides.last) == b"1"
    assert sides.receiver.sessions == 1
    sides.far.remove("orders")
    sides.first.send(b"4")
    nothing_but_refused(sides.last, {"unknown-spi": 3})
    assert sides.receiver.sessions == 0


def test_keyring_removal_is_of_no_concern_to_an_association_given_itself(net: Net) -> None:
    push, pull = net.socket(zmq.PUSH, association=net.key), net.socket(zmq.PULL, association=net.key)
    net.join(push, pull)
    net.keyring.remove("orders")
    push.send(b"x")
    assert pull.recv() == b"x"


def test_keyring_change_of_another_association_changes_nothing(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    push.send(b"1")
    before = push._state.channel.session.session_id
    net.keyring.add(Association.generate("other"))
    push.send(b"2")
    net.keyring.remove("other")
    push.send(b"3")
    assert [pull.recv() for _ in range(3)] == [b"1", b"2", b"3"]
    assert push._state.channel.session.session_id == before and push._state.channel.session.sequence == 3
    assert push._state.direct, "the fast path is taken again"


def test_keyring_removal_stops_every_socket_of_a_pub_and_its_subs(net: Net) -> None:
    pub, subs = net.fan(3)
    pub.send_multipart([b"topic", b"x"])
    net.keyring.remove("orders")
    with pytest.raises(SocketError, match="its keyring lost it"):
        pub.send_multipart([b"topic", b"x"])
    for sub in subs:
        nothing_but_refused(sub, {"unknown-spi": 1})


# -- replaced ---------------------------------------------------------------------------------------------------------


@BY_SEND
def test_keyring_replacement_is_what_the_sender_seals_with_next(
    net: Net, new: Association, send: Callable[[Any, bytes], Any]
) -> None:
    push, raw = net.socket(zmq.PUSH), net.raw(zmq.PULL)
    push.connect(net.bind(raw, "inproc"))
    send(push, b"old")
    send(push, b"old")  # one by one, key stream is made for more of them
    replace(net.keyring, new)
    send(push, b"new")
    send(push, b"new")
    frames = [raw.recv() for _ in range(4)]
    headers = [Header.decode(frame) for frame in frames]
    assert [header.spi for header in headers] == [net.key.spi] * 2 + [new.spi] * 2
    assert [header.sequence for header in headers] == [0, 1, 0, 1]
    assert len({header.session for header in headers}) == 2
    opened = net.implementation.open_many(frames[2:], net.implementation.Receiver([new]), copy=True)
    assert [zmqsec.Message, zmqsec.Message] == [type(one) for one in opened]


@BY_RECEIVE
def test_keyring_replacement_is_what_the_receiver_opens_with_next(
    net: Net, new: Association, receive: Callable[[Any], bytes]
) -> None:
    feed = Feed(net)
    feed.send(net.key, b"old")
    feed.send(new, b"too early")
    feed.send(net.key, b"old")
    assert [receive(feed.pull), receive(feed.pull)] == [b"old", b"old"]
    assert refusals(feed.pull) == {"unknown-spi": 1}
    replace(feed.keyring, new)
    feed.send(net.key, b"too late")
    feed.send(new, b"new")
    assert receive(feed.pull) == b"new"
    assert refusals(feed.pull) == {"unknown-spi": 2} and feed.receiver.sessions == 1


def test_keyring_replacement_under_the_same_spi_and_of_another_suite(net: Net) -> None:
    feed = Feed(net)
    same_spi = Association.from_secret(bytes(range(1, 33)), name="orders", spi=net.key.spi)
    suite = Association.generate("orders", suite="aes256gcm" if has_aes256gcm() else "xchacha20poly1305")
    feed.send(net.key, b"1")
    assert feed.pull.recv() == b"1"
    replace(feed.keyring, same_spi)
    feed.send(net.key, b"x")
    feed.send(same_spi, b"2")
    assert feed.pull.recv() == b"2"
    replace(feed.keyring, suite)
    feed.send(same_spi, b"x")
    feed.send(suite, b"3")
    assert feed.pull.recv() == b"3"
    assert refusals(feed.pull) == {"forged": 1, "unknown-spi": 1}


def test_keyring_replacement_between_request_and_reply(net: Net, new: Association) -> None:
    req, rep = net.pair(zmq.REQ, zmq.REP)
    req.send(b"under the old key")
    question = rep.recv_message()
    replace(net.keyring, new)
    rep.send(b"under the new key")
    answer = req.recv_message()
    assert (question.spi, answer.spi) == (net.key.spi, new.spi)
    req.send(b"next")
    assert rep.recv_message().spi == new.spi
    assert refusals(req) == refusals(rep) == {}


def test_keyring_replacement_several_times_before_the_next_call(net: Net, new: Association) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    push.send(b"1")
    assert pull.recv() == b"1"
    for association in (Association.generate("orders"), new, Association.generate("orders"), new):
        replace(net.keyring, association)
    push.send(b"2")
    assert pull.recv_message().spi == new.spi and refusals(pull) == {}


def test_keyring_association_removed_and_added_with_no_call_between_keeps_its_sessions(net: Net) -> None:
    """And so its windows: a replay stays a replay."""
    feed = Feed(net)
    session = net.implementation.Session(net.key)
    (sealed,) = net.implementation.seal_many([b"once"], session)
    feed._push.send(sealed)
    assert feed.pull.recv() == b"once"
    replace(feed.keyring, net.key)
    feed._push.send(sealed)
    nothing_but_refused(feed.pull, {"replayed": 1})


def test_keyring_association_back_after_the_sender_was_stopped(net: Net, new: Association) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    push.send(b"1")
    net.keyring.remove("orders")
    with pytest.raises(SocketError, match="its keyring lost it"):
        push.send(b"2")
    net.keyring.add(new)
    push.send(b"3")
    assert pull.recv() == b"3" and refusals(pull) == {"unknown-spi": 1}


def test_keyring_change_in_the_middle_of_a_message_of_several_parts(net: Net, new: Association) -> None:
    """A message is sealed whole, when its last part is given, with the key of that time."""
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    push.send(b"1", zmq.SNDMORE)
    net.keyring.remove("orders")
    with pytest.raises(SocketError, match="its keyring lost it"):
        push.send(b"2", zmq.SNDMORE)
    net.keyring.add(new)
    push.send(b"2")
    assert pull.recv() == b"1"
    net.keyring.remove("orders")
    assert pull.recv() == b"2", "a message that was opened is handed out to its end"


# -- epochs -----------------------------------------------------------------------------------------------------------


def spis(keyring: Keyring) -> list[int]:
    return [one.spi for one in keyring.opening("orders")]


def test_keyring_epochs_follow_each_other_without_a_lost_message(net: Net) -> None:
    """Accepted at the receiver first, then sealed with, then retired: previous, current and next overlap."""
    sides = Sides(net)
    keys = [net.key, *(Association.generate("orders") for _ in range(5))]
    sent = 0
    for before, key in itertools.pairwise(keys):
        sides.far.accept(key)
        sides.first.send(b"%d" % sent)
        sides.near.replace(key)
        sides.first.send(b"%d" % (sent + 1))
        assert spis(sides.far) == [net.key.spi, *(one.spi for one in (before, key) if one is not net.key)]
        assert [sides.last.recv_message().spi for _ in range(2)] == [before.spi, key.spi]
        if before is not net.key:
            sides.far.retire(before.spi)
        sent += 2
    assert refusals(sides.last) == {} and sides.last.stats.opened == sent


def test_keyring_accepted_association_is_not_sealed_with(net: Net, new: Association) -> None:
    sides = Sides(net)
    sides.near.accept(new)
    sides.first.send(b"x")
    assert sides.last.recv_message().spi == net.key.spi and sides.near.get("orders") is net.key


def test_keyring_replaced_association_goes_on_opening_until_it_is_retired(net: Net, new: Association) -> None:
    feed = Feed(net)
    feed.send(net.key, b"1")
    assert feed.pull.recv() == b"1"
    feed.keyring.replace(new)
    feed.send(net.key, b"2")
    feed.send(new, b"3")
    assert [feed.pull.recv() for _ in range(2)] == [b"2", b"3"] and feed.receiver.sessions == 2
    feed.keyring.retire(net.key.spi)
    feed.send(net.key, b"late")
    nothing_but_refused(feed.pull, {"unknown-spi": 1})
    assert feed.receiver.sessions == 1 and spis(feed.keyring) == [new.spi]


def test_keyring_retired_association_that_seals_stops_the_sender(net: Net, new: Association) -> None:
    sides = Sides(net)
    sides.near.accept(new)
    sides.near.retire(net.key.spi)
    with pytest.raises(SocketError, match="its keyring lost it"):
        sides.first.send(b"x")
    sides.near.replace(new)
    sides.first.send(b"x")
    nothing_but_refused(sides.last, {"unknown-spi": 1})


def test_keyring_name_of_which_all_are_removed(net: Net, new: Association) -> None:
    keyring = Keyring([net.key])
    keyring.accept(new)
    keyring.remove("orders")
    assert spis(keyring) == [] and "orders" not in keyring
    keyring.add(net.key)
    keyring.accept(new)
    assert spis(keyring) == [net.key.spi, new.spi]


def test_keyring_epochs_mistakes_are_told(net: Net, new: Association) -> None:
    keyring = Keyring([net.key])
    with pytest.raises(AssociationError, match=f"SPI {new.spi:#010x} is none of this keyring's"):
        keyring.retire(new.spi)
    with pytest.raises(AssociationError, match="is that of 'orders'"):
        keyring.accept(Association.from_secret(bytes(range(1, 33)), name="other", spi=net.key.spi))
    keyring.replace(net.key)
    assert spis(keyring) == [net.key.spi], "the current one replaces itself"


# -- receive= ---------------------------------------------------------------------------------------------------------


def test_keyring_changes_of_what_is_only_received(net: Net) -> None:
    first, second = Association.generate("extra"), Association.generate("extra")
    feed = Feed(net, first, receive=["orders", "extra"])
    feed.send(net.key, b"1")
    feed.send(first, b"2")
    feed.send(second, b"early")
    assert [feed.pull.recv() for _ in range(2)] == [b"1", b"2"]
    nothing_but_refused(feed.pull, {"unknown-spi": 1})
    feed.keyring.remove("extra")
    feed.send(first, b"late")
    feed.send(net.key, b"3")
    assert feed.pull.recv() == b"3" and feed.receiver.sessions == 1
    feed.keyring.add(second)
    feed.send(first, b"late")
    feed.send(second, b"4")
    assert feed.pull.recv() == b"4" and feed.receiver.sessions == 2
    feed.keyring.remove("orders")
    feed.send(net.key, b"late")
    feed.send(second, b"5")
    assert feed.pull.recv() == b"5" and refusals(feed.pull) == {"unknown-spi": 4}


def test_keyring_association_that_no_socket_named_is_not_accepted(net: Net) -> None:
    """A keyring holds what a program knows; a socket accepts what it was made for."""
    feed, other = Feed(net), Association.generate("other")
    feed.keyring.add(other)
    feed.send(other, b"x")
    nothing_but_refused(feed.pull, {"unknown-spi": 1})
    with pytest.raises(AssociationError, match="no association named 'gone' in the keyring"):
        net.context.socket(zmq.PULL, association="orders", receive=["gone"])


# -- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [-1, 2 * TIMEOUT], ids=["without-timeout", "with-timeout"])
@BY_RECEIVE
def test_keyring_replaced_while_a_thread_waits_to_receive(
    net: Net, new: Association, receive: Callable[[Any], bytes], timeout: int
) -> None:
    """The waiting call itself goes on with the new key, the message that wakes it included."""
    feed = Feed(net)
    feed.pull.setsockopt(zmq.RCVTIMEO, timeout)
    feed.send(net.key, b"old")
    got: list[bytes] = []
    ready = threading.Event()

    def wait() -> None:
        got.append(receive(feed.pull))
        ready.set()
        got.append(receive(feed.pull))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert ready.wait(TIMEOUT / 1000)
    eventually(lambda: sleeping(thread))
    replace(feed.keyring, new)
    feed.send(net.key, b"of the key that has gone")
    feed.send(new, b"new")
    thread.join(TIMEOUT / 1000)
    assert got == [b"old", b"new"] and refusals(feed.pull) == {"unknown-spi": 1}


def test_keyring_changed_again_and_again_in_a_thread_while_others_send_and_receive(net: Net) -> None:
    """Each message is opened, or refused since its key has gone; nothing else happens, and the last key wins."""
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    keys = [Association.generate("orders") for _ in range(60)]
    failures: list[BaseException] = []
    done = threading.Event()
    sent = [0]

    def change() -> None:
        for key in keys:
            replace(net.keyring, key)
            until = sent[0] + 5
            eventually(lambda until=until: sent[0] >= until)
        done.set()

    def send() -> None:
        try:
            while not done.is_set():
                try:
                    push.send(b"x")
                except SocketError as error:
                    assert "its keyring lost it" in str(error)
                sent[0] += 1
            push.send(b"the last")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=change), threading.Thread(target=send)]
    for thread in threads:
        thread.start()
    count = 1
    while (got := pull.recv()) != b"the last":
        assert got == b"x"
        count += 1
    for thread in threads:
        thread.join(TIMEOUT / 1000)
    assert not failures and refusals(pull).keys() <= {"unknown-spi"}
    assert count + pull.stats.total_refused == push.stats.sealed
    assert push._state.channel.session.association is keys[-1]


def test_keyring_changed_in_one_thread_while_another_makes_sockets() -> None:
    """Every change goes through and is told to who listens; here what listens is lighter than a socket."""

    class Listener:
        changes = 0

        def keyring_changed(self) -> None:
            self.changes += 1

    keyring, other, first = Keyring(), Association.generate("other"), Listener()
    keyring.listen(first)
    done = threading.Event()

    def make() -> None:
        while not done.is_set():
            kept = [Listener() for _ in range(50)]
            for one in kept:
                keyring.listen(one)

    thread = threading.Thread(target=make)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for _ in range(3000):
            keyring.add(other)
            keyring.remove("other")
    finally:
        sys.setswitchinterval(before)
        done.set()
        thread.join(TIMEOUT / 1000)
    assert first.changes == 6000


def test_keyring_changed_while_a_socket_is_made_reaches_it(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change comes after the association was looked up, and before the socket listens."""
    listen = net.keyring.listen

    def late(state: Any) -> None:
        net.keyring.remove("orders")
        listen(state)

    monkeypatch.setattr(net.keyring, "listen", late)
    push = net.socket(zmq.PUSH)
    with pytest.raises(SocketError, match="its keyring lost it"):
        push.send(b"x")
