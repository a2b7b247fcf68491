"""What the signer reads and writes, as its own role: requests, keys, invitations, signatures."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import connections

#: Wrong codes in a row after which a key rests, and for how long.
FAILURES_MAX = 5
REST = "15 minutes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningRequest:
    """A request to sign: who, and the words, read from the rows now."""

    id: UUID
    action: str
    account: UUID
    email: str
    name: str
    back: str
    content: str

    @property
    def content_hash(self) -> str:
        """SHA-256 of the words, as the API names them."""
        return sha256(self.content.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A signing key; ``credential`` as :mod:`magnetfund.signer.proofs` makes it."""

    id: UUID
    kind: str
    credential: bytes
    last_step: int
    is_resting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    account: UUID
    email: str
    name: str


def _one(statement: str, values: list[Any]) -> tuple[Any, ...] | None:
    with connections["signer"].cursor() as cursor:
        cursor.execute(statement, values)
        found: tuple[Any, ...] | None = cursor.fetchone()
        return found


def find_wish(request: UUID) -> SigningRequest | None:
    """A request of the last quarter of an hour by an active account."""
    row = _one(
        "SELECT r.id, r.action, r.account, u.email, u.name, r.back, "
        "authority_content(r.action, r.subject) FROM core_signaturerequest r "
        "JOIN core_user u ON u.id = r.account WHERE r.id = %s AND u.is_active "
        "AND r.requested_at BETWEEN clock_timestamp() - interval '15 minutes' "
        "AND clock_timestamp() + interval '15 minutes'",
        [request],
    )
    if row is None or row[6] is None:
        return None
    names = ("id", "action", "account", "email", "name", "back", "content")
    return SigningRequest(**dict(zip(names, row, strict=True)))


def find_keys(account: UUID) -> list[Key]:
    """The keys of an account that hold, newest first."""
    with connections["signer"].cursor() as cursor:
        cursor.execute(
            "SELECT id, kind, credential, last_step, failures >= %s AND failed_at > "
            "clock_timestamp() - %s::interval FROM core_signingkey WHERE account = %s "
            "AND revoked_at IS NULL ORDER BY enrolled_at DESC",
            [FAILURES_MAX, REST, account],
        )
        return [
            Key(id=row[0], kind=row[1], credential=bytes(row[2]), last_step=row[3],
                is_resting=bool(row[4]))
            for row in cursor.fetchall()
        ]  # fmt: skip


def is_demo() -> bool:
    """Whether this database was made for the demo, whose people are invented."""
    row = _one("SELECT kind FROM risk_wallinstance", [])
    return row is not None and row[0] == "demo"


def use_step(key: UUID, step: int) -> bool:
    """Take a code's step once; False where somebody took it or a later one."""
    return (
        _one(
            "UPDATE core_signingkey SET last_step = %s, failures = 0 WHERE id = %s "
            "AND last_step < %s RETURNING id",
            [step, key, step],
        )
        is not None
    )


def count_failure(account: UUID) -> None:
    """A wrong code counts against every code key of the account."""
    _one(
        "UPDATE core_signingkey SET failures = CASE WHEN failures >= %s THEN 1 "
        "ELSE failures + 1 END, failed_at = clock_timestamp() "
        "WHERE account = %s AND kind = 'code' RETURNING id",
        [FAILURES_MAX, account],
    )


def keep_signature(
    wish: SigningRequest,
    *,
    method: str,
    content: str,
    nonce: bytes,
    origin: str,
    key: UUID | None = None,
    public_key: bytes = b"",
    client_data: bytes = b"",
    authenticator_data: bytes = b"",
    signature: bytes = b"",
) -> UUID:
    """Write the signature; raises :class:`django.db.DatabaseError` for what PostgreSQL refuses."""
    row = _one(
        "SELECT signer_record(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [wish.id, method, content, nonce, key, public_key, client_data, authenticator_data,
         signature, origin],
    )  # fmt: skip
    assert row is not None
    made: UUID = row[0]
    return made


def find_invite(token: str) -> Invite | None:
    """An invitation that is unused and in time."""
    row = _one(
        "SELECT i.account, u.email, u.name FROM core_signinginvite i "
        "JOIN core_user u ON u.id = i.account WHERE i.token_digest = %s AND i.used_at IS NULL "
        "AND i.expires_at > clock_timestamp() AND u.is_active",
        [sha256(token.encode()).digest()],
    )
    return None if row is None else Invite(account=row[0], email=row[1], name=row[2])


def enrol(token: str, *, kind: str, credential: bytes) -> UUID:
    """Use the invitation up and keep the key."""
    row = _one("SELECT signer_enrol(%s, %s, %s)", [token, kind, credential])
    assert row is not None
    made: UUID = row[0]
    return made
