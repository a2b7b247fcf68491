"""The bar rules, one sentence a test, and the compiled twin of the scalar functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from risk.domain.pretrade import OrderType
from trading.domain.backtest.book import CloseReason
from trading.domain.fills import (
    BarExit,
    BarTicks,
    FillRules,
    Protection,
    RestingOrder,
    fill_order,
    find_bar_exit,
    find_exit,
    find_limit_fill,
    find_open_exit,
    find_stop_fill,
)

FREE = FillRules(slippage_rate=0.0)
COSTLY = FillRules(slippage_rate=0.001)


def bar(open_: int, high: int, low: int, close: int, volume: int | None = None) -> BarTicks:
    return BarTicks(open=open_, high=high, low=low, close=close, volume_lots=volume)


def leave(
    side: int,
    candle: BarTicks,
    *,
    stop: int | None = None,
    target: int | None = None,
    liquidation: int | None = None,
    rules: FillRules = FREE,
) -> BarExit | None:
    protection = Protection(
        side=side, stop_ticks=stop, target_ticks=target, liquidation_ticks=liquidation
    )
    return find_exit(protection=protection, bar=candle, rules=rules)


def test_a_position_inside_its_levels_survives() -> None:
    assert leave(1, bar(100, 105, 95, 101), stop=94, target=106, liquidation=50) is None


def test_the_stop_comes_before_the_target_and_the_bar_is_counted_ambiguous() -> None:
    found = leave(1, bar(100, 111, 89, 105), stop=90, target=110)
    assert found == BarExit(reason=CloseReason.STOP, price_ticks=90, gapped=False, ambiguous=True)


def test_a_stop_alone_is_not_ambiguous() -> None:
    found = leave(-1, bar(100, 111, 95, 105), stop=110, target=90)
    assert found is not None
    assert (found.reason, found.price_ticks, found.ambiguous) == (CloseReason.STOP, 110, False)


def test_a_gapped_stop_fills_at_the_open_with_slippage() -> None:
    found = leave(1, bar(8_000, 8_500, 7_900, 8_100), stop=9_000, rules=COSTLY)
    assert found is not None
    assert (found.price_ticks, found.gapped) == (7_992, True)


def test_a_stop_pays_slippage_and_a_target_does_not() -> None:
    down = leave(1, bar(10_000, 10_100, 8_900, 9_500), stop=9_000, rules=COSTLY)
    up = leave(1, bar(10_000, 11_100, 9_900, 9_950), target=11_000, rules=COSTLY)
    assert down is not None
    assert up is not None
    assert (down.price_ticks, up.price_ticks) == (8_991, 11_000)


def test_a_gapped_target_gives_the_better_open() -> None:
    found = leave(-1, bar(80, 85, 75, 82), stop=110, target=90)
    assert found is not None
    assert (found.reason, found.price_ticks) == (CloseReason.TARGET, 80)


def test_a_stop_nearer_than_liquidation_wins_even_when_the_bar_passes_both() -> None:
    found = leave(1, bar(100, 101, 60, 70), stop=95, liquidation=70)
    assert found is not None
    assert (found.reason, found.price_ticks) == (CloseReason.STOP, 95)


def test_liquidation_wins_only_when_it_is_nearer() -> None:
    found = leave(1, bar(100, 101, 60, 70), stop=65, liquidation=70)
    assert found is not None
    assert (found.reason, found.price_ticks) == (CloseReason.LIQUIDATION, 70)


def test_an_open_beyond_liquidation_liquidates_at_the_open_whatever_the_stop() -> None:
    found = leave(1, bar(60, 66, 55, 62), stop=95, liquidation=70)
    assert found is not None
    assert (found.reason, found.price_ticks, found.gapped) == (CloseReason.LIQUIDATION, 60, True)


def test_without_a_stop_liquidation_still_waits() -> None:
    found = leave(-1, bar(100, 150, 99, 140), liquidation=133)
    assert found is not None
    assert (found.reason, found.price_ticks) == (CloseReason.LIQUIDATION, 133)


def resting(side: int, kind: OrderType, price: int | None, lots: int = 10) -> RestingOrder:
    return RestingOrder(side=side, type=kind, lots=lots, price_ticks=price)


def test_a_limit_that_is_only_touched_does_not_fill() -> None:
    order = resting(1, OrderType.LIMIT, 95)
    assert fill_order(order=order, bar=bar(100, 101, 95, 98), rules=FREE) is None
    filled = fill_order(order=order, bar=bar(100, 101, 94, 98), rules=FREE)
    assert filled is not None
    assert (filled.price_ticks, filled.gapped) == (95, False)


def test_a_limit_gapped_through_gets_the_better_open() -> None:
    filled = fill_order(
        order=resting(-1, OrderType.LIMIT, 105), bar=bar(110, 112, 108, 109), rules=COSTLY
    )
    assert filled is not None
    assert (filled.price_ticks, filled.gapped) == (110, True)


def test_a_market_order_fills_at_the_open_against_the_taker() -> None:
    prices = []
    for side in (1, -1):
        filled = fill_order(
            order=resting(side, OrderType.MARKET, None),
            bar=bar(10_000, 10_005, 9_995, 10_000),
            rules=COSTLY,
        )
        assert filled is not None
        prices.append(filled.price_ticks)
    assert prices == [10_010, 9_990]


def test_a_sell_stop_gapped_over_fills_at_the_open() -> None:
    filled = fill_order(order=resting(-1, OrderType.STOP, 95), bar=bar(90, 92, 88, 91), rules=FREE)
    assert filled is not None
    assert (filled.price_ticks, filled.gapped) == (90, True)


def test_a_take_profit_fills_at_its_trigger_when_touched() -> None:
    filled = fill_order(
        order=resting(-1, OrderType.TAKE_PROFIT, 105), bar=bar(100, 105, 99, 101), rules=COSTLY
    )
    assert filled is not None
    assert filled.price_ticks == 105


def test_an_order_fills_at_most_a_tenth_of_the_volume() -> None:
    order = resting(1, OrderType.MARKET, None, lots=500)
    filled = fill_order(order=order, bar=bar(100, 101, 99, 100, volume=1_239), rules=FREE)
    assert filled is not None
    assert filled.lots == 123
    assert fill_order(order=order, bar=bar(100, 101, 99, 100, volume=9), rules=FREE) is None


ticks = st.integers(1, 400)


@st.composite
def bars(draw: st.DrawFn) -> BarTicks:
    a, b, c, d = sorted(draw(st.tuples(ticks, ticks, ticks, ticks)))
    first, last = draw(st.sampled_from([(b, c), (c, b)]))
    return bar(first, d, a, last)


@given(bars(), st.sampled_from([1, -1]), ticks, st.sampled_from(list(OrderType)))
def test_no_fill_lies_outside_the_bar_or_is_better_than_possible(
    candle: BarTicks, side: int, level: int, kind: OrderType
) -> None:
    price = None if kind is OrderType.MARKET else level
    filled = fill_order(order=resting(side, kind, price), bar=candle, rules=FREE)
    if filled is None:
        return
    assert candle.low <= filled.price_ticks <= candle.high
    if kind is OrderType.STOP:
        assert (filled.price_ticks - level) * side >= 0
    elif price is not None:
        assert (filled.price_ticks - level) * side <= 0


@given(bars(), st.sampled_from([1, -1]), ticks, ticks, ticks)
def test_slippage_never_helps_the_position(
    candle: BarTicks, side: int, stop: int, target: int, liquidation: int
) -> None:
    free, costly = (
        leave(side, candle, stop=stop, target=target, liquidation=liquidation, rules=rules)
        for rules in (FREE, COSTLY)
    )
    assert (free is None) == (costly is None)
    if free is not None and costly is not None:
        assert free.reason is costly.reason
        assert (free.price_ticks - costly.price_ticks) * side >= 0


@given(bars(), ticks, ticks, ticks)
def test_shorts_are_longs_in_a_mirror(
    candle: BarTicks, stop: int, target: int, liquidation: int
) -> None:
    def mirror(price: int) -> int:
        return 500 - price

    flipped = bar(
        mirror(candle.open), mirror(candle.low), mirror(candle.high), mirror(candle.close)
    )
    long = leave(1, candle, stop=stop, target=target, liquidation=liquidation)
    short = leave(
        -1, flipped, stop=mirror(stop), target=mirror(target), liquidation=mirror(liquidation)
    )
    if long is None:
        assert short is None
        return
    assert short is not None
    assert (short.reason, short.price_ticks) == (long.reason, mirror(long.price_ticks))


def test_the_compiled_twins_give_the_same_answers() -> None:
    from trading.domain.backtest.compiled import compile_pure

    cases = [
        (100, 120, 80, 1, 85, 115, 70),
        (100, 120, 80, -1, 115, 85, 130),
        (60, 70, 50, 1, 85, 115, 70),
    ]
    for open_, high, low, side, stop, target, liquidation in cases:
        at_open = (open_, side, stop, target, liquidation, 0.001)
        assert compile_pure(find_open_exit)(*at_open) == find_open_exit(*at_open)
        inside = (high, low, side, stop, target, liquidation, 0.001)
        assert compile_pure(find_bar_exit)(*inside) == find_bar_exit(*inside)
        limit = (open_, high, low, side, stop, 1)
        assert compile_pure(find_limit_fill)(*limit) == find_limit_fill(*limit)
        trigger = (open_, high, low, -side, stop, 0.001)
        assert compile_pure(find_stop_fill)(*trigger) == find_stop_fill(*trigger)


@pytest.mark.parametrize("values", [(100, 99, 98, 99), (100, 101, 100, 99), (0, 1, 0, 1)])
def test_a_bar_that_cannot_be_is_refused(values: tuple[int, int, int, int]) -> None:
    with pytest.raises(InvalidInput):
        bar(*values)


def test_an_order_without_its_price_is_refused() -> None:
    with pytest.raises(InvalidInput):
        resting(1, OrderType.LIMIT, None)
    with pytest.raises(InvalidInput):
        resting(1, OrderType.MARKET, 100)
