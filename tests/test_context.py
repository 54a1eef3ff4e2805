"""The secured context, what its sockets are by default, and pollers and options as pyzmq's users know them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zmq
import zmq.asyncio
from socket_helpers import Net, eventually, nothing_comes, refusals

import zmqsec
from zmqsec import Association, AssociationError, Context, Keyring, Poller, Socket, SocketError
from zmqsec.errors import ZmqsecError

TYPES = (
    zmq.PUSH, zmq.PULL, zmq.PUB, zmq.SUB, zmq.XPUB, zmq.XSUB, zmq.DEALER, zmq.ROUTER, zmq.REQ, zmq.REP, zmq.PAIR,
)  # fmt: skip
MEBIBYTE = 1 << 20


@pytest.fixture
def net(implementation: ModuleType, tmp_path: Path) -> Iterator[Net]:
    with Net(implementation, tmp_path) as made:
        yield made


# -- secure by default ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_socket_has_a_bound_of_16_mebibytes_unless_told(net: Net, kind: int) -> None:
    for options in ({}, {"association": None}):
        assert net.socket(kind, **options).getsockopt(zmq.MAXMSGSIZE) == 16 * MEBIBYTE
        assert net.socket(kind, max_message=1000, **options).maxmsgsize == 1000


def test_socket_bound_holds_on_every_transport(net: Net) -> None:
    """libzmq's own bound drops the connection; inproc has none, so there the receiver's holds."""
    push, pull = net.pair(zmq.PUSH, zmq.PULL, max_message=5000)
    push.send(b"x" * 5000)
    push.send(b"short")
    assert pull.recv() == b"short" and refusals(pull) == {"too-large": 1}
    push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp", max_message=5000)
    push.send(b"short")
    assert pull.recv() == b"short"
    push.send(b"x" * 5000)
    assert nothing_comes(pull, 100) and refusals(pull) == {}
    with pytest.raises(ZmqsecError, match="its sealed part would pass 1000 bytes"):
        net.socket(zmq.PUSH, max_message=1000).send(b"x" * 1000)


@pytest.mark.parametrize("max_message", [0, -1, 1 << 30])
def test_socket_bound_out_of_bounds_is_refused(net: Net, max_message: int) -> None:
    with pytest.raises(ZmqsecError, match=f"max_message={max_message}: 1 to 1073741823 is allowed"):
        net.socket(zmq.PULL, max_message=max_message)


@pytest.mark.parametrize("kind", [zmq.PUSH, zmq.PUB, zmq.DEALER, zmq.REQ, zmq.PAIR], ids=lambda kind: kind.name)
def test_socket_without_an_association_sends_nothing(net: Net, kind: int) -> None:
    socket = net.socket(kind, association=None)
    raw = net.raw({zmq.PUSH: zmq.PULL, zmq.PUB: zmq.SUB, zmq.PAIR: zmq.PAIR}.get(kind, zmq.ROUTER))
    if kind == zmq.PUB:
        raw.subscribe(b"")
    socket.connect(net.bind(raw, "tcp"))
    calls = (
        lambda: socket.send(b"x"),
        lambda: socket.send(b"x", zmq.SNDMORE),
        lambda: socket.send_multipart([b"t", b"x"]),
        lambda: socket.send_many([b"x"]),
        lambda: socket.send_many([b"x"], bundle=True),
        lambda: socket.send_message(body=[b"x"]),
        lambda: socket.send_string("x"),
        lambda: socket.send_json({}),
    )
    for call in calls:
        with pytest.raises(SocketError, match=r"no association .*pass association= or peer= to Context\.socket"):
            call()
    assert not raw.poll(50) and socket.stats.sealed == 0


def test_socket_without_an_association_accepts_nothing(net: Net) -> None:
    socket, push = net.socket(zmq.PULL, association=None), net.socket(zmq.PUSH)
    push.connect(net.bind(socket, "inproc"))
    push.send(b"x")
    for call in (socket.recv, socket.recv_multipart, socket.recv_many, socket.recv_message, socket.recv_string):
        with pytest.raises(SocketError, match="no association, so it accepts nothing"):
            call()


@pytest.mark.parametrize("transport", ["tcp", "inproc"])
@pytest.mark.parametrize(
    ("kind", "peer"),
    [
        (zmq.PULL, zmq.PUSH), (zmq.PAIR, zmq.PAIR), (zmq.SUB, zmq.PUB), (zmq.XSUB, zmq.XPUB), (zmq.DEALER, zmq.DEALER),
        (zmq.ROUTER, zmq.DEALER), (zmq.REP, zmq.REQ), (zmq.REQ, zmq.ROUTER),
    ],
    ids=lambda kind: kind.name,
)  # fmt: skip
def test_socket_never_accepts_plaintext(net: Net, kind: int, peer: int, transport: str) -> None:
    """Nor does it raise, or lock up: what is sealed comes after it."""
    socket, raw = net.socket(kind), net.raw(peer)
    if kind in (zmq.SUB, zmq.XSUB):
        socket.subscribe(b"") if kind == zmq.SUB else None
        raw.connect(net.bind(socket, transport))
        if kind == zmq.XSUB:
            socket.send(b"\x01")
        eventually(lambda: raw.send(b"plaintext") or (nothing_comes(socket, 20) and refusals(socket)))
        assert refusals(socket).keys() == {"malformed"}
        return
    raw.connect(net.bind(socket, transport))
    front: list[bytes] = []
    if kind == zmq.REQ:
        socket.send(b"a request")
        front = raw.recv_multipart()[:2]
    raw.send_multipart([*front, b"plaintext"])
    eventually(lambda: nothing_comes(socket, 20) and refusals(socket))
    assert refusals(socket) == {"malformed": 1}
    if peer in (zmq.PUSH, zmq.PAIR, zmq.DEALER):
        (sealed,) = net.implementation.seal_many([b"sealed"], net.implementation.Session(net.key))
        raw.send_multipart([*front, b"", sealed] if kind == zmq.ROUTER else [sealed])
        assert socket.recv_multipart()[-1] == b"sealed"


# -- the context ------------------------------------------------------------------------------------------------------


def test_context_takes_a_keyring_or_what_is_in_one() -> None:
    key = Association.generate("orders")
    ring = Keyring([key])
    with Context(keyring=ring) as context:
        assert context.keyring is ring
    with Context(keyring=(one for one in [key])) as context:
        assert list(context.keyring) == [key]
    with Context() as context:
        assert len(context.keyring) == 0
    for wrong in (key, "orders.toml", b"orders", 5):
        with pytest.raises(AssociationError, match="a Keyring or an iterable of Associations is allowed"):
            Context(keyring=wrong)  # type: ignore[arg-type]


def test_context_is_pyzmqs_and_its_copy_is_its_shadow(net: Net) -> None:
    assert isinstance(net.context, zmq.Context)
    for shadow in (copy.copy(net.context), copy.deepcopy(net.context)):
        assert shadow.underlying == net.context.underlying and shadow.keyring is net.keyring
        assert shadow.implementation is net.implementation


def test_context_global_instance_is_secured_and_keeps_its_keyring() -> None:
    key = Association.generate("orders")
    context = Context.instance(keyring=[key])
    try:
        assert Context.instance() is context and context is not zmq.Context.instance()
        assert type(context) is Context and list(context.keyring) == [key]
        assert Context.instance(keyring=context.keyring) is context
        with pytest.raises(AssociationError, match="has its keyring already"):
            Context.instance(keyring=[])
    finally:
        context.term()
        zmq.Context.instance().term()
    again = Context.instance()
    assert again is not context and len(again.keyring) == 0
    again.term()


def test_context_makes_plain_sockets_when_asked_by_class(net: Net) -> None:
    assert type(net.raw(zmq.PUSH)) is zmq.Socket
    with pytest.raises(SocketError, match="not a class of secured sockets, so it has no association"):
        net.context.socket(zmq.PUSH, zmq.Socket, association="orders")


def test_socket_subclass_of_a_user_is_made_and_secured(net: Net) -> None:
    class Counted(Socket):
        sent = 0

        def send(self, *arguments: Any, **options: Any) -> None:
            super().send(*arguments, **options)
            self.__dict__["sent"] = self.sent + 1

    push = net.context.socket(zmq.PUSH, Counted, association="orders")
    pull = net.socket(zmq.PULL)
    net.join(push, pull)
    push.send(b"x")
    push.send_string("y")
    assert (pull.recv(), pull.recv()) == (b"x", b"y") and push.sent == 2
    push.close(0)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, Socket.shadow], ids=["copy", "deepcopy", "shadow"])
def test_socket_is_not_shadowed(net: Net, make: Any) -> None:
    """A second one would have windows and a session of its own."""
    push = net.socket(zmq.PUSH)
    with pytest.raises(SocketError, match="cannot shadow another"):
        make(push)


# -- options and pollers ----------------------------------------------------------------------------------------------


def test_socket_options_work_in_all_their_forms(net: Net) -> None:
    socket = net.socket(zmq.DEALER)
    socket.linger, socket.rcvhwm, socket.identity = 7, 11, b"me"
    assert (socket.getsockopt(zmq.LINGER), socket.get(zmq.RCVHWM), socket.getsockopt_string(zmq.IDENTITY)) == (
        7, 11, "me",
    )  # fmt: skip
    socket.set_string(zmq.IDENTITY, "you")
    assert socket.identity == b"you" and socket.fd == socket.FD and not socket.closed
    with socket.bind("tcp://127.0.0.1:*"):
        assert socket.last_endpoint.startswith(b"tcp://127.0.0.1:")


@pytest.mark.parametrize("poller", [zmq.Poller, Poller], ids=["pyzmq's", "own"])
def test_poller_reports_secured_sockets(net: Net, poller: Any) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL, "tcp")
    watched = poller()
    watched.register(pull, zmq.POLLIN)
    watched.register(push, zmq.POLLOUT)
    assert dict(watched.poll(0)) == {push: zmq.POLLOUT}
    push.send(b"x")
    assert eventually(lambda: dict(watched.poll(10)).get(pull)) == zmq.POLLIN
    assert pull.recv() == b"x"
    assert zmq.select([pull], [push], [], 0) == ([], [push], [])


def test_poller_of_zmqsec_reports_what_waits_of_a_bundle(net: Net) -> None:
    push, pull = net.pair(zmq.PUSH, zmq.PULL)
    watched = Poller()
    watched.register(pull, zmq.POLLIN)
    push.send_many([b"1", b"2", b"3"], bundle=True)
    assert pull.recv() == b"1"
    for expected in (b"2", b"3"):
        assert watched.poll(1000) == [(pull, zmq.POLLIN)] and pull.poll(1000) == zmq.POLLIN
        assert pull.recv() == expected
    assert watched.poll(0) == []


def test_events_of_zmqsec_are_in_one_tree() -> None:
    errors = [getattr(zmqsec, name) for name in zmqsec.__all__ if name.endswith("Error") or "Exhausted" in name]
    assert len(errors) >= 9 and all(issubclass(error, zmqsec.ZmqsecError) for error in errors)
