"""The relay's loop: what comes in goes out, in order, whole and once; a full sink stops its lane and burns no CPU."""

from __future__ import annotations

import threading
import time

import pytest
import zmq
from relay_helpers import Runner, _relay
from socket_helpers import TIMEOUT, eventually


def test_loop_pull_push_forwards_every_message_in_order(runner: Runner) -> None:
    front, back = runner.leg(zmq.PULL, zmq.PUSH)
    receiver, sender = runner.connected(zmq.PULL, back), runner.connected(zmq.PUSH, front)
    runner.start()
    messages = [[b"%d" % i] * (1 + i % 40) for i in range(700)]  # more frames than a batch has, too
    for message in messages:
        sender.send_multipart(message)
    assert [receiver.recv_multipart() for _ in messages] == messages
    assert runner.stop() == "called"
    counts = runner.lanes[0].counts
    size = sum(len(frame) for message in messages for frame in message)
    assert counts == {
        "received": 700, "received_bytes": size, "forwarded": 700, "forwarded_bytes": size, "lost": 0, "refused": {},
    }  # fmt: skip


def test_loop_router_dealer_carries_requests_and_replies(runner: Runner) -> None:
    front, back = runner.leg(zmq.ROUTER, zmq.DEALER)
    server = runner.connected(zmq.REP, back)
    clients = [runner.connected(zmq.REQ, front) for _ in range(3)]
    runner.start()
    for number, client in enumerate(clients):
        client.send(b"request %d" % number)
    for _ in clients:
        server.send(server.recv().replace(b"request", b"reply"))
    assert [client.recv() for client in clients] == [b"reply 0", b"reply 1", b"reply 2"]


def test_loop_xsub_xpub_passes_subscriptions_upstream_unchanged(runner: Runner) -> None:
    front, back = runner.leg(zmq.XSUB, zmq.XPUB)
    publisher = runner.connected(zmq.XPUB, front)
    subscriber = runner.connected(zmq.XSUB, back)
    runner.start()
    topics = [b"a", b"a.b", b"", b"\xff" * 300]
    for topic in topics:
        subscriber.send(b"\1" + topic)
    assert sorted(publisher.recv() for _ in topics) == sorted(b"\1" + topic for topic in topics)
    subscriber.send(b"\0a")
    assert publisher.recv() == b"\0a"
    publisher.send_multipart([b"a.b", b"body"])
    assert subscriber.recv_multipart() == [b"a.b", b"body"]


def test_loop_many_legs_are_all_served_while_one_is_busy(runner: Runner) -> None:
    ends = [runner.leg(zmq.PULL, zmq.PUSH) for _ in range(5)]
    pairs = [(runner.connected(zmq.PUSH, front), runner.connected(zmq.PULL, back)) for front, back in ends]
    runner.start()
    busy = threading.Thread(target=lambda: [pairs[0][0].send(b"x") for _ in range(20_000)])
    busy.start()
    for sender, receiver in pairs[1:]:
        sender.send(b"in between")
        assert receiver.recv() == b"in between"
    for _ in range(20_000):
        pairs[0][1].recv()
    busy.join()


def test_loop_full_sink_stops_reading_and_burns_no_cpu(runner: Runner) -> None:
    front, _ = runner.leg(zmq.PULL, zmq.PUSH, sndhwm=10, rcvhwm=10)
    sender = runner.connected(zmq.PUSH, front, sndhwm=10)
    runner.start()
    sent = 0
    with pytest.raises(zmq.Again):
        while True:
            sender.send(b"x" * 50_000, zmq.DONTWAIT if sender.poll(300, zmq.POLLOUT) else 0)
            sent += 1
            sender.sndtimeo = 300
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1
    assert runner.lanes[0].holds
    assert runner.stop() == "called"
    assert 0 < runner.lanes[0].counts["received"] < sent


def test_loop_full_sink_loses_nothing_once_it_has_room(runner: Runner) -> None:
    front, back = runner.leg(zmq.PULL, zmq.PUSH, sndhwm=5, rcvhwm=5)
    sender = runner.connected(zmq.PUSH, front, sndhwm=5)
    runner.start()
    writer = threading.Thread(target=lambda: [sender.send_multipart([b"%d" % i, b"y" * 9000]) for i in range(300)])
    writer.start()
    eventually(lambda: runner.lanes[0].holds)
    receiver = runner.connected(zmq.PULL, back, rcvhwm=5)
    assert [receiver.recv_multipart()[0] for _ in range(300)] == [b"%d" % i for i in range(300)]
    writer.join()


