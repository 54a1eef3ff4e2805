"""What a leg's policy may say, and how its faults are told: file, line, key, and what is allowed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from zmqsec import Association, Identity
from zmqsec.errors import ConfigError
from zmqsec.relay.config import RelayConfig

ADMISSIONS = 'admissions = ["orders.admission.toml"]'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    key = Association.from_secret(bytes(range(32)), name="orders", spi=7)
    key.admission().save(tmp_path / "orders.admission.toml")
    key.admission().save(tmp_path / "again.admission.toml")
    key.save(tmp_path / "orders.toml")
    (tmp_path / "trust").mkdir()
    Identity.generate("alice").public.save(tmp_path / "trust" / "alice.toml")
    Identity.generate("edge").save(tmp_path / "edge.toml")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.toml").write_text('kind = "cat"\n')
    os.chmod(tmp_path / "bad" / "x.toml", 0o600)
    return tmp_path


def load(folder: Path, lines: str, pattern: str = "push-pull", relay: str = "", peers: str = "") -> RelayConfig:
    path = folder / "relay.toml"
    path.write_text(
        f'[relay]\n{relay}\n[peers]\n{peers}\n[[leg]]\nname = "one"\npattern = "{pattern}"\n{lines}\n'
        '[leg.front]\nbind = "tcp://*:1"\n[leg.back]\nbind = "tcp://*:2"\n'
    )
    return RelayConfig.load(path)


def test_policy_says_nothing_by_default(folder: Path) -> None:
    policy = load(folder, "").legs[0].policy
    assert (policy.check, policy.check_back, policy.admissions, policy.trust) == ("nothing", "nothing", (), None)


def test_policy_says_everything(folder: Path) -> None:
    lines = (
        f'check = "origin"\ncheck_back = "membership"\n{ADMISSIONS}\ntrust = "trust"\nhandshakes = true\nrate = 1000\n'
        "rate_bytes = 1e6\npeer_rate = 0.5\npeer_rate_bytes = 100\nattest = true\n"
        'envelopes = "signed"\nmax_message = 999'
    )
    policy = load(folder, lines, "router-dealer", 'identity = "edge.toml"').legs[0].policy
    assert (policy.check, policy.check_back, policy.handshakes, policy.max_message) == (
        "origin",
        "membership",
        True,
        999,
    )
    assert [key.spi for key in policy.admissions] == [7]
    assert policy.trust is not None and len(policy.trust.pins) == 1
    assert (policy.rate, policy.rate_bytes, policy.peer_rate) == ((1000, 1000), (1e6, 1e6), (0.5, 1))
    assert policy.attest and policy.sign_envelopes


def test_policy_back_is_asked_what_the_front_is(folder: Path) -> None:
    policy = load(folder, f'check = "membership"\n{ADMISSIONS}', "router-dealer").legs[0].policy
    assert policy.check_back == "membership"


def test_policy_topics_are_patterns(folder: Path) -> None:
    assert load(folder, 'topics = ["b", "a.*"]', "pub-sub").legs[0].policy.topics == (b"a.*", b"b")


@pytest.mark.parametrize(
    ("lines", "options", "told"),
    (
        ('check = "all"', {}, r"relay.toml:8: leg\[1\].check: 'all': one of nothing, membership, origin is allowed"),
        ('check = "membership"', {}, r"relay.toml:8: leg\[1\].check: membership is known by 'admissions'"),
        (ADMISSIONS, {}, r"relay.toml:8: leg\[1\].admissions: nothing is checked"),
        ('trust = "trust"', {}, r"relay.toml:8: leg\[1\].trust: nobody's origin is checked"),
        ('check = "origin"\ntrust = "bad"', {}, r"relay.toml:9: leg\[1\].trust: .*x.toml: kind = 'cat'"),
        ('check = "origin"\ntrust = "none"', {}, r"relay.toml:9: leg\[1\].trust: .*none is not a directory"),
        (
            'check = "membership"\nadmissions = "orders.toml"',
            {},
            r"relay.toml:9: leg\[1\].admissions: .*orders.toml holds an association, which opens bodies",
        ),
        (
            'check = "membership"\nadmissions = ["orders.admission.toml", "again.admission.toml"]',
            {},
            r"relay.toml:9: leg\[1\].admissions: 'again.admission.toml': the SPI 7 of a file before",
        ),
        ('topics = ["a"]', {}, r"relay.toml:8: leg\[1\].topics: a leg of pattern push-pull carries none"),
        ('topics = ["' + "a" * 256 + '"]', {"pattern": "pub-sub"}, r"relay.toml:8: leg\[1\].topics: .*at most 255"),
        ('envelopes = "signed"', {}, r"relay.toml:8: leg\[1\].envelopes: a leg of pattern push-pull has none"),
        (
            'envelopes = "signed"',
            {"pattern": "router-dealer"},
            r"relay.toml:8: leg\[1\].envelopes: relay.identity, which signs, must be there",
        ),
        ("attest = true", {}, r"relay.toml:8: leg\[1\].attest: relay.identity, which signs, must be there"),
        ("attest = 1", {}, r"relay.toml:8: leg\[1\].attest: 1: true or false is allowed"),
        ("rate = 0", {}, r"relay.toml:8: leg\[1\].rate: 0.0: 0.001 to 1e\+09 is allowed"),
        ('peer_rate = "fast"', {}, r"relay.toml:8: leg\[1\].peer_rate: 'fast': a number is allowed"),
        ("max_message = 63", {}, r"relay.toml:8: leg\[1\].max_message: 63: 64 to"),
        ('secret = "x"', {}, r"relay.toml:8: leg\[1\].secret: a relay holds no body keys"),
        ("", {"peers": "throttle_rate = -1"}, r"relay.toml:4: peers.throttle_rate: -1.0: 0.001 to"),
        ("", {"peers": "max_peers = 3"}, r"relay.toml:4: peers.max_peers: 3: 256 to"),
    ),
)
def test_policy_faults_are_told_with_line_and_key(folder: Path, lines: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(folder, lines, **options)
