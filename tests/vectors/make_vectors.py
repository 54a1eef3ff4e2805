"""Makes the JSON files in tests/vectors/zmqsec from the pure-Python implementation; see README.md there.

Nothing here is random: the same files come out of every run. ``make_vectors.py DIRECTORY`` writes them elsewhere.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# This folder holds one called zmqsec, which must not hide the package: so it comes last.
sys.path[:1] = [str(HERE.parent), str(HERE.parent.parent)]
sys.path.append(str(HERE))

from admission_cases import admission_vectors  # noqa: E402
from attestation_cases import attestation_vectors  # noqa: E402
from credential_cases import credential_vectors, revocation_vectors  # noqa: E402
from frame_cases import frame_vectors  # noqa: E402
from handshake_cases import handshake_vectors  # noqa: E402
from helpers import register_users_suite  # noqa: E402
from identity_cases import identity_vectors  # noqa: E402
from key_cases import key_vectors, part_vectors  # noqa: E402
from refused_cases import check_refused, refused_vectors  # noqa: E402
from sealed_cases import sealed_vectors  # noqa: E402
from sequence_cases import sequence_vectors  # noqa: E402

from zmqsec import limits  # noqa: E402

FILES = {
    "keys.json": (key_vectors, "Derivations: an implementation gives these keys."),
    "parts.json": (part_vectors, "Parts: each list encodes to these bytes, and they decode to it."),
    "sealed.json": (sealed_vectors, "Each message seals to exactly this frame, and the frame opens to the message."),
    "refused.json": (refused_vectors, "Each frame is refused, for this reason."),
    "sequences.json": (sequence_vectors, "Frames that come to one receiver, one after the other."),
    "identities.json": (identity_vectors, "Identities: what a seed gives, and how it stands in its file."),
    "credentials.json": (credential_vectors, "Credentials: what they say and permit, or why they are none."),
    "revocations.json": (revocation_vectors, "Revocation lists: what they say, or why they are none."),
    "attestations.json": (attestation_vectors, "Attestations: what signs to which frames, and what receivers do."),
    "admissions.json": (admission_vectors, "Admission: keys, and what a relay that holds them lets in."),
    "handshakes.json": (handshake_vectors, "Handshakes: what both sides draw, send and get."),
    "frames.json": (frame_vectors, "ZeroMQ messages of several frames, and what becomes of them."),
}


def main(directory: Path) -> None:
    register_users_suite()
    for name, (make, about) in FILES.items():
        vectors = list(make())
        names = [vector["name"] for vector in vectors]
        assert len(set(names)) == len(names), (name, [one for one in names if names.count(one) > 1])
        if name == "refused.json":
            for vector in vectors:
                check_refused(vector)
        content = {"about": about, "format": 1, "protocol": limits.VERSION, "vectors": vectors}
        (directory / name).write_text(json.dumps(content, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
        print(f"{name}: {len(vectors)} vectors")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "zmqsec")
