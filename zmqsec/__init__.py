"""zmqsec: message-based security for ZeroMQ (floor 12).

Messages are sealed by the sender and opened only by the endpoints, across any number of relays and in multicast::

    import zmq, zmqsec

    keys = zmqsec.Keyring([zmqsec.Association.load("orders.toml")])
    with zmqsec.Context(keyring=keys) as context:
        push = context.socket(zmq.PUSH, association="orders")
        push.connect("tcp://relay:5555")
        push.send(b"sealed before it leaves this process")

``zmqsec.backend`` says which implementation runs, ``"c"`` or ``"python"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import backend as _backend
from .admission import AdmissionKey
from .association import Association
from .context import Context, Poller
from .credential import Credential
from .errors import (
    AssociationError,
    BackendError,
    HandshakeError,
    IdentityError,
    KeyFileError,
    PartsError,
    Reason,
    Refusal,
    SequenceExhausted,
    SocketError,
    StreamError,
    SuiteError,
    ZmqsecError,
)
from .identity import Identity, PublicIdentity, verify, verify_many
from .keyring import Keyring
from .message import Message, Metadata
from .party import anyone
from .revocation import RevocationList
from .rights import Rights, Role
from .signer import Signer
from .socket import Socket
from .stats import Stats
from .suites import Suite, register_suite, suite_names
from .trust import Trust

__version__ = "0.1.0"

#: Which implementation runs: ``"c"`` or ``"python"``.
backend: str = _backend.name

if TYPE_CHECKING:  # the names and types of both are the same
    from .reference import Receiver, Session, open_many, seal_many
else:
    Receiver = _backend.implementation.Receiver
    Session = _backend.implementation.Session
    open_many = _backend.implementation.open_many
    seal_many = _backend.implementation.seal_many

__all__ = [
    "AdmissionKey",
    "Association",
    "AssociationError",
    "BackendError",
    "Context",
    "Credential",
    "HandshakeError",
    "Identity",
    "IdentityError",
    "KeyFileError",
    "Keyring",
    "Message",
    "Metadata",
    "PartsError",
    "Poller",
    "PublicIdentity",
    "Reason",
    "Receiver",
    "Refusal",
    "RevocationList",
    "Rights",
    "Role",
    "SequenceExhausted",
    "Session",
    "Signer",
    "Socket",
    "SocketError",
    "Stats",
    "StreamError",
    "Suite",
    "SuiteError",
    "Trust",
    "ZmqsecError",
    "anyone",
    "backend",
    "open_many",
    "register_suite",
    "seal_many",
    "suite_names",
    "verify",
    "verify_many",
]
