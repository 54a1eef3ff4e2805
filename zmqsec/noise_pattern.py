"""The patterns of the Noise protocol framework, revision 34, that handshakes use (floor 8); its sections 7 to 9."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Pattern:
    """A handshake pattern: its name with modifiers, the tokens of each message, and what its pre-messages tell."""

    name: str
    messages: tuple[tuple[str, ...], ...]
    knows_responder: bool  # the pre-message "<- s"
    has_psk: bool
    has_kem: bool  # the hfs modifier

    @property
    def protocol_name(self) -> bytes:
        """The whole name (section 8); hfs names its KEM behind the DH (hfs, section 5)."""
        functions = b"25519+MLKEM768" if self.has_kem else b"25519"
        return b"Noise_%s_%s_ChaChaPoly_BLAKE2b" % (self.name.encode(), functions)


_Messages = tuple[tuple[str, ...], ...]
_XX: Final[_Messages] = (("e",), ("e", "ee", "s", "es"), ("s", "se"))  # section 7.5
_IK: Final[_Messages] = (("e", "es", "s", "ss"), ("e", "ee", "se"))


def _with_psk(messages: _Messages, place: int) -> _Messages:
    """psk0 stands first in the first message, psk1, psk2... at the end of the first, second... (section 9.4)."""
    changed = list(messages)
    if place == 0:
        changed[0] = ("psk", *changed[0])
    else:
        changed[place - 1] = (*changed[place - 1], "psk")
    return tuple(changed)


def _with_hfs(messages: _Messages) -> _Messages:
    """e1 behind the first e, or behind the DH that follows it; ekem1 behind the first ee (hfs, section 5)."""
    first, second = list(messages[0]), list(messages[1])
    first.insert(first.index("es" if "es" in first else "e") + 1, "e1")
    second.insert(second.index("ee") + 1, "ekem1")
    return (tuple(first), tuple(second), *messages[2:])


def pattern(base: str, psk: int | None = None, hfs: bool = False) -> Pattern:
    """The pattern "XX" or "IK" with a psk modifier at that place or without one, and with or without hfs.

    Modifiers whose order does not matter stand in alphabetical order (section 8).
    """
    messages = {"XX": _XX, "IK": _IK}[base]
    modifiers = []
    if hfs:
        messages = _with_hfs(messages)
        modifiers.append("hfs")
    if psk is not None:
        messages = _with_psk(messages, psk)
        modifiers.append(f"psk{psk}")
    return Pattern(base + "+".join(modifiers), messages, base == "IK", psk is not None, hfs)
