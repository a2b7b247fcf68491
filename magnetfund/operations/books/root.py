"""The root of a day: every chain's head and the register's Merkle-sum root, signed, kept outside.

One file a root under ``MAGNET_HOME/roots``, each naming the one before; its digest stands in the
audit trail and goes by mail to the auditors, and to ``ROOT_WEBHOOK_URL`` where one is set.  A chain
that was cut or built anew, or a row that was changed with every hash that covers it, no longer fits
what left.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.db import connection, transaction

from investors.domain.proof import ProvenLot, build_tree
from investors.models import Fund
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import AuditEvent
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.kernel.errors import Unavailable
from magnetfund.kernel.identifiers import canonical_json
from magnetfund.operations.books.sealed import (
    digest_rows,
    find_changed_rows,
    read_columns,
    write_rows,
)

FORMAT = 1
KEY_FILE, SALT_FILE, ROWS_FILE = "books-private.pem", "books-salt", "rows.gz"
ACTION = "books.root"

_CHAINS = """
SELECT 'audit:' || chain, seq, row_hash FROM core_auditevent a
WHERE seq = (SELECT max(seq) FROM core_auditevent b WHERE b.chain = a.chain)
UNION ALL SELECT 'ledger:' || f.code, e.seq, e.row_hash FROM investors_entry e
JOIN investors_fund f ON f.id = e.fund_id
WHERE e.seq = (SELECT max(seq) FROM investors_entry b WHERE b.fund_id = e.fund_id)
UNION ALL SELECT 'units:' || f.code, u.seq, u.row_hash FROM investors_unitentry u
JOIN investors_fund f ON f.id = u.fund_id
WHERE u.seq = (SELECT max(seq) FROM investors_unitentry b WHERE b.fund_id = u.fund_id)
ORDER BY 1
"""
_HEADS = {
    "audit": "SELECT row_hash FROM core_auditevent WHERE chain = %s AND seq = %s",
    "ledger": "SELECT e.row_hash FROM investors_entry e JOIN investors_fund f ON f.id = e.fund_id "
    "WHERE f.code = %s AND e.seq = %s",
    "units": "SELECT u.row_hash FROM investors_unitentry u JOIN investors_fund f "
    "ON f.id = u.fund_id WHERE f.code = %s AND u.seq = %s",
}
_UNITS = """
SELECT u.lot_id::text, sum(u.units) FROM investors_unitentry u
WHERE u.fund_id = %s AND u.seq <= %s GROUP BY u.lot_id HAVING sum(u.units) > 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRoot:
    """A root as its file holds it.  ``digest`` is of the document that was signed."""

    path: Path
    document: dict[str, Any]
    signature: str
    key: str

    @property
    def number(self) -> int:
        return int(self.document["number"])

    @property
    def made_at(self) -> datetime:
        return datetime.fromisoformat(self.document["made_at"])

    @property
    def digest(self) -> str:
        return hashlib.sha256(canonical_json(self.document).encode()).hexdigest()


def folder() -> Path:
    return Path(settings.MAGNET_HOME) / "roots"


def make_root_keys(keys: Path) -> None:
    """The key that signs roots and the salt of the register's leaves, made once, ours alone."""
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    made = {KEY_FILE: private, SALT_FILE: secrets.token_hex(32).encode()}
    for name, content in made.items():
        if not (keys / name).exists():
            draft = keys / f"{name}.{secrets.token_hex(4)}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(content)
            draft.rename(keys / name)


def _read_key(name: str) -> bytes:
    try:
        return (Path(settings.MAGNET_HOME) / "keys" / name).read_bytes()
    except FileNotFoundError:
        raise Unavailable(
            f"{name} is missing in the home's keys; run manage.py prepare", code="root_key_missing"
        ) from None


def salt_of(lot: str) -> bytes:
    """The secret salt of a lot's leaf, which its holder is told and nobody else."""
    return hmac.new(_read_key(SALT_FILE), lot.encode(), hashlib.sha256).digest()


