"""Which properties are asked of which scenes, what must come of it, and the flaws that the same questions must find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import properties as ask
from handshake import Mode, Scene
from properties import Build

XX, IK = Mode("XX"), Mode("IK")
XXHFS, IKHFS = Mode("XX", kem=True), Mode("IK", kem=True)
XXPSK, IKPSK = Mode("XX", psk=True), Mode("IK", psk=True)
#: Everything that a and b have for long.
_KEYS_OF = {party: frozenset((f"static({party})", f"identity({party})")) for party in "ab"}


@dataclass(frozen=True)
class Check:
    """`build` makes the theory of `scene`; its goals must be in reach, as attacks and sound runs are, or out of it."""

    name: str
    scene: Scene
    build: Build
    reachable: bool = False

    @property
    def title(self) -> str:
        """Name, modes, and flaws."""
        modes = " ".join(mode.pattern.name for mode in self.scene.modes)
        flaws = f" [{', '.join(sorted(self.scene.flaws))}]" if self.scene.flaws else ""
        return f"{modes}: {self.name}{flaws}" if modes else f"{self.name}{flaws}"


def of_handshake(mode: Mode) -> Iterator[Check]:
    """All that must hold of handshakes in this mode."""
    scene = Scene((mode,))
    yield Check("an initiator comes to its end", scene, ask.ends("i"), True)
    yield Check("a responder comes to its end", scene, ask.ends("r"), True)
    if not mode.psk:
        yield Check("the attacker opens under its own name", scene, ask.takes_part("r"), True)
        yield Check("the attacker answers under its own name", scene, ask.takes_part("i"), True)
    yield Check("keys are secret", scene, ask.secrecy())
    yield Check("keys stay secret when all long-term keys are stolen later", scene, ask.secrecy(after=True))
    yield Check("the token of lost state is secret", scene, ask.lost_is_secret)
    yield Check("the peer is the one that was meant", scene, ask.meant)
    yield Check("a static key is that of the peer it is kept for", scene, ask.static_belongs)
    yield Check("the responder is sure of the initiator", scene, ask.responder_is_sure)
    yield Check("the initiator is sure of the responder", scene, ask.initiator_is_sure)
    sure = (("responder", ask.responder_is_sure, "b", "a"), ("initiator", ask.initiator_is_sure, "a", "b"))
    for name, build, me, peer in sure:
        stolen = replace(scene, stolen=_KEYS_OF[me])
        yield Check(f"the {name} is sure of its peer though its own keys are stolen", stolen, build)
        stolen = replace(scene, stolen=frozenset((f"static({peer})",)))
        yield Check(f"the {name} is sure of its peer though that one's static key is stolen", stolen, build)
    if mode.kem:
        broken = ask.secrecy(breaks_dh=True, from_the_start=True)
        yield Check("keys are secret though X25519 is broken from the beginning", scene, broken)
    if mode.kem or mode.psk:
        yield Check("keys stay secret when X25519 is broken later", scene, ask.secrecy(after=True, breaks_dh=True))
    if mode.kem:
        yield Check("the hybrid mode cannot be taken out", scene, ask.no_downgrade)
        without = replace(scene, without_kem=frozenset("b"))
        yield Check("a responder without the hybrid mode is no obstacle", without, ask.no_downgrade, True)
        yield Check("the responder without the hybrid mode is sure of the initiator", without, ask.responder_is_sure)


def of_registration() -> Iterator[Check]:
    """All that must hold of enrolment over XX and fetching over IK."""
    scene = Scene((XX, IK))
    for name, goal in (
        ("a member enrols", "registered(a,a)"),
        ("a member gets the next epoch's key", "holds(a,group_key(e2))"),
        ("the attacker enrols, and gets the key of its epoch", "att(group_key(e1))"),
    ):
        yield Check(name, scene, ask.registered((goal,)), True)
    names = ("b,a", "c,a", "a,c", "b,c")
    never = {
        "nobody is registered under a name by another's token": [f"registered({one})" for one in names],
        "a token is secret": ["att(token(a))"],
        "an evicted member has no later epoch's key": ["att(group_key(e2))"],
        "a member takes no key that the server did not give": ["holds(a,z)", "holds(a,token(c))"],
    }
    goals = [(one,) for wrong in never.values() for one in wrong]
    yield Check("; ".join(never), scene, ask.registered(*goals))
    late = ask.registered(("late(group_key(e2))",), after=True)
    yield Check("epochs' keys stay secret when all long-term keys are stolen later", scene, late)


def of_cookies() -> Iterator[Check]:
    """All that must hold of cookies."""
    yield Check("a cookie lets in who reads at its source", Scene(()), ask.no_state_for("m"), True)
    yield Check("a cookie keeps out who does not read at the source it names", Scene(()), ask.no_state_for("v"))


def with_flaws() -> Iterator[Check]:
    """What is found where a part of the design is missing: every one of these is an attack."""

    def flaw(name: str, mode: Mode, attack: str, build: Build) -> Check:
        return Check(attack, Scene((mode,), flaws=frozenset((name,))), build, True)

    for mode in (XX, IK):
        yield flaw("signature-removed", mode, "the responder takes one for another", ask.responder_is_sure)
        yield flaw("signature-without-handshake", mode, "another uses a statement", ask.responder_is_sure)
        yield flaw("offer-not-in-prologue", mode, "the responder goes on with changed offers", ask.responder_is_sure)
        yield flaw("offer-not-in-prologue", mode, "the initiator goes on with changed offers", ask.initiator_is_sure)
        yield flaw("no-ee", mode, "stolen keys open what was recorded", ask.secrecy(after=True))
    yield flaw("signature-removed", XX, "the initiator takes one for another", ask.initiator_is_sure)
    yield flaw("signature-without-handshake", XX, "the responder's statement is used by another", ask.initiator_is_sure)
    yield flaw("fingerprint-not-checked", XX, "another answers than was meant", ask.meant)
    yield flaw("kem-not-mixed", XXHFS, "broken X25519 opens what was recorded", ask.secrecy(after=True, breaks_dh=True))
    scene = Scene((), flaws=frozenset(("cookie-without-source",)))
    yield Check("a cookie is used in another's name", scene, ask.no_state_for("v"), True)


def with_flaws_of_registration() -> Iterator[Check]:
    """The same for enrolment and group keys."""

    def flaw(name: str, attack: str, *goals: tuple[str, ...]) -> Check:
        return Check(attack, Scene((XX,), flaws=frozenset((name,))), ask.registered(*goals), True)

    yield flaw("identity-from-request", "one is registered who did not ask", ("registered(a,c)",))
    yield flaw("server-not-pinned", "a token is stolen and used", ("registered(c,a)",))
    yield flaw("signature-without-handshake", "one is registered under another's name", ("registered(c,a)",))
    yield flaw("evicted-member-served", "an evicted member has the next key", ("att(group_key(e2))",))
    yield flaw("epoch-from-the-last", "an evicted member has the next key", ("att(group_key(e2))",))


def quick() -> Iterator[Check]:
    """What is checked in seconds."""
    yield from of_cookies()
    yield from of_handshake(IK)
    yield from with_flaws()


def every() -> Iterator[Check]:
    """All of it: with pre-shared keys, with ML-KEM, XX and IK side by side, and what stands on top."""
    yield from quick()
    for mode in (XX, XXPSK, IKPSK, IKHFS, XXHFS):
        yield from of_handshake(mode)
    both = Scene((XX, IK))
    yield Check("keys are secret", both, ask.secrecy())
    yield Check("the responder is sure of the initiator", both, ask.responder_is_sure)
    yield Check("the initiator is sure of the responder", both, ask.initiator_is_sure)
    yield from of_registration()
    yield from with_flaws_of_registration()
