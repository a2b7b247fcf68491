"""Iron condors, gamma exposure and unusual activity: worked numbers, laws, named refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from trading.domain.options.activity import (
    ActivityFact,
    OptionActivity,
    find_unusual_activity,
)
from trading.domain.options.condor import (
    CondorRefusal,
    CondorTerms,
    IronCondor,
    OptionQuote,
    build_iron_condor,
)
from trading.domain.options.exposure import OpenInterest, compute_gamma_exposure
from trading.domain.options.pricing import OptionKind, compute_greeks, price_option

CALL, PUT = OptionKind.CALL, OptionKind.PUT
YEARS = 35 / 365


def make_chain(*, spread: float = 0.05, volatility: float = 0.2) -> list[OptionQuote]:
    """Strikes 340..560 by 5 around a spot of 450."""
    quotes = []
    for strike in range(340, 565, 5):
        for kind in OptionKind:
            mid = price_option(
                kind=kind, spot=450.0, strike=strike, years=YEARS, volatility=volatility
            )
            quotes.append(
                OptionQuote(
                    kind=kind,
                    strike=float(strike),
                    bid=max(mid - spread, 0.0),
                    ask=mid + spread,
                    volatility=volatility,
                )
            )
    return quotes


def make_condor(loss_max: float = 1000.0) -> IronCondor:
    built = build_iron_condor(
        quotes=make_chain(), terms=CondorTerms(spot=450.0, years=YEARS, loss_max=loss_max)
    )
    assert isinstance(built, IronCondor)
    return built


def test_short_strikes_are_those_nearest_the_short_delta() -> None:
    condor = make_condor()
    for short in (condor.put_short, condor.call_short):
        chosen = _delta(short.kind, short.strike)
        for strike in range(340, 565, 5):
            if short.kind.sign * (strike - 450) > 0:
                assert abs(chosen - 0.15) <= abs(_delta(short.kind, strike) - 0.15)


def _delta(kind: OptionKind, strike: float) -> float:
    return abs(
        compute_greeks(kind=kind, spot=450.0, strike=strike, years=YEARS, volatility=0.2).delta
    )


@settings(max_examples=25, deadline=None)
@given(loss_max=st.floats(600.0, 20_000.0), level=st.floats(1.0, 2000.0))
def test_no_level_loses_more_than_the_stated_loss_nor_earns_more_than_the_credit(
    loss_max: float, level: float
) -> None:
    condor = make_condor(loss_max)
    assert -condor.loss_max - 1e-6 <= condor.payoff(level) * 100.0 <= condor.profit_max + 1e-6
    assert condor.contracts * condor.loss_max <= loss_max


def test_the_condor_earns_nothing_at_its_breakevens_and_its_credit_between_the_shorts() -> None:
    condor = make_condor()
    assert condor.payoff(condor.breakeven_low) == pytest.approx(0.0, abs=1e-9)
    assert condor.payoff(condor.breakeven_high) == pytest.approx(0.0, abs=1e-9)
    assert condor.payoff(450.0) == condor.credit
    worst = min(condor.payoff(condor.put_wing.strike), condor.payoff(condor.call_wing.strike))
    assert worst * 100.0 == pytest.approx(-condor.loss_max)


def test_the_chance_of_profit_is_about_that_of_ending_between_the_short_strikes() -> None:
    condor = make_condor()
    inside = 1.0 - _delta(PUT, condor.put_short.strike) - _delta(CALL, condor.call_short.strike)
    assert inside < condor.chance_of_profit < inside + 0.12


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"loss_max": 1.0}, CondorRefusal.LOSS_ABOVE_LIMIT),
        ({"spot": 900.0}, CondorRefusal.NO_SHORT_STRIKE),
    ],
)
def test_a_condor_that_cannot_be_built_says_why(
    change: dict[str, float], refusal: CondorRefusal
) -> None:
    terms = replace(CondorTerms(spot=450.0, years=YEARS, loss_max=1000.0), **change)
    assert build_iron_condor(quotes=make_chain(), terms=terms) is refusal


def test_a_wide_market_leaves_no_credit_and_a_short_chain_no_wing() -> None:
    terms = CondorTerms(spot=450.0, years=YEARS, loss_max=1000.0)
    wide = build_iron_condor(quotes=make_chain(spread=5.0), terms=terms)
    assert wide is CondorRefusal.NO_CREDIT
    four = [q for q in make_chain() if q.strike in (430.0, 470.0)]
    assert build_iron_condor(quotes=four, terms=terms) is CondorRefusal.NO_WING


def make_interest(kind: OptionKind, strike: float, contracts: float = 1000.0) -> OpenInterest:
    return OpenInterest(
        kind=kind, strike=strike, years=30 / 365, volatility=0.2, contracts=contracts
    )


def test_a_thousand_calls_at_the_money_weigh_3_129_680_dollars_a_percent() -> None:
    found = compute_gamma_exposure(interest=[make_interest(CALL, 450.0)], spot=450.0)
    assert found.total == pytest.approx(3_129_680, abs=30)
    assert found.flip is None


def test_walls_are_the_heaviest_strikes_on_their_sides_and_the_flip_is_between() -> None:
    interest = [
        make_interest(CALL, 460.0, 500.0),
        make_interest(CALL, 470.0, 3000.0),
        make_interest(PUT, 440.0, 400.0),
        make_interest(PUT, 430.0, 3000.0),
    ]
    found = compute_gamma_exposure(interest=interest, spot=450.0)
    assert (found.put_wall, found.call_wall) == (430.0, 470.0)
    assert found.total == pytest.approx(sum(row.net for row in found.strikes))
    assert found.flip is not None
    at_flip = compute_gamma_exposure(interest=interest, spot=found.flip)
    away = compute_gamma_exposure(interest=interest, spot=found.flip * 1.05)
    assert abs(at_flip.total) < 0.02 * abs(away.total)
    below = compute_gamma_exposure(interest=interest, spot=found.flip * 0.99)
    above = compute_gamma_exposure(interest=interest, spot=found.flip * 1.01)
    assert below.total < 0.0 < above.total


def test_an_option_in_its_last_minute_has_a_finite_gamma() -> None:
    last = replace(make_interest(CALL, 450.0), years=0.0)
    found = compute_gamma_exposure(interest=[last], spot=450.0)
    assert 0.0 < found.total < 1e12


UNUSUAL = OptionActivity(
    volume=1200.0,
    interest=400.0,
    ask_volume=900.0,
    premium=5000.0,
    past_premiums=[900.0, 1100.0] * 10,
    last_trade_ms=7,
)


def test_activity_is_unusual_when_all_four_facts_hold_and_known_at_its_last_trade() -> None:
    verdict = find_unusual_activity(activity=UNUSUAL)
    assert verdict.is_unusual
    assert (verdict.volume_over_interest, verdict.ask_share) == (3.0, 0.75)
    assert verdict.known_at == 7


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"interest": 601.0}, ActivityFact.VOLUME_OVER_INTEREST),
        ({"volume": 499.0, "ask_volume": 499.0, "interest": 1.0}, ActivityFact.VOLUME),
        ({"premium": 1300.0}, ActivityFact.PREMIUM),
        ({"ask_volume": 719.0}, ActivityFact.ASK_SHARE),
        ({"past_premiums": [900.0] * 19}, ActivityFact.HISTORY),
        ({"past_premiums": [900.0] * 20}, ActivityFact.HISTORY),
    ],
)
def test_one_missing_fact_is_named_and_makes_activity_usual(
    change: dict[str, object], fact: ActivityFact
) -> None:
    verdict = find_unusual_activity(activity=replace(UNUSUAL, **change))
    assert verdict.missing == (fact,)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput):
        replace(UNUSUAL, ask_volume=1300.0)
    with pytest.raises(InvalidInput):
        OptionQuote(kind=CALL, strike=100.0, bid=2.0, ask=1.0, volatility=0.2)
    with pytest.raises(InvalidInput):
        make_interest(CALL, 450.0, -1.0)
    with pytest.raises(InvalidInput):
        CondorTerms(spot=450.0, years=0.0, loss_max=1.0)
