"""Monthly statements: one for each investor and month, made from what the strikes and the ledger
hold, kept as PDF with the figures that it prints.

A statement is made once for equal books.  Where a strike of its period was replaced since, the
next run makes a further version; the older one stays and is shown as superseded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from investors.domain.exact import ZERO
from investors.domain.fee_presentation import present_lot
from investors.domain.fees import ClassTerms
from investors.domain.statements import (
    HoldingPoint,
    Span,
    StatementHead,
    StatementLot,
    bound_rounding,
    build_statement,
    flows_of_points,
    measure_span,
    split_result,
)
from investors.models import Fund, Investor, LotNav, Paper, ShareClass
from investors.services.lot_presentation import read_presentations
from investors.services.messages import send_message
from investors.services.papers import render_paper
from investors.services.pocket_books import read_pocket_holdings
from investors.services.policies import terms_in_force
from investors.services.statement_books import HolderBook, PeriodBooks, read_books, roll_units
from investors.services.statement_periods import Period, find_period, list_periods
from investors.services.statement_words import HolderStatement, describe_statement
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.errors import Conflict, FundError
from magnetfund.kernel.identifiers import content_hash

TEMPLATE = "statement.typ"
MONTHS_KEPT_UP = 2
#: What a printed statement says of itself and not of the books.
OWN_WORDS = ("number", "version", "supersedes", "holder")


@dataclass(slots=True, kw_only=True)
class StatementRun:
    """What a run did: new papers, papers that stood already, those left to the next run, and who
    could not be served, by account with the code."""

    period: str
    made: list[Paper] = field(default_factory=list)
    kept: int = 0
    left: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def make_statements(
    *,
    fund: Fund,
    period: str,
    actor: Actor,
    investor: Investor | None = None,
    most: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> StatementRun:
    """Make what is missing of a month's statements (``YYYY-MM``), of one investor or of all.

    Each paper is made in a transaction of its own with the message to its investor, so that a run
    that was stopped goes on where it stood; ``most`` bounds what one run makes.  ``progress`` is
    told the number of all statements, negative, then 1 for each that is done.  Raises what
    :func:`find_period` raises and :class:`NotAllowed`.  A statement that does not tie is
    not issued: it stands in ``refused`` with its code, and the others are made.
    """
    actor.require(Capability.NAV_PREPARE)
    return _run(fund, find_period(fund, period), actor, investor, most, progress)


def make_due_statements(fund: Fund, *, most: int) -> str:
    """What the newest two months lack, for the hourly job; one line of what was done."""
    made, left, refused = 0, most, 0
    for period in list_periods(fund)[:MONTHS_KEPT_UP]:
        try:
            found = find_period(fund, period)
        except Conflict:
            continue
        if not _is_missing(found):
            continue
        run = _run(fund, found, Actor.system("statements"), None, left, None)
        made, left, refused = made + len(run.made), left - len(run.made), refused + len(run.refused)
    return f"{made} statements made" + (f", {refused} not issued" if refused else "")


def _is_missing(period: Period) -> bool:
    """Whether somebody who held units at either end, or has some in a side pocket at the close, has
    no statement of this closing strike."""
    ends = [period.closing] + ([period.opening] if period.opening is not None else [])
    served = Paper.objects.filter(
        kind=Paper.Kind.STATEMENT, period=period.name, strike=period.closing
    ).values("investor")
    holders = LotNav.objects.filter(strike__in=ends, units__gt=0)
    if holders.exclude(lot__holding__investor__in=served).exists():
        return True
    # Who left and still has a part in a claim is told what it stands at.
    at = period.closing.valuation_at - timedelta(microseconds=1)
    held = read_pocket_holdings(period.closing.fund, at=at)
    return bool({row.investor for row in held} - set(served.values_list("investor", flat=True)))


def _run(
    fund: Fund,
    found: Period,
    actor: Actor,
    investor: Investor | None,
    most: int | None,
    progress: Callable[[int], None] | None,
) -> StatementRun:
    run = StatementRun(period=found.name)
    books = read_books(fund, found, investors=None if investor is None else [investor.pk])
    people = Investor.objects.filter(pk__in=books.holders).order_by("number")
    lots = _read_lots(books)
    terms = _read_terms(books)
    newest = _newest_papers(found.name, people)
    if progress is not None:
        progress(-len(people))
    for person in people:
        if most is not None and len(run.made) >= most:
            run.left += 1
            continue
        try:
            _make(run, books, person, lots.get(person.pk, []), terms, newest.get(person.pk))
        except FundError as error:
            run.refused[person.number] = error.code
        if progress is not None:
            progress(1)
    # A job that finds everything made says nothing, each hour.
    if run.made or actor.user is not None:
        record_audit(
            actor=actor,
            action="statements.made",
            subject=("fund", fund.pk),
            body={
                "period": run.period,
                "made": len(run.made),
                "kept": run.kept,
                "left": run.left,
                "refused": dict(run.refused),
            },
        )
    return run


def _make(
    run: StatementRun,
    books: PeriodBooks,
    person: Investor,
    lots: Sequence[StatementLot],
    terms: dict[str, tuple[ShareClass, ClassTerms]],
    before: Paper | None,
) -> None:
    version = 1 if before is None else before.version + 1
    number = number_of(books.period, person, version)
    data = describe_statement(
        books,
        person,
        build_holder_statement(
            books, person, lots, terms, number=number, version=version,
            supersedes="" if before is None else before.number,
        ),
    )  # fmt: skip
    figures = content_hash({name: data[name] for name in data if name not in OWN_WORDS})
    if before is not None and before.books_hash == figures:
        run.kept += 1
        return
    content = render_paper(TEMPLATE, data)
    with transaction.atomic():
        paper, is_new = Paper.objects.get_or_create(
            number=number,
            defaults={
                "kind": Paper.Kind.STATEMENT,
                "investor": person,
                "strike": books.period.closing,
                "period": books.period.name,
                "version": version,
                "data": data,
                "books_hash": figures,
                "content": content,
                "sha256": hashlib.sha256(content).hexdigest(),
            },
        )
        if is_new:
            _tell(paper, before)
            run.made.append(paper)
        else:
            run.kept += 1


def _tell(paper: Paper, before: Paper | None) -> None:
    assert paper.investor is not None
    title, fund = paper.data["title"], paper.data["fund"]
    why = ""
    if before is not None:
        why = (
            f"\n\nIt replaces {before.number}: the books of the period were corrected since. The "
            "older one stays in your vault, marked as superseded."
        )
    send_message(
        investor=paper.investor,
        key=f"statement:{paper.number}",
        subject=f"{title} is ready",
        body=f"{title} of {fund}, number {paper.number}, is in your vault under Statements.{why}",
    )


def number_of(period: Period, investor: Investor, version: int) -> str:
    """The number of a statement: month, account, and the version from the second on."""
    later = f"-v{version}" if version > 1 else ""
    return f"{period.name}-{investor.number}{later}"


def build_holder_statement(
    books: PeriodBooks,
    investor: Investor,
    lots: Sequence[StatementLot],
    terms: dict[str, tuple[ShareClass, ClassTerms]],
    *,
    number: str,
    version: int,
    supersedes: str = "",
) -> HolderStatement:
    """The statement of one investor as data.  Raises ``InvalidInput`` where it does not tie."""
    holder, closing = books.holders[investor.pk], books.period.closing
    first = books.first
    window = range(0 if first is None else first, books.last)
    held = [holder.units.get(k + 1, {}) for k in window]
    opening = holder.values.get(first, ZERO) if first is not None else ZERO
    points = _points(books, holder)
    statement = build_statement(
        head=StatementHead(
            number=number,
            version=version,
            holder=investor.legal_name,
            fund=books.fund.name,
            currency=books.fund.currency,
            start=books.period.start,
            end=books.period.end,
            inputs_hash=closing.input_hash,
            supersedes=supersedes,
        ),
        opening_value=opening,
        closing_value=holder.values.get(books.last, ZERO),
        components=_components(books, holder, held),
        flows=flows_of_points(points[window.start :]),
        units=roll_units(books, holder),
        lots=lots,
        rounding_max=bound_rounding(held),
    )
    codes = {lot.share_class for lot in lots} | set(statement.units)
    return HolderStatement(
        statement=statement,
        spans=_spans(books, holder, points),
        terms=tuple(terms[code] for code in sorted(codes)),
        holder=holder,
    )


def _components(
    books: PeriodBooks, holder: HolderBook, held: Sequence[dict[str, Decimal]]
) -> dict[str, Decimal]:
    found = split_result(books.periods, held)
    begin = 0 if books.first is None else books.first
    for at in range(begin, books.last):
        for line, amount in holder.money.get(at, {}).items():
            found[line] = found.get(line, ZERO) + amount
    before = holder.accrued.get(books.first, ZERO) if books.first is not None else ZERO
    accrued = holder.accrued.get(books.last, ZERO) - before
    moved = sum((holder.fee_moved.get(at, ZERO) for at in range(begin, books.last)), ZERO)
    found["performance_fee_accrued"] = moved - accrued
    return {line: amount for line, amount in found.items() if amount}


def _points(books: PeriodBooks, holder: HolderBook) -> list[HoldingPoint]:
    return [
        HoldingPoint(
            day=strike.valuation_at.date(),
            value=holder.values.get(k, ZERO),
            flow=holder.flow(k),
        )
        for k, strike in enumerate(books.strikes[: books.last])
    ]


def _spans(
    books: PeriodBooks, holder: HolderBook, points: Sequence[HoldingPoint]
) -> tuple[tuple[str, Span], ...]:
    end, closing = books.period.end, holder.values.get(books.last, ZERO)
    begin = 0 if books.first is None else books.first
    year = (books.period.closing.valuation_at - timedelta(microseconds=1)).year
    new_year = datetime(year, 1, 1, tzinfo=UTC)
    so_far = [k for k in range(books.last) if books.strikes[k].valuation_at <= new_year]
    starts = (
        (books.period.name, begin),
        (str(year), so_far[-1] if so_far else 0),
        ("start", 0),
    )
    # A stretch begins with the first money, so that of who came this year is the year's and the
    # whole one at once.
    came = next((k for k, point in enumerate(points) if point.value or point.flow), len(points))
    measured: dict[int, Span] = {}
    for _, start in starts:
        since = max(start, came)
        if since not in measured:
            measured[since] = measure_span(points[since:], end=end, closing=closing)
    return tuple((name, measured[max(start, came)]) for name, start in starts)


def _read_lots(books: PeriodBooks) -> dict[UUID, list[StatementLot]]:
    closing = books.period.closing
    prices = {row.share_class_id: row.issue_price for row in closing.classes.all()}
    shown = read_presentations(closing, is_dealt=False)
    rows = (
        LotNav.objects.filter(
            strike=closing, units__gt=0, lot__holding__investor__in=list(books.holders)
        )
        .select_related("lot__share_class", "lot__holding")
        .order_by("lot__dealing_day", "lot__number")
    )
    found: dict[UUID, list[StatementLot]] = {}
    for row in rows.iterator(chunk_size=5000):
        lot = row.lot
        found.setdefault(lot.holding.investor_id, []).append(
            StatementLot(
                lot=str(lot.number),
                share_class=lot.share_class.code,
                entry_day=lot.dealing_day,
                units=row.units,
                entry_price=lot.entry_price,
                cost=books.capital.get(lot.pk, ZERO),
                mark=row.high_water_mark,
                price=prices[lot.share_class_id],
                fee_per_unit=row.performance_fee_per_unit,
                net_per_unit=row.net_value_per_unit,
                value=row.net_value,
                lockup_until=lot.lockup_until,
                presented=present_lot(
                    shown.get(lot.share_class.code),
                    opened=lot.dealing_day,
                    units=row.units,
                    net_per_unit=row.net_value_per_unit,
                ),
            )
        )
    return found


def _read_terms(books: PeriodBooks) -> dict[str, tuple[ShareClass, ClassTerms]]:
    at = books.period.closing.valuation_at
    return {
        row.share_class.code: (row.share_class, terms_in_force(row.share_class, at=at))
        for row in books.period.closing.classes.select_related("share_class").order_by(
            "share_class__code"
        )
    }


def _newest_papers(period: str, people: Iterable[Investor]) -> dict[UUID, Paper]:
    rows = (
        Paper.objects.filter(kind=Paper.Kind.STATEMENT, period=period, investor__in=people)
        .defer("content", "data")
        .order_by("version")
    )
    return {row.investor_id: row for row in rows if row.investor_id is not None}
