"""Forks: whatever a process does with sessions and sockets that it inherited, no key ever meets a nonce twice.

The sealed parts themselves are looked at: session id and sequence number of each, by which the nonce is made, from the
parent, from children and from their children. All use one association, so one key.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest
import zmq
from socket_helpers import TIMEOUT, Net

import zmqsec
from zmqsec import limits

NONCE = slice(limits.NONCE_OFFSET, limits.HEADER_BYTES)
NONCE_BYTES = limits.HEADER_BYTES - limits.NONCE_OFFSET
SESSION = slice(4, 16)  # within a nonce

warnings_of_threads = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from 3.12 on, beside threads


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made


class Nonces:
    """What every process has sealed: a file for each, so that children need no hand held to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, sealed: list[bytes]) -> None:
        with (self.folder / f"{os.getpid()}.nonces").open("ab") as file:
            file.write(b"".join([frame[NONCE] for frame in sealed]))

    def each(self) -> list[list[bytes]]:
        """The nonces of each process."""
        found = []
        for path in sorted(self.folder.glob("*.nonces")):
            data = path.read_bytes()
            found.append([data[at : at + NONCE_BYTES] for at in range(0, len(data), NONCE_BYTES)])
        return found

    def check(self, processes: int, least: int) -> None:
        """So many processes sealed so many messages at least; none met another's session, and none a nonce twice."""
        each = self.each()
        assert len(each) == processes and sum(map(len, each)) >= least
        together: set[bytes] = set()
        for one in each:
            together.update(one)
        assert len(together) == sum(map(len, each)), "a nonce was used twice"
        sessions = [{nonce[SESSION] for nonce in one} for one in each]
        assert len(set.union(*sessions)) == sum(map(len, sessions)), "two processes sealed in one session"


def fork(act: Callable[[], object]) -> Callable[[], None]:
    """Start a child that does so and ends; the call that is returned waits for it."""
    child = os.fork()
    if child == 0:
        do_and_end(act)
    return lambda: wait_for(child)


def do_and_end(act: Callable[[], object]) -> NoReturn:
    """All that a child does: 0 is for success only."""
    try:
        act()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def wait_for(child: int) -> None:
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


class Wire:
    """A secured sender and a plain receiver over inproc, which works in a forked child too.

    libzmq forbids a child its parent's sockets, and their io threads are not there; but in memory a message still goes
    from one to the other, as long as the receiver never asks for more than was sent. So what an inherited socket would
    seal can be seen.
    """

    def __init__(self, net: Net, sender: int, receiver: int) -> None:
        self.sender, self.receiver = net.socket(sender), net.raw(receiver)
        for one in (self.sender, self.receiver):
            one.set_hwm(0)
        self.sender.connect(net.bind(self.receiver, "inproc"))
        net.bind(self.receiver, "inproc")  # makes the receiver take up the connection

    def take(self, count: int) -> list[bytes]:
        return [self.receiver.recv_multipart()[-1] for _ in range(count)]


