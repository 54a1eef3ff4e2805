"""The relay's checks, one by one, through real sockets: what passes comes out as it went in, all else is counted."""

from __future__ import annotations

import time

import zmq
from relay_helpers import (
    MEMBERSHIP,
    ORIGIN,
    Member,
    Pipe,
    Runner,
    _attest,
    _policy,
    admissions,
    origin_policy,
    refused,
)
from socket_helpers import eventually

from zmqsec import Identity, limits
from zmqsec.credential import Credential
from zmqsec.errors import Reason
from zmqsec.parts import encode_metadata
from zmqsec.revocation import RevocationList
from zmqsec.rights import Rights, Role
from zmqsec.route import Verifier
from zmqsec.trust import Trust

# -- membership --------------------------------------------------------------------------------------------------------


def test_membership_of_members_passes_unchanged(runner: Runner) -> None:
    pipe = Pipe(runner, _policy.Policy(check=MEMBERSHIP, admissions=admissions()))
    messages = Member().messages([b"x" * i for i in range(150)])
    assert pipe.pass_on(messages, 150) == messages
    assert refused(pipe.lane) == {}


def test_membership_refuses_each_fault_for_its_reason_and_its_neighbours_pass(runner: Runner) -> None:
    pipe = Pipe(runner, _policy.Policy(check=MEMBERSHIP, admissions=admissions(), max_message=500))
    member, stranger = Member(), Member(secret=b"s" * 32)
    good = member.messages([b"one"])[0]
    faults = {
        "unattested": member.seal(b"no admission", admit=False),
        "forged": stranger.seal(b"another key"),
        "unknown-spi": member.seal(b"another association", spi=8),
        "malformed": b"\0ZS" + bytes(30),
        "version": b"\0ZS\2" + good[0][4:],
        "suite": good[0][:4] + b"\x09" + good[0][5:],
        "too-large": member.seal(b"x" * 600),
    }
    messages = [frames for fault in faults.values() for frames in ([fault], good)]
    assert pipe.pass_on(messages, len(faults)) == [good] * len(faults)
    assert refused(pipe.lane) == dict.fromkeys(faults, 1)


def test_membership_finds_every_changed_byte_of_header_and_admission(runner: Runner) -> None:
    pipe = Pipe(runner, _policy.Policy(check=MEMBERSHIP, admissions=admissions()))
    sealed = Member().seal(b"body", metadata=b"")
    end = limits.HEADER_BYTES + limits.ADMIT_BYTES
    changed = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(end)]
    pipe.pass_on([[one] for one in changed], 0)
    assert set(refused(pipe.lane)) <= {"malformed", "version", "suite", "unknown-spi", "unattested", "forged"}
    assert sum(refused(pipe.lane).values()) == end


def test_membership_sessions_that_share_a_slot_are_told_apart(runner: Runner) -> None:
    pipe = Pipe(runner, _policy.Policy(check=MEMBERSHIP, admissions=admissions()))
    members = [Member() for _ in range(5)]
    for member in members:
        member.session = member.session[:-1] + b"\0"
    messages = [member.messages([b"%d" % i])[0] for i in range(40) for member in members]
    assert pipe.pass_on(messages, len(messages)) == messages


def test_membership_lets_handshakes_pass_only_where_it_is_told_to(runner: Runner) -> None:
    handshake = [Member().seal(b"hello", admit=False, kind=limits.KIND_HANDSHAKE)]
    pipe = Pipe(runner, _policy.Policy(check=MEMBERSHIP, admissions=admissions(), handshakes=True))
    assert pipe.pass_on([handshake], 1) == [handshake]
    runner.stop()
    pipe.lane.use_policy(_policy.Policy(check=MEMBERSHIP, admissions=admissions()))
    runner.again()
    pipe.pass_on([handshake], 0)
    assert refused(pipe.lane) == {"unattested": 1}


# -- sizes, topics, rates ----------------------------------------------------------------------------------------------


def test_size_is_bounded_without_any_other_check(runner: Runner) -> None:
    pipe = Pipe(runner, _policy.Policy(max_message=100))
    messages = [[b"a" * 50, b"b" * 50], [b"c" * 51, b"d" * 50], [b""]]
    assert pipe.pass_on(messages, 2) == [messages[0], messages[2]]
    assert refused(pipe.lane) == {"too-large": 1}


def test_topic_must_be_bound_and_be_one_of_those_that_are_permitted(runner: Runner) -> None:
    policy = _policy.Policy(
        check=MEMBERSHIP, admissions=admissions(), layout=limits.LAYOUT_TOPIC, topics=(b"news", b"orders.*")
    )
    pipe = Pipe(runner, policy, zmq.XSUB, zmq.XPUB)
    member = Member()
    good = [member.messages([b"x"], topic=topic)[0] for topic in (b"news", b"orders.", b"orders.eu")]
    swapped = [b"news", member.seal(b"x", topic=b"orders.eu")]
    unbound = [b"news", member.seal(b"x")]
    bare = [member.seal(b"x", topic=b"news")]
    other = [member.messages([b"x"], topic=topic)[0] for topic in (b"newspaper", b"order")]
    assert pipe.pass_on([swapped, unbound, bare, *other, *good], 3) == good
    assert refused(pipe.lane) == {"topic-mismatch": 3, "not-permitted": 2}


