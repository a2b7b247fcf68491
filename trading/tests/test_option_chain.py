"""Option chains: rows of files, volatility and greeks of a chain, unusual activity."""

from __future__ import annotations

import pytest

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market import DAY_MS, HOUR_MS
from trading.domain.options.activity import judge_chain_activity, sum_premiums
from trading.domain.options.chain import (
    build_expiries,
    compute_chain_gamma,
    find_middle_volatility,
)
from trading.domain.options.chain_file import ListedOption, parse_chain
from trading.domain.options.pricing import OptionKind, price_option

#: 2026-11-20, 08:00 UTC.
NOW = 1_795_161_600_000


def parse(*lines: str, **given: object):
    return parse_chain("\n".join(lines), **{"stated_ms": NOW, "spot": 100.0, **given})  # type: ignore[arg-type]


def test_a_venues_own_columns_are_read_and_prices_in_the_coin_become_money():
    found = parse_chain(
        "instrument_name,open_interest,bid_price,ask_price,mark_price,mark_iv,underlying_price,"
        "index_price,volume,timestamp\n"
        "BTC-27NOV26-100000-C,12.5,0.0105,0.0110,0.0108,55.5,98000,97900,3,1795161600000\n"
        "BTC-27NOV26-90000-P,2,0,0.0030,0.0020,61,98000,97900,,1795161599000\n",
        in_coin=True,
    )
    assert (found.stated_ms, found.spot, found.refused) == (NOW, 97_900.0, ())
    call, put = found.options
    assert call == ListedOption(
        kind=OptionKind.CALL, strike=100_000.0, expires_ms=NOW + 7 * DAY_MS, interest=12.5,
        bid=0.0105 * 98_000, ask=0.0110 * 98_000, mark=0.0108 * 98_000, volatility=0.555,
        forward=98_000.0, volume=3.0,
    )  # fmt: skip
    assert (put.bid, put.volume, put.volatility) == (None, None, 0.61)


def test_names_of_ccxt_and_plain_columns_mean_the_same_option():
    named = parse("symbol,open_interest", "BTC/USD:BTC-261127-100000-C,1").options
    plain = parse("Expiry,Strike,Kind,Open Interest", "2026-11-27,100000,call,1").options
    exact = parse("expiry,strike,type,oi", "2026-11-27T08:00:00Z,100000,C,1").options
    assert named == plain == exact
    assert parse("name,oi", "XRP_USDC-27NOV26-0d55-P,1").options[0].strike == 0.55


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("BTC-27NOV26-x-C,1,,,,,,", "bad_option"),
        ("BTC-31NOV26-9-C,1,,,,,,", "bad_option"),
        ("BTC-27NOV60-9-C,1,,,,,,", "bad_option"),
        ("BTC-20NOV26-9-C,1,,,,,,", "expired"),
        ("BTC-27NOV26-9-C,,,,,,,", "bad_interest"),
        ("BTC-27NOV26-9-C,-1,,,,,,", "bad_interest"),
        ("BTC-27NOV26-9-C,nan,,,,,,", "bad_interest"),
        ("BTC-27NOV26-9-C,1,2,1,,,,", "bad_price"),
        ("BTC-27NOV26-9-C,1,,,-3,,,", "bad_price"),
        ("BTC-27NOV26-9-C,1,,,,65.3,,", "bad_volatility"),
        ("BTC-27NOV26-9-C,1,,,,,1,2", "bad_volume"),
        ("BTC-27NOV26-100-C,1,,,,,,", "duplicate"),
    ],
)
def test_a_bad_row_is_refused_by_name_and_the_others_are_kept(row: str, reason: str):
    header = "instrument_name,open_interest,bid,ask,mark,implied_volatility,volume,ask_volume"
    found = parse(header, "BTC-27NOV26-100-C,1,,,,0.653,,", row)
    assert len(found.options) == 1
    assert [(item.line, item.reason.value) for item in found.refused] == [(3, reason)]


