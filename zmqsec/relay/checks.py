"""The tables that a leg's lanes ask in C, and what its configuration makes of them (floor 11).

Tables outlive configurations: what was counted, learned and signed stays when a configuration is read anew. All of it
belongs to the loop's thread; only rules are made on another one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .. import limits
from .._attest import Attester
from .._policy import Admissions, Envelopes, Grants, Peers, Policy, Rules
from ..identity import Identity, fingerprint, fingerprint_bytes
from .blocks import Entry
from .config import LegConfig, RelayConfig
from .peers import Observation, PeerKey
from .policy import CHECKS, Rate

_LAYOUTS = {
    "pub-sub": limits.LAYOUT_TOPIC,
    "push-pull": limits.LAYOUT_PLAIN,
    "router-dealer": limits.LAYOUT_ENVELOPE,
}
_IDENTITY, _CONNECTION, _ROUTING_ID, _NETWORK = range(4)  # subjects of Rules
_ALLOWED, _TURNED_AWAY = 1, 2
_ADDRESS_BITS = 128
_V4_BITS = _ADDRESS_BITS - 32


@dataclass(frozen=True, slots=True)
class Means:
    """What all legs share: who signs, under which name, and what peers may cost."""

    identity: Identity | None
    name: bytes
    max_peers: int
    throttle_rate: Rate
    throttle_rate_bytes: Rate

    @classmethod
    def of(cls, config: RelayConfig, identity: Identity | None) -> Means:
        """Those of a configuration."""
        return cls(identity, config.name.encode(), config.max_peers, config.throttle_rate, config.throttle_rate_bytes)


class Checks:
    """What one leg asks, in both directions; its peers are counted by the side that they are on."""

    def __init__(self, leg: LegConfig, means: Means) -> None:
        self._leg, self._means = leg, means
        self._peers = (Peers(means.max_peers), Peers(means.max_peers))
        self._envelopes: Envelopes | None = None
        if leg.policy.sign_envelopes and means.identity is not None:
            self._envelopes = Envelopes(means.identity, means.max_peers)
        self._grants: Grants | None = None
        self._are_ruled = False
        #: Whether to count peers though nothing else asks for it.
        self.counts_peers = False
        self.follow(leg, means)

    def follow(self, leg: LegConfig, means: Means) -> None:
        """Another configuration; `policies` gives what follows from it."""
        self._leg, self._means = leg, means
        trust = leg.policy.trust
        self._grants = None if trust is None else Grants(trust, self._grants)

    def rule(self, rules: Rules, throttled: Rules, are_some: bool) -> None:
        """Turn these away and slow those down from now on; without any, peers may not have to be told apart."""
        for peers in self._peers:
            peers.rule(rules, throttled)
        if self._envelopes is not None:
            self._envelopes.rule(self._peers[0])
        self._are_ruled = are_some

    def take(self, most: int) -> list[tuple[str, bytes, bytes, int, int, dict[str, int]]]:
        """What was counted since it was taken last, of at most so many peers on each side."""
        return [one for peers in self._peers for one in peers.take(most)]

    def policies(self) -> tuple[Policy, Policy]:
        """What is asked of what comes in front, and of what comes back."""
        policy = self._leg.policy
        out = self._asked(policy.check, 0)
        out |= {"topics": policy.topics, "names_peers": self._leg.pattern == "router-dealer", "sign": self._envelopes}
        out |= {"peer_messages": policy.peer_rate, "peer_bytes": policy.peer_rate_bytes}
        looks = policy.check != CHECKS[0] or policy.topics is not None
        limits_peers = policy.peer_rate is not None or policy.peer_rate_bytes is not None
        if looks or limits_peers or self._are_ruled or self.counts_peers:
            out["peers"] = self._peers[0]
        back = self._asked(policy.check_back, 1)
        back |= {"open": self._envelopes}
        if self._leg.pattern == "pub-sub":
            back = {"check": back["check"], "subscriptions": True}
        if policy.check_back != CHECKS[0] or self._are_ruled:
            back |= {"peers": self._peers[1], **self._throttles()}
        return Policy(**out), Policy(**back)

    def _throttles(self) -> dict[str, Any]:
        means = self._means
        return {"throttled_messages": means.throttle_rate, "throttled_bytes": means.throttle_rate_bytes}

    def _asked(self, check: str, way: int) -> dict[str, Any]:
        policy, means = self._leg.policy, self._means
        hop = None
        if policy.attest and means.identity is not None:
            hop = Attester(means.identity, None, means.name)
        checks = check != CHECKS[0]
        return {
            "check": CHECKS.index(check),
            "layout": _LAYOUTS[self._leg.pattern],
            "handshakes": policy.handshakes,
            "max_message": policy.max_message if checks else 0,
            "messages": policy.rate,
            "bytes": policy.rate_bytes,
            "admissions": self._admissions() if checks else None,
            "grants": self._grants if check == CHECKS[2] or way == 1 else None,
            "hop": hop,
            **self._throttles(),
        }

    def _admissions(self) -> Admissions | None:
        return Admissions(self._leg.policy.admissions) if self._leg.policy.admissions else None


# -- from the ledger and to it ----------------------------------------------------------------------------------------


def observation(taken: tuple[str, bytes, bytes, int, int, dict[str, int]]) -> Observation:
    """What a table counted of one peer, as the ledger takes it."""
    address, routing_id, key, forwarded, _, refused = taken
    if key:
        return Observation("", identity=key.hex(), forwarded=forwarded, signed_refused=refused)
    return Observation(address, routing_id, forwarded=forwarded, refused=refused)


def rules_of(entries: Iterable[Entry], now: float) -> Rules:
    """The lines that are in force, as the loop asks them."""
    found: dict[tuple[int, bytes, int], list[int]] = {}
    for entry in entries:
        if entry.in_force(now):
            decisions = found.setdefault(_subject(entry), [0, 0])
            decisions[entry.origin == "relay"] = _TURNED_AWAY if entry.decision == "block" else _ALLOWED
    return _made(found)


def throttled_of(keys: Iterable[PeerKey], entries: Iterable[Entry], now: float) -> Rules:
    """Whom to slow down; whom an operator lets pass is not slowed down either."""
    found: dict[tuple[int, bytes, int], list[int]] = {}
    for key in keys:
        subject = _subject_of_key(key)
        if subject is not None:
            found.setdefault(subject, [0, 0])[1] = _TURNED_AWAY
    for entry in entries:
        if entry.origin == "operator" and entry.decision == "allow" and entry.in_force(now):
            found.setdefault(_subject(entry), [0, 0])[0] = _ALLOWED
    return _made(found)


def _made(found: dict[tuple[int, bytes, int], list[int]]) -> Rules:
    return Rules((*subject, by_operator, by_relay) for subject, (by_operator, by_relay) in found.items())


def _subject(entry: Entry) -> tuple[int, bytes, int]:
    if entry.kind == "identity":
        return _IDENTITY, fingerprint_bytes(entry.value), 0
    if entry.kind == "routing-id":
        return _ROUTING_ID, bytes.fromhex(entry.value), 0
    network = ipaddress.ip_network(entry.value)
    bits = network.prefixlen + (_V4_BITS if network.version == 4 else 0)
    return _NETWORK, _mapped(network.network_address), bits


def _subject_of_key(key: PeerKey) -> tuple[int, bytes, int] | None:
    if key.kind == "identity":
        return _IDENTITY, fingerprint(bytes.fromhex(key.value)), 0
    routing_id, _, text = key.value.rpartition("@")
    try:
        address = _mapped(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None  # a peer over ipc or inproc
    if key.kind == "routing-id":
        return _CONNECTION, address + bytes.fromhex(routing_id), 0
    return _NETWORK, address, _ADDRESS_BITS


def _mapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    """16 bytes; IPv4 as IPv6 maps it."""
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed
