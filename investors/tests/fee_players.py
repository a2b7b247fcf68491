"""One history of a class played by each method of the performance fee."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal, localcontext

from investors.domain.equalisation import EqualisedClass, value_class
from investors.domain.fees import (
    ClassTerms,
    choose_clock,
    compute_accrued_fee,
    crystallise_units,
)
from investors.domain.series import Series, crystallise_series, value_series
from investors.tests.equalisation_history import (
    crystallise_class,
    redeem_equalised,
    subscribe_equalised,
)
from investors.tests.series_history import SeriesOrder, open_series, redeem_from_series, roll_up
from magnetfund.kernel.money import CONTEXT

D = Decimal
FINE = D("1e-24")
ZERO, PAR = D(0), D(100)
START = date(2026, 1, 1)


@dataclass
class ByLots:
    """Deal at g, keep a mark per lot, collect by cancelling units."""

    terms: ClassTerms
    gross: Decimal = PAR
    lots: dict[str, tuple[Decimal, Decimal, date]] = field(default_factory=dict)
    paid: Decimal = ZERO

    def fee(self, lot: str, day: date) -> Decimal:
        _, mark, clock = self.lots[lot]
        return compute_accrued_fee(
            terms=self.terms, price=self.gross, mark=mark, clock=clock, day=day
        )

    def grow(self, growth: Decimal) -> None:
        self.gross *= 1 + growth

    def subscribe(self, lot: str, amount: Decimal, day: date) -> None:
        self.lots[lot] = (amount / self.gross, self.gross, day)

    def redeem(self, lot: str, share: Decimal, day: date) -> None:
        units, mark, clock = self.lots[lot]
        self.paid += units * share * self.fee(lot, day)
        self.lots[lot] = (units - units * share, mark, clock)

    def crystallise(self, day: date) -> None:
        for lot, (units, mark, clock) in self.lots.items():
            fee = self.fee(lot, day)
            taken = crystallise_units(
                units=units, price=self.gross, fee_per_unit=fee, mark=mark,
                unit_quantum=FINE, cash_quantum=FINE,
            )  # fmt: skip
            clock = choose_clock(terms=self.terms, clock=clock, day=day, fee_taken=fee > 0)
            self.lots[lot] = (taken.units, taken.mark, clock)
            self.paid += taken.payable

    def values(self, day: date) -> dict[str, Decimal]:
        return {
            lot: units * (self.gross - self.fee(lot, day))
            for lot, (units, _, _) in self.lots.items()
        }


@dataclass
class BySeries:
    """A price and a mark for each subscription day; rolled up where it may be, or never."""

    terms: ClassTerms
    rolls: bool
    series: list[Series] = field(default_factory=list)
    paid: Decimal = ZERO
    rolled: int = 0

    def grow(self, growth: Decimal) -> None:
        self.series = [replace(item, price=item.price * (1 + growth)) for item in self.series]

    def subscribe(self, lot: str, amount: Decimal, day: date) -> None:
        order = SeriesOrder(lot=lot, holder=lot, amount=amount)
        opening = open_series(
            code=f"S{lot}", number=int(lot), day=day, orders=[order], unit_quantum=FINE
        )
        self.series.append(opening.series)

    def redeem(self, lot: str, share: Decimal, day: date) -> None:
        for index, item in enumerate(self.series):
            units = {holding.lot: holding.units for holding in item.holdings}.get(lot)
            if units:
                out = redeem_from_series(
                    terms=self.terms, series=item, lot=lot, units=units * share, day=day,
                    cash_quantum=FINE,
                )  # fmt: skip
                self.paid += out.payable
                self.series[index : index + 1] = [out.series] if out.series else []
                return

    def crystallise(self, day: date) -> None:
        taken = [
            crystallise_series(terms=self.terms, series=item, day=day, cash_quantum=FINE)
            for item in self.series
        ]
        self.paid += sum((each.payable for each in taken), D(0))
        self.series = [each.series for each in taken]
        if self.rolls and self.series:
            result = roll_up(terms=self.terms, series=self.series, unit_quantum=FINE)
            self.rolled += len(result.exchanges)
            self.series = [result.lead, *result.kept]

    def values(self, day: date) -> dict[str, Decimal]:
        return {
            holding.lot: holding.units * value.net_price
            for item in self.series
            for value in [value_series(terms=self.terms, series=item, day=day)]
            for holding in item.holdings
        }


@dataclass
class ByEqualisation:
    """One price, a credit or a contingent redemption per lot."""

    terms: ClassTerms
    gross: Decimal = PAR
    equalised: EqualisedClass = field(
        default_factory=lambda: EqualisedClass(mark=D(100), clock=START)
    )
    paid: Decimal = ZERO

    def grow(self, growth: Decimal) -> None:
        self.gross *= 1 + growth

    def subscribe(self, lot: str, amount: Decimal, day: date) -> None:
        self.equalised = subscribe_equalised(
            terms=self.terms, equalised=self.equalised, gross=self.gross, day=day, lot=lot,
            holder=lot, amount=amount, unit_quantum=FINE,
        ).equalised  # fmt: skip

    def redeem(self, lot: str, share: Decimal, day: date) -> None:
        units = {item.lot: item.units for item in self.equalised.lots}.get(lot)
        if units:
            out = redeem_equalised(
                terms=self.terms, equalised=self.equalised, gross=self.gross, day=day, lot=lot,
                units=units * share, cash_quantum=FINE,
            )  # fmt: skip
            self.paid, self.equalised = self.paid + out.payable, out.equalised

    def crystallise(self, day: date) -> None:
        done = crystallise_class(
            terms=self.terms, equalised=self.equalised, gross=self.gross, day=day,
            unit_quantum=FINE, cash_quantum=FINE,
        )  # fmt: skip
        self.gross, self.equalised = done.price, done.equalised
        self.paid += done.payable

    def values(self, day: date) -> dict[str, Decimal]:
        value = value_class(terms=self.terms, equalised=self.equalised, gross=self.gross, day=day)
        return {item.lot: item.net_value for item in value.lots}


@dataclass
class ByFund:
    """One mark for the whole pool, moved by flows: the method that is not fair."""

    terms: ClassTerms
    pool: Decimal = ZERO
    mark: Decimal = ZERO
    units: dict[str, Decimal] = field(default_factory=dict)

    def net_price(self) -> Decimal:
        held = sum(self.units.values(), ZERO)
        fee = self.terms.performance_rate * max(ZERO, self.pool - self.mark)
        return (self.pool - fee) / held if held else PAR

    def grow(self, growth: Decimal) -> None:
        self.pool *= 1 + growth

    def subscribe(self, lot: str, amount: Decimal, day: date) -> None:
        self.units[lot] = amount / self.net_price()
        self.pool, self.mark = self.pool + amount, self.mark + amount

    def values(self) -> dict[str, Decimal]:
        return {lot: units * self.net_price() for lot, units in self.units.items()}


Method = ByLots | BySeries | ByEqualisation
Event = tuple[str, Decimal, int]

# Growth never lands on a threshold to the last digit: at the jump of a soft hurdle the side is
# decided by the sixtieth digit, which the methods reach by different divisions.
OFF_GRID = D("0.0000012345678901")


def play(method: Method, events: list[Event], terms: ClassTerms) -> list[dict[str, Decimal]]:
    """Run one history; values of all lots after each event."""
    day, lots, seen = START, 1, []
    with localcontext(CONTEXT):
        method.subscribe("0", D(1000), day)
        for kind, size, days in events:
            day += timedelta(days=days)
            method.grow((size - D("0.4")) / 2 + OFF_GRID)
            if kind == "subscribe":
                method.subscribe(str(lots), 1000 * size, day)
                lots += 1
            elif kind == "redeem":
                method.redeem(str(days % lots), size, day)
            elif kind == "leave":
                method.redeem(str(days % lots), D(1), day)
            elif kind == "crystallise":
                method.crystallise(day)
            seen.append(method.values(day))
    return seen
