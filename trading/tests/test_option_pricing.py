"""Option prices, greeks and implied volatility: Hull's examples, laws, vollib as oracle."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from trading.domain.options.implied import (
    ImpliedFailure,
    compute_implied_volatility,
    compute_iv_percentile,
    compute_iv_rank,
)
from trading.domain.options.pricing import OptionKind, chance_above, compute_greeks, price_option

CALL, PUT = OptionKind.CALL, OptionKind.PUT
TERMS = st.fixed_dictionaries(
    {
        "spot": st.floats(20.0, 500.0),
        "strike": st.floats(20.0, 500.0),
        "years": st.floats(0.01, 3.0),
        "volatility": st.floats(0.05, 2.0),
        "rate": st.floats(-0.02, 0.12),
        "dividend_yield": st.floats(0.0, 0.08),
    }
)


def test_hull_example_15_6_prices_the_call_at_4_76_and_the_put_at_0_81() -> None:
    terms = {"spot": 42.0, "strike": 40.0, "years": 0.5, "volatility": 0.2, "rate": 0.1}
    assert price_option(kind=CALL, **terms) == pytest.approx(4.76, abs=0.005)
    assert price_option(kind=PUT, **terms) == pytest.approx(0.81, abs=0.005)


def test_hull_chapter_19_greeks_of_the_call_at_49_on_50_over_20_weeks() -> None:
    greeks = compute_greeks(
        kind=CALL, spot=49.0, strike=50.0, years=0.3846, volatility=0.2, rate=0.05
    )
    assert greeks.delta == pytest.approx(0.522, abs=0.0005)
    assert greeks.gamma == pytest.approx(0.066, abs=0.0005)
    assert greeks.vega == pytest.approx(12.1, abs=0.05)
    assert greeks.theta == pytest.approx(-4.31, abs=0.005)
    assert greeks.rho == pytest.approx(8.91, abs=0.005)


def test_hull_section_15_11_implies_23_5_percent_from_a_call_at_1_875() -> None:
    found = compute_implied_volatility(
        kind=CALL, price=1.875, spot=21.0, strike=20.0, years=0.25, rate=0.1
    )
    assert found.volatility == pytest.approx(0.235, abs=0.0005)


@settings(max_examples=50, deadline=None)
@given(terms=TERMS)
def test_calls_and_puts_keep_parity(terms: dict[str, float]) -> None:
    forward = terms["spot"] * math.exp(-terms["dividend_yield"] * terms["years"]) - terms[
        "strike"
    ] * math.exp(-terms["rate"] * terms["years"])
    gap = price_option(kind=CALL, **terms) - price_option(kind=PUT, **terms)
    assert gap == pytest.approx(forward, abs=1e-10)


@pytest.mark.slow  # vollib takes over a second to load
@settings(max_examples=50, deadline=None)
@given(terms=TERMS, kind=st.sampled_from(OptionKind))
def test_prices_and_greeks_agree_with_vollib(terms: dict[str, float], kind: OptionKind) -> None:
    oracle = pytest.importorskip("vollib.black_scholes_merton", reason="the oracle (dev extra)")
    from vollib.black_scholes_merton.greeks import analytical

    arguments = (
        kind.value[0],
        terms["spot"],
        terms["strike"],
        terms["years"],
        terms["rate"],
        terms["volatility"],
        terms["dividend_yield"],
    )
    assert price_option(kind=kind, **terms) == pytest.approx(
        oracle.black_scholes_merton(*arguments), abs=1e-9
    )
    greeks = compute_greeks(kind=kind, **terms)
    assert greeks.delta == pytest.approx(analytical.delta(*arguments), abs=1e-9)
    assert greeks.gamma == pytest.approx(analytical.gamma(*arguments), abs=1e-9)
    assert greeks.vega_per_point == pytest.approx(analytical.vega(*arguments), abs=1e-9)
    assert greeks.rho_per_point == pytest.approx(analytical.rho(*arguments), abs=1e-9)
    assert greeks.theta_per_day == pytest.approx(analytical.theta(*arguments), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(terms=TERMS, kind=st.sampled_from(OptionKind))
def test_greeks_are_the_slopes_of_the_price(terms: dict[str, float], kind: OptionKind) -> None:
    greeks = compute_greeks(kind=kind, **terms)
    scale = terms["spot"]

    def slope(name: str, width: float) -> float:
        up = price_option(kind=kind, **{**terms, name: terms[name] + width})
        down = price_option(kind=kind, **{**terms, name: terms[name] - width})
        return (up - down) / (2.0 * width)

    assert greeks.delta == pytest.approx(slope("spot", 1e-4 * scale), abs=1e-4)
    assert greeks.vega == pytest.approx(slope("volatility", 1e-5), abs=1e-3 * scale)
    assert greeks.rho == pytest.approx(slope("rate", 1e-5), abs=1e-3 * scale)
    assert -greeks.theta == pytest.approx(slope("years", 1e-5), abs=2e-3 * scale)


@settings(max_examples=80, deadline=None)
@given(terms=TERMS, kind=st.sampled_from(OptionKind))
def test_the_implied_volatility_of_a_price_is_the_one_that_made_it(
    terms: dict[str, float], kind: OptionKind
) -> None:
    volatility = terms["volatility"]
    price = price_option(kind=kind, **terms)
    vega = compute_greeks(kind=kind, **terms).vega
    # Where a price hardly moves with volatility, its digits do not hold the answer.
    assume(vega > 1e-4)
    rest = {name: value for name, value in terms.items() if name != "volatility"}
    found = compute_implied_volatility(kind=kind, price=price, **rest)
    assert found.failure is None
    assert found.volatility == pytest.approx(volatility, abs=1e-8)


@pytest.mark.slow  # vollib takes over a second to load
@settings(max_examples=50, deadline=None)
@given(
    terms=TERMS.filter(lambda terms: 0.8 <= terms["strike"] / terms["spot"] <= 1.25),
    kind=st.sampled_from(OptionKind),
)
def test_implied_volatility_agrees_with_vollib(terms: dict[str, float], kind: OptionKind) -> None:
    oracle = pytest.importorskip(
        "vollib.black_scholes_merton.implied_volatility", reason="the oracle (dev extra)"
    )
    rest = {name: value for name, value in terms.items() if name != "volatility"}
    price = round(price_option(kind=kind, **terms), 4)  # a quote, not our own number
    assume(compute_greeks(kind=kind, **terms).vega > 0.1)
    found = compute_implied_volatility(kind=kind, price=price, **rest)
    assume(found.failure is None)
    theirs = oracle.implied_volatility(
        price,
        rest["spot"],
        rest["strike"],
        rest["years"],
        rest["rate"],
        rest["dividend_yield"],
        kind.value[0],
    )
    assert found.volatility == pytest.approx(theirs, abs=1e-7)


@pytest.mark.parametrize(
    ("kind", "price", "years", "failure"),
    [
        (CALL, 5.0, 0.0, ImpliedFailure.EXPIRED),
        (CALL, 9.0, 0.5, ImpliedFailure.BELOW_PAYOFF),
        (CALL, 10.0, 0.5, ImpliedFailure.NO_TIME_VALUE),
        (CALL, 110.0, 0.5, ImpliedFailure.ABOVE_BOUND),
        (PUT, 100.0, 0.5, ImpliedFailure.ABOVE_BOUND),
        (PUT, 99.999, 0.001, ImpliedFailure.BEYOND_RANGE),
    ],
)
def test_a_price_without_a_volatility_says_why(
    kind: OptionKind, price: float, years: float, failure: ImpliedFailure
) -> None:
    found = compute_implied_volatility(
        kind=kind, price=price, spot=110.0, strike=100.0, years=years
    )
    assert (found.volatility, found.failure) == (None, failure)


def test_without_volatility_an_option_is_its_discounted_payoff() -> None:
    worth = price_option(kind=CALL, spot=100.0, strike=90.0, years=1.0, volatility=0.0, rate=0.05)
    assert worth == pytest.approx(100.0 - 90.0 * math.exp(-0.05))


def test_the_chance_above_a_level_is_minus_the_strike_slope_of_the_undiscounted_call() -> None:
    def call(strike: float) -> float:
        return price_option(kind=CALL, spot=100.0, strike=strike, years=0.25, volatility=0.3)

    slope = (call(105.001) - call(104.999)) / 0.002
    found = chance_above(level=105.0, spot=100.0, years=0.25, volatility=0.3)
    assert found == pytest.approx(-slope, abs=1e-7)


def test_rank_and_percentile_are_two_numbers() -> None:
    past = [0.20] * 9 + [0.60]
    assert compute_iv_rank(today=0.30, past=past) == pytest.approx(0.25)
    assert compute_iv_percentile(today=0.30, past=past) == pytest.approx(0.9)
    assert compute_iv_rank(today=0.30, past=[0.2, 0.2]) is None


@pytest.mark.parametrize("past", [[], [0.0], [math.nan]])
def test_a_history_that_tells_nothing_is_refused(past: list[float]) -> None:
    with pytest.raises(InvalidInput):
        compute_iv_rank(today=0.3, past=past)


@pytest.mark.parametrize(
    "terms",
    [
        {"spot": 0.0, "strike": 1.0, "years": 1.0, "volatility": 0.2},
        {"spot": 1.0, "strike": -1.0, "years": 1.0, "volatility": 0.2},
        {"spot": 1.0, "strike": 1.0, "years": -1.0, "volatility": 0.2},
        {"spot": 1.0, "strike": 1.0, "years": 1.0, "volatility": math.nan},
    ],
)
def test_terms_that_no_option_has_are_refused(terms: dict[str, float]) -> None:
    with pytest.raises(InvalidInput) as caught:
        price_option(kind=CALL, **terms)
    assert caught.value.code == "bad_option"