def test_loop_router_loses_replies_to_peers_that_are_gone_and_counts_them(runner: Runner) -> None:
    front, back = _router_leg(runner)
    server, client = runner.connected(zmq.ROUTER, back), runner.connected(zmq.DEALER, front)
    runner.start()
    client.send(b"request")
    envelope = server.recv_multipart()[:2]
    server.send_multipart([envelope[0], b"nobody", b"reply"])
    server.send_multipart([*envelope, b"reply"])
    assert client.recv_multipart() == [b"reply"]
    eventually(lambda: runner.lanes[1].counts["lost"] == 1)


def _router_leg(runner: Runner, waits: bool = False) -> tuple[str, str]:
    front, front_address = runner.bound(zmq.ROUTER, sndhwm=3)
    back, back_address = runner.bound(zmq.DEALER)
    runner.lanes += [_relay.Lane(front, back), _relay.Lane(back, front, waits=waits)]
    return front_address, back_address


@pytest.mark.parametrize("waits", (False, True))
def test_loop_router_peer_that_does_not_read_stops_others_only_where_the_lane_waits(
    runner: Runner, waits: bool
) -> None:
    front, back = _router_leg(runner, waits)
    server = runner.connected(zmq.ROUTER, back)
    lazy, other = runner.connected(zmq.DEALER, front, rcvhwm=3), runner.connected(zmq.DEALER, front)
    runner.start()
    lazy.send(b"")
    to_lazy = server.recv_multipart()[:2]
    other.send(b"")
    to_other = server.recv_multipart()[:2]
    for _ in range(30):
        server.send_multipart([*to_lazy, b"z" * 2_000_000])
    server.send_multipart([*to_other, b"reply"])
    if waits:
        assert not other.poll(300)
        before = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - before < 0.1
        assert all(len(lazy.recv()) == 2_000_000 for _ in range(30))
    assert other.recv() == b"reply"
    assert (runner.lanes[1].counts["lost"] == 0) is waits


def test_loop_run_ends_when_it_is_quiet(runner: Runner) -> None:
    front, back = runner.leg(zmq.PULL, zmq.PUSH)
    sender, receiver = runner.connected(zmq.PUSH, front), runner.connected(zmq.PULL, back)
    sender.send(b"one")
    runner.start(quiet=0.2)
    assert receiver.recv() == b"one"
    eventually(lambda: runner.ended == ["quiet"])


def test_loop_run_ends_late_while_messages_are_held(runner: Runner) -> None:
    front, _ = runner.leg(zmq.PULL, zmq.PUSH)
    runner.connected(zmq.PUSH, front).send(b"one")
    runner.start(quiet=0.05, until=0.5)
    eventually(lambda: runner.ended == ["late"])
    assert runner.lanes[0].holds


def test_loop_call_ends_it_under_load_and_nothing_is_lost(runner: Runner) -> None:
    front, back = runner.leg(zmq.PULL, zmq.PUSH)
    sender, receiver = runner.connected(zmq.PUSH, front), runner.connected(zmq.PULL, back)
    runner.loop.use_lanes(runner.lanes)
    ends: list[str] = []
    again = threading.Event()

    def run() -> None:
        while not again.is_set():
            ends.append(runner.loop.run())

    thread = threading.Thread(target=run)
    thread.start()
    writer = threading.Thread(target=lambda: [sender.send(b"%d" % i) for i in range(20_000)])
    writer.start()
    for i in range(20_000):
        if i % 1000 == 0:
            runner.loop.call()
            runner._call.send(b"")
        assert receiver.recv() == b"%d" % i
    again.set()
    runner.loop.call()
    runner._call.send(b"")
    thread.join(TIMEOUT / 1000)
    writer.join()
    assert len(ends) > 10 and set(ends) == {"called"}


def test_loop_socket_that_was_closed_is_named(runner: Runner) -> None:
    runner.leg(zmq.PULL, zmq.PUSH)
    runner.loop.use_lanes(runner.lanes)
    runner.lanes[0].source.close(0)
    with pytest.raises(zmq.ZMQError) as raised:
        runner.loop.run()
    assert raised.value.errno == zmq.ENOTSOCK
    assert raised.value.lane is runner.lanes[0]  # type: ignore[attr-defined]
