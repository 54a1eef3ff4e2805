"""Signatures by the one rule of the protocol (floor 8); spec, "Signatures". csrc/ed25519.c is its twin."""

from __future__ import annotations

from . import sodium
from .limits import PUBLIC_KEY_BYTES, SIGNATURE_BYTES

_FIELD_ORDER = 2**255 - 19
_GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
_Y_BITS = 2**255 - 1  # the topmost bit is the sign of x
#: y of the points whose order divides 8, which have either sign of x: of order 4, 1, 2, and of order 8.
_SMALL_ORDER_Y = frozenset(
    (
        0,
        1,
        _FIELD_ORDER - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    )
)


def is_strict_point(point: bytes) -> bool:
    """Whether 32 bytes may be a public key, or a signature's first half: a canonical y, and none of a small order."""
    y = int.from_bytes(point, "little") & _Y_BITS
    return y < _FIELD_ORDER and y not in _SMALL_ORDER_Y


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature holds for the message under the public key; wrong lengths do not hold."""
    if len(key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    if int.from_bytes(signature[PUBLIC_KEY_BYTES:], "little") >= _GROUP_ORDER:
        return False
    if not is_strict_point(signature[:PUBLIC_KEY_BYTES]) or not is_strict_point(key):
        return False
    return sodium.ed25519_verify(key, message, signature)
