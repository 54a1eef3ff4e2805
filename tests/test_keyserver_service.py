"""The key server over real sockets: keys come, change in mid-stream without a loss, and leave with who is put out."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import zmq
from keyserver_helpers import following, linked, make_weather, serving, until
from realm_helpers import ALICE, BOB, CAROL, OPS

import zmqsec
from zmqsec.keyserver import enrolment
from zmqsec.keyserver.errors import Conflict, Invalid, NotAllowed, Unavailable, Unknown
from zmqsec.keyserver.rpc import Request, decode_answer

QUICK = {"spread": 1, "overlap": 2, "urgent_spread": 1, "urgent_overlap": 1}


def spis(keyring: zmqsec.Keyring, name: str = "weather") -> list[int]:
    return sorted(one.spi for one in keyring.opening(name))


def test_service_gives_members_the_keys_of_their_groups(tmp_path: Path) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        make_weather(ops)
        with following(service, ALICE) as alice, following(service, BOB) as bob:
            assert alice.get("weather").secret == bob.get("weather").secret
            assert alice.get("weather").secret not in (tmp_path / "realm.db").read_bytes()
            until(lambda: [one["held"] for one in ops.pages("group.members", group="weather")] == [1, 1])
        with pytest.raises(NotAllowed, match="is not a member of the realm"), following(service, CAROL):
            pass
        ops.ask("member.register", public=CAROL.key.hex(), name="carol")
        with (
            pytest.raises(NotAllowed, match="member 'carol' is in no group 'weather'"),
            following(service, CAROL, groups=["weather"]),
        ):
            pass


def test_service_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with serving(tmp_path) as service, pytest.raises(Unavailable, match=r"no keys from ipc:///nowhere in 0\.5 s"):
        keyring = zmqsec.Keyring()
        from keyserver_helpers import KeyClient, shared_dealer

        KeyClient(keyring, ["ipc:///nowhere"], service.realm.identity.public, open_dealer=shared_dealer(ALICE)).start(
            0.5
        )


def test_service_changes_keys_in_mid_stream_and_nothing_is_lost(tmp_path: Path) -> None:
    """A publisher and two subscribers through two changes of their key, one of which puts carol out."""
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        make_weather(ops, zmqsec.Identity.from_seed(bytes([63]) * 32, "carol"), **QUICK)
        with following(service, ALICE) as alice, following(service, BOB) as bob, following(service, CAROL) as carol:
            contexts = [zmqsec.Context(keyring=one) for one in (alice, bob, carol)]
            publisher = contexts[0].socket(zmq.XPUB, association="weather")
            publisher.set(zmq.SNDHWM, 0)
            publisher.set(zmq.XPUB_VERBOSE, 1)
            publisher.bind(f"ipc://{tmp_path}/stream")
            readers: list[Any] = []
            for context in contexts[1:]:
                reader = context.socket(zmq.SUB, association="weather")
                reader.set(zmq.RCVHWM, 0)
                reader.subscribe(b"")
                reader.connect(f"ipc://{tmp_path}/stream")
                publisher.recv()
                readers.append(reader)
            stop, sent = threading.Event(), [0]

            def publish() -> None:
                while not stop.is_set():
                    publisher.send(b"%d" % sent[0])
                    sent[0] += 1
                    time.sleep(0.0005)

            got: list[list[int]] = [[], []]

            def read(which: int) -> None:
                while True:
                    found = readers[which].recv_many(timeout=0.2)
                    got[which] += [int(one) for one in found]
                    if not found and stop.is_set():
                        return

            jobs: list[Any] = [(publish, ()), (read, (0,)), (read, (1,))]
            threads = [threading.Thread(target=job, args=given, daemon=True) for job, given in jobs]
            for thread in threads:
                thread.start()
            first = spis(bob)
            assert ops.ask("group.rekey", group="weather") == {"epoch": 2}
            until(lambda: len(spis(bob)) == 2)
            until(lambda: spis(bob) != first and len(spis(bob)) == 1)
            second = spis(bob)
            assert ops.ask("group.remove", group="weather", member="carol") == {"removed": True, "epoch": 3}
            until(lambda: spis(bob) != second and len(spis(bob)) == 1)
            out_from = sent[0]
            until(lambda: sent[0] > out_from + 200)
            stop.set()
            for thread in threads:
                thread.join()
            assert got[0] == list(range(sent[0]))  # every message, in order
            assert got[1] == list(range(len(got[1]))) and len(got[1]) < out_from  # until she was put out
            assert "weather" not in carol
            assert readers[0].stats.refused == dict.fromkeys(readers[0].stats.refused, 0)
            for socket in (publisher, *readers):
                socket.close(0)
            for context in contexts:
                context.term()


def test_service_makes_new_keys_on_schedule(tmp_path: Path) -> None:
    ahead = [0.0]
    with serving(tmp_path, clock=lambda: time.time() + ahead[0]) as service, linked(service, OPS) as ops:
        make_weather(ops, spread=0, overlap=1, lifetime=10, reject_after=20)
        with following(service, BOB) as bob:
            first = bob.get("weather").spi
            ahead[0] = 11.0
            until(lambda: bob.get("weather").spi != first)


def test_service_announcement_that_is_lost_costs_one_round(tmp_path: Path) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        make_weather(ops, **QUICK)
        with following(service, BOB, every=0.5) as bob:
            service._announce = lambda name: None  # type: ignore[method-assign]
            first = bob.get("weather").spi
            ops.ask("group.rekey", group="weather")
            until(lambda: bob.get("weather").spi != first, 4)


def test_service_that_is_away_for_a_while_is_found_again(tmp_path: Path) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        make_weather(ops, **QUICK)
        keep = following(service, BOB, every=0.5)
        bob = keep.__enter__()
    assert bob.client is not None
    until(lambda: not bob.client.reachable)
    first = bob.get("weather").spi  # goes on
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        back = time.monotonic()
        until(lambda: bob.client.reachable)
        assert time.monotonic() - back < 5
        ops.ask("group.rekey", group="weather")
        until(lambda: bob.get("weather").spi != first, 5)
        keep.__exit__(None, None, None)


def test_service_that_stays_away_lets_keys_end(tmp_path: Path) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        make_weather(ops, lifetime=20, reject_after=20, spread=0)
        keep = following(service, ALICE, every=0.5)
        alice = keep.__enter__()
        push = zmqsec.Context(keyring=alice).socket(zmq.PUSH, association="weather")
        push.bind("inproc://weather")
        follower = alice.client.followers["weather"]  # type: ignore[union-attr]
    follower._held[0].end_at = time.monotonic()
    until(lambda: "weather" not in alice)
    with pytest.raises(zmqsec.SocketError, match="its keyring lost it"):
        push.send(b"x", zmq.DONTWAIT)
    with serving(tmp_path):
        until(lambda: "weather" in alice, 5)
        keep.__exit__(None, None, None)
    context = push.context
    push.close(0)
    context.term()


def test_service_tells_late_joiners_which_sessions_go_on(tmp_path: Path) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        make_weather(ops, skew=0)
        with following(service, ALICE, every=0.3) as alice:
            context = zmqsec.Context(keyring=alice)
            push = context.socket(zmq.PUSH, association="weather")
            recorder = context.socket(zmq.PULL, zmq.Socket)
            recorder.bind(f"ipc://{tmp_path}/stream")
            push.connect(f"ipc://{tmp_path}/stream")
            push.send_many([b"%d" % n for n in range(10)])
            recorded = [recorder.recv() for _ in range(10)]
            ((spi, session),) = alice.sealing()
            until(lambda: [one.sequence for one in service.book.groups["weather"].sessions] == [10])
            time.sleep(1.1)
            with following(service, BOB) as bob:
                expectation = bob.expectation(spi)
                assert expectation is not None and expectation.sessions[0].session == session.session
                receiver = zmqsec.Receiver(bob.opening("weather"))
                receiver.raise_floor(spi, expectation.floor)
                for one in expectation.sessions:
                    receiver.expect(spi, one)
                opened = zmqsec.open_many(recorded, receiver)
                assert {str(one.reason) for one in opened} == {"replayed"}  # type: ignore[union-attr]
                push.send(b"live")
                (live,) = zmqsec.open_many([recorder.recv()], receiver)
                assert bytes(live.body[0]) == b"live"  # type: ignore[union-attr,arg-type]
            push.close(0)
            recorder.close(0)
            context.term()


def test_service_gives_relays_admission_keys_only(tmp_path: Path) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        make_weather(ops, admit=True)
        ops.ask("member.register", public=CAROL.key.hex(), name="carol")
        ops.ask("group.add", group="weather", member="carol", roles=["relay"])
        with following(service, CAROL) as carol, following(service, ALICE) as alice:
            assert len(carol) == 0 and carol.opening("weather") == ()
            (key,) = until(lambda: carol.client.followers["weather"].admission)  # type: ignore[union-attr]
            assert key.spi == alice.get("weather").spi and key.key != alice.get("weather").secret
            assert alice.get("weather").admit


def test_service_vouches_for_members_where_messages_must_be_signed(tmp_path: Path) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        make_weather(ops, attestation="required")
        with following(service, ALICE) as alice, following(service, BOB) as bob:
            contexts = [zmqsec.Context(keyring=one) for one in (alice, bob)]
            push = contexts[0].socket(zmq.PUSH, association="weather", identity=ALICE)
            pull = contexts[1].socket(zmq.PULL, association="weather")
            pull.bind(f"ipc://{tmp_path}/stream")
            push.connect(f"ipc://{tmp_path}/stream")
            push.send(b"signed")
            message = pull.recv_message()
            assert message.origin is not None and message.origin.name == "alice" and message.origin.trusted
            wrong = contexts[1].socket(zmq.PUSH, association="weather", identity=BOB)  # who may not send
            wrong.connect(f"ipc://{tmp_path}/stream")
            wrong.send(b"not mine to send")
            until(lambda: pull.recv_many(timeout=0) == [] and pull.stats.refused["not-permitted"] == 1)
            for socket in (push, pull, wrong):
                socket.close(0)
            for context in contexts:
                context.term()


def test_service_has_others_beside_it(tmp_path: Path) -> None:
    """Two servers of one realm: what one does the other gives out, and members go to the one that is there."""
    with serving(tmp_path, name="second") as second, linked(second, OPS) as ops:
        with serving(tmp_path, name="first") as first:
            make_weather(ops, spread=0)
            until(lambda: "weather" in first.book.groups and len(first.book.groups["weather"].grants) == 2)
            keep = following(first, ALICE, every=0.5, endpoints=(first.endpoint, second.endpoint))
            alice = keep.__enter__()
            context = zmqsec.Context(keyring=alice)
            push = context.socket(zmq.PUSH, association="weather")
            until(lambda: len(second.book.groups["weather"].sessions) == 1)  # reported to the first one
            before = alice.get("weather").spi
        ops.ask("group.rekey", group="weather")
        until(lambda: alice.get("weather").spi != before)
        push.close(0)
        context.term()
        keep.__exit__(None, None, None)


# -- requests ----------------------------------------------------------------------------------------------------------


def test_service_obeys_admins_only(tmp_path: Path) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        make_weather(ops)
        for identity, why in ((ALICE, "only admins of the realm"), (CAROL, "is not a member of this realm")):
            with linked(service, identity) as link:
                for op in ("group.create", "group.list", "member.revoke", "audit", "member.token"):
                    expected = why if identity is ALICE else "is not a member of th"
                    with pytest.raises(NotAllowed, match=expected):
                        link.ask(op, group="x", member="bob", name="y")
        assert [row["name"] for row in ops.pages("group.list")] == ["weather"]


@pytest.mark.parametrize(
    ("op", "args", "error", "text"),
    (
        ("fly", {}, Invalid, "operation 'fly' is unknown"),
        ("group.show", {}, Invalid, "group=None: a text must be there"),
        ("group.show", {"group": "x"}, Unknown, "no group 'x'"),
        ("group.show", {"group": "x", "colour": 1}, Invalid, "argument 'colour' is unknown; group are allowed"),
        ("group.create", {"group": "g", "policy": 3}, Invalid, "policy=3: an object is allowed"),
        ("group.create", {"group": "g", "policy": {"lifetime": 0}}, Invalid, "lifetime=0: 10 to"),
        ("group.rekey", {"group": "x", "urgent": 1}, Invalid, "urgent=1|no group"),
        ("member.register", {"public": "zz", "name": "z"}, Invalid, "64 hexadecimal digits are allowed"),
        ("member.revoke", {"member": "ops"}, Conflict, "the only admin"),
        ("report", {"sessions": 1}, Invalid, "a list of at most 200"),
        ("sessions", {"group": "x"}, NotAllowed, "is in no group 'x'"),
        ("hello", {"more": 1}, Invalid, "argument 'more' is unknown; none are allowed"),
        ("enrol", {"token": "zst1"}, Invalid, "that is no token"),
    ),
)
def test_service_request_that_cannot_be_is_told_why(
    tmp_path: Path, op: str, args: dict[str, Any], error: type[Exception], text: str
) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops, pytest.raises(error, match=text):
        ops.ask(op, **args)


def test_service_request_that_comes_again_changes_nothing_twice(tmp_path: Path) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        leaf = Request(b"r" * 16, "member.token", {"name": "dora"}).encode()
        answers = []
        for _ in range(3):
            ops._dealer.send(leaf)
            answers.append(decode_answer(ops._dealer.recv()))
        assert answers[0] == answers[1] == answers[2]
        assert [one.operation for one in _audit(service)] == ["realm.init", "member.token"]


def test_service_lets_a_new_member_in_by_its_token(tmp_path: Path) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        make_weather(ops)
        said = ops.ask("member.token", name="carol", groups=["weather"], roles=["receive"])
        assert enrolment.read_token(said["token"])[1] == service.realm.identity.key
        with linked(service, CAROL) as link:
            assert link.ask("enrol", token=said["token"])["name"] == "carol"
        with following(service, CAROL) as carol:
            assert "weather" in carol


def test_service_survives_what_is_no_request(tmp_path: Path) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        for leaf in (b"", b"{", b"[]", b'{"id":1}', b"[" * 60000, b'{"id":"00","op":"x","args":{}}'):
            ops._dealer.send(leaf)
            assert isinstance(decode_answer(ops._dealer.recv())[1], Invalid)
        ops._dealer.send_multipart([b"{}", b"{}"])
        assert isinstance(decode_answer(ops._dealer.recv())[1], Invalid)
        assert ops.ask("hello")["admin"] is True


def test_service_lists_come_in_pages(tmp_path: Path) -> None:
    with serving(tmp_path) as service, linked(service, OPS) as ops:
        for number in range(151):
            ops.ask("group.create", group=f"g{number:03}", policy={})
        assert [row["name"] for row in ops.pages("group.list")] == [f"g{number:03}" for number in range(151)]


def _audit(service: Any) -> list[Any]:
    from zmqsec.keyserver import audit

    with service.realm.view(0) as view:
        return list(audit.entries(view.connection))
