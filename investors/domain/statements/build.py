"""An investor's statement as data: what stood, what moved, what was earned, and that it ties.

Signs: a bridge line is what it adds to the investor.  A statement that does not tie is not issued:
:func:`build_statement` raises with the checks that fail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.exact import ZERO, Number, coerce_decimals, exactly
from investors.domain.fee_presentation import PresentedLot
from investors.domain.performance import (
    ValueBridge,
    ValuedFlow,
    build_value_bridge,
)
from investors.domain.reconciliation import UnitRoll
from magnetfund.kernel.errors import InvalidInput

CENT = Decimal("0.01")
#: Money that crosses the investor's edge; everything else in the bridge is result or cost.
FLOW_COMPONENTS = (
    "subscriptions",
    "redemptions",
    "transfers",
    "distributions",
    "side_pockets",
)
FEE_COMPONENTS = (
    "management_fee",
    "performance_fee_accrued",
    "performance_fee_crystallised",
    "dealing_fees",
    "other_expenses",
)
#: Fees per unit are kept to twelve digits, so price less fee may differ in the last one.
PER_UNIT_STEP = Decimal("1e-12")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLot:
    """One lot at the close: ``net_per_unit`` is its class's price less the accrued fee, ``value``
    what the strike gave it in cents, ``cost`` the capital that its units still hold.  ``presented``
    is the same lot by the method that its class shows, where that is not marks per lot."""

    lot: str
    share_class: str
    entry_day: date
    units: Decimal
    entry_price: Decimal
    cost: Decimal
    mark: Decimal
    price: Decimal
    fee_per_unit: Decimal
    net_per_unit: Decimal
    value: Decimal
    lockup_until: date | None = None
    presented: PresentedLot | None = None

    def __post_init__(self) -> None:
        coerce_decimals(
            self, "units", "entry_price", "cost", "mark", "price", "fee_per_unit",
            "net_per_unit", "value",
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementHead:
    """Who, what and when.  ``inputs_hash`` is that of the closing strike, for replay."""

    number: str
    version: int
    holder: str
    fund: str
    currency: str
    start: date
    end: date
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
    units: Mapping[str, UnitRoll]
    lots: tuple[StatementLot, ...]
    gain: Decimal
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
    units: Mapping[str, UnitRoll],
    lots: Sequence[StatementLot],
    cash_quantum: Decimal = CENT,
    rounding_max: Number = Decimal("0.05"),
) -> Statement:
    """Put a statement together and check that it ties.

    ``components`` are signed and named as in the value bridge; ``flows`` are the same money by day
    with the value before each, positive into the investment; ``units`` are rolled by class.
    ``rounding_max`` bounds what rounded prices may leave.  Tie-outs: lots to closing value and to
    closing units, unit roll-forward, n = g - pf of every lot, flows to the bridge.  Raises
    ``InvalidInput`` (``does_not_tie``) naming each that fails, and what the bridge raises.
    """
    bridge = build_value_bridge(
        opening=opening_value, closing=closing_value, components=components,
        quantum=cash_quantum, rounding_max=rounding_max,
    )  # fmt: skip
    paid_in = sum((flow.amount for flow in flows), ZERO)
    moved = _total(bridge, FLOW_COMPONENTS)
    fees = _total(bridge, FEE_COMPONENTS)
    tie_outs = _check(bridge, units, lots, moved - paid_in, cash_quantum)
    failing = [check for check in tie_outs if not check.holds]
    if failing:
        raise InvalidInput(
            "the statement does not reconcile",
            code="does_not_tie",
            details={check.name: f"{check.gap:f}" for check in failing},
        )
    return Statement(
        head=head,
        opening=bridge.opening,
        flows=moved,
        fees=fees,
        result=bridge.closing - bridge.opening - moved - fees,
        closing=bridge.closing,
        bridge=bridge,
        units=dict(sorted(units.items())),
        lots=tuple(lots),
        gain=bridge.closing - bridge.opening - moved,
        tie_outs=tie_outs,
    )


def _total(bridge: ValueBridge, names: Sequence[str]) -> Decimal:
    return sum(
        (line.amount for line in bridge.lines if line.label.partition(":")[0] in names), ZERO
    )


def _check(
    bridge: ValueBridge,
    units: Mapping[str, UnitRoll],
    lots: Sequence[StatementLot],
    flow_gap: Decimal,
    cash_quantum: Decimal,
) -> tuple[TieOut, ...]:
    held: dict[str, Decimal] = {}
    for lot in lots:
        held[lot.share_class] = held.get(lot.share_class, ZERO) + lot.units
    codes = {*held, *units}
    return (
        TieOut(
            name="lots_to_closing_value",
            gap=sum((lot.value for lot in lots), ZERO) - bridge.closing,
            gap_max=ZERO,
        ),
        TieOut(
            name="units_times_net_value",
            gap=_widest(lot.units * lot.net_per_unit - lot.value for lot in lots),
            gap_max=cash_quantum,
        ),
        TieOut(
            name="lots_to_closing_units",
            gap=_widest(
                held.get(code, ZERO) - (units[code].closing if code in units else ZERO)
                for code in codes
            ),
            gap_max=ZERO,
        ),
        TieOut(
            name="unit_roll_forward",
            gap=_widest(roll.unexplained for roll in units.values()),
            gap_max=ZERO,
        ),
        TieOut(
            name="price_less_fee_is_net_value",
            gap=_widest(lot.price - lot.fee_per_unit - lot.net_per_unit for lot in lots),
            gap_max=PER_UNIT_STEP,
        ),
        TieOut(name="flows_to_bridge", gap=flow_gap, gap_max=cash_quantum * 4),
    )


def _widest(gaps: Iterable[Decimal]) -> Decimal:
    return max((abs(gap) for gap in gaps), default=ZERO)
