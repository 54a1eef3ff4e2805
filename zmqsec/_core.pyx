# cython: language_level=3
# _core.pyx: the C core's public names (floor 9).
"""The C implementation of the protocol; :mod:`zmqsec.reference` has the same names in Python."""

from ._attest import Attester, Verifier
from ._channel import Channel
from ._direct import Direct
from ._engine import Receiver, Session, seal_many
from ._library import derive_spi, derive_suite_key, hkdf, kernels, random_bytes, use_kernels
from ._open import open_many
from ._parts import decode_parts, encode_parts

__all__ = ["Attester", "Channel", "Direct", "Receiver", "Session", "Verifier", "decode_parts", "derive_spi",
           "derive_suite_key", "encode_parts", "hkdf", "kernels", "open_many", "random_bytes", "seal_many", "use_kernels"]
