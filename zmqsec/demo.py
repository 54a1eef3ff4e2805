"""``zmqsec demo``: a file through a plain relay, sealed, to subscribers with a key server; then what held (floor 13).

The processes stand in ``demo_parts`` and are led by ``demo_stage``; ``demo_capture`` reads what the relay saw, and
``demo_view`` draws. Here is the course of it: :func:`run` starts everyone, waits for each step, makes experiments with
messages on the way, and checks what each of them saw.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from .association import Association
from .demo_capture import BLOCK_BYTES, Plaintext, Seen, look_through, read_capture
from .demo_parts import GROUP
from .demo_stage import Part, Stage
from .demo_view import Findings, View
from .errors import StreamError

if TYPE_CHECKING:
    from .demo_realm import DemoRealm

TOPIC = "demo.file"
CHUNK_BYTES = 16 * 1024
LEAST_CHUNK_BYTES = 64
CHUNKS_WANTED = 64


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes that are streamed: the first `size` bytes of `path`, in chunks."""

    path: Path
    title: str
    size: int

    @property
    def chunk(self) -> int:
        """Bytes in a chunk, a multiple of the blocks that the search looks for."""
        wanted = -(-self.size // CHUNKS_WANTED)
        return min(CHUNK_BYTES, max(LEAST_CHUNK_BYTES, -(-wanted // BLOCK_BYTES) * BLOCK_BYTES))

    @property
    def count(self) -> int:
        """Number of chunks."""
        return -(-self.size // self.chunk)

    def read(self) -> bytes:
        """All of it."""
        with open(self.path, "rb") as file:
            return file.read(self.size)


def source_of(path: Path | None, limit: int, folder: Path) -> Source:
    """The user's file, or the standard library's sources one after the other in a file in `folder`."""
    if path is None:
        path, title = folder / "stdlib", f"the sources of Python {sys.version.split()[0]}'s standard library"
        _write_stdlib(path, limit)
    else:
        title = str(path)
    try:
        if not path.is_file():
            why = "it is no regular file" if path.exists() else "there is no such file"
            raise StreamError(f"cannot stream {path}: {why}")
        whole = path.stat().st_size
        with open(path, "rb"):
            pass
    except OSError as error:
        raise StreamError(f"cannot read {path}: {error.strerror}") from None
    if min(whole, limit) < BLOCK_BYTES:
        raise StreamError(f"{path}: {min(whole, limit)} bytes to stream; the demo needs {BLOCK_BYTES} or more")
    if whole > limit:
        title = f"the first {limit:,} bytes of {title}"
    return Source(path, title, min(whole, limit))


def _write_stdlib(path: Path, limit: int) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    left = limit
    with open(path, "wb") as out:
        for one in sorted(library.rglob("*.py")) or [Path(sys.executable)]:
            if {"site-packages", "dist-packages"} & set(one.parts):
                continue
            with contextlib.suppress(OSError):
                left -= out.write(one.read_bytes()[:left])
            if left <= 0:
                return


# -- the course --------------------------------------------------------------------------------------------------------


class Course:
    """One run, step by step: set_up, stream, experiment, finish."""

    def __init__(
        self, stage: Stage, view: View, source: Source, folder: Path, watch: float, shared_key: bool = False
    ) -> None:
        self.stage, self.view, self.source, self.folder, self.watch = stage, view, source, folder, watch
        start = stage.start
        self.realm = None if shared_key else _realm(stage, folder)
        self.relay = start("relay", "relay")
        self.publisher = start("publisher", "publisher")
        self.early = start("subscriber", "subscriber")
        self.late = start("late joiner", "subscriber")
        self.wrong = start("wrong key", "subscriber")
        self.evicted = None if shared_key else start("evicted", "subscriber")
        self.honest = (self.early, self.late)
        self.put_out_at = 0
        self.endpoint = ""

    def set_up(self) -> None:
        """Everyone is there, and the publisher's hellos reach the first two subscribers."""
        self.relay.order(capture=str(self.folder / "capture"))
        self.stage.until(lambda: "ready" in self.relay.told, "the relay was starting")
        self.endpoint = self.relay.get("publish", event="ready")
        members = [self.early, self.late, *([] if self.evicted is None else [self.evicted])]
        right = Association.generate(GROUP)
        if self.realm is None:
            right.save(self.folder / "right.toml")
        else:
            self.view.say("the operator makes a realm, and registers who may send and who may receive")
            self.realm.set_up([self.publisher], members)
        outside = self.relay.get("subscribe", event="ready")
        for part in members:
            part.order(endpoint=outside, topic=TOPIC, **self._keys_for(part))
        self.publisher.order(
            endpoint=self.endpoint,
            topic=TOPIC,
            **self._keys_for(self.publisher),
            file=str(self.source.path),
            size=self.source.size,
            chunk=self.source.chunk,
            watch=self.watch,
        )
        self.early.order(do="join")
        if self.evicted is not None:
            self.evicted.order(do="join")
        self.stage.until(lambda: self.publisher.get("key"), "the publisher was waiting for its key")
        # Whoever has seen a message knows the number of its key, and not the key.
        wrong = Association.from_secret(Association.generate().secret, name=GROUP, spi=self.publisher.get("key"))
        wrong.save(self.folder / "wrong.toml")
        self.wrong.order(endpoint=outside, topic=TOPIC, key=str(self.folder / "wrong.toml"))
        self.wrong.order(do="join")
        self.stage.until(
            lambda: (
                self.early.get("hellos") and self.wrong.refused and (self.evicted is None or self.evicted.get("hellos"))
            ),
            "the subscribers were waiting for a first message",
        )

    def _keys_for(self, part: Part) -> dict[str, str]:
        return {"key": str(self.folder / "right.toml")} if self.realm is None else self.realm.keys_for(part)

    def stream(self) -> None:
        """The whole file; the late joiner comes while it is on its way."""
        count = self.source.count
        self.view.say(f"streaming {self.source.title}: {self.source.size:,} bytes in {count:,} chunks")
        self.publisher.order(do="until", chunk=count if self.realm is None else count // 4 + 1)
        self.publisher.order(do="start")
        self.stage.until(lambda: self.early.get("chunks") >= count // 4, "the first quarter was streamed")
        self.view.say(f"one more subscriber joins, late: {self.early.get('chunks'):,} chunks have been delivered")
        self.late.order(do="join")
        self.stage.until(
            lambda: self.late.get("hellos") or self.late.get("chunks"),
            "the late joiner was waiting for a first message",
        )
        if self.realm is not None:
            self._change_keys(self.realm)
        self.publisher.order(do="full")
        self.stage.until(lambda: "full" in self.publisher.told, "the first half was streamed")
        self.view.say("the second half at full speed")
        self.stage.until(self._streamed, "the stream was on its way to its end")

    def _change_keys(self, realm: DemoRealm) -> None:
        """A new key for all, then one for all but the member that is put out."""
        assert self.evicted is not None
        evicted, count = self.evicted, self.source.count
        epoch = realm.change_key()
        self.view.say(f"the operator changes the group's key, in mid-stream: epoch {epoch}")
        self._until_sealed_anew("the publisher was waiting for the second key")
        self.publisher.order(do="until", chunk=count // 3 + 1)
        self.stage.until(lambda: self.early.get("chunks") >= count // 3, "the first third was streamed")
        opened = evicted.get("messages")
        self.stage.until(lambda: evicted.get("messages") > opened, "the second key reached the one to be put out")
        evicted.order(do="keep")
        epoch = realm.put_out(evicted)
        self.view.say(f"the operator puts one subscriber out, which keeps the keys that it has: epoch {epoch}")
        self._until_sealed_anew("the publisher was waiting for the third key")
        self.put_out_at = self.publisher.get("chunks")
        self.publisher.order(do="until", chunk=count)

    def _until_sealed_anew(self, what: str) -> None:
        before = self.publisher.get("key")
        self.stage.until(lambda: self.publisher.get("key") != before, what)

    def _streamed(self) -> bool:
        if "sent" not in self.publisher.told:
            reached = [(part.get("first") or 0) + part.get("chunks") for part in self.honest]
            self.publisher.order(do="credit", chunks=min(reached))
        if complaint := next((part.get("complaint") for part in self.honest if part.get("complaint")), ""):
            self.view.say(f"trouble: {complaint}")
            return True
        return all(part.get("announced") for part in self.honest) and (
            sum(self.wrong.refused.values()) > self.source.count
        )

    # -- experiments with messages on the way --

    def experiment(self) -> dict[str, bool]:
        """What someone on the way may try with messages, and whether both honest subscribers took it as they should."""
        self.view.say("messages are caught, changed and sent again on the way")
        self._settle()
        *_, captured, _ = read_capture(self.folder / "capture")
        self.publisher.order(do="spare")
        self.stage.until(lambda: "spare" in self.publisher.told, "the publisher was sealing one more message")
        spare = bytes.fromhex(self.publisher.get("sealed", event="spare"))
        changed = bytearray(spare)
        changed[-20] ^= 0x01  # in the last bytes of the ciphertext, before the tag
        topic = TOPIC.encode()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        socket = context.socket(zmq.XPUB)
        try:
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(self.endpoint)
            self.stage.until(lambda: socket.poll(0), "the relay's subscriptions reached the one in the middle")
            return {
                "replay": self._try(socket, captured, "replayed"),
                "flipped bit": self._try(socket, [topic, bytes(changed)], "forged"),
                "unchanged": self._try(socket, [topic, spare], None),
                "replay of it": self._try(socket, [topic, spare], "replayed"),
            }
        finally:
            socket.close()
            context.term()

    def _settle(self) -> None:
        """Wait until the relay's tap has written down what there is."""
        history: list[int] = []

        def quiet() -> bool:
            now = self.relay.get("messages")
            history.append(now)
            return now > self.source.count and history[-8:] == [now] * 8

        self.stage.until(quiet, "the relay's tap was catching up")

    def _outcome(self, part: Part) -> dict[str, int]:
        return {**part.refused, "opened": part.get("messages")}

    def _try(self, socket: zmq.Socket[bytes], frames: list[bytes], reason: str | None) -> bool:
        """Send one message through the relay; True if both count it as `reason` (None: opened) and as nothing else."""
        before = [self._outcome(part) for part in self.honest]
        socket.send_multipart(frames)
        self.stage.until(
            lambda: all(self._outcome(part) != then for part, then in zip(self.honest, before, strict=True)),
            "the subscribers were judging a message from the middle",
        )
        key = reason or "opened"
        wanted = [{**then, key: then.get(key, 0) + 1} for then in before]
        return [self._outcome(part) for part in self.honest] == wanted

    # -- the end --

    def finish(self, experiments: dict[str, bool]) -> Findings:
        """Let everyone end, look through the capture, and judge."""
        self.view.say("looking through all that the relay captured")
        for name in ("publisher", "subscriber", "late joiner", "evicted", "wrong key", "relay", "key server"):
            if name in self.stage.parts:
                self.stage.stop(name)
        data = self.source.read()
        seen = look_through(self.folder / "capture", Plaintext(data), sample_at=self.relay.get("messages") // 2)
        full_from, full_at = (self.publisher.get(key, event="full") for key in ("chunk", "at"))
        findings = Findings(
            title=self.source.title,
            size=self.source.size,
            chunks=self.source.count,
            digest=_digest(data),
            full_speed_bytes=self.source.size - full_from * self.source.chunk,
            full_speed_seconds=max(self.early.get("last_at") - full_at, 1e-6),
            parts={name: part.told["progress"] for name, part in self.stage.parts.items()},
            seen=seen,
        )
        self._judge_subscribers(findings, data)
        self._judge_relay(findings, seen)
        if self.evicted is not None:
            self._judge_keys(findings, seen, self.evicted)
        self._judge_experiments(findings, experiments)
        return findings

    def _judge_subscribers(self, findings: Findings, data: bytes) -> None:
        count, check = self.source.count, findings.check
        early, late, wrong = self.early, self.late, self.wrong
        taken = early.get("chunks")
        whole = (early.get("first"), taken, early.get("digest")) == (0, count, findings.digest)
        check("whole", whole, f"subscriber: {taken:,} of {count:,} chunks, digest {_same(whole)} the file's")
        first = late.get("first")
        rest = first is not None and first + late.get("chunks") == count
        rest = rest and late.get("digest") == _digest(data[first * self.source.chunk :])
        text = (
            f"late joiner: {late.get('chunks'):,} chunks from {first} to the end, digest {_same(rest)} the file's rest"
        )
        check("suffix", rest, text)
        announced = all(part.get("announced") == findings.digest for part in self.honest)
        check("announced", announced, f"the publisher's sealed digest {_same(announced)} the file's, at both of them")
        complaints = [part.get("complaint") for part in self.honest if part.get("complaint")]
        check("in order", not complaints, complaints[0] if complaints else "no chunk lost, doubled or out of order")
        refused = wrong.refused
        reasons = {"forged"} if self.realm is None else {"forged", "unknown-spi"}
        right_reason = wrong.get("messages") == 0 and set(refused) == reasons and sum(refused.values()) > count
        shown = ", ".join(f"{number:,} {reason}" for reason, number in refused.items()) or "none"
        check("wrong key", right_reason, f"wrong key: opened {wrong.get('messages')}, refused {shown}")

    def _judge_keys(self, findings: Findings, seen: Seen, evicted: Part) -> None:
        """Three keys sealed the stream, and who was put out opened nothing that the third one sealed."""
        check, count = findings.check, self.source.count
        check(
            "three keys", len(seen.keys) == 3, f"the stream was sealed with {len(seen.keys)} keys, one after the other"
        )
        last = (evicted.get("first") or 0) + evicted.get("chunks")
        after = count - self.put_out_at
        refused = evicted.refused
        closed = evicted.get("chunks") > 0 and last <= self.put_out_at and evicted.get("announced") == ""
        closed = closed and set(refused) == {"unknown-spi"} and refused["unknown-spi"] > after
        shown = ", ".join(f"{number:,} {reason}" for reason, number in refused.items()) or "none"
        check("evicted", closed, f"evicted: opened {last:,} chunks until it was put out, then none; refused {shown}")

    def _judge_relay(self, findings: Findings, seen: Seen) -> None:
        check = findings.check
        topics = b", ".join(sorted(seen.topics)).decode("utf-8", "replace")
        check("topic", seen.topics == {TOPIC.encode()}, f"relay: read the topic {topics!r}, as it must to forward")
        sealed, total = seen.messages - seen.unsealed, f"{seen.messages:,} messages"
        all_sealed = seen.messages > self.source.count and not seen.unsealed
        check("sealed", all_sealed, f"relay: {sealed:,} of {total} have a sealed body")
        text = f"relay: {seen.blocks:,} blocks of the file, 16 bytes each, are found in {seen.readable:,} of {total}"
        check("unreadable", seen.readable == 0 and seen.blocks > 0, text)

    def _judge_experiments(self, findings: Findings, experiments: dict[str, bool]) -> None:
        texts = {
            "replay": "a captured message sent again: refused as replayed",
            "flipped bit": "a message with one bit flipped on the way: refused as forged",
            "unchanged": "the same message unchanged: opened",
            "replay of it": "and once more: refused as replayed",
        }
        for name, held in experiments.items():
            findings.check(name, held, texts[name] + ("" if held else " (it was not)"))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def _same(same: bool) -> str:
    return "equal to" if same else "NOT equal to"


def _realm(stage: Stage, folder: Path) -> DemoRealm:
    from .demo_realm import DemoRealm  # which needs more libraries than the rest

    return DemoRealm(stage, folder)


def run(path: Path | None, *, size: int, watch: float, timeout: float, as_json: bool, shared_key: bool = False) -> bool:
    """The demonstration; True if everything held."""
    view = View(as_json)
    with tempfile.TemporaryDirectory(prefix="zmqsec-demo-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        source = source_of(path, size, folder)
        stage = stack.enter_context(Stage(view.update, timeout))
        stack.enter_context(view)
        who = "a plain relay, a sealed publisher and three subscribers"
        view.say(f"starting {who}" if shared_key else f"starting a key server, {who}, and one to be put out")
        course = Course(stage, view, source, folder, watch, shared_key)
        if course.realm is not None:
            stack.callback(course.realm.close)
        course.set_up()
        course.stream()
        findings = course.finish(course.experiment())
    view.report(findings)
    return findings.held