class Sealer:
    """Every way to seal, in turn: a session by itself, and sockets one by one, in batches and in bundles."""

    def __init__(self, net: Net, nonces: Nonces) -> None:
        self.net, self.nonces = net, nonces
        self.session = net.implementation.Session(net.key)
        self.push, self.dealer = Wire(net, zmq.PUSH, zmq.PULL), Wire(net, zmq.DEALER, zmq.DEALER)

    def seal(self, count: int) -> list[bytes]:
        """About so many messages by each of the ways."""
        sealed = list(self.net.implementation.seal_many([b"s"] * count, self.session))
        for _ in range(count):
            self.push.sender.send(b"one by one")
        self.push.sender.send_many([b"batch"] * count)
        assert self.push.sender.send_many([b"bundle"] * 1000, bundle=True) == 1000
        sealed += self.push.take(2 * count + 2)
        for _ in range(count // 10):
            self.dealer.sender.send_multipart([b"", b"two", b"parts"])
        sealed += self.dealer.take(count // 10)
        self.nonces.add(sealed)
        return sealed


def test_fork_of_sockets_and_sessions_repeats_no_nonce(net: Net, tmp_path: Path) -> None:
    """10^6 seals by the C core, 60,000 by the Python path, in a parent, its children, and a child's children."""
    total, processes = (1_000_000 if net.implementation.__name__ == "zmqsec._core" else 60_000), 6
    sealer = Sealer(net, nonces := Nonces(tmp_path))
    share = total // (3 * processes)

    def child(deeper: Callable[[], object] | None = None) -> None:
        half = share // 2 + 1
        sealer.seal(half)
        wait = fork(deeper) if deeper else None
        sealer.seal(half)
        if wait:
            wait()

    sealer.seal(share // 3 + 1)
    waits = [fork(lambda: child(lambda: child(child)))]
    sealer.seal(share // 3 + 1)
    waits += [fork(child), fork(child)]
    sealer.seal(share // 3 + 1)
    for wait in waits:
        wait()
    nonces.check(processes, total)


def test_fork_leaves_the_parent_in_its_session_without_a_gap(net: Net, tmp_path: Path) -> None:
    sealer = Sealer(net, nonces := Nonces(tmp_path))
    before = sealer.seal(10)
    fork(lambda: sealer.seal(10))()
    after = sealer.seal(10)
    headers = [frame[limits.SESSION_OFFSET : limits.HEADER_BYTES] for frame in before + after]
    sessions = {header[:12] for header in headers}
    assert len(sessions) == 3, "the session by itself, and one for each socket"
    for session in sessions:
        numbers = [int.from_bytes(header[12:], "little") for header in headers if header[:12] == session]
        assert numbers == list(range(len(numbers)))
    nonces.check(2, 2 * len(before))


def test_fork_child_seals_what_opens(net: Net, tmp_path: Path) -> None:
    """What was prepared before the fork, such as key stream for the messages to come, does not outlive it."""
    wire = Wire(net, zmq.PUSH, zmq.PULL)
    wire.sender.send(b"parent")
    (first,) = wire.take(1)

    def child() -> None:
        for i in range(40):
            wire.sender.send(b"child %d" % i)
        (tmp_path / "sealed").write_bytes(b"".join(wire.take(40)))

    fork(child)()
    wire.sender.send(b"parent again")
    (second,) = wire.take(1)
    data = (tmp_path / "sealed").read_bytes()
    sizes = [len(first) + len(b"child %d" % i) - len(b"parent") for i in range(40)]
    frames = [data[sum(sizes[:i]) : sum(sizes[: i + 1])] for i in range(40)]
    receiver = net.implementation.Receiver([net.key])
    opened = net.implementation.open_many([first, *frames, second], receiver, copy=True)
    assert [one.body[0] for one in opened] == [b"parent", *(b"child %d" % i for i in range(40)), b"parent again"]
    assert receiver.sessions == 2 and opened[0].session == opened[-1].session


@warnings_of_threads
def test_fork_in_a_thread_while_another_seals(net: Net, tmp_path: Path) -> None:
    """The child has the forking thread alone, and the session as it stood in the middle of the other's work."""
    session, nonces, children = net.implementation.Session(net.key), Nonces(tmp_path), 8
    failed: list[BaseException] = []
    begun = threading.Event()

    def child() -> None:
        nonces.add(net.implementation.seal_many([b"child"] * 500, session))

    def forks() -> None:
        try:
            begun.wait(TIMEOUT / 1000)
            for _ in range(children):
                fork(child)()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=forks)
    thread.start()
    sealed: list[bytes] = []
    while thread.is_alive():
        sealed += net.implementation.seal_many([b"parent"] * 100, session)
        begun.set()
    nonces.add(sealed)
    assert not failed and session.sequence == len(sealed)
    nonces.check(children + 1, children * 500 + 100)


@warnings_of_threads
@pytest.mark.parametrize("way", ["fork", "forkpty", "multiprocessing", "thread", "libc"])
def test_fork_by_any_way_begins_another_session(net: Net, tmp_path: Path, way: str) -> None:
    session, nonces = net.implementation.Session(net.key), Nonces(tmp_path)

    def act() -> None:
        nonces.add(net.implementation.seal_many([b"x"] * 3, session))

    act()
    if way == "fork":
        fork(act)()
    elif way == "forkpty":
        child, terminal = os.forkpty()
        if child == 0:
            do_and_end(act)
        wait_for(child)
        os.close(terminal)
    elif way == "libc":  # which Python is not told of
        child = ctypes.PyDLL(None).fork()
        if child == 0:
            do_and_end(act)
        wait_for(child)
    elif way == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(target=act)
        process.start()
        process.join(TIMEOUT / 1000)
        assert process.exitcode == 0
    else:
        thread = threading.Thread(target=lambda: fork(act)())
        thread.start()
        thread.join(TIMEOUT / 1000)
    act()
    nonces.check(2, 9)
    assert sorted(map(len, nonces.each())) == [3, 6]


def test_fork_child_with_a_context_of_its_own_talks_to_its_parent(net: Net, tmp_path: Path) -> None:
    """The way that libzmq wants it: the keyring is inherited, context and sockets are new."""
    pull, push = net.socket(zmq.PULL), net.socket(zmq.PUSH)
    address, answers = net.bind(pull, "ipc"), net.bind(push, "ipc")

    def child() -> None:
        with zmqsec.Context(keyring=net.keyring, _implementation=net.implementation) as context:
            near, far = (context.socket(kind, association="orders") for kind in (zmq.PULL, zmq.PUSH))
            with near, far:
                near.setsockopt(zmq.RCVTIMEO, TIMEOUT)
                near.connect(answers)
                far.connect(address)
                far.send(b"from the child: " + near.recv())

    wait = fork(child)
    push.send(b"from the parent")
    got = pull.recv_message()
    assert got.body == [b"from the child: from the parent"]
    assert got.session != push._state.channel.session.session_id
    wait()