def test_subscriptions_are_passed_on_and_other_messages_of_subscribers_are_not(runner: Runner) -> None:
    back_policy = _policy.Policy(check=MEMBERSHIP, subscriptions=True, max_message=10)
    front, back = runner.leg(zmq.XSUB, zmq.XPUB, _policy.Policy(), back_policy)
    publisher, subscriber = runner.connected(zmq.XPUB, front), runner.connected(zmq.XSUB, back)
    runner.start()
    for frame in (b"\1a", b"\2other", b"\1" + b"b" * 10, b"\1c"):
        subscriber.send(frame)
    assert [publisher.recv(), publisher.recv()] == [b"\1a", b"\1c"]
    assert refused(runner.lanes[1]) == {"malformed": 1, "too-large": 1}


def test_rate_of_a_lane_delays_and_drops_nothing(runner: Runner) -> None:
    pipe = Pipe(runner, _policy.Policy(messages=(1000, 10)))
    before = time.monotonic()
    assert len(pipe.pass_on([[b"%d" % i] for i in range(400)], 400)) == 400
    assert time.monotonic() - before > 0.2
    assert pipe.lane.counts["refused"] == {}


def test_rate_of_a_peer_refuses_what_is_too_much_and_other_peers_do_not_notice(runner: Runner) -> None:
    peers = _policy.Peers()
    policy = _policy.Policy(names_peers=True, peers=peers, peer_messages=(0.001, 20), layout=limits.LAYOUT_ENVELOPE)
    front, back = runner.leg(zmq.ROUTER, zmq.DEALER, policy)
    greedy = runner.connected(zmq.DEALER, front, routing_id=b"greedy")
    modest = runner.connected(zmq.DEALER, front, routing_id=b"modest")
    server = runner.connected(zmq.ROUTER, back)
    runner.start()
    for i in range(100):
        greedy.send(b"%d" % i)
    assert [server.recv_multipart()[-1] for _ in range(20)] == [b"%d" % i for i in range(20)]
    modest.send(b"hello")
    assert server.recv_multipart()[-2:] == [b"modest", b"hello"]
    eventually(lambda: refused(runner.lanes[0]) == {"rate-limited": 80})
    runner.stop()
    taken = {routing_id: (forwarded, reasons) for _, routing_id, _, forwarded, _, reasons in peers.take()}
    assert taken == {b"greedy": (20, {"rate-limited": 80}), b"modest": (1, {})}
    assert peers.take() == []


def test_rate_of_bytes_counts_all_frames(runner: Runner) -> None:
    pipe = Pipe(runner, _policy.Policy(peers=_policy.Peers(), peer_bytes=(0.001, 1000)))
    assert len(pipe.pass_on([[b"x" * 200, b"y" * 300]] * 5, 2)) == 2


# -- origin ------------------------------------------------------------------------------------------------------------


def test_origin_of_trusted_identities_passes_unchanged(runner: Runner) -> None:
    alice = Identity.generate("alice")
    pipe = Pipe(runner, origin_policy(Trust([alice.public])))
    messages = Member(alice).messages([b"%d" % i for i in range(150)])
    assert pipe.pass_on(messages, 150) == messages


def test_origin_refuses_each_fault_for_its_reason(runner: Runner) -> None:
    alice, mallory = Identity.generate(), Identity.generate()
    pipe = Pipe(runner, origin_policy(Trust([alice.public])))
    member, other = Member(alice), Member(mallory)
    one, two = member.messages([b"one", b"two"])
    unattested = Member().messages([b"never"])[0]
    messages = {
        "unattested": [[one[0]], unattested],
        "bad-attestation": [[one[0], two[1]], [one[0], one[1][:-1] + b"x"], [one[0], b"\0ZA" + bytes(90)]],
        "not-permitted": other.messages([b"x"]),
        "malformed": [[one[0], b"no attestation"]],
    }
    everything = [message for faults in messages.values() for message in faults]
    assert pipe.pass_on([*everything, one, two], 2) == [one, two]
    assert refused(pipe.lane) == {reason: len(faults) for reason, faults in messages.items()}


def test_origin_may_publish_what_its_credential_says_until_it_is_revoked(runner: Runner) -> None:
    authority, alice = Identity.generate("authority"), Identity.generate("alice")
    now = int(time.time())
    rights = Rights(Role.SEND, routing_ids=["alice"], publish=["orders.*"])
    credential = Credential.issue(authority, alice.public, rights, not_before=now - 10, not_after=now + 100)
    trust = Trust(authorities=[authority.public])
    trust.add(credential)
    pipe = Pipe(runner, origin_policy(trust, layout=limits.LAYOUT_TOPIC), zmq.XSUB, zmq.XPUB)
    member, renamed = Member(alice, routing_id=b"alice"), Member(alice, routing_id=b"bob")
    good = member.messages([b"x"], topic=b"orders.eu")
    bad = member.messages([b"x"], topic=b"news") + renamed.messages([b"x"], topic=b"orders.eu")
    assert pipe.pass_on(bad + good, 1) == good
    assert refused(pipe.lane) == {"not-permitted": 2}
    runner.stop()
    trust.revoke(RevocationList.issue(authority, number=1, issued=now, next_update=now + 100, keys=[alice.key]))
    pipe.lane.use_policy(origin_policy(trust, layout=limits.LAYOUT_TOPIC))
    runner.again()
    assert pipe.pass_on(member.messages([b"x"], topic=b"orders.eu"), 0) == []


