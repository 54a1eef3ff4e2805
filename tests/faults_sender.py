"""A sender in a process of its own: ``faults_sender.py FOLDER push|publish ADDRESS COUNT``.

FOLDER is a keyring with the association "orders", and perhaps an identity, which then attests in batches. It probes
until a line comes at standard input, and with the next one sends numbered messages of many lengths, in batches and one
by one.
"""

from __future__ import annotations

import select
import sys

import zmq

import zmqsec

BATCH = 64


def bodies(count: int) -> list[bytes]:
    """What is sent, by number."""
    return [b"%d:" % i + bytes(i * 37 % 701 if i % 100 else 9000) for i in range(count)]


def main(folder: str, kind: str, address: str, count: int) -> None:
    keyring = zmqsec.Keyring.load(folder)
    identity = keyring.identities[0] if keyring.identities else None
    with zmqsec.Context(keyring=keyring) as context:
        socket = context.socket(zmq.PUSH if kind == "push" else zmq.PUB, association="orders", identity=identity)
        with socket:
            socket.set_hwm(0)
            socket.linger = 10_000
            socket.connect(address)
            topic = [] if kind == "push" else [b"topic"]
            while not select.select([sys.stdin], [], [], 0.02)[0]:
                socket.send_multipart([*topic, b"probe"])
            sys.stdin.readline()
            socket.send_multipart([*topic, b"last probe"])
            sys.stdin.readline()
            messages = [[*topic, body] for body in bodies(count)]
            for start in range(0, count, 2 * BATCH):
                socket.send_many(messages[start : start + BATCH])
                for one in messages[start + BATCH : start + 2 * BATCH]:
                    socket.send_multipart(one)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
