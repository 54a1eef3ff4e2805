"""What a holder of keys can do to ChaCha20-Poly1305: another text of the same tag, one text that two keys open.

Both follow from Poly1305 being a polynomial over a prime field: with the one-time key known, a block can be solved for.
"""

from __future__ import annotations

import itertools
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from helpers import hchacha20, suite_key

from zmqsec import limits

P = 2**130 - 5
BLOCK = 16
_TOP = 2**128


def stream(association: Any, header: bytes, count: int) -> bytes:
    """The first bytes of suite 1's key stream for a sealed part with this header; the one-time key is first."""
    subkey = hchacha20(suite_key(association), header[8:24])
    counter_and_nonce = bytes(4) + bytes(4) + header[24:32]
    return Cipher(algorithms.ChaCha20(subkey, counter_and_nonce), None).encryptor().update(bytes(count))


def one_time_key(association: Any, header: bytes) -> tuple[int, int]:
    """r and s of the part's tag."""
    block = stream(association, header, 32)
    clamp = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    return int.from_bytes(block[:16], "little") & clamp, int.from_bytes(block[16:32], "little")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def _blocks(front: bytes, text: bytes) -> list[int]:
    """The numbers that the polynomial has as coefficients: associated data, text, lengths."""
    lengths = len(front).to_bytes(8, "little") + len(text).to_bytes(8, "little")
    data = _padded(front) + _padded(text) + lengths
    return [int.from_bytes(data[at : at + BLOCK], "little") + _TOP for at in range(0, len(data), BLOCK)]


def _sum(blocks: list[int], r: int) -> int:
    total = 0
    for block in blocks:
        total = (total + block) * r % P
    return total


def _split(sealed: bytes) -> tuple[bytes, bytes]:
    """Associated data, and text with its tag behind it."""
    before = limits.HEADER_BYTES + int.from_bytes(sealed[6:8], "little")
    return sealed[:before], sealed[before:]


def of_the_same_tag(association: Any, sealed: bytes) -> bytes:
    """Another sealed part with the header and the tag of this one; its body has two other blocks from byte 16 on."""
    front, rest = _split(sealed)
    text, tag = rest[: -limits.TAG_BYTES], rest[-limits.TAG_BYTES :]
    assert len(text) >= 3 * BLOCK, "a block for the change, and one that makes up for it"
    r, _ = one_time_key(association, sealed)
    second = int.from_bytes(text[32:48], "little")
    for change in itertools.count(1):
        first = int.from_bytes(text[16:32], "little")
        altered = (first + change) % _TOP
        solved = (second + _TOP - (altered - first) * r) % P - _TOP
        if 0 <= solved < _TOP:
            body = text[:16] + altered.to_bytes(16, "little") + solved.to_bytes(16, "little") + text[48:]
            return front + body + tag
    raise AssertionError


def under_two_keys(associations: tuple[Any, Any], front: bytes, text: bytearray, free: int, other: int) -> bytes:
    """A sealed part whose tag holds under both keys; blocks number `free` and `other` of the text are solved for."""
    (r1, s1), (r2, s2) = (one_time_key(one, front) for one in associations)
    blocks_before = len(_padded(front)) // BLOCK
    count = len(_blocks(front, bytes(text)))
    power = count - (blocks_before + free)
    inverse = pow(pow(r1, power, P) - pow(r2, power, P), -1, P)
    for attempt in itertools.count():
        text[other * BLOCK : (other + 1) * BLOCK] = attempt.to_bytes(BLOCK, "little")
        text[free * BLOCK : (free + 1) * BLOCK] = bytes(BLOCK)
        blocks = _blocks(front, bytes(text))
        blocks[blocks_before + free] = 0
        first, second = _sum(blocks, r1), _sum(blocks, r2)
        for k in range(-4, 5):
            solved = (second - first + s2 - s1 + k * _TOP) * inverse % P
            if _TOP <= solved < 2 * _TOP:
                tags = [
                    ((total + solved * pow(r, power, P)) % P + s) % _TOP
                    for total, r, s in ((first, r1, s1), (second, r2, s2))
                ]
                if tags[0] == tags[1]:
                    text[free * BLOCK : (free + 1) * BLOCK] = (solved - _TOP).to_bytes(BLOCK, "little")
                    return front + bytes(text) + tags[0].to_bytes(BLOCK, "little")
    raise AssertionError


def body_of_two_readings(associations: tuple[Any, Any], front: bytes, size: int) -> bytearray | None:
    """A text of `size` bytes that is one leaf under the first key and two leaves under the second.

    None where the session does not allow that; about one in 2^32 / size does.
    """
    streams = [stream(one, front, 64 + size)[64:] for one in associations]
    head = int.from_bytes(_xor(_xor(((size - 4) << 2).to_bytes(4, "little"), streams[0]), streams[1]), "little")
    length = head >> 2
    if head & 3 or length + 8 > size - 4 * BLOCK or length < 4 * BLOCK:
        return None
    text = bytearray(size)
    text[:4] = _xor(((size - 4) << 2).to_bytes(4, "little"), streams[0])
    at = 4 + length
    text[at : at + 4] = _xor(((size - at - 4) << 2).to_bytes(4, "little"), streams[1][at:])
    return text


def _xor(data: bytes, key: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, key, strict=False))
