"""Three-way reconciliation: match two sides, name every break, and say what blocks.

Signs: ``difference = ours - theirs``.  Every line of either side ends in exactly one match or one
break, so the matched and the broken lines of a side add to that side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from investors.domain.exact import ZERO, coerce_decimals, exactly, not_negative
from magnetfund.kernel.errors import InvalidInput


class BreakKind(StrEnum):
    """What is wrong with a line."""

    MISSING_THERE = "missing_there"  # ours has no counterpart
    MISSING_HERE = "missing_here"  # theirs has no counterpart
    AMOUNT = "amount"
    DATE = "date"
    DUPLICATE_HERE = "duplicate_here"
    DUPLICATE_THERE = "duplicate_there"


class BreakState(StrEnum):
    """How far work on a break has come."""

    OPEN = "open"
    EXPLAINED = "explained"
    ADJUSTED = "adjusted"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a ledger or a statement.

    ``key`` names what is compared (an asset at a venue, a transaction reference), ``asset`` the
    unit of ``amount``: lines of different assets never match.
    """

    key: str
    asset: str
    amount: Decimal
    day: date

    def __post_init__(self) -> None:
        coerce_decimals(self, "amount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A difference with its name.  ``age_days`` counts from the older line to the check."""

    kind: BreakKind
    key: str
    asset: str
    ours: Decimal
    theirs: Decimal
    age_days: int
    is_blocking: bool

    @property
    def difference(self) -> Decimal:
        """Ours less theirs; what is missing counts as zero."""
        return self.ours - self.theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The keys that agree and the breaks, both in order of asset and key."""

    matched: tuple[tuple[str, str], ...]
    breaks: tuple[Break, ...]

    @property
    def is_clean(self) -> bool:
        """No break at all."""
        return not self.breaks

    @property
    def blocks(self) -> bool:
        """Whether a break is above tolerance, so that nothing may be approved on it."""
        return any(found.is_blocking for found in self.breaks)

    def difference_by_asset(self) -> dict[str, Decimal]:
        """Net difference of each asset with breaks."""
        total: dict[str, Decimal] = {}
        for found in self.breaks:
            total[found.asset] = total.get(found.asset, ZERO) + found.difference
        return total


@exactly
def match_lines(
    *,
    ours: Iterable[Line],
    theirs: Iterable[Line],
    day: date,
    tolerance: Mapping[str, Decimal] | None = None,
    days_apart_max: int = 0,
) -> Reconciliation:
    """Match lines by (asset, key); what does not agree to the last digit is a break.

    ``tolerance`` by asset bounds what a break may be without blocking (default 0: every amount
    break blocks); it never hides one.  Dates may lie ``days_apart_max`` days apart; a wider gap
    with equal amounts is a :attr:`BreakKind.DATE` break, which does not block.  Of several lines
    with one key on a side the first counts and the others are duplicates, which block.
    """
    if days_apart_max < 0:
        raise InvalidInput("days_apart_max must not be negative", code="negative")
    limits = {
        asset: not_negative(limit, name="tolerance") for asset, limit in (tolerance or {}).items()
    }
    here, twice_here = _index(ours)
    there, twice_there = _index(theirs)
    breaks: list[Break] = []
    matched: list[tuple[str, str]] = []
    for key in sorted(here.keys() | there.keys()):
        left, right = here.get(key), there.get(key)
        kind = _difference_of(left, right, days_apart_max)
        if kind is None:
            matched.append(key)
        else:
            breaks.append(_break(kind, left, right, day, limits))
    breaks += [_break(BreakKind.DUPLICATE_HERE, line, None, day, {}) for line in twice_here]
    breaks += [_break(BreakKind.DUPLICATE_THERE, None, line, day, {}) for line in twice_there]
    breaks.sort(key=lambda found: (found.asset, found.key, found.kind))
    return Reconciliation(matched=tuple(matched), breaks=tuple(breaks))


def _index(lines: Iterable[Line]) -> tuple[dict[tuple[str, str], Line], list[Line]]:
    first: dict[tuple[str, str], Line] = {}
    again: list[Line] = []
    for line in lines:
        if first.setdefault((line.asset, line.key), line) is not line:
            again.append(line)
    return first, again


def _difference_of(left: Line | None, right: Line | None, days_max: int) -> BreakKind | None:
    if left is None:
        return BreakKind.MISSING_HERE
    if right is None:
        return BreakKind.MISSING_THERE
    if left.amount != right.amount:
        return BreakKind.AMOUNT
    return BreakKind.DATE if abs((left.day - right.day).days) > days_max else None


def _break(
    kind: BreakKind,
    left: Line | None,
    right: Line | None,
    day: date,
    limits: Mapping[str, Decimal],
) -> Break:
    lines: Sequence[Line] = [line for line in (left, right) if line is not None]
    ours = left.amount if left is not None else ZERO
    theirs = right.amount if right is not None else ZERO
    is_duplicate = kind in (BreakKind.DUPLICATE_HERE, BreakKind.DUPLICATE_THERE)
    return Break(
        kind=kind,
        key=lines[0].key,
        asset=lines[0].asset,
        ours=ours,
        theirs=theirs,
        age_days=max(0, (day - min(line.day for line in lines)).days),
        is_blocking=is_duplicate or abs(ours - theirs) > limits.get(lines[0].asset, ZERO),
    )


_NEXT = {
    BreakState.OPEN: {BreakState.EXPLAINED},
    BreakState.EXPLAINED: {BreakState.ADJUSTED, BreakState.ACCEPTED, BreakState.OPEN},
    BreakState.ADJUSTED: frozenset(),
    BreakState.ACCEPTED: frozenset(),
}


def move_break(
    *, state: BreakState, to: BreakState, reason: str, actor: str, explained_by: str = ""
) -> BreakState:
    """Work a break: open, explained, then adjusted or accepted.

    Accepting needs a second person.  Raises ``InvalidInput``: ``no_such_move``, ``no_reason``,
    ``same_person``.
    """
    if to not in _NEXT[state]:
        raise InvalidInput(f"a break that is {state} cannot be {to}", code="no_such_move")
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="no_reason")
    if to is BreakState.ACCEPTED and (not explained_by or actor == explained_by):
        raise InvalidInput("a break must be accepted by a second person", code="same_person")
    return to


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRoll:
    """Units of one lot, class or fund over a period; fee units, redemptions and what went into side
    pockets are positive."""

    opening: Decimal
    issued: Decimal
    redeemed: Decimal
    fee_units: Decimal
    transferred: Decimal
    closing: Decimal
    set_apart: Decimal = ZERO

    def __post_init__(self) -> None:
        coerce_decimals(
            self, "opening", "issued", "redeemed", "fee_units", "transferred", "closing",
            "set_apart",
        )  # fmt: skip

    @property
    def unexplained(self) -> Decimal:
        """Closing less (opening + issued - redeemed - fee units + transferred - set apart): must
        be 0."""
        expected = self.opening + self.issued - self.redeemed - self.fee_units + self.transferred
        return self.closing - expected + self.set_apart
