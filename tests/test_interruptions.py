"""Calls that are interrupted: by signals, by other threads, by a context that ends, by a mistake in their middle."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
from socket_helpers import TIMEOUT, Net, eventually, nothing_comes, refusals
from threads import sleeping

from zmqsec import PartsError, SocketError

Act = Callable[[Any], Any]
RECEIVES: dict[str, Act] = {
    "recv": lambda socket: socket.recv(),
    "recv_multipart": lambda socket: socket.recv_multipart(),
    "recv_message": lambda socket: socket.recv_message(),
    "recv_many": lambda socket: socket.recv_many(),
    "poll": lambda socket: socket.poll(),
}
receives = pytest.mark.parametrize("receive", RECEIVES.values(), ids=RECEIVES.keys())
timeouts = pytest.mark.parametrize("timeout", [-1, TIMEOUT], ids=["for-ever", "timeout"])


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made


class Stop(Exception):
    """What the signal's handler raises."""


@contextlib.contextmanager
def signalled(handler: Callable[[], None]) -> Iterator[None]:
    """The handler runs in this thread as soon as it sleeps in a call."""
    main = threading.main_thread()
    done = threading.Event()

    def send() -> None:
        eventually(lambda: done.is_set() or sleeping(main))
        if not done.is_set():
            signal.pthread_kill(main.ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: handler())
    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def stop() -> None:
    raise Stop


