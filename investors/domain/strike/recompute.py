"""The second engine: the same strike by another route, in exact rationals.

It works bottom up and per unit: a class's value grows by the fund's rate since the last dealing
and is divided, less the fee a unit; lots are valued one by one and added.  It shares no
arithmetic with ``compute`` beyond the terms themselves, so a slip in one shows against the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

from investors.domain.fees import ClassTerms, DayCount, Hurdle
from investors.domain.strike.types import ClassInput, LotInput, MergeInput, StrikeInputs
from magnetfund.kernel.money import CONTEXT


def recompute_strike(inputs: StrikeInputs) -> dict[str, dict[str, Decimal]]:
    """Per class: price, management_fee, performance_fee and nav, as the second engine sees them.

    A class without units has no price.  Compare to the cent (price to its step) before anybody may
    approve.  Where claims are set apart, each class has ``pocket:NAME``, its part of the money, and
    ``pocket_units:NAME``, the units that leave; where one comes back ``merge_fee:NAME`` and
    ``merge_units:NAME``.
    """
    values, exact = _spread(inputs)
    found = {
        item.code: _one_class(item, values[item.code], exact[item.code], inputs)
        for item in inputs.classes
    }
    if inputs.pockets:
        _set_apart(inputs, values, found)
    for merge in inputs.merges:
        _bring_back(inputs, merge, found)
    return found


def _bring_back(
    inputs: StrikeInputs, merge: MergeInput, found: dict[str, dict[str, Decimal]]
) -> None:
    """Lot by lot the fee over its own mark, and the units that the rest buys."""
    given = {item.code: item for item in inputs.classes}
    rose = Fraction(merge.value) / sum(
        (Fraction(lot.units) * Fraction(lot.price) for lot in merge.lots), Fraction(0)
    )
    sums: dict[str, list[Fraction]] = {}
    for lot in merge.lots:
        item = given[lot.share_class]
        terms, paid = item.terms, Fraction(lot.value)
        main = Fraction(found[item.code].get("price", item.launch_price))
        hurdle = _hurdle(terms, min(lot.clock, inputs.day), inputs)
        a_unit = _fee(terms, Fraction(lot.price) * rose, Fraction(lot.mark), hurdle)
        owed = Fraction(lot.units) * _half_even(a_unit * 10**12) / 10**12
        cash, step = Fraction(terms.cash_quantum), Fraction(terms.unit_quantum)
        fee = min(paid, owed // cash * cash)
        own = sums.setdefault(item.code, [Fraction(0), Fraction(0)])
        own[0] += fee
        own[1] += (paid - fee) / main // step * step
    for code, (fee, units) in sums.items():
        found[code][f"merge_fee:{merge.pocket}"] = _decimal(fee)
        found[code][f"merge_units:{merge.pocket}"] = _decimal(units)


def _set_apart(
    inputs: StrikeInputs, values: dict[str, Fraction], found: dict[str, dict[str, Decimal]]
) -> None:
    """Each claim over the classes' worth after the management fee: money by largest remainder,
    units lot by lot in whole steps."""
    held = [item for item in inputs.classes if _units(item)]
    worth = {
        item.code: values[item.code] - Fraction(found[item.code]["management_fee"]) for item in held
    }
    total = sum(worth.values(), Fraction(0))
    cent = Fraction(inputs.classes[0].terms.cash_quantum)
    for pocket in inputs.pockets:
        claim = Fraction(pocket.value)
        exact = {code: claim * own / total / cent for code, own in worth.items()}
        whole = {code: part.numerator // part.denominator for code, part in exact.items()}
        ranked = sorted(worth, key=lambda code: (whole[code] - exact[code], code))
        for code in ranked[: _half_even(claim / cent) - sum(whole.values())]:
            whole[code] += 1
        for item in held:
            step = Fraction(item.terms.unit_quantum)
            taken = sum(
                (Fraction(lot.units) * claim / total // step for lot in item.lots), Fraction(0)
            )
            if whole[item.code]:
                name = pocket.pocket
                found[item.code][f"pocket:{name}"] = _decimal(whole[item.code] * cent)
                found[item.code][f"pocket_units:{name}"] = _decimal(taken * step)


def _spread(inputs: StrikeInputs) -> tuple[dict[str, Fraction], dict[str, Fraction]]:
    """Value of each class before its fees, in whole cents and unrounded: what it had grows by the
    fund's rate, by what it is worth before fees where no class is worth more than its fee.

    The cents that rounding down leaves go to the largest remainders, then by class code.
    """
    step = Fraction(inputs.classes[0].terms.cash_quantum)
    worth = {
        item.code: Fraction(item.nav_before)
        for item in inputs.classes
        if _units(item) and item.nav_before > 0
    } or {item.code: Fraction(item.gav_before) for item in inputs.classes if _units(item)}
    had = {
        item.code: Fraction(item.gav_before)
        if item.code in worth
        else _half_even(Fraction(item.gav_before) / step) * step
        for item in inputs.classes
    }
    cents = _half_even(Fraction(inputs.net_assets) / step)
    cents -= int(sum((had[code] for code in had if code not in worth), Fraction(0)) / step)
    if not worth:
        return had, had
    grown = (cents * step - sum((had[code] for code in worth), Fraction(0))) / sum(worth.values())
    exact = {code: (had[code] + worth[code] * grown) / step for code in worth}
    unrounded = {item.code: Fraction(item.gav_before) for item in inputs.classes}
    unrounded |= {code: value * step for code, value in exact.items()}
    whole = {code: value.numerator // value.denominator for code, value in exact.items()}
    ranked = sorted(worth, key=lambda code: (whole[code] - exact[code], code))
    for code in ranked[: cents - sum(whole.values())]:
        whole[code] += 1
    return {**had, **{code: count * step for code, count in whole.items()}}, unrounded


def _one_class(
    item: ClassInput, value: Fraction, exact: Fraction, inputs: StrikeInputs
) -> dict[str, Decimal]:
    terms, units = item.terms, _units(item)
    zero = Decimal(0)
    if not units:
        return {"management_fee": zero, "performance_fee": zero, "nav": _decimal(value)}
    before = Fraction(item.fee_cumulative)
    after = before + _a_year(terms, Fraction(item.nav_before)) * _years(terms, inputs)
    cash = Fraction(terms.cash_quantum)
    fee = (_half_even(after / cash) - _half_even(before / cash)) * cash
    if is_dust := 0 < exact < 2 * cash:
        fee = Fraction(0)
    a_unit = value / units - fee / units
    step = Fraction(terms.price_quantum)
    price = _half_even((exact / units if is_dust else a_unit) / step) * step
    owed = sum(
        (held * _fee(terms, price, Fraction(mark), _hurdle(terms, clock, inputs))
         for (mark, clock), held in _held(item.lots).items()),
        Fraction(0),
    )  # fmt: skip
    performance = _half_even(owed / cash) * cash
    return {
        "price": _decimal(price),
        "management_fee": _decimal(fee),
        "performance_fee": _decimal(performance),
        "nav": _decimal(a_unit * units - performance),
    }


def _a_year(terms: ClassTerms, base: Fraction) -> Fraction:
    """Management fee of a year, band by band from the top down."""
    left, fee = max(Fraction(0), base), Fraction(0)
    for above, rate in sorted(((t.above, t.rate) for t in terms.tiers), reverse=True):
        fee += max(Fraction(0), left - Fraction(above)) * Fraction(rate)
        left = min(left, Fraction(above))
    if not terms.tiers:
        fee = left * Fraction(terms.management_rate)
    return max(fee, Fraction(terms.management_floor))


def _years(terms: ClassTerms, inputs: StrikeInputs) -> Fraction:
    """Length of the period by the class's day count."""
    first, last = inputs.previous_day, inputs.day
    if first is None:
        return Fraction(0)
    match terms.day_count:
        case DayCount.ACT_365F:
            return Fraction((last - first).days, 365)
        case DayCount.ACT_360:
            return Fraction((last - first).days, 360)
        case DayCount.THIRTY_360:
            begins = 30 if first.day == 31 else first.day
            ends = 30 if last.day == 31 and begins == 30 else last.day
            months = 12 * (last.year - first.year) + last.month - first.month
            return Fraction(30 * months + ends - begins, 360)


