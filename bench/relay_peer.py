"""The relay between PUSH and PULL in a process of its own, until it is killed.

    python -m bench.relay_peer proxy|loop|multipart|none|membership|origin OUT

It binds where the PUSH connects to, says so in a JSON line, and connects to OUT, where the PULL has bound.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import zmq

from .contenders import HWM


def proxy(source: Any, sink: Any) -> None:
    """libzmq's own loop, in C."""
    zmq.proxy(source, sink)


def loop(source: Any, sink: Any) -> None:
    """The shortest loop in Python, for messages of one frame."""
    receive, send = source.recv, sink.send
    while True:
        send(receive())


def multipart(source: Any, sink: Any) -> None:
    """The loop in Python that is right for every message."""
    while True:
        sink.send_multipart(source.recv_multipart())


def ours(source: Any, sink: Any, **policy: Any) -> None:
    """zmqsec's loop, by one policy."""
    from zmqsec._policy import Policy
    from zmqsec._relay import Lane, Loop

    control = source.context.socket(zmq.PAIR)
    control.bind("inproc://control")
    one = Loop(control)
    one.use_lanes([Lane(source, sink, Policy(**policy))])
    one.run()


def membership(source: Any, sink: Any) -> None:
    """It asks for admissions, and counts peers, as a service does."""
    from zmqsec import Association
    from zmqsec._policy import Admissions, Peers

    key = Association.from_secret(bytes(range(32)), name="bench", spi=7)
    ours(source, sink, check=1, admissions=Admissions([key.admission()]), peers=Peers())


def origin(source: Any, sink: Any) -> None:
    """It asks for origins that are trusted, and counts peers."""
    from zmqsec import Identity
    from zmqsec._policy import Grants, Peers
    from zmqsec.trust import Trust

    trust = Trust([Identity.from_seed(bytes(32)).public])
    ours(source, sink, check=2, grants=Grants(trust), peers=Peers())


RELAYS: dict[str, Callable[[Any, Any], None]] = {
    "proxy": proxy,
    "loop": loop,
    "multipart": multipart,
    "none": ours,
    "membership": membership,
    "origin": origin,
}


def main() -> None:
    name, out = sys.argv[1], sys.argv[2]
    context = zmq.Context()
    source, sink = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    for socket in (source, sink):
        socket.set_hwm(HWM)
        socket.linger = 0
    source.bind("ipc://*" if out.startswith("ipc") else "tcp://127.0.0.1:*")
    sink.connect(out)
    print(json.dumps({"ready": str(source.get_string(zmq.LAST_ENDPOINT))}), flush=True)
    RELAYS[name](source, sink)


if __name__ == "__main__":
    main()
