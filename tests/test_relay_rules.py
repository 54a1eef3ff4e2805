"""Who answers for what was refused, and who is turned away or slowed down from then on."""

from __future__ import annotations

import time

import pytest
import zmq
from relay_helpers import Member, Pipe, Runner, _policy, origin_policy, refused
from socket_helpers import eventually

from zmqsec import Identity, limits
from zmqsec.rights import Rights, Role
from zmqsec.trust import Trust

# -- who answers for it ------------------------------------------------------------------------------------------------


def test_refusals_are_held_against_an_identity_only_where_it_sent_them_itself(runner: Runner) -> None:
    alice = Identity.generate()
    trust = Trust([alice.public])
    trust.pin(alice.public, Rights(Role.RECEIVE))
    policy = origin_policy(trust)
    pipe = Pipe(runner, policy)
    first = Member(alice).messages([b"not hers to send"] * 3)
    forged = [[first[0][0][:-1] + b"?", first[0][1]]] * 5  # another has changed it
    pipe.pass_on([*first, *first, *first, *forged], 0)
    runner.stop()
    taken = {key: reasons for _, _, key, _, _, reasons in policy.peers.take()}
    assert taken == {
        alice.key: {"not-permitted": 3},
        b"": {"not-permitted": 6, "bad-attestation": 5},
    }


def test_refusals_of_an_old_session_are_not_held_against_its_identity(runner: Runner) -> None:
    alice = Identity.generate()
    trust = Trust([alice.public])
    trust.pin(alice.public, Rights(Role.RECEIVE))
    policy = origin_policy(trust)
    pipe = Pipe(runner, policy)
    recorded = Member(alice)
    recorded.session = (int(time.time()) - limits.REJECT_AFTER_TIME - 10).to_bytes(4, "little") + bytes(8)
    pipe.pass_on(recorded.messages([b"x"] * 4), 0)
    runner.stop()
    assert {key: reasons for _, _, key, _, _, reasons in policy.peers.take()} == {b"": {"not-permitted": 4}}


# -- rules -------------------------------------------------------------------------------------------------------------

NETWORK = bytes(10) + b"\xff\xff" + bytes([127, 0, 0, 0])
TURNED_AWAY, ALLOWED = 2, 1


def test_rules_turn_established_peers_away_at_once(runner: Runner) -> None:
    peers = _policy.Peers()
    policy = _policy.Policy(names_peers=True, peers=peers, layout=limits.LAYOUT_ENVELOPE)
    front, back = runner.leg(zmq.ROUTER, zmq.DEALER, policy)
    rogue = runner.connected(zmq.DEALER, front, routing_id=b"rogue")
    other = runner.connected(zmq.DEALER, front, routing_id=b"other")
    server = runner.connected(zmq.ROUTER, back)
    runner.start()
    rogue.send(b"before")
    assert server.recv_multipart()[-1] == b"before"
    runner.stop()
    peers.rule(_policy.Rules([(2, b"rogue", 0, TURNED_AWAY, 0)]), _policy.Rules())
    runner.again()
    rogue.send(b"after")
    other.send(b"hello")
    assert server.recv_multipart()[-1] == b"hello"
    eventually(lambda: refused(runner.lanes[0]) == {"blocked": 1})


@pytest.mark.parametrize(
    ("rules", "passes"),
    (
        ([(3, NETWORK, 104, 0, TURNED_AWAY)], False),
        ([(3, NETWORK, 104, 0, TURNED_AWAY), (3, NETWORK[:15] + b"\1", 128, 0, ALLOWED)], True),
        ([(3, NETWORK, 104, TURNED_AWAY, 0), (3, NETWORK[:15] + b"\1", 128, 0, ALLOWED)], False),
        ([(3, NETWORK[:15] + b"\1", 128, 0, TURNED_AWAY)], False),
        ([(3, NETWORK[:15] + b"\2", 128, 0, TURNED_AWAY)], True),
        ([(3, bytes(16), 0, 0, TURNED_AWAY), (3, NETWORK, 104, ALLOWED, 0)], True),
    ),
)
def test_rules_of_addresses_and_networks_follow_their_order(
    runner: Runner, rules: list[tuple[int, bytes, int, int, int]], passes: bool
) -> None:
    peers = _policy.Peers()
    peers.rule(_policy.Rules(rules), _policy.Rules())
    pipe = Pipe(runner, _policy.Policy(peers=peers))
    pipe.pass_on([[b"x"]], int(passes))


def test_rules_turn_a_proven_identity_away_wherever_it_comes_from(runner: Runner) -> None:
    alice, bob = Identity.generate(), Identity.generate()
    policy = origin_policy()
    policy.peers.rule(_policy.Rules([(0, alice.fingerprint, 0, TURNED_AWAY, 0)]), _policy.Rules())
    pipe = Pipe(runner, policy)
    good = Member(bob).messages([b"x"])
    assert pipe.pass_on(Member(alice).messages([b"x"]) + good, 1) == good
    assert refused(pipe.lane) == {"blocked": 1}


def test_rules_throttle_a_peer(runner: Runner) -> None:
    peers = _policy.Peers()
    peers.rule(_policy.Rules(), _policy.Rules([(3, NETWORK, 104, 0, TURNED_AWAY)]))
    pipe = Pipe(runner, _policy.Policy(peers=peers, throttled_messages=(0.001, 5)))
    assert len(pipe.pass_on([[b"x"]] * 50, 5)) == 5
    assert refused(pipe.lane) == {"rate-limited": 45}
