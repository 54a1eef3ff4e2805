"""Every constant of the protocol and every default limit, once (floor 7).

``csrc/zs.h`` holds the same values for the C core; a test compares the two.
Sources are sections of ``docs/spec.md``.
"""

from __future__ import annotations

from typing import Final

# The sealed part (spec: "The sealed part").
MAGIC: Final = b"\x00ZS"
ATTESTATION_MAGIC: Final = b"\x00ZA"
CREDENTIAL_MAGIC: Final = b"\x00ZC"
REVOCATION_MAGIC: Final = b"\x00ZR"
VERSION: Final = 1
HEADER_BYTES: Final = 32
TAG_BYTES: Final = 16
MIN_SEALED_BYTES: Final = 52
NONCE_OFFSET: Final = 8
SESSION_OFFSET: Final = 12
SEQUENCE_OFFSET: Final = 24
SESSION_BYTES: Final = 12
KEY_BYTES: Final = 32
MAX_HEADER_PARTS_BYTES: Final = 0xFFFF
ADMIT_BYTES: Final = 26

# Ed25519 (spec: "Signatures", "Identities").
PUBLIC_KEY_BYTES: Final = 32
SECRET_KEY_BYTES: Final = 64
SIGNATURE_BYTES: Final = 64
FINGERPRINT_BYTES: Final = 32
MAX_NAME_BYTES: Final = 255

# Credentials and revocation lists.
MIN_CREDENTIAL_BYTES: Final = 164
MAX_CREDENTIAL_BYTES: Final = 4096
CREDENTIAL_LISTS_OFFSET: Final = 96
MAX_LIST_ENTRIES: Final = 255
MAX_LIST_ENTRY_BYTES: Final = 255
MIN_REVOCATION_BYTES: Final = 132
MAX_REVOCATION_BYTES: Final = 16 * 1024 * 1024
MAX_CREDENTIALS: Final = 65536
MAX_CREDENTIALS_OF_ONE: Final = 8
ROLE_SEND: Final = 1
ROLE_RECEIVE: Final = 2
ROLE_RELAY: Final = 4
ROLE_ADMIN: Final = 8

# Argon2id under an identity's passphrase: libsodium's "moderate", and what a file may ask for.
PASSPHRASE_OPERATIONS: Final = 3
PASSPHRASE_MEMORY: Final = 256 * 1024 * 1024
MAX_PASSPHRASE_OPERATIONS: Final = 64
MIN_PASSPHRASE_MEMORY: Final = 8192
MAX_PASSPHRASE_MEMORY: Final = 1 << 30

# Kinds and flags of byte 5.
KIND_DATA: Final = 0
KIND_BUNDLE: Final = 1
KIND_HANDSHAKE: Final = 2
KIND_CONTROL: Final = 3
FLAG_CLEAR_BODY: Final = 0x10
FLAG_ORIGIN_ATTESTED: Final = 0x20

# Attestations (spec: "Attestations").
ATTESTATION_HEAD_BYTES: Final = 8
HASH_BYTES: Final = 32
MAX_ROUTING_ID_BYTES: Final = 255
MAX_TREE_HEIGHT: Final = 8
MAX_KNOWN_TREES: Final = 64
BY_ORIGIN: Final = 0
BY_HOP: Final = 1
MESSAGE_ID_BYTES: Final = 20
MAX_PEERS: Final = 65536

# Recursive parts.
PART_LEAF: Final = 0
PART_LIST: Final = 1
PART_IGNORABLE: Final = 2
PART_CRITICAL: Final = 3
PART_HEAD_BYTES: Final = 4
MAX_PART_BYTES: Final = (1 << 30) - 1
MAX_METADATA_NAME_BYTES: Final = 255
MAX_PARTS: Final = 1024
MAX_DEPTH: Final = 8
DEPTH_LIMIT: Final = 64
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024

# Suites.
SUITE_XCHACHA20POLY1305: Final = 1
SUITE_AES256GCM: Final = 2
SUITE_AES256CTR_HMACSHA256: Final = 3
FIRST_USER_SUITE: Final = 128
LAST_USER_SUITE: Final = 255

# Sessions, with WireGuard's names for the limits.
MAX_SEQUENCE: Final = 1 << 32
REKEY_AFTER_MESSAGES: Final = MAX_SEQUENCE
REKEY_AFTER_TIME: Final = 3600
REJECT_AFTER_TIME: Final = 7200
CLOCK_SKEW: Final = 120
MAX_ASSOCIATION_SECONDS: Final = 100 * 365 * 86400
REPLAY_WINDOW: Final = 2048
MAX_SESSIONS: Final = 65536
KEPT_SESSIONS: Final = 4

# Handshakes (spec: "Handshakes"), with WireGuard's names where it has one; seconds where nothing else is said.
OPENING: Final = 1
ANSWER: Final = 2
CONFIRM: Final = 3
DONE: Final = 4
COOKIE: Final = 5
LOST: Final = 6
MODE_IK: Final = 1
MODE_PSK: Final = 2
MODE_KEM: Final = 4
HANDSHAKE_ID_BYTES: Final = 12
OFFER_BYTES: Final = 16
MAX_OFFERED_SUITES: Final = 6
MAC_BYTES: Final = 16
COOKIE_BYTES: Final = 32
LOST_TOKEN_BYTES: Final = 20
MAX_HANDSHAKE_BYTES: Final = 6144
PAIR_REKEY_TIME: Final = 120  # after which an initiator makes the next pair
PAIR_REKEY_MESSAGES: Final = 2**32
PAIR_REJECT_TIME: Final = 180  # after which neither side seals with a pair
PAIR_OVERLAP_TIME: Final = 60  # for which it is opened with after that
MAX_PAIRS_OF_ONE: Final = 8
PAIR_QUIET_TIME: Final = 30  # without anything from the peer, after which a handshake asks whether it is there
FIRST_RETRY_MS: Final = 500
REKEY_TIMEOUT: Final = 5
REKEY_ATTEMPT_TIME: Final = 90
CONFIRM_ATTEMPT_TIME: Final = 30
HALF_OPEN_TIME: Final = 45
COOKIE_SECRET_TIME: Final = 120
MAX_HALF_OPEN: Final = 4096
MAX_CONFIRM_TRIES: Final = 8
MAX_HALF_OPEN_OF_SOURCE: Final = 32
MAX_SOURCES: Final = 16384
OPENINGS_OF_SOURCE: Final = 20  # these four a second, and as many at once
OPENINGS_OF_HOP: Final = 400
OPENINGS_OF_ALL: Final = 1000
LOOKS_OF_HOP: Final = 2000
UNDER_LOAD: Final = 200

# Frames around a sealed part.
MAX_ENVELOPE_FRAMES: Final = 16
MAX_ATTESTATION_FRAMES: Final = 16
MAX_KEPT_REFUSALS: Final = 4096  # of one call, for callbacks and logging; counted are all
BATCH: Final = 64

# How the sealed part stands among the frames of one ZeroMQ message.
LAYOUT_PLAIN: Final = 0
LAYOUT_TOPIC: Final = 1
LAYOUT_ENVELOPE: Final = 2
LAYOUT_ANY: Final = 3

# What Channel.recv_many gives for each message.
FORM_PARTS: Final = 0
FORM_LISTS: Final = 1
FORM_MESSAGES: Final = 2
