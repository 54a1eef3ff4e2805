"""The handshake as Horn clauses: what its parties send when they are sent something, and what an attacker makes of it.

The tokens of each message come from zmqsec.noise.pattern, so the model runs the patterns that the code runs; prologue,
statements and confirmations are written out below after "Handshake" in spec.md. What is and is not modelled: README.md.

Honest parties are a and b, who play both roles, also with themselves; c is the attacker's own. Who a session is with,
its offers and its number are arguments of the names of its secrets, so any number of sessions runs at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from horn import Theory, term

from zmqsec.noise_pattern import Pattern, pattern

HONEST = ("a", "b")
EVERYONE = ("a", "b", "c")
NOBODY = "nobody"
#: `t` is the session that a property speaks of, `u` all others with the same parties and offers.
TARGET, OTHERS = "t", "u"


@dataclass(frozen=True)
class Mode:
    """A Noise pattern with its modifiers."""

    base: str
    kem: bool = False
    psk: bool = False

    @property
    def pattern(self) -> Pattern:
        place = {"IK": 2, "XX": 3}[self.base] if self.psk else None
        return pattern(self.base, place, self.kem)

    @property
    def name(self) -> str:
        """As a constant: ik, xxhfs, ikpsk2..."""
        return self.pattern.name.lower().replace("+", "")

    @property
    def hybrid(self) -> str:
        """What its opening's offer says of the hybrid mode."""
        return "on" if self.kem else "off"


@dataclass(frozen=True)
class Values:
    """All that a handshake is made of: exponents of four key pairs, the KEM's secrets, names, offers, token."""

    address: str
    offer_i: str
    offer_r: str
    ei: str
    er: str
    si: str
    sr: str
    seed: str
    random: str
    id_i: str
    id_r: str
    lost: str


@dataclass
class Transcript:
    """The messages of a handshake with these values, the chaining key and the hash that stand at its end.

    A hash has one name per place in a pattern, and what was mixed in so far as arguments: it is injective. `key` serves
    as ck and as the key that comes with it; who has no ck has no such key, and nobody gives one away without the other.
    """

    mode: Mode
    values: Values
    left_out: bool = False
    flaws: frozenset[str] = frozenset()
    messages: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key, self._keyed = f"name_{self.mode.name}", False
        self._place, self._branch, self._mixed = 0, "", list[str]()
        v = self.values
        self._mix_hash(v.address, *([] if "offer-not-in-prologue" in self.flaws else [v.offer_i]))
        if self.mode.pattern.knows_responder:
            self._mix_hash(v.sr)
        for number, tokens in enumerate(self.mode.pattern.messages):
            self._message(number, tokens)
        if self.mode.base == "IK":
            self.messages.append([term("enc", term("confirm", self.key, "i"), self.hash, "empty")])
        self.messages.append([term("enc", term("confirm", self.key, "r"), self.hash, "empty")])

    @property
    def hash(self) -> str:
        """h, as it stands now."""
        return term(f"hash_{self.mode.name}_{self._place}{self._branch}", *self._mixed)

    @property
    def secrets(self) -> str:
        """What both directions' keys come from: Split() and h."""
        return term("pair", self.key, self.hash)

    def _mix_hash(self, *what: str) -> None:
        self._place += 1
        self._mixed += what

    def _mix_key(self, what: str) -> None:
        self.key, self._keyed = term("chain", self.key, what), True

    def _seal(self, text: str, *what: str) -> str:
        """EncryptAndHash; the hash of a ciphertext is one of all that it was made from."""
        sealed = term("enc", self.key, self.hash, text) if self._keyed else text
        self._mix_hash(*what)
        return sealed

    def _message(self, number: int, tokens: tuple[str, ...]) -> None:
        v, by_initiator = self.values, number % 2 == 0
        ephemeral, static = (v.ei, v.si) if by_initiator else (v.er, v.sr)
        message: list[str] = []
        for token in tokens:
            if token == "e":
                message.append(term("g", ephemeral))
                self._mix_hash(ephemeral)
                if self.mode.psk:
                    self._mix_key(term("g", ephemeral))
            elif token == "s":
                message.append(self._seal(term("g", static), static))
            elif token == "e1":
                message.append(self._seal(term("kem_public", v.seed), v.seed))
            elif token == "ekem1":
                if self.left_out:
                    self._branch = "_without"
                else:
                    message.append(self._seal(term("kem_text", v.seed, v.random), v.random))
                    if "kem-not-mixed" not in self.flaws:
                        self._mix_key(term("kem_secret", v.seed, v.random))
            elif token == "psk":
                self._mix_key("psk")
                self._mix_hash("psk")
            elif not ("no-ee" in self.flaws and token == "ee"):
                # dh(x, y): x the initiator's, y the responder's; README says why no equation is needed.
                pairs = {"ee": (v.ei, v.er), "es": (v.ei, v.sr), "se": (v.si, v.er), "ss": (v.si, v.sr)}
                self._mix_key(term("dh", *pairs[token]))
        if number > 0 or self.mode.base == "IK":
            message.append(self._state(by_initiator, static))
        self.messages.append(message)

    def _state(self, by_initiator: bool, static: str) -> str:
        """A payload: what the party says, signed with the place in the handshake at which it says so."""
        v = self.values
        role, name, front = "role_r", v.id_r, (v.offer_r, v.lost)
        if by_initiator:
            role, name, front = "role_i", v.id_i, ("none", "none")
        bound = ("none", "none") if "signature-without-handshake" in self.flaws else (self.hash, static)
        signature = term("sign", name, term("said", role, *bound, *front, name))
        if "signature-removed" in self.flaws:
            signature = "none"
        return self._seal(term("statement", *front, name, signature), name, *front)


