"""A plain ROUTER/DEALER broker in a process of its own, without a key, that is honest or not.

``broker.py honest|swap|reflect`` prints its two addresses and runs until its standard input ends. `swap` exchanges the
sealed replies to two requests, behind envelopes that stay as they are; `reflect` throws the sealed request of a second
client back to the first as its reply.
"""

from __future__ import annotations

import sys

import zmq

Frames = list[bytes]


class Broker:
    """Requests from the front go to the back, replies the other way."""

    def __init__(self, how: str) -> None:
        context = zmq.Context()
        self.front, self.back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        for socket in (self.front, self.back):
            socket.bind("tcp://127.0.0.1:*")
            print(socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0"))
        sys.stdout.flush()
        self.how = how
        self.held: list[Frames] = []

    def run(self) -> None:
        poller = zmq.Poller()
        poller.register(self.front, zmq.POLLIN)
        poller.register(self.back, zmq.POLLIN)
        poller.register(sys.stdin.fileno(), zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if sys.stdin.fileno() in ready:
                return
            if self.front in ready:
                self.take_request(self.front.recv_multipart())
            if self.back in ready:
                self.take_reply(self.back.recv_multipart())

    def take_request(self, frames: Frames) -> None:
        self.back.send_multipart(frames)
        if self.how == "reflect":
            self.held.append(frames)
            if len(self.held) == 2:
                (one, two), self.held = self.held, []
                self.answer(one, two)

    def take_reply(self, frames: Frames) -> None:
        if self.how != "swap":
            self.front.send_multipart(frames)
            return
        self.held.append(frames)
        if len(self.held) == 2:
            (one, two), self.held = self.held, []
            self.answer(one, two)
            self.answer(two, one)

    def answer(self, to: Frames, other: Frames) -> None:
        """What stands behind the delimiter of one message, with the envelope of another."""
        mine, its = to.index(b"") + 1, other.index(b"") + 1
        self.front.send_multipart([*to[:mine], *other[its:]])


if __name__ == "__main__":
    Broker(sys.argv[1]).run()