class Caller(threading.Thread):
    """A call in another thread, which sleeps in it once this was made; `ended` waits for it and gives its result."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._act, self._result = act, None
        self.start()
        eventually(lambda: sleeping(self))

    def run(self) -> None:
        try:
            self._result = self._act()
        except Exception as error:
            self._result = error

    def ended(self) -> Any:
        self.join(TIMEOUT / 1000)
        assert not self.is_alive()
        return self._result


# -- signals ----------------------------------------------------------------------------------------------------------


@receives
@timeouts
def test_signal_whose_handler_raises_ends_a_receive_and_the_socket_goes_on(
    net: Net, receive: Act, timeout: int
) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
    pull.setsockopt(zmq.RCVTIMEO, timeout)
    with signalled(stop), pytest.raises(Stop):
        receive(pull)
    push.send_many([b"%d" % i for i in range(100)])
    got: list[Any] = []
    while len(got) < 100:
        got += pull.recv_many(100)
    assert got == [b"%d" % i for i in range(100)]


@receives
def test_signal_whose_handler_returns_does_not_end_a_receive(net: Net, receive: Act) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
    pull.setsockopt(zmq.RCVTIMEO, -1)
    with signalled(lambda: push.send(b"from the handler")):
        got = receive(pull)
    assert got in (b"from the handler", [b"from the handler"], zmq.POLLIN) or got.body == [b"from the handler"]


@pytest.mark.parametrize("receive", [RECEIVES["recv"], RECEIVES["recv_many"]], ids=["recv", "recv_many"])
def test_signal_whose_handler_closes_the_socket_ends_a_receive(net: Net, receive: Act) -> None:
    _, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
    pull.setsockopt(zmq.RCVTIMEO, -1)
    with signalled(pull.close), pytest.raises(zmq.ZMQError) as caught:
        receive(pull)
    assert caught.value.errno == zmq.ENOTSOCK


def test_signal_whose_handler_uses_the_same_socket_is_told(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
    pull.setsockopt(zmq.RCVTIMEO, -1)
    told: list[BaseException] = []

    def handler() -> None:
        try:
            pull.recv(zmq.NOBLOCK)
        except SocketError as error:
            told.append(error)
        push.send(b"x")

    with signalled(handler):
        assert pull.recv() == b"x"
    assert "in use by another call" in str(told[0])


SENDS: dict[str, tuple[int, int, Act]] = {
    "send": (zmq.PUSH, zmq.PULL, lambda socket: [socket.send(b"%d" % i) for i in range(2000)]),
    "send-long": (zmq.PUSH, zmq.PULL, lambda socket: [socket.send(b"%5000d" % i) for i in range(2000)]),
    "send_many": (zmq.PUSH, zmq.PULL, lambda socket: socket.send_many([b"%d" % i for i in range(2000)])),
    "envelope": (
        zmq.DEALER,
        zmq.DEALER,
        lambda socket: socket.send_many([[b"", b"%d" % i, b"x"] for i in range(2000)]),
    ),
}


@pytest.mark.parametrize(("kinds", "send"), [(one[:2], one[2]) for one in SENDS.values()], ids=SENDS.keys())
def test_signal_in_the_middle_of_a_send_leaves_whole_messages_and_a_count(
    net: Net, kinds: tuple[int, int], send: Act
) -> None:
    """What `stats.sealed` says arrives, nothing more and nothing cut, and the socket goes on."""
    sender, receiver = (net.socket(kind) for kind in kinds)
    for one in (sender, receiver):
        one.set_hwm(10)
    net.join(sender, receiver)
    sender.setsockopt(zmq.SNDTIMEO, -1)
    with signalled(stop), pytest.raises(Stop):
        send(sender)
    sent = sender.stats.sealed
    assert 10 <= sent <= 40
    got = [receiver.recv_multipart() for _ in range(sent)]
    assert [int(parts[-2] if len(parts) > 1 else parts[0]) for parts in got] == list(range(sent))
    assert nothing_comes(receiver, 30)
    sender.send_multipart([b"", b"after"])
    assert receiver.recv_multipart() == [b"", b"after"] and refusals(receiver) == {}


# -- threads ----------------------------------------------------------------------------------------------------------


@receives
@timeouts
def test_thread_in_a_call_keeps_others_off_the_socket(net: Net, receive: Act, timeout: int) -> None:
    """Closing it too: libzmq would end the process."""
    push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
    pull.setsockopt(zmq.RCVTIMEO, timeout)
    caller = Caller(lambda: receive(pull))
    for call in (lambda: pull.recv(zmq.NOBLOCK), lambda: pull.recv_many(1, timeout=0), lambda: pull.poll(0)):
        with pytest.raises(SocketError, match="in use by another call"):
            call()
    with pytest.raises(SocketError, match="another thread is in a call on this socket"):
        pull.close()
    assert not pull.closed
    push.send(b"x")
    assert not isinstance(caller.ended(), Exception)
    pull.close()
    assert pull.closed


def test_thread_that_sends_keeps_others_off_the_socket(net: Net) -> None:
    push = net.socket(zmq.PUSH)
    push.setsockopt(zmq.SNDTIMEO, -1)
    caller = Caller(lambda: push.send_many([b"x"] * 3))
    with pytest.raises(SocketError, match="in use by another call"):
        push.send(b"y")
    with pytest.raises(SocketError, match="another thread is in a call"):
        push.close()
    ends = threading.Thread(target=net.context.term, daemon=True)
    ends.start()
    assert isinstance(caller.ended(), zmq.ContextTerminated)
    push.close(0)
    ends.join(TIMEOUT / 1000)
    assert not ends.is_alive()


@receives
def test_thread_in_a_call_wakes_when_its_context_ends(net: Net, receive: Act) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
    pull.setsockopt(zmq.RCVTIMEO, -1)

    def receives_and_closes() -> None:
        try:
            receive(pull)
        finally:
            pull.close(0)

    caller = Caller(receives_and_closes)
    push.close(0)
    net.context.term()
    assert isinstance(caller.ended(), zmq.ContextTerminated)


def test_context_that_ends_in_the_middle_of_a_batch_loses_nothing_received(net: Net) -> None:
    """Its end comes while the first messages are opened: the call gives them, and the next one meets the error."""
    ends = threading.Thread(target=net.context.term, daemon=True)
    probe = net.raw(zmq.PULL)

    def has_ended() -> bool:
        try:
            return probe.get(zmq.EVENTS) is None
        except zmq.ContextTerminated:
            return True

    def clock() -> float:
        if sent and not ends.is_alive():
            ends.start()
            eventually(has_ended)
        return time.time()

    sent = 0
    push, pull = net.pair(zmq.PUSH, zmq.PULL, clock=clock)
    sent = push.send_many([b"%d" % i for i in range(200)])
    got = pull.recv_many(1000)
    assert got and got == [b"%d" % i for i in range(len(got))]
    with pytest.raises(zmq.ContextTerminated):
        pull.recv_many(1000)
    for socket in (push, pull, probe):
        socket.close(0)
    ends.join(TIMEOUT / 1000)
    assert not ends.is_alive()


# -- mistakes ---------------------------------------------------------------------------------------------------------


def test_mistake_in_the_middle_of_a_batch_leaves_a_count_of_what_went(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    messages: list[Any] = [b"%d" % i for i in range(1000)]
    messages[500] = 7
    with pytest.raises(PartsError, match="not int"):
        push.send_many(messages)
    sent = push.stats.sealed
    assert sent <= 500
    assert [pull.recv() for _ in range(sent)] == messages[:sent]
    assert nothing_comes(pull, 30)
    push.send(b"after")
    assert pull.recv() == b"after" and refusals(pull) == {}


def test_receiver_that_is_not_there_ends_a_batch_with_a_count(net: Net) -> None:
    router, dealer = net.socket(zmq.ROUTER), net.socket(zmq.DEALER)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    dealer.setsockopt(zmq.IDENTITY, b"here")
    dealer.connect(net.bind(router, "tcp"))
    dealer.send(b"hello")
    assert router.recv_multipart() == [b"here", b"hello"]
    messages = [[b"here", b"%d" % i] for i in range(20)]
    messages[15] = [b"nobody", b"15"]
    with pytest.raises(zmq.ZMQError) as caught:
        router.send_many(messages)
    assert caught.value.errno == zmq.EHOSTUNREACH and router.stats.sealed == 15
    assert [dealer.recv() for _ in range(15)] == [b"%d" % i for i in range(15)]
    router.send_multipart([b"here", b"after"])
    assert dealer.recv() == b"after"
