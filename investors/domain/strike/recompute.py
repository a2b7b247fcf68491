"""The second engine: the same strike by another route, in exact rationals.

It works bottom up and per unit: the class's price grows from its last one by its share of the
fund's result a unit, less the fee a unit; lots are valued one by one and added.  It shares no
arithmetic with ``compute`` beyond the terms themselves, so a slip in one shows against the other.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

from investors.domain.fees import Hurdle
from investors.domain.strike.terms import ClassTerms
from investors.domain.strike.types import ClassInput, LotInput, StrikeInputs
from magnetfund.kernel.money import CONTEXT


def recompute_strike(inputs: StrikeInputs) -> dict[str, dict[str, Decimal]]:
    """Per class: price, management_fee, performance_fee and nav, as the second engine sees them.

    Compare to the cent (price to its step) before anybody may approve.
    """
    weights = {
        item.code: Fraction(item.nav_before) if _units(item) else Fraction(0)
        for item in inputs.classes
    }
    total = sum(weights.values(), Fraction(0))
    result = Fraction(inputs.net_assets) - sum(
        (Fraction(item.gav_before) for item in inputs.classes), Fraction(0)
    )
    days = (inputs.day - inputs.previous_day).days if inputs.previous_day else 0
    shares = _spread(result, weights, total, inputs.classes[0].terms.cash_quantum)
    return {item.code: _one_class(item, shares[item.code], days, inputs) for item in inputs.classes}


def _spread(
    result: Fraction, weights: dict[str, Fraction], total: Fraction, quantum: Decimal
) -> dict[str, Fraction]:
    """Whole cents by largest remainder; what is finer goes to the first class with units."""
    if total <= 0:
        return dict.fromkeys(weights, Fraction(0))
    step = Fraction(quantum)
    cents = _half_even(result / step)
    exact = {code: cents * weight / total for code, weight in weights.items()}
    whole = {code: value.numerator // value.denominator for code, value in exact.items()}
    order = list(weights)
    missing = cents - sum(whole.values())
    ranked = sorted(order, key=lambda code: (whole[code] - exact[code], order.index(code)))
    for code in ranked[: int(missing)]:
        whole[code] += 1
    shares = {code: count * step for code, count in whole.items()}
    first = next(code for code in order if weights[code] > 0)
    shares[first] += result - cents * step
    return shares


def _one_class(
    item: ClassInput, share: Fraction, days: int, inputs: StrikeInputs
) -> dict[str, Decimal]:
    terms, units = item.terms, _units(item)
    if not units:
        last = item.price_before or item.launch_price
        zero = Decimal(0)
        return {
            "price": last, "management_fee": zero, "performance_fee": zero,
            "nav": _decimal(Fraction(item.gav_before) + share),
        }  # fmt: skip
    before = Fraction(item.fee_cumulative)
    after = before + max(Fraction(0), Fraction(item.nav_before)) * Fraction(
        terms.management_rate
    ) * Fraction(days, 365)
    cash = Fraction(terms.cash_quantum)
    fee = (_half_even(after / cash) - _half_even(before / cash)) * cash
    # Value a unit: where the last dealing left it, plus what was earned, less what was charged.
    a_unit = Fraction(item.gav_before) / units + share / units - fee / units
    step = Fraction(terms.price_quantum)
    price = _half_even(a_unit / step) * step
    owed = sum((lot_units * _fee(terms, price, lot, inputs) for lot, lot_units in _lots(item)),
               Fraction(0))  # fmt: skip
    performance = _half_even(owed / cash) * cash
    return {
        "price": _decimal(price),
        "management_fee": _decimal(fee),
        "performance_fee": _decimal(performance),
        "nav": _decimal(a_unit * units - performance),
    }


def _fee(terms: ClassTerms, price: Fraction, lot: LotInput, inputs: StrikeInputs) -> Fraction:
    """Fee a unit, case by case."""
    mark, rate = Fraction(lot.mark), Fraction(terms.performance_rate)
    gain = price - mark
    if gain <= 0:
        return Fraction(0)
    if terms.hurdle is Hurdle.NONE:
        return rate * gain
    days = max(0, (inputs.day - lot.clock).days)
    over = price - mark - mark * Fraction(terms.hurdle_rate) * Fraction(days, 365)
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
    return sum((units for _, units in _lots(item)), Fraction(0))


def _lots(item: ClassInput) -> list[tuple[LotInput, Fraction]]:
    return [(lot, Fraction(lot.units)) for lot in item.lots]


def _half_even(value: Fraction) -> int:
    return round(value)


def _decimal(value: Fraction) -> Decimal:
    with localcontext(CONTEXT) as context:
        context.rounding = ROUND_HALF_EVEN
        return Decimal(value.numerator) / Decimal(value.denominator)