@dataclass(frozen=True)
class Scene:
    """Which handshakes run, with which flaws, and whose long-term keys the attacker has from the beginning."""

    modes: tuple[Mode, ...]
    flaws: frozenset[str] = frozenset()
    #: Terms: static(a), identity(b)...
    stolen: frozenset[str] = frozenset()
    #: Parties that have the hybrid mode switched off.
    without_kem: frozenset[str] = frozenset()


def static(party: str) -> str:
    """The exponent of a party's static key."""
    return term("static", party)


def offer(hybrid: str, rest: str) -> str:
    """An offer: what it says of the hybrid mode, and all the rest of it (SPI, suites)."""
    return term("offer", hybrid, rest)


def _name(function: str, mode: Mode, *of: str) -> str:
    return term(f"{function}_{mode.name}", *of)


# -- the initiator -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class InitiatorRun:
    """One way to run an initiator: `peer` is whom it means, or NOBODY for whoever answers."""

    mode: Mode
    me: str
    peer: str
    number: str
    rest: str = "o1"

    @property
    def ephemeral(self) -> str:
        return _name("ei", self.mode, self.me, self.peer, self.number, self.rest)

    def values(self, scene: Scene) -> Values:
        """What it knows, and variables for what it takes from the answer."""
        knows = self.mode.base == "IK" and self.peer in HONEST
        named = self.peer != NOBODY and "fingerprint-not-checked" not in scene.flaws
        return Values(
            address=self.peer,
            offer_i=offer(self.mode.hybrid, self.rest),
            offer_r=offer("Hybrid", "Rest"),
            ei=self.ephemeral,
            er="Er",
            si=static(self.me),
            sr=static(self.peer) if knows else "Sr",
            seed=term("seed", self.ephemeral),
            random="Random",
            id_i=self.me,
            id_r=self.peer if named else "Peer",
            lost="Lost",
        )


def initiators(scene: Scene) -> Iterator[InitiatorRun]:
    """All that run."""
    for mode in scene.modes:
        for me in HONEST:
            for peer in (*EVERYONE, *([NOBODY] if mode.base == "XX" else [])):
                yield InitiatorRun(mode, me, peer, OTHERS)
                if me == "a" and peer in ("b", NOBODY):
                    yield InitiatorRun(mode, me, peer, TARGET)
                    yield InitiatorRun(mode, me, peer, OTHERS, "o2")


def knows_peer(values: Values) -> list[str]:
    """IK with the attacker's own identity: any public key whatever may be taken for its static one."""
    return [term("att", term("g", values.sr))] if values.sr == "Sr" else []


def opens(theory: Theory, scene: Scene, run: InitiatorRun) -> None:
    """The opening."""
    values = run.values(scene)
    before = knows_peer(values) if run.mode.base == "IK" else []
    theory.rule(before, *map(_att, Transcript(run.mode, values, flaws=scene.flaws).messages[0]))


def finishes(theory: Theory, scene: Scene, run: InitiatorRun, values: Values, *when: str) -> None:
    """What an answer leads to, with or without the KEM as both offers say."""
    for left_out in (False, True) if run.mode.kem else (False,):
        chosen = values
        if run.mode.kem:
            hybrid = "off" if left_out else "on"
            chosen = replace(values, offer_r=values.offer_r.replace("Hybrid", hybrid))
            if not chosen.offer_r.startswith(f"offer({hybrid},"):
                continue
        made = Transcript(run.mode, chosen, left_out, scene.flaws)
        body = [*when, *(knows_peer(values) if run.mode.base == "IK" else []), *map(_att, made.messages[1])]
        theory.rule(body, *map(_att, made.messages[2]), completed("i", run.me, chosen, made, left_out))


