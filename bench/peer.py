"""One end of a benchmark in a process of its own: reads commands from stdin, answers with JSON lines.

    python -m bench.peer push|pull CONTENDER ENDPOINT SIZE

Commands: ``run COUNT`` moves that many messages; ``quit``. The receiver's clock runs from first to last message.
"""

from __future__ import annotations

import json
import os
import sys
import time

import zmq

from .contenders import BY_NAME


def answer(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def main() -> None:
    role, name, endpoint, size = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    contender = BY_NAME[name]
    settings = {key: os.environ.get(key.upper(), "") for key in ("curve_public", "curve_secret")}
    socket = contender.open(zmq.PUSH if role == "push" else zmq.PULL, settings)
    if role == "push":
        socket.connect(endpoint)
    else:
        socket.bind(endpoint)
        endpoint = socket.getsockopt(zmq.LAST_ENDPOINT).decode().rstrip("\0")
    answer(ready=endpoint)
    message = os.urandom(size)
    for line in sys.stdin:
        command = line.split()
        if command[0] == "quit":
            break
        count = int(command[1])
        cpu, start = time.process_time(), time.perf_counter()
        if role == "push":
            contender.send(socket, message, count)
        else:
            # Waiting for the first message is not the receiver's work.
            socket.poll()
            start = time.perf_counter()
            contender.receive(socket, count)
        answer(seconds=time.perf_counter() - start, cpu=time.process_time() - cpu)
    socket.close()


if __name__ == "__main__":
    main()
