"""Handshakes on bad lines and against bad frames: loss, duplication, reordering, damage, and the clock of each side."""

from __future__ import annotations

import itertools

import pytest
from handshake_helpers import (
    MODES,
    Faults,
    Line,
    SeededRandom,
    begin,
    mode_name,
    only_sent,
    pairs,
    reasons,
    sent,
    shake,
)
from helpers import BOB, flips

from zmqsec import limits
from zmqsec.handshake import Accept, Established, Failed, Initiator, Responder, Send

every_mode = pytest.mark.parametrize("mode", MODES, ids=mode_name)
BAD = Faults(lose=0.3, double=0.3, flip=0.1, cut=0.1, delay=3.0)


@every_mode
@pytest.mark.parametrize("seed", range(12))
def test_handshake_comes_about_on_a_bad_line(mode: tuple[bool, bool, str], seed: int) -> None:
    """Of ten frames three are lost, three come twice, two are damaged; all are late by up to 3 s, in any order.

    In the worst case no word of the confirmation comes in time, and the initiator's owner begins again.
    """
    line = Line(*begin(mode, seed), BAD, seed)
    line.run()
    if not pairs(line.at_initiator):
        assert reasons(line.at_initiator)[-1] == "timeout" and 30 < line.now < 120
        line.begin_again(begin(mode, (seed, "again"))[0])
        line.run()
    (here,), made = pairs(line.at_initiator), pairs(line.at_responder)
    there = [one for one in made if one.receive.spi == here.send.spi]
    assert len(there) == 1
    assert here.send.secret == there[0].receive.secret and here.receive.secret == there[0].send.secret
    assert here.binding == there[0].binding
    accepted = [event.association for event in line.at_initiator if isinstance(event, Accept)]
    assert accepted == [here.receive] and there[0].send.spi == here.receive.spi


def test_handshake_on_a_line_that_loses_everything_ends_in_time() -> None:
    line = Line(*begin(), Faults(lose=1.0), 0)
    line.run()
    (failed,) = [event for event in line.at_initiator if isinstance(event, Failed)]
    assert str(failed.reason) == "timeout" and failed.spi is None
    assert failed.detail == "no answer within the time that a handshake has"
    assert line.now == limits.REKEY_ATTEMPT_TIME
    # 0.5, 1, 2, 4 and then 5 s apart, give or take a quarter
    assert 18 <= line.sent <= 27


def test_handshake_tries_again_less_and_less_often_and_not_in_step() -> None:
    gaps = []
    for seed in range(20):
        initiator, _ = begin(seed=seed)
        now, times = 0.0, []
        while not initiator.is_over:
            if sent(initiator.poll(now)):
                times.append(now)
            due = initiator.next_deadline()
            now = now if due is None else due
        gaps.append([after - before for before, after in itertools.pairwise(times)])
    for number, length in enumerate((0.5, 1.0, 2.0, 4.0, 5.0, 5.0)):
        each = [one[number] for one in gaps]
        assert all(0.75 * length <= gap <= 1.25 * length for gap in each)
        assert max(each) - min(each) > 0.2 * length


def test_handshake_without_done_ends_and_names_what_is_to_be_forgotten() -> None:
    initiator, responder = begin()
    answer = only_sent(responder.receive(only_sent(initiator.poll(0.0)), b"alice", 0.0))
    accept = initiator.receive(answer, 0.0)[0]
    assert isinstance(accept, Accept)
    now, again = 0.0, 0
    while (due := initiator.next_deadline()) is not None:
        now = due
        events = initiator.poll(now)
        again += len(sent(events))
    (failed,) = events
    assert isinstance(failed, Failed) and failed.spi == accept.association.spi == initiator.spi
    assert now == limits.CONFIRM_ATTEMPT_TIME and 6 <= again <= 11


