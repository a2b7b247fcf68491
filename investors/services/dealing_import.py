"""Orders that staff place for holders, many at once from a file: tried line by line, all or none.

Each line becomes a proposal of its own, which a second person decides as any other.  The same file
is proposed once.
"""

from __future__ import annotations

import hashlib
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction

from investors.domain.receipts.tables import read_table
from investors.domain.receipts.workbooks import as_csv
from investors.models import DealingProposal, Fund, Investor, ShareClass
from investors.services.dealing_proposals import propose_dealing
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.errors import Conflict, FundError, InvalidInput

BYTES_MAX, ROWS_MAX = 1_000_000, 500
NEEDED = ("type", "investor", "share_class", "reason")
OPTIONAL = (
    "amount", "units", "is_all", "into_class", "receiver", "instruction", "called_back", "notice",
)  # fmt: skip
TRUE, FALSE = ("yes", "true", "1"), ("", "no", "false", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedDealing:
    """A line of the file that cannot be proposed, with its number, and why."""

    line: int
    code: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DealingImport:
    """What a file asks for: lines read, those refused, and the proposals that it made (none on a
    dry run, and none while a line is refused)."""

    lines: int
    refused: tuple[RefusedDealing, ...]
    proposals: tuple[DealingProposal, ...]


class _Undo(Exception):
    """Takes back what was tried."""


def import_dealings(*, fund: Fund, content: bytes, actor: Actor, is_dry_run: bool) -> DealingImport:
    """Try every line of a CSV file or workbook; propose them where all can be and it is no dry run.

    Raises :class:`InvalidInput` (``file_too_big``, ``too_many_lines``, ``empty_file`` and what
    :func:`read_table` raises) and :class:`Conflict` (``file_known``).
    """
    actor.require(Capability.DEALING_PROCESS)
    if len(content) > BYTES_MAX:
        raise InvalidInput("the file is larger than 1 MB", code="file_too_big")
    content = as_csv(content).removeprefix(BOM_UTF8).replace(b"\r\n", b"\n").strip()
    rows = list(read_table(content, needed=NEEDED, optional=OPTIONAL))
    if not rows:
        raise InvalidInput("the file names no order", code="empty_file")
    if len(rows) > ROWS_MAX:
        raise InvalidInput(f"a file has at most {ROWS_MAX} orders", code="too_many_lines")
    digest = hashlib.sha256(content).hexdigest()
    refused: list[RefusedDealing] = []
    made: list[DealingProposal] = []
    try:
        with transaction.atomic():
            take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
            _require_new(digest)
            for line, row in rows:
                try:
                    with transaction.atomic():
                        made.append(propose_row(fund=fund, row=_read_row(row), actor=actor))
                except FundError as error:
                    refused.append(RefusedDealing(line=line, code=error.code, words=error.message))
            if refused or is_dry_run:
                raise _Undo
            record_audit(
                actor=actor,
                action="dealing.imported",
                subject=("dealing_file", digest),
                body={"lines": len(rows), "proposals": [str(row.pk) for row in made]},
            )
    except _Undo:
        made = []
    return DealingImport(lines=len(rows), refused=tuple(refused), proposals=tuple(made))


def propose_row(*, fund: Fund, row: Mapping[str, Any], actor: Actor) -> DealingProposal:
    """Propose what a file or the API names by numbers of holders and codes of classes.

    Raises :class:`InvalidInput` (``bad_type``, ``no_investor``, ``no_class``) and what
    :func:`propose_dealing` raises.
    """
    given = dict(row)
    kind, receiver, into = given.pop("type"), given.pop("receiver", ""), given.pop("into_class", "")
    if kind not in DealingProposal.Kind.values:
        known = ", ".join(DealingProposal.Kind.values)
        raise InvalidInput(f"there is no type {kind!r}; known are {known}", code="bad_type")
    return propose_dealing(
        kind=kind,
        investor=find_investor(given.pop("investor")),
        receiver=find_investor(receiver) if receiver else None,
        share_class=find_class(fund, given.pop("share_class")),
        into_class=find_class(fund, into) if into else None,
        actor=actor,
        **given,
    )


def find_class(fund: Fund, code: str) -> ShareClass:
    """A class of the fund; raises :class:`InvalidInput` (``no_class``)."""
    found = ShareClass.objects.filter(fund=fund, code=code).select_related("fund").first()
    if found is None:
        raise InvalidInput(f"this fund has no class {code}", code="no_class")
    return found


def find_investor(number: str) -> Investor:
    """The investor of a number; raises :class:`InvalidInput` (``no_investor``)."""
    found = Investor.objects.filter(number=number).first()
    if found is None:
        raise InvalidInput(f"there is no holder {number}", code="no_investor")
    return found


def _require_new(digest: str) -> None:
    known = AuditEvent.objects.filter(subject_type="dealing_file", subject_id=digest)
    if known.exists():
        raise Conflict("this file has been proposed already", code="file_known")


def _read_row(row: Mapping[str, str]) -> dict[str, Any]:
    """The cells of a line as values."""
    given: dict[str, Any] = {name: cell.strip() for name, cell in row.items()}
    given["type"] = given["type"].lower()
    for name in ("amount", "units"):
        given[name] = _read_number(name, given.get(name, ""))
    everything = given.get("is_all", "").lower()
    if everything not in TRUE + FALSE:
        raise InvalidInput("is_all is yes or no", code="bad_cell")
    given["is_all"] = everything in TRUE
    return given


def _read_number(name: str, cell: str) -> Decimal | None:
    """A number with a point and no signs of thousands."""
    if not cell:
        return None
    try:
        value = Decimal(cell)
    except InvalidOperation:
        raise InvalidInput(f"{name} is not a number: {cell}", code="bad_cell") from None
    if not value.is_finite():
        raise InvalidInput(f"{name} is not finite", code="bad_cell")
    return value