def test_origin_shows_its_own_credential_in_a_message_and_is_known_by_it_from_then_on(runner: Runner) -> None:
    authority, stranger, alice, bob = (Identity.generate() for _ in range(4))
    now = int(time.time())
    rights = Rights(Role.SEND, routing_ids=["*"], publish=["*"])

    def issued(by: Identity, to: Identity) -> bytes:
        return Credential.issue(by, to.public, rights, not_before=now - 10, not_after=now + 100).raw

    def showing(who: Identity, raw: bytes) -> list[list[bytes]]:
        return Member(who).messages([b"x"], metadata=encode_metadata("cred", raw, False))

    grants = _policy.Grants(Trust(authorities=[authority.public]))
    pipe = Pipe(runner, _policy.Policy(check=ORIGIN, grants=grants))
    good = showing(alice, issued(authority, alice)) + Member(alice).messages([b"y"])
    broken = issued(authority, bob)[:-1] + b"?"
    bad = [
        *Member(alice).messages([b"too early"]),
        *showing(alice, issued(stranger, alice)),
        *showing(bob, issued(authority, alice)),
        *showing(bob, broken),
    ]
    assert pipe.pass_on(bad + good, 2) == good
    assert refused(pipe.lane) == {"not-permitted": 4}
    assert grants.learned == 1
    assert _policy.Grants(Trust(authorities=[authority.public]), grants).learned == 1
    assert _policy.Grants(Trust(authorities=[stranger.public]), grants).learned == 0


def test_origin_and_membership_are_both_asked_where_both_are_configured(runner: Runner) -> None:
    alice = Identity.generate()
    pipe = Pipe(runner, origin_policy(admissions=admissions()))
    outsider, member = Member(alice, secret=b"o" * 32), Member(alice)
    good = member.messages([b"x"])
    assert pipe.pass_on(outsider.messages([b"y"]) + good, 1) == good
    assert refused(pipe.lane) == {"forged": 1}


# -- hops --------------------------------------------------------------------------------------------------------------


def test_hop_attests_what_passes_once_a_batch(runner: Runner) -> None:
    alice, relay = Identity.generate(), Identity.generate()
    policy = origin_policy(hop=_attest.Attester(relay, None, b"edge"))
    pipe = Pipe(runner, policy)
    messages = Member(alice).messages([b"%d" % i for i in range(100)])
    received = pipe.pass_on(messages, 100)
    assert [message[:2] for message in received] == messages
    assert all(len(message) == 3 for message in received)
    verdicts = Verifier().verify_many([message[0] for message in received], [message[1:] for message in received])
    assert verdicts == [None] * 100
    signatures = {message[2][44:108] for message in received}
    assert len(signatures) < 100


def test_hop_is_not_added_to_sixteen_and_nobody_is_to_blame(runner: Runner) -> None:
    alice, relay = Identity.generate(), Identity.generate()
    peers = _policy.Peers()
    pipe = Pipe(runner, _policy.Policy(hop=_attest.Attester(relay, None, b"edge"), peers=peers))
    sealed = Member(alice).seal(b"x")
    hops: list[bytes] = []
    for _ in range(16):
        hops += _attest.Attester(relay, None, b"edge").attest([sealed], [hops[-1] if hops else b""])
    [message] = pipe.pass_on([[sealed, *hops], [sealed, *hops[:15]]], 1)
    assert message[:16] == [sealed, *hops[:15]] and len(message) == 17
    assert refused(pipe.lane) == {"malformed": 1}
    runner.stop()
    assert [(forwarded, reasons) for _, _, _, forwarded, _, reasons in peers.take()] == [(1, {})]


def test_hop_attests_without_checking_anything_and_refuses_what_it_cannot_attest(runner: Runner) -> None:
    relay = Identity.generate()
    pipe = Pipe(runner, _policy.Policy(hop=_attest.Attester(relay, None, b"")))
    sealed = Member().seal(b"x")
    [[first, attestation]] = pipe.pass_on([[b"plain"], [sealed]], 1)
    assert first == sealed
    other = Identity.generate()
    assert Verifier().verify_many([sealed], [[attestation]]) == [None]
    assert Verifier().verify_many([sealed[:-1] + b"?"], [[attestation]]) == [Reason.BAD_ATTESTATION]
    assert attestation[8:40] == relay.key != other.key
    assert refused(pipe.lane) == {"malformed": 1}