@every_mode
def test_handshake_frames_that_come_again_change_nothing(mode: tuple[bool, bool, str]) -> None:
    """A repeated opening and confirmation get the same bytes again; repeated answers and dones nothing."""
    initiator, responder = begin(mode)
    opening = only_sent(initiator.poll(0.0))
    answer = only_sent(responder.receive(opening, b"alice", 0.0))
    assert only_sent(responder.receive(opening, b"elsewhere", 1.0)) == answer and len(responder) == 1
    confirm = sent(initiator.receive(answer, 1.0))[0]
    assert reasons(initiator.receive(answer, 1.0)) == ["replayed"]
    events = responder.receive(confirm, b"alice", 1.0)
    (done,) = sent(events)
    assert len(pairs(events)) == 1
    again = responder.receive(confirm, b"alice", 1.0)
    assert again == [Send(done)]
    assert responder.receive(opening, b"alice", 1.0) == []
    assert isinstance(initiator.receive(done, 1.0)[0], Established)
    for frame in (answer, done):
        assert reasons(initiator.receive(frame, 1.0)) == ["unknown-handshake"]


@every_mode
def test_handshake_every_flipped_bit_is_refused_and_the_true_frame_goes_on(mode: tuple[bool, bool, str]) -> None:
    """Refused at once, but for XX's first message: a change there is noticed by whoever reads what follows."""
    step = 1 if mode[2] == "off" else 31
    initiator, responder = begin(mode)
    opening = only_sent(initiator.poll(0.0))
    for _, bad in list(flips(opening))[::step]:
        events = responder.receive(bad, b"alice", 0.0)
        if not reasons(events):  # only mac2 is looked at under load alone
            assert bad[: -limits.MAC_BYTES] == opening[: -limits.MAC_BYTES]
    assert len(responder) == 1
    answer = only_sent(responder.receive(opening, b"alice", 0.0))
    for _, bad in list(flips(answer))[::step]:
        assert reasons(initiator.receive(bad, 0.0)) and not initiator.is_over
    confirm = sent(initiator.receive(answer, 0.0))[0]
    tried = 0
    for at, bad in flips(confirm):
        if mode[0] or at < 8 * 80:  # beyond the static key of XX each counts as a try
            events = responder.receive(bad, b"alice", 0.0)
            assert reasons(events) and not pairs(events)
            tried += 1
    assert tried >= 8 * limits.MIN_SEALED_BYTES
    done = sent(responder.receive(confirm, b"alice", 0.0))[0]
    for _, bad in flips(done):
        assert reasons(initiator.receive(bad, 0.0)) and not initiator.is_over
    assert pairs(initiator.receive(done, 0.0))


@every_mode
def test_handshake_frames_that_are_cut_or_longer_are_refused(mode: tuple[bool, bool, str]) -> None:
    initiator, responder = begin(mode)
    opening = only_sent(initiator.poll(0.0))
    receive = {True: lambda bad: responder.receive(bad, b"alice", 0.0), False: lambda bad: initiator.receive(bad, 0.0)}

    def cuts(frame: bytes) -> list[bytes]:
        lengths = {*range(0, len(frame), 1 if len(frame) < 300 else 41), *range(120), len(frame) - 1}
        return [frame[:length] for length in sorted(lengths) if length < len(frame)] + [frame + b"\0", frame * 60]

    def check(frame: bytes, to_responder: bool) -> None:
        for bad in cuts(frame):
            events = receive[to_responder](bad)
            assert reasons(events) and not sent(events), len(bad)

    check(opening, True)
    answer = only_sent(receive[True](opening))
    check(answer, False)
    confirm = sent(receive[False](answer))[0]
    if mode[0]:
        check(confirm, True)
    done = sent(receive[True](confirm))[0]
    check(done, False)
    assert pairs(receive[False](done))


