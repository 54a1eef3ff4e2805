"""The initiator's half of a socket with keys for one peer, without sockets: what it opens with, and until when."""

from __future__ import annotations

from helpers import ALICE, BOB

from zmqsec import limits
from zmqsec.handshake import Established, Party, Responder, Send, anyone
from zmqsec.pairing import Pairing


class Network:
    """A pairing and a responder, between which every done is lost."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pairing = Pairing(Party(ALICE), BOB.public, clock=lambda: self.now)
        self.pairing.want()
        self.responder = Responder(Party(BOB, permit=anyone))
        self.established: list[Established] = []

    def turn(self) -> None:
        """Move what is due now there and back."""
        frames = self.pairing.poll()
        while frames:
            answers = [one for frame in frames for one in self.responder.receive(frame, b"here", self.now)]
            self.established += [one for one in answers if isinstance(one, Established)]
            came = [one.frame for one in answers if isinstance(one, Send) and one.frame[24] != limits.DONE]
            frames = [one for frame in came for one in self.pairing.receive(frame)]

    def pass_time(self, seconds: float) -> None:
        for _ in range(int(4 * seconds)):
            self.now += 0.25
            self.turn()


def test_pair_whose_confirmation_timed_out_is_opened_with_until_its_time_is_over() -> None:
    net = Network()
    net.turn()
    spi = net.established[0].pair.send.spi
    net.pass_time(limits.CONFIRM_ATTEMPT_TIME + 1)
    assert net.pairing.state.failure is not None  # it gave up, and the responder seals with this pair all the same
    assert net.pairing.sending is None
    assert spi in [one.spi for one in net.pairing.receiving]
    net.pass_time(limits.PAIR_REJECT_TIME + limits.PAIR_OVERLAP_TIME)
    assert spi not in [one.spi for one in net.pairing.receiving]
