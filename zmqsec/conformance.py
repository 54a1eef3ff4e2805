"""The conformance kit: what a suite must show before it may protect anything (floor 8)."""

from __future__ import annotations

from collections.abc import Iterator

from . import limits, sodium
from .errors import SuiteError
from .suites import Suite

_LENGTHS = (0, 1, 15, 16, 17, 31, 32, 63, 64, 65, 127, 128, 129, 255, 256, 1000, 4096, 65537)
_FLIPPED_LENGTHS = (0, 1, 33)
_NONCE_BYTES = 24


def check_suite(suite: Suite) -> None:
    """Raise SuiteError, naming the check, unless `suite` behaves as an authenticated cipher.

    Checked: a number and a name; round trips at many lengths; honest lengths; determinism; every one-bit change of
    ciphertext, tag, associated data, nonce and key refused, as are truncation and extension, with None and nothing
    else; a ciphertext that depends on key and nonce and does not show the plaintext; arguments left as they were.
    """
    if not isinstance(getattr(suite, "number", None), int) or not isinstance(getattr(suite, "name", None), str):
        raise SuiteError(f"suite {suite!r} needs an int `number` and a str `name`")
    for check in (_round_trips, _keeps_secrets, _depends_on_key_and_nonce, _refuses_changes, _refuses_other_lengths):
        check(suite)


def _fail(suite: Suite, what: str) -> SuiteError:
    return SuiteError(f"suite {suite.name!r} ({suite.number}) fails the conformance kit: {what}")


def _seal(suite: Suite, key: bytes, nonce: bytes, ad: bytes, plaintext: bytes) -> bytes:
    try:
        sealed = suite.seal(key, nonce, ad, plaintext)
    except Exception as error:
        raise _fail(suite, f"seal raised {error!r}") from error
    if not isinstance(sealed, bytes):
        raise _fail(suite, f"seal gave {type(sealed).__name__}, bytes are needed")
    if len(sealed) != len(plaintext) + limits.TAG_BYTES:
        raise _fail(suite, f"length: {len(plaintext)} bytes sealed to {len(sealed)}, not {limits.TAG_BYTES} more")
    return sealed


def _refused(suite: Suite, what: str, key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> None:
    try:
        opened = suite.open(key, nonce, ad, sealed)
    except Exception as error:
        raise _fail(suite, f"{what}: open raised {error!r}, None is needed") from error
    if opened is not None:
        raise _fail(suite, f"{what}: accepted, and gave {opened!r:.60}")


def _material() -> tuple[bytes, bytes, bytes]:
    return sodium.random_bytes(limits.KEY_BYTES), sodium.random_bytes(_NONCE_BYTES), sodium.random_bytes(44)


def _round_trips(suite: Suite) -> None:
    for length in _LENGTHS:
        for ad_length in (0, 1, 32, 100):
            key, nonce, _ = _material()
            ad, plaintext = sodium.random_bytes(ad_length), sodium.random_bytes(length)
            sealed = _seal(suite, key, nonce, ad, plaintext)
            try:
                opened = suite.open(key, nonce, ad, sealed)
            except Exception as error:
                raise _fail(suite, f"round trip: open raised {error!r}") from error
            if opened is not None and not isinstance(opened, bytes):
                raise _fail(suite, f"open gave {type(opened).__name__}, bytes are needed")
            if opened != plaintext:
                raise _fail(suite, f"round trip: {length} bytes with {ad_length} of associated data")
            if _seal(suite, key, nonce, ad, plaintext) != sealed:
                raise _fail(suite, "determinism: two seals of the same inputs differ")


def _keeps_secrets(suite: Suite) -> None:
    for plaintext in (bytes(4096), bytes(range(256)) * 16):
        key, nonce, ad = _material()
        sealed = _seal(suite, key, nonce, ad, plaintext)
        windows = {plaintext[i : i + 8] for i in range(256)}
        if any(sealed[i : i + 8] in windows for i in range(len(sealed) - 8)):
            raise _fail(suite, "secrecy: the ciphertext shows the plaintext")
        blocks = [sealed[i : i + 16] for i in range(0, 4096, 16)]
        if len(set(blocks)) != len(blocks):
            raise _fail(suite, "secrecy: equal blocks of plaintext give equal blocks of ciphertext")


def _depends_on_key_and_nonce(suite: Suite) -> None:
    plaintext = sodium.random_bytes(64)
    key, nonce, ad = _material()
    sealed = _seal(suite, key, nonce, ad, plaintext)
    for name, one, size in (("key", key, limits.KEY_BYTES), ("nonce", nonce, _NONCE_BYTES)):
        for changed in _flips(one):
            other = (
                _seal(suite, changed, nonce, ad, plaintext)
                if size == limits.KEY_BYTES
                else _seal(suite, key, changed, ad, plaintext)
            )
            if other[:64] == sealed[:64]:
                raise _fail(suite, f"{name} sensitivity: a changed bit leaves the ciphertext as it was")


def _flips(data: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def _refuses_changes(suite: Suite) -> None:
    for length in _FLIPPED_LENGTHS:
        key, nonce, ad = _material()
        sealed = _seal(suite, key, nonce, ad, sodium.random_bytes(length))
        for changed in _flips(sealed):
            _refused(suite, "a flipped bit of ciphertext or tag", key, nonce, ad, changed)
        for changed in _flips(ad):
            _refused(suite, "a flipped bit of associated data", key, nonce, changed, sealed)
        for changed in _flips(nonce):
            _refused(suite, "a flipped bit of the nonce", key, changed, ad, sealed)
        for changed in _flips(key):
            _refused(suite, "a flipped bit of the key", changed, nonce, ad, sealed)


def _refuses_other_lengths(suite: Suite) -> None:
    key, nonce, ad = _material()
    sealed = _seal(suite, key, nonce, ad, sodium.random_bytes(40))
    for length in range(len(sealed)):
        _refused(suite, f"a sealed message cut to {length} bytes", key, nonce, ad, sealed[:length])
    _refused(suite, "a sealed message with a byte more", key, nonce, ad, sealed + b"\0")
    _refused(suite, "associated data cut short", key, nonce, ad[:-1], sealed)
    _refused(suite, "associated data with a byte more", key, nonce, ad + b"\0", sealed)
    _refused(suite, "a byte moved from the ciphertext to the associated data", key, nonce, ad + sealed[:1], sealed[1:])
