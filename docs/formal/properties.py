"""What must hold of the handshake, of enrolment and of group keys, each as a theory with goals out of reach.

That somebody agrees with a peer is asked thus: the one act of the peer that would make it right is taken out of the
model, and nothing else; then nobody may come to the end that it makes right. `differing` has what stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import cookie
import handshake as hs
import registration
from handshake import NOBODY, TARGET, InitiatorRun, Mode, ResponderRun, Scene, Values, offer, static
from horn import Theory, term

Build = Callable[[Scene], Theory]


# -- theories ----------------------------------------------------------------------------------------------------------


def everything(scene: Scene, *, breaks_dh: bool = False) -> Theory:
    """All parties and the attacker."""
    theory = Theory()
    hs.attacker(theory, scene, breaks_dh=breaks_dh)
    for run in hs.initiators(scene):
        hs.opens(theory, scene, run)
        hs.finishes(theory, scene, run, run.values(scene))
    for answering in hs.responders(scene):
        hs.answers(theory, scene, answering, answering.values(scene))
        hs.concludes(theory, scene, answering)
    return theory


def _addresses(mode: Mode) -> tuple[str, ...]:
    return ("b", NOBODY) if mode.base == "XX" else ("b",)


def _target_i(mode: Mode, address: str) -> InitiatorRun:
    return InitiatorRun(mode, "a", address, TARGET)


def _target_r(mode: Mode, address: str) -> ResponderRun:
    return ResponderRun(mode, "b", address, TARGET)


def _completed(role: str, mode: Mode, address: str, **fixed: str) -> str:
    """The target session at its end, a as the initiator and b as the responder."""
    seen = {
        "peer_static": "PeerStatic", "offer_i": "OfferI", "offer_r": "OfferR", "ei": "Ei", "er": "Er", "kem": "Kem",
        "secrets": "Secrets",
    }  # fmt: skip
    seen |= {"ei": _target_i(mode, address).ephemeral} if role == "i" else {"er": _target_r(mode, address).ephemeral}
    seen |= fixed
    me, peer = ("a", "b") if role == "i" else ("b", "a")
    rest = (seen[one] for one in ("offer_i", "offer_r", "ei", "er", "kem", "secrets"))
    return term(f"completed_{role}", me, peer, seen["peer_static"], address, *rest)


def ends(role: str) -> Build:
    """Both can come to an end: what is shown of a model in which nobody does would be worth nothing."""

    def build(scene: Scene) -> Theory:
        theory = everything(scene)
        (mode,) = scene.modes
        theory.never(_completed(role, mode, "b", kem="with_kem" if mode.kem else "no_kem"))
        return theory

    return build


def takes_part(role: str) -> Build:
    """The attacker comes to an end with a under its own name, and has the secrets: it can do what parties do."""

    def build(scene: Scene) -> Theory:
        theory = everything(scene)
        theory.never(f"completed_{role}(a,c,PeerStatic,Address,OfferI,OfferR,Ei,Er,Kem,Secrets)", "att(Secrets)")
        return theory

    return build


def secrecy(*, after: bool = False, breaks_dh: bool = False, from_the_start: bool = False) -> Build:
    """The attacker has no secrets of a session of two honest parties; `after` it, with all long-term keys."""

    def build(scene: Scene) -> Theory:
        theory = everything(scene, breaks_dh=from_the_start)
        if after:
            hs.later(theory, breaks_dh=breaks_dh)
        for mode in scene.modes:
            kem = {"kem": "with_kem"} if breaks_dh and not mode.psk else {}
            for address in _addresses(mode):
                for role in "ir":
                    theory.never(_completed(role, mode, address, **kem), f"{'late' if after else 'att'}(Secrets)")
        return theory

    return build


def lost_is_secret(scene: Scene) -> Theory:
    """What a responder will say when it has lost a session is known to nobody but the initiator of that session."""
    theory = everything(scene)
    for mode in scene.modes:
        for address in _addresses(mode):
            theory.never(_completed("i", mode, address), f"att(lost({_target_i(mode, address).ephemeral},Er))")
    return theory


def no_downgrade(scene: Scene) -> Theory:
    """Two that both have the hybrid mode do not come to an end without it."""
    theory = everything(scene)
    for mode in scene.modes:
        for address in _addresses(mode):
            theory.never(_completed("i", mode, address, kem="no_kem"))
            theory.never(_completed("r", mode, address, kem="no_kem"))
    return theory


def meant(scene: Scene) -> Theory:
    """Who names its peer ends with that one or with nobody."""
    theory = everything(scene)
    for mode in scene.modes:
        ephemeral = _target_i(mode, "b").ephemeral
        for other in ("a", "c"):
            seen = f"PeerStatic,b,OfferI,OfferR,{ephemeral},Er,Kem,Secrets"
            theory.never(f"completed_i(a,{other},{seen})")
    return theory


def static_belongs(scene: Scene) -> Theory:
    """The static key that a party keeps for the next IK is the one of the peer that it names."""
    theory = everything(scene)
    _apart(theory, "not_static_a", *(_exponents(scene)), static("b"))
    _apart(theory, "not_static_b", *(_exponents(scene)), static("a"))
    for mode in scene.modes:
        for address in _addresses(mode):
            theory.never(_completed("i", mode, address), "not_static_b(PeerStatic)")
            theory.never(_completed("r", mode, address), "not_static_a(PeerStatic)")
    return theory


# -- agreement ---------------------------------------------------------------------------------------------------------


def _exponents(scene: Scene) -> Iterator[str]:
    """All ephemeral exponents of honest parties."""
    for run in hs.initiators(scene):
        yield run.ephemeral
    for answering in hs.responders(scene):
        yield answering.ephemeral


def _apart(theory: Theory, name: str, *exponents: str) -> None:
    """`name` holds for these exponents and for all that the attacker has."""
    theory.fact(*(term(name, one) for one in exponents))
    theory.rule(["att(X)"], term(name, "X"))


def differing(values: Values, target: dict[str, str]) -> Iterator[tuple[Values, str]]:
    """All ways in which what a party takes from its peer can be another than the target's, one field at a time.

    With each comes the condition that makes it another, or nothing where the value itself is one.
    """
    for name, wanted in target.items():
        given = getattr(values, name)
        if name in ("ei", "er"):
            yield values, f"other_{name}({given})"
        elif name in ("id_i", "id_r"):
            others = [one for one in hs.EVERYONE if one != wanted] if given[0].isupper() else [given]
            yield from ((replace(values, **{name: one}), "") for one in others if one != wanted)
        elif given != wanted:
            yield replace(values, **{name: given.replace("Rest", "o2" if name == "offer_i" else "p2")}), ""
            if "Hybrid" in given:
                yield replace(values, **{name: given.replace("Hybrid", "off" if "(on," in wanted else "on")}), ""


def responder_is_sure(scene: Scene) -> Theory:
    """If b ends with a, then a ended with b, in this very session, over the same offers, keys and address.

    As b's ephemeral key is its own in each session and a's run takes one answer, no two of b's ends have one run of a.
    """
    theory = Theory()
    hs.attacker(theory, scene)
    targets = [_target_r(mode, address) for mode in scene.modes for address in _addresses(mode)]
    targeted = {one.ephemeral for one in targets}
    _apart(theory, "other_er", *(one for one in _exponents(scene) if one not in targeted), static("a"), static("b"))
    for answering in hs.responders(scene):
        hs.answers(theory, scene, answering, answering.values(scene))
        hs.concludes(theory, scene, answering)
    for run in hs.initiators(scene):
        hs.opens(theory, scene, run)
        if run.me != "a" or run.peer not in ("b", NOBODY) or run.rest != "o1":
            hs.finishes(theory, scene, run, run.values(scene))
            continue
        mine = ResponderRun(run.mode, "b", run.peer, TARGET)
        wanted = {"er": mine.ephemeral, "id_r": "b", "offer_r": mine.values(scene).offer_r}
        for values, when in differing(run.values(scene), wanted):
            hs.finishes(theory, scene, run, values, *([when] if when else []))
    for one in targets:
        theory.never(_completed("r", one.mode, one.address, offer_i=offer(one.mode.hybrid, "o1")))
    return theory


def initiator_is_sure(scene: Scene) -> Theory:
    """If a ends with b, then b answered this very opening, called by this address, with these offers; in IK, to a.

    As a's ephemeral key is its own in each session and b's run takes one opening, no two of a's ends have one run of b.
    """
    theory = Theory()
    hs.attacker(theory, scene)
    targets = [_target_i(mode, address) for mode in scene.modes for address in _addresses(mode)]
    targeted = {one.ephemeral for one in targets}
    _apart(theory, "other_ei", *(one for one in _exponents(scene) if one not in targeted), static("a"), static("b"))
    for run in hs.initiators(scene):
        hs.opens(theory, scene, run)
        hs.finishes(theory, scene, run, run.values(scene))
    for answering in hs.responders(scene):
        hs.concludes(theory, scene, answering)
        if answering.me != "b" or answering.address not in _addresses(answering.mode) or answering.rest != "p1":
            hs.answers(theory, scene, answering, answering.values(scene))
            continue
        theirs = _target_i(answering.mode, answering.address)
        wanted = {"ei": theirs.ephemeral, "offer_i": offer(answering.mode.hybrid, "o1")}
        if answering.mode.base == "IK":
            wanted |= {"id_i": "a"}
        for values, when in differing(answering.values(scene), wanted):
            hs.answers(theory, scene, answering, values, *([when] if when else []))
    for one in targets:
        theory.never(_completed("i", one.mode, one.peer, offer_r=offer("on", "p1")))
    return theory


# -- enrolment and group keys ------------------------------------------------------------------------------------------


def registered(*goals: tuple[str, ...], after: bool = False) -> Build:
    """Goals of registration.py; `after` all sessions, with all long-term keys."""

    def build(scene: Scene) -> Theory:
        theory = everything(scene)
        registration.register(theory, scene)
        if after:
            hs.later(theory)
            registration.recorded(theory)
        for goal in goals:
            theory.never(*goal)
        return theory

    return build


def no_state_for(source: str) -> Build:
    """A responder under load keeps nothing of an attacker's opening that came in the name of this source."""

    def build(scene: Scene) -> Theory:
        theory = cookie.cookies(scene.flaws)
        theory.never(f"kept(own_opening,{source})")
        return theory

    return build
