"""The forms that messages, parts and receivers have in the JSON files of test vectors; see README.md there."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

from helpers import FakeAssociation, FakeClock

from zmqsec.identity import PublicIdentity
from zmqsec.message import Message, Metadata
from zmqsec.rights import PINNED, Role
from zmqsec.trust import Trust


def part_to(one: Any) -> Any:
    if isinstance(one, (list, tuple)):
        return [part_to(inner) for inner in one]
    if isinstance(one, Metadata):
        return {"name": one.name, "value": one.value.hex(), "critical": one.critical}
    return bytes(one).hex()


def part_from(form: Any) -> Any:
    if isinstance(form, list):
        return [part_from(inner) for inner in form]
    if isinstance(form, str):
        return bytes.fromhex(form)
    if "fill" in form:
        return bytes.fromhex(form["fill"]) * form["times"]
    return Metadata(form["name"], bytes.fromhex(form["value"]), form["critical"])


def message_to(message: Message) -> dict[str, Any]:
    """Fields that have their default are left out."""
    form: dict[str, Any] = {"body": part_to(message.body)}
    if message.header:
        form["header"] = part_to(message.header)
    if message.metadata:
        form["metadata"] = [
            part_to(value if isinstance(value, Metadata) else Metadata(name, value))
            for name, value in message.metadata.items()
        ]
    if message.topic is not None:
        form["topic"] = message.topic.hex()
    if message.kind:
        form["kind"] = message.kind
    if message.protect != "sealed":
        form["protect"] = message.protect
    return form


def message_from(form: dict[str, Any]) -> Message:
    metadata: dict[str, bytes | Metadata] = {}
    for one in map(part_from, form.get("metadata", [])):
        metadata[one.name] = one if one.critical else one.value
    return Message(
        body=part_from(form["body"]),
        header=part_from(form.get("header", [])),
        metadata=metadata,
        protect=form.get("protect", "sealed"),
        kind=form.get("kind", 0),
        topic=bytes.fromhex(form["topic"]) if "topic" in form else None,
    )


def association_from(form: dict[str, Any]) -> FakeAssociation:
    hops = tuple(bytes.fromhex(key) for key in form.get("hops", ()))
    return FakeAssociation(**{**form, "secret": bytes.fromhex(form["secret"]), "hops": hops})


def receiver_from(implementation: ModuleType, vector: dict[str, Any], forms: list[Any]) -> tuple[Any, FakeClock]:
    """A receiver that began when the vector says, and its clock."""
    options = dict(vector["receiver"])
    clock = FakeClock(options.pop("began"))
    return implementation.Receiver(map(association_from, forms), clock=clock, **options), clock


def trust_from(form: dict[str, Any]) -> Trust:
    """A trust that has these pinned and blocked."""
    trust = Trust()
    for one in form["pinned"]:
        trust.pin(PublicIdentity(bytes.fromhex(one["public"])), replace(PINNED, roles=Role.of(one["roles"])))
    for key in form["blocked"]:
        trust.block(bytes.fromhex(key))
    return trust


def attested_from(implementation: ModuleType, vector: dict[str, Any], copy: bool = True) -> Any:
    """What a receiver gives for the message of a vector with attestations."""
    options = dict(vector["receiver"])
    clock = FakeClock(options.pop("began"))
    if "me" in options:
        options["me"] = bytes.fromhex(options["me"])
    receiver = implementation.Receiver(
        [association_from(vector["association"])], clock=clock, trust=trust_from(vector["trust"]), **options
    )
    clock.now = vector["now"]
    topic = None if vector["topic"] is None else bytes.fromhex(vector["topic"])
    route = [bytes.fromhex(frame) for frame in vector["route"]]
    frame = bytearray.fromhex(vector["frame"])
    (opened,) = implementation.open_many([frame], receiver, topics=[topic], routes=[route], copy=copy)
    return opened


def frame_from(vector: dict[str, Any]) -> bytes:
    """A frame in hexadecimal, or a prefix that is filled up to a length."""
    frame = vector["frame"]
    if isinstance(frame, str):
        return bytes.fromhex(frame)
    prefix = bytes.fromhex(frame["prefix"])
    return prefix + bytes.fromhex(frame["fill"]) * (frame["length"] - len(prefix))