# -- the responder -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ResponderRun:
    """One way to run a responder: `address` is by which fingerprint it was called, its own or NOBODY."""

    mode: Mode
    me: str
    address: str
    number: str
    rest: str = "p1"

    @property
    def ephemeral(self) -> str:
        return _name("er", self.mode, self.me, self.address, self.number, self.rest)

    def left_out(self, scene: Scene) -> bool:
        return self.mode.kem and self.me in scene.without_kem

    def values(self, scene: Scene) -> Values:
        """What it knows, and variables for what it takes from the initiator."""
        return Values(
            address=self.address,
            offer_i=offer(self.mode.hybrid, "Rest"),
            offer_r=offer("off" if self.me in scene.without_kem else "on", self.rest),
            ei="Ei",
            er=self.ephemeral,
            si="Si",
            sr=static(self.me),
            seed="Seed",
            random=term("random", self.ephemeral),
            id_i="Peer",
            id_r=self.me,
            lost=term("lost", "Ei", self.ephemeral),
        )


def responders(scene: Scene) -> Iterator[ResponderRun]:
    """All that run; each answers who names it and who names nobody."""
    for mode in scene.modes:
        for me in HONEST:
            for address in (me, NOBODY):
                yield ResponderRun(mode, me, address, OTHERS)
                if me == "b":
                    yield ResponderRun(mode, me, address, TARGET)
                    yield ResponderRun(mode, me, address, OTHERS, "p2")


def answers(theory: Theory, scene: Scene, run: ResponderRun, values: Values, *when: str) -> None:
    """The answer to an opening."""
    made = Transcript(run.mode, values, run.left_out(scene), scene.flaws)
    theory.rule([*when, *map(_att, made.messages[0])], *map(_att, made.messages[1]))


def concludes(theory: Theory, scene: Scene, run: ResponderRun) -> None:
    """What a confirmation leads to."""
    values = run.values(scene)
    made = Transcript(run.mode, values, run.left_out(scene), scene.flaws)
    body = [*map(_att, made.messages[0]), *map(_att, made.messages[2])]
    theory.rule(
        body, *map(_att, made.messages[3]), completed("r", run.me, values, made, run.left_out(scene))
    )


def completed(role: str, me: str, v: Values, made: Transcript, left_out: bool) -> str:
    """A party has come to an end: everything that a property may want to look at."""
    peer, peer_static = (v.id_r, v.sr) if role == "i" else (v.id_i, v.si)
    kem = "with_kem" if made.mode.kem and not left_out else "no_kem"
    seen = (me, peer, peer_static, v.address, v.offer_i, v.offer_r, v.ei, v.er, kem, made.secrets)
    return term(f"completed_{role}", *seen)


def _att(message: str) -> str:
    return term("att", message)


# -- the attacker ------------------------------------------------------------------------------------------------------


def attacker(theory: Theory, scene: Scene, *, breaks_dh: bool = False) -> None:
    """Who has all messages, and what follows: Dolev and Yao's. Hashes, names and offers are free for all to have."""

    def rule(body: list[str], *heads: str) -> None:
        theory.rule(map(_att, body), *map(_att, heads))

    rule([], "z", "empty", "none", "static(c)", "g(static(X))", "identity(c)", *scene.stolen)
    rule([], *(f"name_{mode.name}" for mode in scene.modes))
    rule(["X"], "g(X)")
    rule(["X", "g(Y)"], "dh(X,Y)", "dh(Y,X)")
    rule(["Key", "Secret"], "chain(Key,Secret)")
    rule(["Key", "Text"], "enc(Key,Hash,Text)")
    rule(["enc(Key,Hash,Text)", "Key"], "Text")
    rule(["Key"], "confirm(Key,Role)", "pair(Key,Hash)")
    rule(["identity(X)"], "sign(X,Said)")
    rule(["Lost", "Signature"], "statement(Offer,Lost,X,Signature)")
    rule(["statement(Offer,Lost,X,Signature)"], "Lost", "Signature")
    rule(["Seed"], "kem_public(Seed)")
    rule(["kem_public(Seed)", "Random"], "kem_text(Seed,Random)", "kem_secret(Seed,Random)")
    rule(["kem_text(Seed,Random)", "Seed"], "kem_secret(Seed,Random)")
    if breaks_dh:
        rule(["g(X)"], "X")


def later(theory: Theory, *, breaks_dh: bool = False) -> None:
    """After all sessions: the attacker has recorded everything, and gets every long-term key.

    Nobody answers any more, so only keys matter; all that is not a key may be taken for known, public keys first.
    """
    theory.rule(["att(X)"], "late(X)")
    theory.fact("late(static(X))", "late(identity(X))")
    theory.rule(["late(X)"], "late(dh(X,Y))", "late(dh(Y,X))", "late(kem_secret(X,Y))", "late(kem_secret(Y,X))")
    theory.rule(["late(Key)", "late(Secret)"], "late(chain(Key,Secret))")
    theory.rule(["late(Key)"], "late(pair(Key,Hash))")
    if breaks_dh:
        theory.fact("late(dh(X,Y))")
