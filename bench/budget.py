"""Where the time of PUSH to PULL goes: CPU nanoseconds a message of each stage of each of the four threads.

    python -m bench.budget [--transports tcp ipc] [--sizes 64 1024] [--rounds 5]

The CPU time of a thread is the scheduler's, in rounds that nobody watches; Linux's perf, where it is installed, says of
other rounds which share falls to each stage. The bound is plain libzmq in C doing the same without security; the
plaintext loop stands beside it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .contenders import BUNDLE, BY_NAME
from .pushpull import COUNTS, Peer, one_round, peer

CONTENDERS = ("c-plain", "plain", "batch")
SENDER, SENDER_IO, RECEIVER_IO, RECEIVER = "sender", "sender's I/O thread", "receiver's I/O thread", "receiver"
THREADS = (SENDER, SENDER_IO, RECEIVER_IO, RECEIVER)
SAMPLES_PER_SECOND = 4000
#: What a sample belongs to: the first row whose object and symbol match. Names of libzmq's insides are not exported.
STAGES = (
    ("kernel", r"kernel|vdso", ""),
    ("libzmq", r"libzmq", ""),
    ("malloc, free", r"libc\.", r"malloc|free|unlink_chunk|consolidate|sysmalloc|trim|arena|calloc"),
    ("copies", r"libc\.", r"mem(move|cpy|set|cmp)"),
    ("cipher", r"zmqsec", r"chacha|poly|lanes|_avx512|_avx2|encipher|walk|aead|open_suite|open_job|ahead"),
    ("headers, jobs", r"zmqsec", r"seal_prepare|wire_write|wire_finish|write_|seal_job"),
    ("frames out", r"zmqsec", r"channel_allocate|channel_send|send_frame|make_frame|pool"),
    (
        "frames in",
        r"zmqsec",
        r"channel_receive|receive_|place|channel_open_items|open_item|is_sealed|frame_span|release",
    ),
    (
        "checks, windows",
        r"zmqsec",
        r"open_check|check_|open_commit|commit|table|wire_|scan|is_leaf|continue|begin_sess",
    ),
    ("Python, the program", r"", ""),
)


def stage_of(shared_object: str, symbol: str) -> str:
    return next(
        name for name, object_, symbol_ in STAGES if re.search(object_, shared_object) and re.search(symbol_, symbol)
    )


def cpu_times(process: int) -> list[tuple[int, int]]:
    """Thread and nanoseconds on a CPU so far, the main thread first."""
    threads = sorted(int(folder.name) for folder in Path(f"/proc/{process}/task").iterdir())
    return [(one, int(Path(f"/proc/{process}/task/{one}/schedstat").read_text().split()[0])) for one in threads]


@contextmanager
def sampled(processes: list[int], into: Counter[tuple[int, str]]) -> Iterator[None]:
    """Count samples of these processes by thread and stage meanwhile; none where there is no perf."""
    if shutil.which("perf") is None:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        data = f"{folder}/perf.data"
        ids = ",".join(map(str, processes))
        command = [
            "perf",
            "record",
            "-q",
            "-N",
            "-e",
            "cpu-clock",
            "-F",
            str(SAMPLES_PER_SECOND),
            "-o",
            data,
            "-p",
            ids,
        ]
        recorder = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(0.3)  # perf has no word for having begun
        try:
            yield
        finally:
            recorder.send_signal(signal.SIGINT)
            recorder.wait()
        listing = subprocess.run(
            ["perf", "script", "-i", data, "-F", "tid,ip,sym,dso"], capture_output=True, text=True, check=True
        )
    for line in listing.stdout.splitlines():
        found = re.match(r"\s*(\d+)\s+[0-9a-f]+ (.*) \((.*)\)$", line)
        if found:
            into[int(found[1]), stage_of(found[3], found[2])] += 1


class Pair:
    """A contender's two processes, and what their threads have cost."""

    def __init__(self, sender: Peer, receiver: Peer) -> None:
        self.sender, self.receiver = sender, receiver
        self.samples: Counter[tuple[int, str]] = Counter()
        self.costs: dict[str, list[float]] = {name: [] for name in THREADS}
        self.rates: list[float] = []
        self.names: dict[int, str] = {}

    def cpu(self) -> dict[str, int]:
        """Of each thread so far; libzmq's other threads do nothing and are left out."""
        out: dict[str, int] = {}
        for one, main, io in ((self.sender, SENDER, SENDER_IO), (self.receiver, RECEIVER, RECEIVER_IO)):
            (first, spent), *rest = cpu_times(one.process.pid)
            worker, busiest = max(rest, key=lambda thread: thread[1])
            self.names.update({first: main, worker: io})
            out.update({main: spent, io: busiest})
        return out

    def run(self, count: int, keep: bool) -> None:
        before = self.cpu()
        rate = one_round(self.sender, self.receiver, count)
        after = self.cpu()
        if keep:
            self.rates.append(rate)
            for name in THREADS:
                self.costs[name].append((after[name] - before[name]) / count)

    def budget(self) -> dict[str, dict[str, float]]:
        """Nanoseconds a message by thread and stage; one stage, "all", where nothing was sampled."""
        out: dict[str, dict[str, float]] = {}
        for thread, costs in self.costs.items():
            cost = statistics.median(costs)
            mine = {stage: n for (one, stage), n in self.samples.items() if self.names.get(one) == thread}
            total = sum(mine.values())
            out[thread] = {stage: cost * n / total for stage, n in mine.items()} if total else {"all": cost}
        return out


def measure(transport: str, size: int, rounds: int) -> dict[str, Pair]:
    """The contenders in turn, round after round."""
    pairs: dict[str, Pair] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for name in CONTENDERS:
            endpoint = "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{folder}/{name}"
            receiver, bound = stack.enter_context(peer("pull", BY_NAME[name], endpoint, size))
            sender, _ = stack.enter_context(peer("push", BY_NAME[name], bound, size))
            pairs[name] = Pair(sender, receiver)
        count = COUNTS[size] // BUNDLE * BUNDLE
        for pair in pairs.values():
            pair.run(count, keep=False)
        for _ in range(rounds):
            for pair in pairs.values():
                pair.run(count, keep=True)
                with sampled([pair.sender.process.pid, pair.receiver.process.pid], pair.samples):
                    pair.run(count, keep=False)
    return pairs


def table(pairs: dict[str, Pair]) -> str:
    """Markdown: a row for each stage of each thread, a column for each contender."""
    titles = [BY_NAME[name].title for name in pairs]
    budgets = [pair.budget() for pair in pairs.values()]
    order = [name for name, *_ in STAGES] + ["all"]
    lines = ["| CPU, ns a message | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]

    def row(title: str, values: list[float]) -> None:
        lines.append(f"| {title} | " + " | ".join(f"{value:,.0f}" for value in values) + " |")

    for thread in THREADS:
        row(f"**{thread}**", [sum(one[thread].values()) for one in budgets])
        for stage in order:
            values = [one[thread].get(stage, 0.0) for one in budgets]
            if max(values) >= 1.0 and stage != "all":
                row(stage, values)
    row("**all four threads**", [sum(sum(stages.values()) for stages in one.values()) for one in budgets])
    row("from message to message, by the clock", [1e9 / statistics.median(pair.rates) for pair in pairs.values()])
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.budget", description=__doc__)
    parser.add_argument("--transports", nargs="*", default=["tcp", "ipc"])
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 1024])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for transport in options.transports:
        for size in options.sizes:
            print(f"\n{transport}, {size} B\n\n{table(measure(transport, size, options.rounds))}", flush=True)


if __name__ == "__main__":
    main()