def _signing_key() -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key(_read_key(KEY_FILE), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def public_key() -> str:
    """The key by which anybody checks a root (hex)."""
    return _signing_key().public_key().public_bytes_raw().hex()


def read_roots(*, newest: int | None = None) -> list[StoredRoot]:
    """Every root that was kept, or the newest few, oldest first."""
    paths = sorted(folder().glob("root-*.json"))
    return [_read_root(path) for path in (paths if newest is None else paths[-newest:])]


def read_root(number: int | None = None) -> StoredRoot | None:
    """The root of a number, the newest without one; None where there is none."""
    if number is None:
        return next(iter(read_roots(newest=1)), None)
    path = folder() / f"root-{number:06d}.json"
    return _read_root(path) if path.exists() else None


def _read_root(path: Path) -> StoredRoot:
    raw = json.loads(path.read_text())
    return StoredRoot(
        path=path, document=raw["document"], signature=raw["signature"], key=raw["key"]
    )


def _register_of(fund: Fund, seq: int) -> dict[str, Any] | None:
    """The Merkle-sum root of the lots as the first ``seq`` movements left them."""
    holdings = read_register(fund.pk, seq)
    if not holdings:
        return None
    tree = build_tree(holdings=holdings)
    units: Decimal = tree.root.units
    return {"root": tree.root.digest, "units": f"{units:f}", "lots": len(holdings)}


def read_register(fund: int, seq: int) -> list[ProvenLot]:
    """The lots with units of a fund as its first ``seq`` movements left them, with their salts."""
    with connection.cursor() as cursor:
        cursor.execute(_UNITS, [fund, seq])
        rows = cursor.fetchall()
    return [ProvenLot(lot=lot, units=units, salt=salt_of(lot)) for lot, units in rows]


def _read_chains() -> dict[str, dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(_CHAINS)
        return {
            name: {"seq": seq, "head": bytes(head).hex()} for name, seq, head in cursor.fetchall()
        }


def make_root() -> StoredRoot:
    """Take the root of the books as they stand and keep it; the audit trail says so.

    The books must have verified before: a root of wrong books would vouch for them.
    """
    before = read_roots()
    chains = _read_chains()
    columns = read_columns()
    digests = digest_rows(columns)
    place = folder()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = _signing_key()
    units = {}
    for fund in Fund.objects.order_by("code"):
        seq = chains.get(f"units:{fund.code}", {}).get("seq")
        register = _register_of(fund, seq) if seq else None
        if register is not None:
            units[fund.code] = register
    document = {
        "format": FORMAT,
        "number": before[-1].number + 1 if before else 1,
        "previous": before[-1].digest if before else "",
        "made_at": isoformat_z(utc_now()),
        "chains": chains,
        "units": units,
        "rows": {table: len(rows) for table, rows in sorted(digests.items())},
        "rows_sha256": write_rows(place / ROWS_FILE, columns, digests),
    }
    root = StoredRoot(
        path=place / f"root-{document['number']:06d}.json",
        document=document,
        signature=key.sign(canonical_json(document).encode()).hex(),
        key=key.public_key().public_bytes_raw().hex(),
    )
    text = json.dumps(
        {"document": root.document, "signature": root.signature, "key": root.key}, indent=1
    )
    draft = root.path.with_suffix(".draft")
    draft.write_text(text)
    draft.rename(root.path)
    note_newest_root()
    return root


def note_newest_root() -> None:
    """Write the audit line of the newest root where a crash came between its file and its line."""
    roots = read_roots()
    if not roots:
        return
    subject = ("books_root", str(roots[-1].number))
    with transaction.atomic():
        take_lock(AdvisoryLock.CHAIN, "audit:main")
        if not AuditEvent.objects.filter(action=ACTION, subject_id=subject[1]).exists():
            record_audit(
                actor=Actor.system("daily verification"),
                action=ACTION,
                subject=subject,
                body={"digest": roots[-1].digest},
            )


def find_root_differences() -> list[str]:
    """The books still hold what left them with every root."""
    roots = read_roots()
    return [*_find_missing(roots), *_find_forged(roots), *_find_differing(roots)]


def _find_missing(roots: list[StoredRoot]) -> Iterator[str]:
    kept = {root.number: root.digest for root in roots}
    told = {
        int(line.subject_id): str(line.body.get("digest", ""))
        for line in AuditEvent.objects.filter(action=ACTION).order_by("seq")
    }
    for number, digest in told.items():
        if number not in kept:
            yield f"root {number}: its file is missing from the home"
        elif kept[number] != digest:
            yield f"root {number}: its file is not the one that the audit trail tells of"
    # The line of the newest root is not under it: it may be the one that was cut off.
    for number in kept:
        if number not in told:
            yield f"root {number}: no audit line {ACTION} tells of it"


def _find_forged(roots: list[StoredRoot]) -> Iterator[str]:
    ours = public_key() if roots else ""
    before = ""
    for number, root in enumerate(roots, start=1):
        if root.number != number or root.document["previous"] != before:
            yield f"root {root.number}: it does not follow the one before it"
        before = root.digest
        if root.key != ours:
            yield f"root {root.number}: signed by another key"
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(root.key)).verify(
                bytes.fromhex(root.signature), canonical_json(root.document).encode()
            )
        except (InvalidSignature, ValueError):
            yield f"root {root.number}: its signature is wrong"


def _find_differing(roots: list[StoredRoot]) -> Iterator[str]:
    funds = {fund.code: fund for fund in Fund.objects.all()}
    for root in roots:
        day = f"{root.made_at:%Y-%m-%d %H:%M}"
        for name, head in root.document["chains"].items():
            kind, _, code = name.partition(":")
            with connection.cursor() as cursor:
                cursor.execute(_HEADS[kind], [code, head["seq"]])
                row = cursor.fetchone()
            if row is None:
                yield f"chain {name}: cut since the root of {day}, row {head['seq']} is gone"
            elif bytes(row[0]).hex() != head["head"]:
                yield f"chain {name}: built anew since the root of {day}, up to row {head['seq']}"
        for code, register in root.document["units"].items():
            seq = root.document["chains"][f"units:{code}"]["seq"]
            again = _register_of(funds[code], seq) if code in funds else None
            if again != register:
                yield (
                    f"register of {code}: {register['units']} units left with the root of {day}, "
                    f"recomputed {again['units'] if again else 0}"
                )
    if roots:
        path = folder() / ROWS_FILE
        if not path.exists():
            yield "the digests of the rows are missing from the home"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != roots[-1].document["rows_sha256"]:
            yield "the digests of the rows are not those that the last root tells of"
        else:
            yield from find_changed_rows(path)
