"""identities.json: public keys, fingerprints, and seeds under a passphrase."""

from __future__ import annotations

from collections.abc import Iterator

from cases import Vector

from zmqsec import sodium
from zmqsec.identity import Identity, seed_binding


def identity_vectors() -> Iterator[Vector]:
    for name, seed, called in (
        ("counting", bytes(range(32)), "alice"),
        ("rfc8032-1", bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"), ""),
        ("unicode", b"\xff" * 32, "日本"),
    ):
        one = Identity.from_seed(seed, called)
        salt, nonce, passphrase, operations, memory = bytes(range(16)), bytes(range(24)), "pässword", 2, 65536
        key = sodium.argon2id(passphrase.encode(), salt, operations, memory)
        assert key is not None
        bound = seed_binding(one.public, salt, operations, memory)
        yield {
            "name": name,
            "purpose": "the public key and fingerprint of a seed, and the seed under a passphrase",
            "seed": seed.hex(),
            "called": called,
            "public": one.key.hex(),
            "fingerprint": one.fingerprint.hex(),
            "text": str(one),
            "passphrase": passphrase,
            "operations": operations,
            "memory": memory,
            "salt": salt.hex(),
            "nonce": nonce.hex(),
            "sealed_seed": sodium.xchacha20poly1305_seal(key, nonce, bound, seed).hex(),
        }
