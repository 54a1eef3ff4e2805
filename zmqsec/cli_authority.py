"""``zmqsec authority`` (floor 12): issue credentials, revoke them, and show both."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_identity import (
    FILE,
    FORCE,
    JSON,
    PASSPHRASE_FILE,
    load_identity,
    load_public,
    moment,
    refuse_existing,
    show,
)
from .credential import Credential, lifetime
from .errors import IdentityError, KeyFileError
from .identity import PublicIdentity
from .limits import PUBLIC_KEY_BYTES
from .revocation import RevocationList
from .rights import Rights, Role

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType

_DAY = 86400
_DAYS = click.FloatRange(0, 100_000, min_open=True)
_SERIAL = click.IntRange(0, 2**64 - 1)


class Pattern(_ParamType):
    """A routing id or a topic: text, or any bytes in hexadecimal digits behind ``hex:``."""

    name = "pattern"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        text = str(value)
        if not text.startswith("hex:"):
            return text.encode()
        try:
            return bytes.fromhex(text[4:])
        except ValueError:
            self.fail(f"{text!r} has no hexadecimal digits behind 'hex:'", param, ctx)


class Moment(_ParamType):
    """A time: unix seconds, or a date as 2030-01-31 or 2030-01-31T12:00:00, of UTC where it names no zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if text.isascii() and text.isdigit():
            return int(text)
        try:
            found = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)
        except ValueError:
            self.fail(f"{text!r} is no time; unix seconds or a date like 2030-01-31T12:00:00 are allowed", param, ctx)
        return int((found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp())


@click.group()
def authority() -> None:
    """Say what identities may do: issue credentials, and take them back.

    An authority is an identity like any other (`zmqsec identity new`). It is one to those whose keyring holds its
    public half (`zmqsec identity export --authority`).
    """


@authority.command()
@click.argument("authority_file", metavar="AUTHORITY", type=FILE)
@click.argument("subject_file", metavar="SUBJECT", type=FILE)
@click.option("-o", "--output", type=FILE, help="Write to this file.  [default: NAME-SERIAL.cred]")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice([str(role.name).lower() for role in Role]),
    help="What it may be; repeat for more.",
)
@click.option("--name", "names", multiple=True, help="What it may be called.  [default: SUBJECT's name]")
@click.option("--routing-id", "routing_ids", multiple=True, type=Pattern(), help="A routing id it may have; see below.")
@click.option("--publish", multiple=True, type=Pattern(), help="Topics it may publish; see below.")
@click.option("--read", multiple=True, type=Pattern(), help="Topics it may read; see below.")
@click.option("--days", type=_DAYS, default=90, show_default=True, help="From now on.")
@click.option("--not-before", type=Moment(), help="Valid from then on.  [default: now, less the skew of clocks]")
@click.option("--not-after", type=Moment(), help="Valid until then.  [default: as --days says]")
@click.option("--serial", type=_SERIAL, help="Its number.  [default: a random one]")
@PASSPHRASE_FILE
@FORCE
@JSON
def issue(
    authority_file: Path,
    subject_file: Path,
    output: Path | None,
    roles: Sequence[str],
    names: Sequence[str],
    routing_ids: Sequence[bytes],
    publish: Sequence[bytes],
    read: Sequence[bytes],
    days: float,
    not_before: int | None,
    not_after: int | None,
    serial: int | None,
    passphrase_file: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Sign what the identity SUBJECT may do, as the identity AUTHORITY.

    Routing ids and topics are exact, or a prefix with a final *; "*" alone is all. What is not named is not permitted.
    Any bytes can be given as hex:DIGITS. All of these options can be repeated.

    \b
      zmqsec authority issue ops.toml alice.pub.toml --role send --publish 'weather.*' -o alice.cred
    """
    if output is not None:
        refuse_existing(output, force)
    subject, _ = load_public(subject_file)
    rights = Rights(Role.of(roles), names or ([subject.name] if subject.name else ()), routing_ids, publish, read)
    begin, end = lifetime(days)
    made = Credential.issue(
        load_identity(authority_file, passphrase_file),
        subject,
        rights,
        not_before=begin if not_before is None else not_before,
        not_after=end if not_after is None else not_after,
        serial=serial,
    )
    output = output or Path(f"{subject.name or 'credential'}-{made.serial}.cred".replace("/", "_"))
    refuse_existing(output, force)
    made.save(output, overwrite=force)
    rows, found = describe(made)
    show([*rows, ("file", output)], {**found, "file": str(output)}, as_json)


def describe(credential: Credential) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """What a credential says: rows of a table, and JSON."""
    rights = credential.rights
    lists = {name: getattr(rights, name) for name in ("routing_ids", "publish", "read")}
    rows = [
        ("serial", credential.serial),
        ("subject", PublicIdentity(credential.subject)),
        ("subject's key", credential.subject.hex()),
        ("authority", PublicIdentity(credential.authority)),
        ("valid", f"{moment(credential.not_before)} to {moment(credential.not_after)}"),
        ("roles", rights.roles),
        ("names", ", ".join(rights.names) or "none"),
        *((name.replace("_", " "), ", ".join(map(_text, entries)) or "none") for name, entries in lists.items()),
    ]
    found = {
        "serial": credential.serial,
        "subject": str(PublicIdentity(credential.subject)),
        "subject_public": credential.subject.hex(),
        "authority": str(PublicIdentity(credential.authority)),
        "authority_public": credential.authority.hex(),
        "not_before": credential.not_before,
        "not_after": credential.not_after,
        "roles": rights.roles.words(),
        "names": list(rights.names),
        **{name: [_text(entry) for entry in entries] for name, entries in lists.items()},
    }
    return rows, found


def _text(entry: bytes) -> str:
    """A pattern as the commands take it."""
    try:
        text = entry.decode()
    except UnicodeDecodeError:
        text = ""
    return text if text.isprintable() and text and not text.startswith("hex:") else f"hex:{entry.hex()}"


@authority.command("show-credential")
@click.argument("path", type=FILE)
@click.option("--authority", "authority_file", type=FILE, help="Say too whether it is of this authority.")
@click.option("--list", "list_file", type=FILE, help="Say too whether this revocation list takes it back.")
@JSON
def show_credential(path: Path, authority_file: Path | None, list_file: Path | None, as_json: bool) -> None:
    """Show a credential whose signature holds; any other is an error.

    With --authority or --list, one that is not good now ends with exit code 1.
    """
    credential = Credential.load(path)
    rows, found = describe(credential)
    now = time.time()
    faults = [] if credential.is_valid_at(now) else ["not valid now"]
    if authority_file is not None and load_public(authority_file)[0].key != credential.authority:
        faults.append(f"not of the authority in {authority_file}")
    if list_file is not None and RevocationList.load(list_file).revokes(credential):
        faults.append("revoked")
    show([*rows, ("state", ", ".join(faults) or "good")], {**found, "faults": faults}, as_json)
    if faults and (authority_file is not None or list_file is not None):
        raise click.exceptions.Exit(1)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two that revoke at once come one after the other, so that neither's entries are lost."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from error


@authority.command()
@click.argument("authority_file", metavar="AUTHORITY", type=FILE)
@click.argument("list_file", metavar="LIST", type=FILE)
@click.option("--serial", "serials", multiple=True, type=_SERIAL, help="This credential.")
@click.option("--credential", "credentials", multiple=True, type=FILE, help="The credential in this file.")
@click.option("--identity", "identities", multiple=True, help="All of the identity in a file, or of a public key.")
@click.option(
    "--days", type=click.FloatRange(0, min_open=True), default=30, show_default=True, help="To the next update."
)
@PASSPHRASE_FILE
@JSON
def revoke(
    authority_file: Path,
    list_file: Path,
    serials: Sequence[int],
    credentials: Sequence[Path],
    identities: Sequence[str],
    days: float,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Take credentials back: add them to the revocation list LIST and sign it anew.

    A LIST that is not there is begun; without options it is renewed as it is. Bring it into the keyrings of those who
    trust AUTHORITY: it acts as soon as they read it.

    \b
      zmqsec authority revoke ops.toml ops.revoked --credential alice.cred
    """
    signer = load_identity(authority_file, passphrase_file)
    all_serials, keys = set(serials), {_key_of(one) for one in identities}
    for path in credentials:
        credential = Credential.load(path)
        if credential.authority != signer.key:
            raise IdentityError(
                f"{path} is a credential of another authority; only {credential.authority.hex()} revokes it"
            )
        all_serials.add(credential.serial)
    with _alone(authority_file):
        before = RevocationList.load(list_file) if list_file.exists() else None
        if before is not None and before.authority != signer.key:
            raise IdentityError(f"{list_file} is the list of another authority, {before.authority.hex()}")
        now = int(time.time())
        made = RevocationList.issue(
            signer,
            # The clock, so that the number grows even where the list before was lost.
            number=max(now, 0 if before is None else before.number + 1),
            issued=now,
            next_update=now + int(days * _DAY),
            serials=all_serials | (before.serials if before else set()),
            keys=keys | (before.keys if before else set()),
        )
        made.save(list_file, overwrite=True)
    rows, found = describe_list(made)
    show([*rows, ("file", list_file)], {**found, "file": str(list_file)}, as_json)


def _key_of(given: str) -> bytes:
    """The public key in a file, or in hexadecimal digits."""
    path = Path(given)
    if path.exists():
        return load_public(path)[0].key
    if len(given) == 2 * PUBLIC_KEY_BYTES:
        with contextlib.suppress(ValueError):
            return PublicIdentity(bytes.fromhex(given)).key
    raise IdentityError(f"{given!r} is neither a file nor a public key of {2 * PUBLIC_KEY_BYTES} hexadecimal digits")


def describe_list(revocations: RevocationList) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """What a revocation list says: rows of a table, and JSON."""
    serials = sorted(revocations.serials)
    keys = sorted(key.hex() for key in revocations.keys)
    public = PublicIdentity(revocations.authority)
    rows: list[tuple[str, Any]] = [
        ("authority", public),
        ("number", revocations.number),
        ("issued", moment(revocations.issued)),
        ("next update", moment(revocations.next_update)),
        *(("serial", serial) for serial in serials),
        *(("identity", key) for key in keys),
    ]
    found = {
        "authority": str(public),
        "authority_public": revocations.authority.hex(),
        "number": revocations.number,
        "issued": revocations.issued,
        "next_update": revocations.next_update,
        "serials": serials,
        "identities": keys,
    }
    return [*rows, ("entries", len(serials) + len(keys))], found


@authority.command("list")
@click.argument("path", metavar="LIST", type=FILE)
@JSON
def show_list(path: Path, as_json: bool) -> None:
    """Show a revocation list whose signature holds; any other is an error."""
    show(*describe_list(RevocationList.load(path)), as_json)