@pytest.mark.parametrize(
    ("lines", "given", "code"),
    [
        (["strike,kind,open_interest", "1,c,1"], {}, "wrong_columns"),
        (["instrument_name,mark", "BTC-27NOV26-100-C,1"], {}, "wrong_columns"),
        (["instrument_name,open_interest"], {}, "empty_file"),
        (["instrument_name,oi", "BTC-27NOV26-100-C,1"], {"stated_ms": None}, "no_time"),
        (["instrument_name,oi", "BTC-27NOV26-100-C,1"], {"spot": None}, "no_spot"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_as_a_whole(
    lines: list[str], given: dict[str, object], code: str
):
    with pytest.raises(InvalidInput) as refusal:
        parse(*lines, **given)
    assert refusal.value.code == code


def listed(kind: OptionKind, strike: float, days: float, **more: float) -> ListedOption:
    terms = {"interest": 10.0, "volatility": 0.6, **more}
    return ListedOption(kind=kind, strike=strike, expires_ms=NOW + int(days * DAY_MS), **terms)


def test_a_price_without_a_volatility_implies_it_and_a_stated_one_goes_before():
    price = price_option(
        kind=OptionKind.CALL, spot=102.0, strike=110.0, years=30 / 365, volatility=0.7
    )
    priced = ListedOption(
        kind=OptionKind.CALL, strike=110.0, expires_ms=NOW + 30 * DAY_MS, interest=1.0,
        bid=price - 0.5, ask=price + 0.5, forward=102.0,
    )  # fmt: skip
    below = ListedOption(
        kind=OptionKind.PUT, strike=110.0, expires_ms=NOW + 30 * DAY_MS, interest=1.0, mark=2.0,
        forward=102.0,
    )  # fmt: skip
    (expiry,) = build_expiries([priced, below], stated_ms=NOW, spot=100.0)
    call, put = expiry.options
    assert call.volatility == pytest.approx(0.7, abs=1e-9)
    assert call.greeks is not None
    assert 0.0 < call.greeks.delta < 0.5
    assert (put.volatility, put.failure.value) == (None, "below_payoff")  # type: ignore[union-attr]
    assert expiry.middle_volatility == call.volatility
    (stated,) = build_expiries(
        [listed(OptionKind.CALL, 110.0, 30, mark=99.0)], stated_ms=NOW, spot=100.0
    )
    assert (stated.options[0].volatility, stated.options[0].is_stated) == (0.6, True)


def test_walls_last_until_the_last_option_behind_them_expires():
    call, put = OptionKind.CALL, OptionKind.PUT
    expiries = build_expiries(
        [
            listed(call, 110.0, 7, interest=900.0), listed(call, 110.0, 30, interest=5.0),
            listed(call, 110.0, 90, interest=0.0), listed(call, 120.0, 30, interest=50.0),
            listed(put, 90.0, 30, interest=400.0), listed(put, 80.0, 7, interest=30.0),
        ],
        stated_ms=NOW, spot=100.0,
    )  # fmt: skip
    found = compute_chain_gamma(expiries, spot=100.0, multiplier=1.0)
    assert found.call_wall is not None
    assert found.put_wall is not None
    assert (found.call_wall.strike, found.call_wall.expires_ms) == (110.0, NOW + 30 * DAY_MS)
    assert (found.put_wall.strike, found.put_wall.expires_ms) == (90.0, NOW + 30 * DAY_MS)
    assert found.exposure.coins == pytest.approx(found.exposure.total / 100.0)
    assert find_middle_volatility(expiries) == 0.6


def test_activity_is_judged_against_the_interest_and_the_premiums_of_the_days_before():
    option = listed(
        OptionKind.CALL, 110.0, 30, volume=1_200.0, ask_volume=900.0, mark=2.0, interest=9_999.0
    )
    quiet = listed(OptionKind.PUT, 90.0, 30, volume=1_200.0, ask_volume=100.0, mark=2.0)
    expiries = build_expiries([option, quiet], stated_ms=NOW, spot=100.0)
    (bucket,) = [name for name in sum_premiums(expiries, multiplier=1.0) if "call" in name]
    past = [{bucket: 100.0 + day % 2} for day in range(20)]
    known = {("call", 110.0, option.expires_ms): 400.0, ("put", 90.0, quiet.expires_ms): 400.0}

    def judge(**given: object):
        terms = {"multiplier": 1.0, "stated_ms": NOW, "interest": known, "past": past, **given}
        return judge_chain_activity(expiries, **terms)  # type: ignore[arg-type]

    found = {item.row.option.kind: item.verdict for item in judge()}
    assert found[OptionKind.CALL].is_unusual
    assert found[OptionKind.CALL].volume_over_interest == 3.0
    assert not found[OptionKind.PUT].is_unusual
    assert not any(item.verdict.is_unusual for item in judge(past=past[1:]))
    grown = {**known, ("call", 110.0, option.expires_ms): 700.0}
    assert not any(item.verdict.is_unusual for item in judge(interest=grown))


def test_an_option_on_its_last_day_has_greeks():
    (expiry,) = build_expiries([listed(OptionKind.CALL, 100.0, 1 / 24)], stated_ms=NOW, spot=100.0)
    assert expiry.expires_ms == NOW + HOUR_MS
    assert expiry.options[0].greeks is not None
