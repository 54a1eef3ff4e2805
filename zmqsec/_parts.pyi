"""Types of the C core's parts; see ``parts`` for what they do."""

from collections.abc import Iterable

from .message import Part

def encode_parts(parts: Iterable[Part]) -> bytes: ...
def decode_parts(data: bytes, *, max_parts: int = ..., max_depth: int = ...) -> list[Part]: ...
