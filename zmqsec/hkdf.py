"""HKDF as Noise defines it, over HMAC-BLAKE2b, in Python (floor 8); csrc/hkdf.c is the same in C."""

from __future__ import annotations

from typing import Final

from . import sodium

_BLOCK: Final = 128  # BLOCKLEN of Noise, section 12.8
_IPAD: Final = bytes(byte ^ 0x36 for byte in range(256))  # RFC 2104
_OPAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_NUMBERS: Final = (b"\x01", b"\x02", b"\x03")


def _hmac(key: bytes, data: bytes) -> bytes:
    """HMAC-HASH(key, data): RFC 2104 over BLAKE2b, whose own keyed mode is not used (section 4.3)."""
    block = key.ljust(_BLOCK, b"\0")  # no key here is longer than a block
    return sodium.blake2b_512(block.translate(_OPAD) + sodium.blake2b_512(block.translate(_IPAD) + data))


def hkdf(chaining_key: bytes, material: bytes, count: int) -> tuple[bytes, ...]:
    """HKDF(chaining_key, input_key_material, num_outputs): `count` outputs of 64 bytes, 1 to 3 (section 4.3)."""
    temp_key, outputs = _hmac(chaining_key, material), [b""]
    for number in _NUMBERS[:count]:
        outputs.append(_hmac(temp_key, outputs[-1] + number))
    return tuple(outputs[1:])
