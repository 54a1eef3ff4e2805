"""Makes AEAD vectors whose Poly1305 sum comes to rest on a corner, as rows of a C table; the standard library alone.

RFC 8439's appendix A.3 chooses r and s; an AEAD makes them from a key. What can be chosen is a block of the text or of
the associated data: it is solved for, so that the sum after some later block, or after the last, is the target mod
2^130 - 5. A sum that is congruent to 0..4 stands in a kernel as 2^130 - 5 .. 2^130 - 1 and needs the last reduction,
which random messages need once in 2^128. Argument: the file to write.
"""

from __future__ import annotations

import random
import struct
import sys
from pathlib import Path

P = (1 << 130) - 5
TARGETS = (0, 1, 2, 3, 4, 5, P - 1, P - 2, (1 << 128) - 1, 1 << 128, (1 << 129) - 1, (1 << 64) - 1, (1 << 88) - 1)
LENGTHS = (16, 32, 64, 80, 128, 208, 384, 512, 1040, 2064, 2500)
SEED = 8439


def rotl(x: int, n: int) -> int:
    return (x << n | x >> (32 - n)) & 0xFFFFFFFF


def quarter(x: list[int], a: int, b: int, c: int, d: int) -> None:
    for high, low, n in ((a, b, 16), (c, d, 12), (a, b, 8), (c, d, 7)):
        x[high] = (x[high] + x[low]) & 0xFFFFFFFF
        turned = d if high == a else b
        x[turned] = rotl(x[turned] ^ x[high], n)


def chacha20_block(key: bytes, nonce: bytes, counter: int) -> bytes:
    start = list(struct.unpack("<16L", b"expand 32-byte k" + key + struct.pack("<L", counter) + nonce))
    x = start.copy()
    for _ in range(10):
        for i in range(4):
            quarter(x, i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16L", *((a + b) & 0xFFFFFFFF for a, b in zip(x, start, strict=True)))


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def blocks_of(ad: bytes, sealed: bytes) -> list[int]:
    mac = padded(ad) + padded(sealed) + struct.pack("<QQ", len(ad), len(sealed))
    return [int.from_bytes(mac[i : i + 16], "little") + (1 << 128) for i in range(0, len(mac), 16)]


def solve(blocks: list[int], r: int, at: int, after: int, target: int) -> int | None:
    """What block `at` has to be for the sum after block `after` to be `target`; None if it does not fit 16 bytes."""
    before = 0
    for block in blocks[:at]:
        before = (before + block) * r % P
    back = pow(r, -1, P)
    wanted = target
    for block in reversed(blocks[at + 1 : after + 1]):
        wanted = (wanted * back - block) % P
    found = (wanted * back - before - (1 << 128)) % P
    return found if found < 1 << 128 else None


def make(rng: random.Random, target: int, length: int, in_ad: bool) -> tuple[bytes, ...] | None:
    key, nonce = rng.randbytes(32), rng.randbytes(12)
    first = chacha20_block(key, nonce, 0)
    r = int.from_bytes(first[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    s = int.from_bytes(first[16:32], "little")
    ad, sealed = bytearray(rng.randbytes(rng.choice((16, 32, 48)))), bytearray(rng.randbytes(length))
    chosen = ad if in_ad else sealed
    place = rng.randrange(len(chosen) // 16)
    at = place if in_ad else len(ad) // 16 + place
    blocks = blocks_of(ad, sealed)
    after = len(blocks) - 1 if rng.random() < 0.8 else rng.randrange(at, len(blocks))
    found = solve(blocks, r, at, after, target)
    if found is None:
        return None
    chosen[16 * place : 16 * place + 16] = found.to_bytes(16, "little")
    total = 0
    for i, block in enumerate(blocks_of(ad, sealed)):
        total = (total + block) * r % P
        if i == after and total != target:
            raise AssertionError("solved wrongly")
    tag = ((total + s) % (1 << 128)).to_bytes(16, "little")
    stream = b"".join(chacha20_block(key, nonce, 1 + i) for i in range((length + 63) // 64))
    plain = bytes(a ^ b for a, b in zip(sealed, stream, strict=False))
    return key, nonce, bytes(ad), plain, bytes(sealed), tag


def main(target_file: Path) -> None:
    rng = random.Random(SEED)
    rows = []
    for target in TARGETS:
        for length in LENGTHS:
            for in_ad in (False, True):
                fields = None
                while fields is None:
                    fields = make(rng, target, length, in_ad)
                texts = ", ".join(f'"{field.hex()}"' for field in fields)
                rows.append(f"    {{{len(rows) + 1}, true, {texts}}},")
    head = f"/* {target_file.name}: made by edge_vectors.py; not to be edited. */"
    target_file.write_text("\n".join([head, "static const vector EDGES[] = {", *rows, "};", ""]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
