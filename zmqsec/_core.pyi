"""Types of the C core; what each name does stands with its readable twin, which ``zmqsec.reference`` names."""

from ._attest import Attester as Attester
from ._attest import Verifier as Verifier
from ._channel import Channel as Channel
from ._direct import Direct as Direct
from ._engine import Receiver as Receiver
from ._engine import Session as Session
from ._engine import seal_many as seal_many
from ._library import derive_spi as derive_spi
from ._library import derive_suite_key as derive_suite_key
from ._library import hkdf as hkdf
from ._library import kernels as kernels
from ._library import random_bytes as random_bytes
from ._library import use_kernels as use_kernels
from ._open import open_many as open_many
from ._parts import decode_parts as decode_parts
from ._parts import encode_parts as encode_parts