def _hurdle(terms: ClassTerms, clock: date, inputs: StrikeInputs) -> Fraction:
    """Hurdle return since a clock started."""
    days = (inputs.day - clock).days
    if terms.hurdle is Hurdle.NONE or days <= 0:
        return Fraction(0)
    if not terms.hurdle_compounds:
        return Fraction(terms.hurdle_rate) * Fraction(days, 365)
    with localcontext(CONTEXT):
        return Fraction(((1 + terms.hurdle_rate).ln() * days / 365).exp() - 1)


def _fee(terms: ClassTerms, price: Fraction, mark: Fraction, hurdle: Fraction) -> Fraction:
    """Fee a unit, case by case."""
    rate, gain = Fraction(terms.performance_rate), price - mark
    if gain <= 0:
        return Fraction(0)
    if terms.hurdle is Hurdle.NONE:
        return rate * gain
    over = gain - mark * hurdle
    if over < 0:
        return Fraction(0)
    if terms.hurdle is Hurdle.HARD:
        return rate * over
    if terms.hurdle is Hurdle.SOFT_GROSS:
        return rate * gain
    if terms.hurdle is Hurdle.SOFT_NET:
        return rate * gain if rate * gain <= over else Fraction(0)
    return min(rate * gain, over)


def _units(item: ClassInput) -> Fraction:
    return sum(_held(item.lots).values(), Fraction(0))


def _held(lots: Iterable[LotInput]) -> dict[tuple[Decimal, date], Fraction]:
    """Units by mark and hurdle clock: lots that share both are owed the same fee a unit."""
    found: dict[tuple[Decimal, date], dict[int, int]] = {}
    for lot in lots:
        counts = found.setdefault((lot.mark, lot.clock), {})
        count, parts = lot.units.as_integer_ratio()
        counts[parts] = counts.get(parts, 0) + count
    return {
        key: sum((Fraction(count, parts) for parts, count in counts.items()), Fraction(0))
        for key, counts in found.items()
    }


def _half_even(value: Fraction) -> int:
    return round(value)


def _decimal(value: Fraction) -> Decimal:
    with localcontext(CONTEXT) as context:
        context.rounding = ROUND_HALF_EVEN
        return Decimal(value.numerator) / Decimal(value.denominator)