def test_handshake_confirmations_that_do_not_hold_are_read_a_few_times_only() -> None:
    """Each would cost the responder an X25519; whoever has the key of a handshake can send as many as it wants."""
    initiator, responder = begin()
    answer = only_sent(responder.receive(only_sent(initiator.poll(0.0)), b"alice", 0.0))
    confirm = sent(initiator.receive(answer, 0.0))[0]
    bad = confirm[:-1] + bytes([confirm[-1] ^ 1])
    for left in range(limits.MAX_CONFIRM_TRIES - 1, -1, -1):
        assert reasons(responder.receive(bad, b"alice", 0.0)) == ["forged"] and len(responder) == bool(left)
    assert reasons(responder.receive(confirm, b"alice", 0.0)) == ["unknown-handshake"]


def test_handshake_answer_of_another_handshake_is_refused() -> None:
    (first, responder), (second, _) = begin(seed=1), begin(seed=2)
    answer = only_sent(responder.receive(only_sent(first.poll(0.0)), b"alice", 0.0))
    second.poll(0.0)
    assert reasons(second.receive(answer, 0.0)) == ["unknown-handshake"]
    header = bytearray(answer)
    own = only_sent(responder.receive(second._frame, b"alice", 0.0))
    header[8:24] = own[8:24]
    assert reasons(second.receive(bytes(header), 0.0)) == ["forged"]


def test_handshake_of_one_responder_survives_those_of_others() -> None:
    """A hundred at once, their frames in any order, all with the same responder."""
    _, responder = begin()
    initiators = [begin(seed=seed)[0] for seed in range(100)]
    order = SeededRandom("order")
    frames = [(one, only_sent(one.poll(0.0))) for one in initiators]
    done = []
    while frames:
        one, frame = frames.pop(int.from_bytes(order(2), "little") % len(frames))
        for answer in sent(responder.receive(frame, b"%d" % one.spi, 0.0)):
            events = one.receive(answer, 0.0)
            done += pairs(events)
            frames += [(one, more) for more in sent(events)]
    assert len({one.receive.spi for one in done}) == 100 and responder.refused == {}


@every_mode
def test_handshake_clock_of_either_side_may_be_anywhere_and_jump(mode: tuple[bool, bool, str]) -> None:
    """No time is ever sent, and a clock that jumps costs a retry at the most."""
    initiator, responder = begin(mode)
    opening = only_sent(initiator.poll(-1e9))
    answer = only_sent(responder.receive(opening, b"alice", 3e9))
    confirm = sent(initiator.receive(answer, -2e9))[0]
    done = sent(responder.receive(confirm, b"alice", 0.0))[0]
    assert pairs(initiator.receive(done, -1e9 + 1))
    again, _ = begin(mode, seed=1)
    shake(again, responder, -5.0)


def test_handshake_half_open_for_too_long_is_forgotten() -> None:
    initiator, responder = begin()
    answer = only_sent(responder.receive(only_sent(initiator.poll(0.0)), b"alice", 10.0))
    assert responder.next_deadline() == 10.0 + limits.HALF_OPEN_TIME
    assert responder.poll(54.9) == [] and len(responder) == 1
    responder.poll(55.0)
    assert len(responder) == 0 and responder.next_deadline() is None
    confirm = sent(initiator.receive(answer, 1.0))[0]
    assert reasons(responder.receive(confirm, b"alice", 55.0)) == ["unknown-handshake"]


def test_handshake_frames_of_the_wrong_side_are_refused() -> None:
    initiator, responder = begin()
    opening = only_sent(initiator.poll(0.0))
    answer = only_sent(responder.receive(opening, b"alice", 0.0))
    assert reasons(responder.receive(answer, b"alice", 0.0)) == ["malformed"]
    assert reasons(initiator.receive(opening, 0.0)) == ["unknown-handshake"]
    confirm = sent(initiator.receive(answer, 0.0))[0]
    mine = confirm[:8] + answer[8:12] + confirm[12:]
    assert reasons(initiator.receive(mine, 0.0)) == ["malformed"]
    assert isinstance(initiator, Initiator) and isinstance(responder, Responder) and BOB.key
