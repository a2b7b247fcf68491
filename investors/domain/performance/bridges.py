"""Bridges: from money gain to TWR to MWR, and from opening value to closing value.

Signs: every line is what it adds to the investor (a fee is negative).  Both bridges add exactly:
the lines are rational numbers until they are rounded together by largest remainder.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from investors.domain.exact import (
    ZERO,
    Number,
    When,
    day_number,
    decimal_of_fraction,
    exactly,
    round_to_total,
)
from investors.domain.performance.figures import Flow, ReturnFigure, ValuedFlow, valued_flows_of
from investors.domain.performance.money_weighted import compute_mwr
from investors.domain.performance.returns import annualise_return, compute_twr
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_of

CENT = Decimal("0.01")

BRIDGE_SENTENCE = (
    "The time-weighted return shows how the fund performed, the money-weighted "
    "return how your money "
    "performed. They differ only because of the timing of your subscriptions and redemptions."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLine:
    """What one amount of money earned: ``earned = amount * twr_to_end``, rounded with the others.

    ``day`` is the day number of the flow, the first line being the opening value.
    """

    day: int
    amount: Decimal
    twr_to_end: Decimal
    earned: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnBridge:
    """Money gain explained by flow, and the three figures beside each other.

    ``sum(line.earned) == gain`` exactly.  ``timing_effect`` is MWR minus annualised TWR, ``None``
    when either is not defined or the period is under one year.  When the chain of values breaks,
    ``lines`` is empty and ``twr.reason`` says why; ``gain`` holds in any case.
    """

    gain: Decimal
    lines: tuple[BridgeLine, ...]
    twr: ReturnFigure
    mwr: ReturnFigure
    twr_annualised: Decimal | None
    timing_effect: Decimal | None
    sentence: str = BRIDGE_SENTENCE

    def as_csv(self) -> str:
        """The bridge as CSV (day, amount, TWR to the end, earned), to be rebuilt outside."""
        sheet = io.StringIO()
        writer = csv.writer(sheet, lineterminator="\n")
        writer.writerow(["day", "amount", "twr_to_end", "earned"])
        for line in self.lines:
            writer.writerow(
                [
                    date.fromordinal(line.day),
                    f"{line.amount:f}",
                    f"{line.twr_to_end:f}",
                    f"{line.earned:f}",
                ]
            )
        writer.writerow(["gain", "", "", f"{self.gain:f}"])
        return sheet.getvalue()


@exactly
def build_return_bridge(
    *,
    opening_value: Number,
    closing_value: Number,
    flows: Iterable[tuple[When, Number, Number] | ValuedFlow] = (),
    start: When,
    end: When,
    quantum: Decimal = CENT,
) -> ReturnBridge:
    """``gain = V0 TWR(0,T) + sum F_i TWR(i,T)``, line by line, then MWR and the timing effect.

    ``flows`` are ``(when, value_before_the_flow, amount)``; ``quantum`` is the scale of the
    ``earned`` column, which adds to the gain rounded to that scale.
    """
    steps = valued_flows_of(flows)
    opening, closing = decimal_of(opening_value), decimal_of(closing_value)
    twr = compute_twr(
        opening_value=opening, closing_value=closing, flows=steps, start=start, end=end
    )
    mwr = compute_mwr(
        opening_value=opening,
        closing_value=closing,
        flows=[Flow(step.day, step.amount) for step in steps],
        start=start,
        end=end,
    )
    gain = closing - opening - sum((step.amount for step in steps), ZERO)
    lines: tuple[BridgeLine, ...] = ()
    if twr.is_defined:
        gain = sum(round_to_total([gain], quantum=quantum), ZERO)
        lines = _bridge_lines(opening, closing, steps, day_number(start), quantum, gain)
    yearly, timing = None, None
    if twr.value is not None and twr.days:
        annual = annualise_return(total_return=twr.value, days=twr.days)
        yearly = annual.value if annual.is_annualised else None
        timing = mwr.value - yearly if yearly is not None and mwr.value is not None else None
    return ReturnBridge(
        gain=gain, lines=lines, twr=twr, mwr=mwr, twr_annualised=yearly, timing_effect=timing
    )


def _bridge_lines(
    opening: Decimal,
    closing: Decimal,
    steps: tuple[ValuedFlow, ...],
    first_day: int,
    quantum: Decimal,
    gain: Decimal,
) -> tuple[BridgeLine, ...]:
    amounts = [Fraction(opening), *(Fraction(step.amount) for step in steps)]
    days = [first_day, *(step.day for step in steps)]
    ends = [*(Fraction(step.value_before) for step in steps), Fraction(closing)]
    growth_to_end = Fraction(1)
    growths: list[Fraction] = []
    invested = [amounts[0], *(e + a for e, a in zip(ends[:-1], amounts[1:], strict=True))]
    for start_value, end_value in zip(reversed(invested), reversed(ends), strict=True):
        growth_to_end *= end_value / start_value if start_value else Fraction(1)
        growths.append(growth_to_end)
    growths.reverse()
    exact = [amount * (growth - 1) for amount, growth in zip(amounts, growths, strict=True)]
    earned = round_to_total(exact, quantum=quantum, total=gain)
    return tuple(
        BridgeLine(
            day=day,
            amount=decimal_of_fraction(amount),
            twr_to_end=decimal_of_fraction(growth - 1),
            earned=part,
        )
        for day, amount, growth, part in zip(days, amounts, growths, earned, strict=True)
    )


#: The order of a statement's value bridge; each name is a line an investor can ask about.
VALUE_BRIDGE_ORDER = (
    "subscriptions",
    "redemptions",
    "transfers",
    "distributions",
    "side_pockets",
    "realised_result",
    "unrealised_result",
    "funding",
    "staking_and_interest",
    "fx",
    "trading_cost",
    "financing_cost",
    "other_income",
    "management_fee",
    "performance_fee_accrued",
    "performance_fee_crystallised",
    "dealing_fees",
    "other_expenses",
    "equalisation_and_compensation",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueBridgeLine:
    """A line of the value bridge; ``label`` is a name of the order, or ``name:sleeve``."""

    label: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueBridge:
    """``opening + sum(line.amount) + rounding == closing``, exactly, all at the cash scale."""

    opening: Decimal
    lines: tuple[ValueBridgeLine, ...]
    rounding: Decimal
    closing: Decimal


@exactly
def build_value_bridge(
    *,
    opening: Number,
    closing: Number,
    components: Mapping[str, Number],
    quantum: Decimal = CENT,
    rounding_max: Number = Decimal("0.05"),
) -> ValueBridge:
    """Opening to closing value by named components, with the rounding line shown and bounded.

    ``components`` maps names of :data:`VALUE_BRIDGE_ORDER` (optionally ``name:sleeve``) to
    unrounded signed amounts.  They are rounded together; what then remains to ``closing``
    is the rounding line.  A remainder above ``rounding_max`` is an unexplained move, not
    rounding, and raises ``InvalidInput`` (``bridge_unexplained``); an unknown name raises
    ``unknown_component``.
    """
    rank = {name: position for position, name in enumerate(VALUE_BRIDGE_ORDER)}
    unknown = [label for label in components if label.partition(":")[0] not in rank]
    if unknown:
        raise InvalidInput(
            f"unknown component {unknown[0]!r}",
            code="unknown_component",
            details={"known": list(VALUE_BRIDGE_ORDER)},
        )
    labels = sorted(components, key=lambda label: (rank[label.partition(":")[0]], label))
    (first,) = round_to_total([decimal_of(opening)], quantum=quantum)
    (last,) = round_to_total([decimal_of(closing)], quantum=quantum)
    parts = round_to_total([decimal_of(components[label]) for label in labels], quantum=quantum)
    rounding = last - first - sum(parts, ZERO)
    if abs(rounding) > decimal_of(rounding_max):
        raise InvalidInput(
            "the components do not explain the change of value",
            code="bridge_unexplained",
            details={"unexplained": f"{rounding:f}"},
        )
    lines = tuple(
        ValueBridgeLine(label=label, amount=part) for label, part in zip(labels, parts, strict=True)
    )
    return ValueBridge(opening=first, lines=lines, rounding=rounding, closing=last)
