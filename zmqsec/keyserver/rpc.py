"""Requests to a key server and their answers (floor 11): each one leaf of JSON in a message of its own.

A request is {"id": 32 hexadecimal digits, "op": text, "args": {...}}. An answer repeats the id and has "ok", an object,
or "error", {"code", "text"}. Who asks is whose message it is, never what it says. A request that comes again with the
same id gets the same answer and changes nothing twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .errors import BY_CODE, Invalid, KeyServerError

MAX_BYTES = 65536
ID_BYTES = 16
_MAX_OP = 64


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: an operation by name and its arguments."""

    id: bytes
    op: str
    args: dict[str, Any]

    def encode(self) -> bytes:
        """The leaf; Invalid if it is too long."""
        return _bounded({"id": self.id.hex(), "op": self.op, "args": self.args})

    @classmethod
    def decode(cls, leaf: bytes) -> Request:
        """Invalid for what is no request."""
        said = _object(leaf)
        op, args = said.get("op"), said.get("args")
        if set(said) != {"id", "op", "args"} or not isinstance(op, str) or not isinstance(args, dict):
            raise Invalid("a request has id, op and args, and nothing else")
        if len(op) > _MAX_OP:
            raise Invalid(f"an operation of {len(op)} characters; at most {_MAX_OP} are allowed")
        return cls(_id(said["id"]), op, args)


def encode_ok(request: bytes, found: dict[str, Any]) -> bytes:
    """The leaf of an answer; an error instead if it is too long."""
    try:
        return _bounded({"id": request.hex(), "ok": found})
    except Invalid as error:
        return encode_error(request, error)


def encode_error(request: bytes, error: KeyServerError) -> bytes:
    """The leaf of an answer that says what is wrong."""
    return _bounded({"id": request.hex(), "error": {"code": error.code, "text": str(error)[:4096]}})


def is_ok(leaf: bytes) -> bool:
    """Whether an answer that was encoded here says that all is well."""
    return leaf.startswith(b'"ok":', len('{"id":"",') + 2 * ID_BYTES)


def decode_answer(leaf: bytes) -> tuple[bytes, dict[str, Any] | KeyServerError]:
    """Which request it answers, and what it says; Invalid for what is no answer."""
    said = _object(leaf)
    found, error = said.get("ok"), said.get("error")
    if isinstance(found, dict):
        return _id(said.get("id")), found
    if isinstance(error, dict):
        kind = BY_CODE.get(str(error.get("code")), KeyServerError)
        return _id(said.get("id")), kind(str(error.get("text")))
    raise Invalid("an answer has ok or error")


def _bounded(said: dict[str, Any]) -> bytes:
    leaf = json.dumps(said, separators=(",", ":")).encode("utf-8")
    if len(leaf) > MAX_BYTES:
        raise Invalid(f"{len(leaf)} bytes in one message; at most {MAX_BYTES} are allowed")
    return leaf


def _object(leaf: bytes) -> dict[str, Any]:
    if len(leaf) > MAX_BYTES:
        raise Invalid(f"{len(leaf)} bytes in one message; at most {MAX_BYTES} are allowed")
    try:
        said = json.loads(leaf)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"no JSON: {error}") from None
    if not isinstance(said, dict):
        raise Invalid("no JSON object")
    return said


def _id(text: object) -> bytes:
    try:
        found = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        found = b""
    if len(found) != ID_BYTES:
        raise Invalid(f"id {text!r}: {2 * ID_BYTES} hexadecimal digits are allowed")
    return found
