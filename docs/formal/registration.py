"""Enrolment with a one-time token and the fetching of group keys, on top of the handshake's sessions.

b is the key server. a and c are members-to-be, each with a token for its name, which an admin gave it by another way.
c is the attacker's: it is in the group in epoch e1, and evicted before e2. How often a token works: enrolment.pml.
"""

from __future__ import annotations

from handshake import EVERYONE, Scene
from horn import Theory


def session(role: str, me: str, peer: str, address: str = "Address") -> str:
    """A session at its end, whose keys come from Secrets."""
    return f"completed_{role}({me},{peer},PeerStatic,{address},OfferI,OfferR,Ei,Er,Kem,Secrets)"


def register(theory: Theory, scene: Scene) -> None:
    """What members, server and attacker do once their sessions stand."""
    _attacker(theory)
    # The token carries the server's fingerprint.
    pinned = session("i", "a", "b", "b")
    theory.rule([pinned], "att(seal(Secrets,to_server,enrol(token(a))))", "att(seal(Secrets,to_server,fetch(Epoch)))")
    if "server-not-pinned" in scene.flaws:
        theory.rule([session("i", "a", "Peer", "nobody")], "att(seal(Secrets,to_server,enrol(token(a))))")
    theory.rule([pinned, "att(seal(Secrets,to_member,Key))"], "holds(a,Key)")

    asked = session("r", "b", "Peer")
    if "identity-from-request" in scene.flaws:
        told = (f"registered({one},Name)" for one in EVERYONE)
        theory.rule([asked, "att(seal(Secrets,to_server,enrol(token(Name))))"], *told)
    theory.rule([asked, "att(seal(Secrets,to_server,enrol(token(Name))))"], "registered(Peer,Name)")
    theory.fact("member(a,Epoch)", "member(c,e1)")
    if "evicted-member-served" in scene.flaws:
        theory.fact("member(c,Epoch)")
    theory.rule(
        [asked, "registered(Peer,Name)", "member(Name,Epoch)", "att(seal(Secrets,to_server,fetch(Epoch)))"],
        "att(seal(Secrets,to_member,group_key(Epoch)))",
    )
    if "epoch-from-the-last" in scene.flaws:
        theory.rule(["att(group_key(e1))"], "att(group_key(e2))")


def _attacker(theory: Theory) -> None:
    theory.fact("att(token(c))", "att(fetch(Epoch))")
    theory.rule(["att(Key)", "att(Text)"], "att(seal(Key,Direction,Text))")
    theory.rule(["att(seal(Key,Direction,Text))", "att(Key)"], "att(Text)")
    theory.rule(["att(Token)"], "att(enrol(Token))")
    theory.rule(["att(enrol(Token))"], "att(Token)")


def recorded(theory: Theory) -> None:
    """What was sealed, read later by who has the keys by then."""
    theory.rule(["att(seal(Key,Direction,Text))", "late(Key)"], "late(Text)")
