"""What the demonstration's relay saw: its capture, and the search for anything readable in it (floor 13)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import limits
from .demo_parts import FRAMES
from .inspect import InspectError, inspect_part

BLOCK_BYTES = 16
MOST_BLOCKS = 1 << 20


def read_capture(path: Path) -> Iterator[list[bytes]]:
    """The messages that the relay's tap wrote down, each as its frames; a last one that is not whole is left out."""
    with open(path, "rb") as file:
        while len(head := file.read(FRAMES.size)) == FRAMES.size:
            frames = []
            for _ in range(FRAMES.unpack(head)[0]):
                length = file.read(FRAMES.size)
                if len(length) < FRAMES.size:
                    return
                size = FRAMES.unpack(length)[0]
                frames.append(file.read(size))
                if len(frames[-1]) < size:
                    return
            yield frames


class Plaintext:
    """Looks for blocks of a file, 16 bytes each, at every offset of what was captured."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        whole = len(data) // BLOCK_BYTES
        step = max(1, -(-whole // MOST_BLOCKS))
        words = memoryview(data)[: whole * BLOCK_BYTES].cast("Q")
        self._first_words = set(words[:: 2 * step].tolist())
        self.blocks = -(-whole // step)

    def find(self, frame: bytes) -> int | None:
        """Where in `frame` a block of the file stands, or None."""
        view = memoryview(frame)
        for shift in range(8):
            words = view[shift : shift + (len(frame) - shift) // 8 * 8].cast("Q").tolist()
            if self._first_words.isdisjoint(words):
                continue
            for at, word in enumerate(words):
                begin = shift + 8 * at
                block = frame[begin : begin + BLOCK_BYTES]
                if word in self._first_words and len(block) == BLOCK_BYTES and block in self._data:
                    return begin
        return None


@dataclass(slots=True)
class Seen:
    """What the relay saw, all of it."""

    messages: int = 0
    size: int = 0
    topics: set[bytes] = field(default_factory=set)
    keys: Counter[int] = field(default_factory=Counter)
    unsealed: int = 0
    readable: int = 0
    blocks: int = 0
    sample: tuple[bytes, bytes] | None = None


def look_through(path: Path, plaintext: Plaintext, sample_at: int) -> Seen:
    """Read the capture as a curious relay would."""
    seen = Seen(blocks=plaintext.blocks)
    for frames in read_capture(path):
        seen.readable += any(plaintext.find(frame) is not None for frame in frames)
        if len(frames) == 1 and frames[0][:1] in (b"\0", b"\1"):  # a subscription, on its way to the publisher
            continue
        seen.messages += 1
        seen.size += sum(map(len, frames))
        if len(frames) != 2 or not _is_sealed(frames[1]):
            seen.unsealed += 1
            continue
        seen.topics.add(frames[0])
        seen.keys[int.from_bytes(frames[1][limits.NONCE_OFFSET : limits.SESSION_OFFSET], "little")] += 1
        if seen.messages >= sample_at and seen.sample is None:
            seen.sample = (frames[0], frames[1])
    return seen


def _is_sealed(frame: bytes) -> bool:
    try:
        return inspect_part(frame).body is None
    except InspectError:
        return False
