"""keys.json and parts.json: every derivation, and parts by themselves."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

from cases import RANDOM, Vector
from helpers import hchacha20, session_id
from json_forms import message_to

from zmqsec import reference, sodium
from zmqsec.message import Message, Metadata
from zmqsec.parts import encode_parts


def key_vectors() -> Iterator[Vector]:
    for name, secret in (("counting", bytes(range(32))), ("ones", b"\xff" * 32), ("one-bit", b"\x01" + bytes(31))):
        spi = reference.derive_spi(secret)
        for suite in (1, 2, 3, 200):
            key = reference.derive_suite_key(secret, suite, spi)
            input_16 = spi.to_bytes(4, "little") + session_id(random=RANDOM)
            if suite in (1, 200):  # 200 is the cipher of suite 1
                subkeys = {"hchacha20_key": hchacha20(key, input_16).hex()}
            if suite == 2:
                subkeys = {"aes256gcm_key": sodium.blake2b(key, b"zmqsec.aes256gcm", input_16).hex()}
            if suite == 3:
                subkeys = {
                    "aes256ctr_key": hmac.digest(key, b"zmqsec.aes256ctr" + input_16, hashlib.sha256).hex(),
                    "hmacsha256_key": hmac.digest(key, b"zmqsec.hmacsha256" + input_16, hashlib.sha256).hex(),
                }
            yield {
                "name": f"{name}-suite-{suite}",
                "purpose": "default SPI of a secret, and the key of one suite under it",
                "secret": secret.hex(),
                "default_spi": spi,
                "suite": suite,
                "suite_key": key.hex(),
                "bytes_8_to_24": input_16.hex(),
                **subkeys,
            }


def part_vectors() -> Iterator[Vector]:
    def vector(name: str, purpose: str, parts: list[Any]) -> Vector:
        form = message_to(Message(body=parts))["body"]
        return {"name": name, "purpose": purpose, "parts": form, "encoded": encode_parts(parts).hex()}

    yield vector("none", "no parts, no bytes", [])
    yield vector("leaf-empty", "an empty leaf", [b""])
    yield vector("leaf", "a leaf", [b"hello"])
    yield vector("list-empty", "an empty list", [[]])
    yield vector("list", "a list of two leaves", [[b"a", b"bc"]])
    yield vector("metadata-ignorable", "metadata that may be ignored", [Metadata("from", b"alice")])
    yield vector("metadata-critical", "metadata that must be understood", [Metadata("topic", b"t", True)])
    yield vector("all-types", "all four types", [b"a", [b"b", [b""]], Metadata("é", b"\0"), Metadata("x", b"", True)])
    yield vector("leaf-300", "a length of more than one byte", [bytes(300)])
