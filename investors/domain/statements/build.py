"""An investor's statement as data: what stood, what moved, what was earned, and that it ties.

Signs: a bridge line is what it adds to the investor.  A statement that does not tie is not issued:
:func:`build_statement` raises with the checks that fail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.exact import ZERO, Number, coerce_decimals, exactly
from investors.domain.performance import (
    Flow,
    ReturnFigure,
    ValueBridge,
    ValuedFlow,
    build_value_bridge,
    compute_mwr,
    compute_twr,
)
from investors.domain.reconciliation import UnitRoll
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_of, quantize

CENT = Decimal("0.01")
#: Money that crosses the investor's edge; everything else in the bridge is result or cost.
FLOW_COMPONENTS = ("subscriptions", "redemptions", "transfers", "distributions")
FEE_COMPONENTS = (
    "management_fee",
    "performance_fee_accrued",
    "performance_fee_crystallised",
    "other_expenses",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLot:
    """One lot at the close; ``net_per_unit`` is price less accrued fee."""

    lot: str
    entry_day: date
    units: Decimal
    entry_price: Decimal
    mark: Decimal
    fee_per_unit: Decimal
    net_per_unit: Decimal
    lockup_until: date | None = None

    def __post_init__(self) -> None:
        coerce_decimals(self, "units", "entry_price", "mark", "fee_per_unit", "net_per_unit")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementHead:
    """Who, what and when.  ``inputs_hash`` is that of the closing strike, for replay."""

    number: str
    version: int
    holder: str
    fund: str
    share_class: str
    currency: str
    start: date
    end: date
    closing_price: Decimal
    inputs_hash: str
    supersedes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TieOut:
    """An equality that the statement rests on; ``gap`` must not exceed ``gap_max``."""

    name: str
    gap: Decimal
    gap_max: Decimal

    @property
    def holds(self) -> bool:
        """Whether it ties."""
        return abs(self.gap) <= self.gap_max


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """All that is printed.  ``opening + flows + fees + result == closing``, to the cent."""

    head: StatementHead
    opening: Decimal
    flows: Decimal
    fees: Decimal
    result: Decimal
    closing: Decimal
    bridge: ValueBridge
    units: UnitRoll
    lots: tuple[StatementLot, ...]
    gain: Decimal
    twr: ReturnFigure
    mwr: ReturnFigure
    tie_outs: tuple[TieOut, ...]

    @property
    def content_hash(self) -> str:
        """SHA-256 of the content; the same inputs give the same hash."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


@exactly
def build_statement(
    *,
    head: StatementHead,
    opening_value: Number,
    closing_value: Number,
    components: Mapping[str, Number],
    flows: Sequence[ValuedFlow],
    units: UnitRoll,
    lots: Sequence[StatementLot],
    cash_quantum: Decimal = CENT,
) -> Statement:
    """Put a statement together and check that it ties.

    ``components`` are signed and named as in the value bridge; ``flows`` are the same money by day
    with the value before each, positive into the investment.  Tie-outs: lots to closing value and
    to closing units, unit roll-forward, n = g - pf of every lot, flows to the bridge.  Raises
    ``InvalidInput`` (``does_not_tie``) naming each that fails, and what the bridge raises.
    """
    bridge = build_value_bridge(
        opening=opening_value, closing=closing_value, components=components, quantum=cash_quantum
    )
    paid_in = sum((flow.amount for flow in flows), ZERO)
    moved = _total(bridge, FLOW_COMPONENTS)
    fees = _total(bridge, FEE_COMPONENTS)
    tie_outs = _check(head, bridge, units, lots, moved - paid_in, cash_quantum)
    failing = [check for check in tie_outs if not check.holds]
    if failing:
        raise InvalidInput(
            "the statement does not reconcile",
            code="does_not_tie",
            details={check.name: f"{check.gap:f}" for check in failing},
        )
    opening, closing = decimal_of(opening_value), decimal_of(closing_value)
    start, end = head.start, head.end
    return Statement(
        head=head,
        opening=bridge.opening,
        flows=moved,
        fees=fees,
        result=bridge.closing - bridge.opening - moved - fees,
        closing=bridge.closing,
        bridge=bridge,
        units=units,
        lots=tuple(sorted(lots, key=lambda lot: (lot.entry_day, lot.lot))),
        gain=bridge.closing - bridge.opening - moved,
        twr=compute_twr(
            opening_value=opening, closing_value=closing, flows=flows, start=start, end=end
        ),
        mwr=compute_mwr(
            opening_value=opening,
            closing_value=closing,
            flows=[Flow(flow.day, flow.amount) for flow in flows],
            start=start,
            end=end,
        ),
        tie_outs=tie_outs,
    )


def _total(bridge: ValueBridge, names: Sequence[str]) -> Decimal:
    return sum(
        (line.amount for line in bridge.lines if line.label.partition(":")[0] in names), ZERO
    )


def _check(
    head: StatementHead,
    bridge: ValueBridge,
    units: UnitRoll,
    lots: Sequence[StatementLot],
    flow_gap: Decimal,
    cash_quantum: Decimal,
) -> tuple[TieOut, ...]:
    value = sum((lot.units * lot.net_per_unit for lot in lots), ZERO)
    held = sum((lot.units for lot in lots), ZERO)
    widest = max(
        (abs(head.closing_price - lot.fee_per_unit - lot.net_per_unit) for lot in lots),
        default=ZERO,
    )
    return (
        TieOut(
            name="lots_to_closing_value",
            gap=quantize(value, cash_quantum) - bridge.closing,
            gap_max=cash_quantum,
        ),
        TieOut(name="lots_to_closing_units", gap=held - units.closing, gap_max=ZERO),
        TieOut(name="unit_roll_forward", gap=units.unexplained, gap_max=ZERO),
        TieOut(name="price_less_fee_is_net_value", gap=widest, gap_max=ZERO),
        TieOut(name="flows_to_bridge", gap=flow_gap, gap_max=cash_quantum * 4),
    )
