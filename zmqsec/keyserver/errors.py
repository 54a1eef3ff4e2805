"""What goes wrong at a key server (floor 11), each with the word by which the other end knows it."""

from __future__ import annotations

from ..errors import ZmqsecError


class KeyServerError(ZmqsecError, RuntimeError):
    """A request that a key server does not carry out, or an answer that does not come."""

    code = "failed"


class NotAllowed(KeyServerError):
    """Who asks may not do this, or is nobody that the realm knows."""

    code = "not-allowed"


class Unknown(KeyServerError):
    """There is no member, group or token of that name."""

    code = "unknown"


class Conflict(KeyServerError):
    """The name is taken, or what was asked contradicts what is there."""

    code = "conflict"


class Invalid(KeyServerError, ValueError):
    """A value is not among those that are allowed."""

    code = "invalid"


class StoreError(KeyServerError):
    """The database cannot be used: full, damaged, locked, gone, or another one than was meant."""

    code = "store"


class Unavailable(KeyServerError):
    """No key server has answered in time."""

    code = "unavailable"


BY_CODE: dict[str, type[KeyServerError]] = {
    one.code: one for one in (KeyServerError, NotAllowed, Unknown, Conflict, Invalid, StoreError, Unavailable)
}
