"""An investor's part of what the fund earned and spent between two strikes, line by line.

Between two strikes a class takes its part of the fund's result by its net value after the dealing
of the first (:mod:`investors.domain.strike.compute`), and a unit its part of the class.  The same
two shares split every account of the fund's result, so each line of a statement adds, over all
investors, to what the ledger booked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from investors.domain.exact import ZERO, exactly

#: The bridge's line of each account of the fund's result.  The manager's own fees are charged by
#: class and lot and have lines of their own.
RESULT_LINES: Mapping[str, str] = {
    "4010": "realised_result",
    "4020": "unrealised_result",
    "4030": "funding",
    "5100": "funding",
    "4040": "staking_and_interest",
    "4050": "fx",
    "4055": "fx",
    "5090": "trading_cost",
    "4060": "other_income",
    "3900": "other_income",
    "5030": "other_expenses",
    "5040": "other_expenses",
    "5050": "other_expenses",
    "5060": "other_expenses",
    "5070": "other_expenses",
    "5080": "other_expenses",
    "4070": "equalisation_and_compensation",
    "5110": "equalisation_and_compensation",
}
#: What a rounded price may hide of a unit's value: half a step at both ends, and a cent of a class.
PRICE_STEP, CENT = Decimal("0.000001"), Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPeriod:
    """One class between two strikes.

    ``units`` are in issue at the second, ``share`` is its part of the fund's result (0..1),
    ``management_fee`` what the second strike charged it.
    """

    code: str
    units: Decimal
    share: Decimal
    management_fee: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FundPeriod:
    """The fund between two strikes: classes, and its result by line, gains positive."""

    classes: tuple[ClassPeriod, ...]
    result: Mapping[str, Decimal]


@exactly
def share_by_weight(weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Each class's part of the fund's result; a class worth nothing takes none."""
    total = sum((weight for weight in weights.values() if weight > 0), ZERO)
    return {
        code: weight / total if weight > 0 and total > 0 else ZERO
        for code, weight in weights.items()
    }


@exactly
def split_result(
    periods: Sequence[FundPeriod], held: Sequence[Mapping[str, Decimal]]
) -> dict[str, Decimal]:
    """The lines of one investor over some periods, unrounded; ``held`` are his units by class at
    the end of each period."""
    found: dict[str, Decimal] = {}
    for period, units in zip(periods, held, strict=True):
        for item in period.classes:
            own = units.get(item.code, ZERO)
            if not own or not item.units:
                continue
            part = own / item.units
            for line, amount in period.result.items():
                found[line] = found.get(line, ZERO) + amount * item.share * part
            fee = found.get("management_fee", ZERO) - item.management_fee * part
            found["management_fee"] = fee
    return {line: amount for line, amount in found.items() if amount}


@exactly
def bound_rounding(held: Iterable[Mapping[str, Decimal]]) -> Decimal:
    """How far the rounding of prices and cents can move a holding over some periods."""
    bound = CENT
    for units in held:
        bound += 3 * CENT + 2 * PRICE_STEP * sum(units.values(), ZERO)
    return bound
