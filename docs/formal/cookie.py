"""The cookie of a responder under load: who keeps it busy reads what is sent to the source that it names.

v is an address where the attacker reads nothing, though it can send in its name; m is its own.
"""

from __future__ import annotations

from horn import Theory


def cookies(flaws: frozenset[str]) -> Theory:
    """A responder that keeps state for an opening only where its mac2 holds."""
    theory = Theory()
    made = "cookie(secret,Opening)" if "cookie-without-source" in flaws else "cookie(secret,Opening,Source)"
    theory.fact("att(own_opening)", "att(opening_of_v)", "source(v)", "source(m)")
    theory.rule(["att(Opening)", "source(Source)"], f"sent(Source,{made})")
    theory.rule(["sent(m,Frame)"], "att(Frame)")
    theory.rule(["att(Cookie)", "att(Opening)"], "att(mac2(Cookie,Opening))")
    theory.rule(["att(Opening)", "source(Source)", f"att(mac2({made},Opening))"], "kept(Opening,Source)")
    # v shakes hands too, and what it sends can be read.
    theory.fact(f"att(mac2({made.replace('Opening', 'opening_of_v').replace('Source', 'v')},opening_of_v))")
    return theory
