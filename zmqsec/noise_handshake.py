"""The HandshakeState of the Noise protocol framework, revision 34, sections 5.3 and 9 (floor 10)."""

from __future__ import annotations

from typing import TypeVar

from . import sodium
from .errors import HandshakeError
from .message import Random
from .noise import (
    DHLEN,
    KEYLEN,
    MAX_MESSAGE,
    TAGLEN,
    CipherState,
    KeyPair,
    NoiseError,
    SymmetricState,
    dh,
)
from .noise_pattern import Pattern

_T = TypeVar("_T")


class HandshakeState:
    """One party's side of one handshake: key pairs `s` and `e`, the peer's public keys `rs` and `re`, tokens to come.

    `random` gives the ephemeral keys. A message is written and read in two steps, its tokens and its payload, so that a
    payload can sign the hash that stands between them; `write_message` and `read_message` are both steps in one.
    """

    __slots__ = (
        "_e1",
        "_messages",
        "_psk",
        "_psk_mode",
        "_random",
        "_re1",
        "e",
        "initiator",
        "re",
        "rs",
        "s",
        "symmetric",
    )

    def __init__(
        self,
        pattern: Pattern,
        initiator: bool,
        prologue: bytes,
        s: KeyPair,
        *,
        random: Random,
        rs: bytes | None = None,
        psk: bytes | None = None,
    ) -> None:
        """Initialize(handshake_pattern, initiator, prologue, s, e, rs, re), with e and re empty (section 5.3)."""
        for name, value, length, wanted in (
            ("rs", rs, DHLEN, pattern.knows_responder and initiator),
            ("psk", psk, KEYLEN, pattern.has_psk and initiator),
        ):
            if (value is not None and len(value) != length) or (wanted and value is None):
                given = "None" if value is None else f"{len(value)} bytes"
                raise HandshakeError(f"{pattern.name} with {name} of {given}: exactly {length} bytes are allowed")
        self.symmetric = SymmetricState(pattern.protocol_name)
        self.symmetric.mix_hash(prologue)
        self.initiator, self.s, self.rs = initiator, s, rs
        self.e: KeyPair | None = None
        self.re: bytes | None = None
        self._e1: bytes | None = None  # the KEM's own decapsulation key
        self._re1: bytes | None = None  # the peer's encapsulation key
        self._psk, self._psk_mode, self._random = psk, pattern.has_psk, random
        if pattern.knows_responder:
            self.symmetric.mix_hash(_there(rs) if initiator else s.public)
        self._messages = list(pattern.messages)

    def copy(self) -> HandshakeState:
        """Another one that stands where this one does: a message that may not hold is read by a copy."""
        twin = HandshakeState.__new__(HandshakeState)
        for name in HandshakeState.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.symmetric, twin._messages = self.symmetric.copy(), list(self._messages)
        return twin

    @property
    def h(self) -> bytes:
        """The hash of the handshake so far; that of GetHandshakeHash() once it is finished (section 11.2)."""
        return self.symmetric.h

    @property
    def finished(self) -> bool:
        """Whether no message is to come."""
        return not self._messages

    def set_psk(self, psk: bytes) -> None:
        """Choose the psk when it is known which; before the psk token is met."""
        self._psk = psk

    def leave_out_kem(self) -> None:
        """Take ekem1 out of the messages to come: the responder has no KEM, or wants none."""
        self._messages = [tuple(token for token in one if token != "ekem1") for one in self._messages]

    def write_message(self, payload: bytes) -> bytes:
        """WriteMessage(payload)."""
        return self.write_tokens() + self.write_payload(payload)

    def read_message(self, message: bytes) -> bytes:
        """ReadMessage(message): the payload; NoiseError if anything does not hold."""
        return self.read_payload(self.read_tokens(message))

    def write_tokens(self) -> bytes:
        """All of a message before its payload."""
        out = b""
        for token in self._messages.pop(0):
            if token == "e":
                out += self._write_e()
            elif token == "s":
                out += self.symmetric.encrypt_and_hash(self.s.public)
            elif token == "e1":
                out += self._write_e1()
            elif token == "ekem1":
                out += self._write_ekem1()
            else:
                self._mix(token)
        return out

    def write_payload(self, payload: bytes) -> bytes:
        """The end of the message whose tokens were written."""
        return self.symmetric.encrypt_and_hash(payload)

    def read_tokens(self, message: bytes) -> bytes:
        """Read a message up to its payload; the rest that `read_payload` takes."""
        if len(message) > MAX_MESSAGE:
            raise NoiseError(f"{len(message)} bytes")
        rest = message
        for token in self._messages.pop(0):
            if token == "e":
                rest = self._read_e(rest)
            elif token == "s":
                self.rs, rest = self._read_encrypted(rest, DHLEN)
            elif token == "e1":
                self._re1, rest = self._read_encrypted(rest, sodium.MLKEM768_KEY_BYTES)
            elif token == "ekem1":
                rest = self._read_ekem1(rest)
            else:
                self._mix(token)
        return rest

    def read_payload(self, rest: bytes) -> bytes:
        """The payload of the message whose tokens were read."""
        return self.symmetric.decrypt_and_hash(rest)

    def split(self) -> tuple[CipherState, CipherState]:
        """Split(), after the last message; what the handshake's secrets were is forgotten."""
        if not self.finished:
            raise HandshakeError(f"split with {len(self._messages)} messages to come")
        pair = self.symmetric.split()
        self.symmetric.ck, self.symmetric.cipher = b"", CipherState()
        self.e = self._e1 = self._psk = None
        return pair

    # -- tokens --------------------------------------------------------------------------------------------------------

    def _write_e(self) -> bytes:
        self.e = KeyPair.of(self._random(DHLEN))
        self.symmetric.mix_hash(self.e.public)
        if self._psk_mode:
            self.symmetric.mix_key(self.e.public)  # section 9.2
        return self.e.public

    def _read_e(self, rest: bytes) -> bytes:
        self.re, rest = _cut(rest, DHLEN)
        self.symmetric.mix_hash(self.re)
        if self._psk_mode:
            self.symmetric.mix_key(self.re)  # section 9.2
        return rest

    def _read_encrypted(self, rest: bytes, length: int) -> tuple[bytes, bytes]:
        """`length` bytes, with a tag behind them if there is a key: as the token s is read (section 5.3)."""
        temp, rest = _cut(rest, length if self.symmetric.cipher.k is None else length + TAGLEN)
        return self.symmetric.decrypt_and_hash(temp), rest

    def _mix(self, token: str) -> None:
        """The tokens that send nothing: the four DHs (section 5.3) and psk (section 9.2)."""
        mine = self.initiator
        if token == "ee":
            self.symmetric.mix_key(dh(_there(self.e), _there(self.re)))
        elif token == "es":
            pair, public = (self.e, self.rs) if mine else (self.s, self.re)
            self.symmetric.mix_key(dh(_there(pair), _there(public)))
        elif token == "se":
            pair, public = (self.s, self.re) if mine else (self.e, self.rs)
            self.symmetric.mix_key(dh(_there(pair), _there(public)))
        elif token == "ss":
            self.symmetric.mix_key(dh(self.s, _there(self.rs)))
        else:
            self.symmetric.mix_key_and_hash(_there(self._psk))

    # GENERATE_KEM_KEYPAIR, GENERATE_KEM_CIPHERTEXT and KEM of the hfs extension, sections 3 and 4.

    def _write_e1(self) -> bytes:
        public, self._e1 = sodium.mlkem768_keys(self._random(sodium.MLKEM768_SEED_BYTES))
        return self.symmetric.encrypt_and_hash(public)

    def _write_ekem1(self) -> bytes:
        made = sodium.mlkem768_encapsulate(_there(self._re1), self._random(KEYLEN))
        if made is None:
            raise NoiseError("an encapsulation key that is none")
        ciphertext, kem_output = made
        out = self.symmetric.encrypt_and_hash(ciphertext)
        self.symmetric.mix_key(kem_output)
        return out

    def _read_ekem1(self, rest: bytes) -> bytes:
        ciphertext, rest = self._read_encrypted(rest, sodium.MLKEM768_CIPHERTEXT_BYTES)
        self.symmetric.mix_key(sodium.mlkem768_decapsulate(_there(self._e1), ciphertext))
        return rest


def _cut(data: bytes, length: int) -> tuple[bytes, bytes]:
    if len(data) < length:
        raise NoiseError("a message that is cut short")
    return data[:length], data[length:]


def _there(value: _T | None) -> _T:
    """What a valid pattern has set before its token is met (sections 7.1 to 7.3)."""
    if value is None:
        raise HandshakeError("a token was met before what it needs; a psk, perhaps, that was not chosen")
    return value
