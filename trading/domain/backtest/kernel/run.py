"""Pack a run into flat arrays, let the compiled loop work, unpack what it wrote.

Packing is separate from running, so a sweep or a control that runs many times over one market
packs its bars once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk.domain.fuse import losses_allowed
from trading.domain.backtest.fine import FineMarket
from trading.domain.backtest.kernel import layout as at
from trading.domain.backtest.market import MarketBars
from trading.domain.backtest.reference import check_shapes
from trading.domain.backtest.result import OpenPosition, RawRun
from trading.domain.engine.book import FuseMove, RoundTrip
from trading.domain.engine.rules import EngineRules
from trading.domain.strategies.signals import DAY_MS, LeverageRule, Signals

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedMarket:
    """Bars as (time, instrument, column)."""

    time_ms: IntArray
    bars_i: IntArray
    bars_f: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedSignals:
    """Signals as (time, slot, column)."""

    signals_i: IntArray
    signals_f: FloatArray


def pack_market(market: MarketBars) -> PackedMarket:
    """The bars of a market, zeros where an instrument has none."""
    size, count = len(market), len(market.instruments)
    bars_i = np.zeros((size, count, at.BI_WIDTH), dtype=np.int64)
    bars_f = np.zeros((size, count, at.BF_WIDTH), dtype=np.float64)
    for m, bars in enumerate(market.instruments):
        present = _find_present(market, m)
        bars_i[present, m, at.BI_PRESENT] = 1
        for column, name in (
            (at.BI_OPEN, "open"),
            (at.BI_HIGH, "high"),
            (at.BI_LOW, "low"),
            (at.BI_CLOSE, "close"),
        ):
            bars_i[present, m, column] = getattr(bars, name)
        for column, name in (
            (at.BF_FUNDING, "funding_rate"),
            (at.BF_GAP_LONG, "gap_rate_long"),
            (at.BF_GAP_SHORT, "gap_rate_short"),
        ):
            bars_f[present, m, column] = getattr(bars, name)
    return PackedMarket(time_ms=market.time_ms, bars_i=bars_i, bars_f=bars_f)


def _find_present(market: MarketBars, instrument: int) -> NDArray[np.bool_] | slice:
    """The rows on which an instrument has a bar; a slice where that is every row."""
    if len(market.instruments[instrument]) == len(market):
        return slice(None)
    return np.asarray(market.rows[instrument] >= 0)


_SIGNAL_INTS = (
    (at.GI_DIRECTION, "direction"),
    (at.GI_EXIT_LONG, "exit_long"),
    (at.GI_EXIT_SHORT, "exit_short"),
    (at.GI_TREND, "trend"),
)
_SIGNAL_FLOATS = (
    (at.GF_STOP, "stop"),
    (at.GF_TARGET, "target"),
    (at.GF_DISTANCE, "distance"),
    (at.GF_STRENGTH, "strength"),
    (at.GF_CONFLICT, "conflict"),
    (at.GF_RATIO, "volatility_ratio"),
    (at.GF_SIGMA, "sigma"),
    (at.GF_ATR, "atr"),
    (at.GF_ZONE_PRICE, "target_zone_price"),
    (at.GF_OPPOSITE_LONG, "opposite_pull_long"),
    (at.GF_OPPOSITE_SHORT, "opposite_pull_short"),
    (at.GF_HEAVY_LONG, "heavy_opposite_long"),
    (at.GF_HEAVY_SHORT, "heavy_opposite_short"),
)


def pack_signals(
    *, rules: EngineRules, market: MarketBars, signals: Sequence[Signals]
) -> PackedSignals:
    """The signals of every slot on the market's grid, nothing where its instrument has no bar."""
    check_shapes(rules=rules, market=market, signals=signals)
    size, count = len(market), len(rules.slots)
    ints = np.zeros((size, count, at.GI_WIDTH), dtype=np.int64)
    floats = np.full((size, count, at.GF_WIDTH), np.nan)
    for k, (slot, columns) in enumerate(zip(rules.slots, signals, strict=True)):
        present = _find_present(market, slot.instrument)
        for column, name in _SIGNAL_INTS:
            ints[present, k, column] = getattr(columns, name)
        for column, name in _SIGNAL_FLOATS:
            floats[present, k, column] = getattr(columns, name)
    return PackedSignals(signals_i=ints, signals_f=floats)


def run_kernel(
    *,
    rules: EngineRules,
    market: MarketBars,
    signals: Sequence[Signals],
    fine: FineMarket | None = None,
) -> RawRun:
    """Run all bars compiled; the same trades as :func:`..reference.run_reference`.

    With ``fine`` the strategies decide on the bars of ``market`` and the book executes on its
    slices; equity stands at each close of ``market``.
    """
    return run_packed(
        rules=rules,
        market=pack_market(market if fine is None else fine.bars),
        signals=pack_signals(rules=rules, market=market, signals=signals),
        fine=fine,
    )


def run_packed(
    *,
    rules: EngineRules,
    market: PackedMarket,
    signals: PackedSignals,
    fine: FineMarket | None = None,
) -> RawRun:
    """Run packed bars and signals under ``rules``; ``market`` is that of ``fine`` where given."""
    from trading.domain.backtest.compiled import compile_pure
    from trading.domain.backtest.kernel.loop import run_bars, run_slices

    size, slots = market.time_ms.shape[0], len(rules.slots)
    trades_max = size * slots + slots
    events_max = size * (len(rules.instruments) + 2 * slots + 2)
    fi, ff = pack_fund(rules, int(market.time_ms[0]))
    si = np.zeros((rules.strategy_count, at.SI_WIDTH), dtype=np.int64)
    pi = np.zeros((slots, at.PI_WIDTH), dtype=np.int64)
    pf = np.zeros((slots, at.PF_WIDTH), dtype=np.float64)
    ri, rf = pack_slots(rules)
    mi, mf = pack_instruments(rules)
    zi, zf = pack_fuse(rules)
    # Reserved address space only: pages that no trade reaches are never touched.
    ti = np.empty((trades_max, at.TI_WIDTH), dtype=np.int64)
    tf = np.empty((trades_max, at.TF_WIDTH), dtype=np.float64)
    vi = np.empty((events_max, at.VI_WIDTH), dtype=np.int64)
    vf = np.empty((events_max, at.VF_WIDTH), dtype=np.float64)
    denials = np.zeros(32, dtype=np.int64)
    equity = np.empty(signals.signals_i.shape[0], dtype=np.float64)
    loop = compile_pure(run_bars if fine is None else run_slices, inlined=True)
    loop(
        market.time_ms,
        *(() if fine is None else (fine.close_ms, fine.decision)),
        market.bars_i,
        market.bars_f,
        signals.signals_i,
        signals.signals_f,
        pi,
        pf,
        ri,
        rf,
        mi,
        mf,
        fi,
        ff,
        si,
        pack_strategies(rules),
        np.zeros((len(rules.instruments), at.EI_WIDTH), dtype=np.int64),
        np.zeros(len(rules.instruments), dtype=np.float64),
        zi,
        zf,
        np.array(astuple(rules.limits), dtype=np.float64),
        ti,
        tf,
        vi,
        vf,
        denials,
        np.zeros(slots, dtype=np.float64),
        np.zeros(slots, dtype=np.float64),
        equity,
    )
    return RawRun(
        equity=equity,
        trades=_unpack_trades(ti, tf, int(fi[at.FI_TRADES])),
        fuse_events=_unpack_events(vi, vf, int(fi[at.FI_EVENTS])),
        refusals={n: int(count) for n, count in enumerate(denials) if count},
        orders=int(fi[at.FI_ORDERS]),
        open_positions=_unpack_open(pi, pf, ri, mi, mf),
        cash=float(ff[at.FF_CASH]),
    )


def pack_fund(rules: EngineRules, first_ms: int) -> tuple[IntArray, FloatArray]:
    """The fund before its first bar."""
    fi = np.zeros(at.FI_WIDTH, dtype=np.int64)
    fi[at.FI_DAY_START_MS] = first_ms // DAY_MS * DAY_MS
    fi[at.FI_REARM_AT] = 2**62
    return fi, np.full(at.FF_WIDTH, rules.cash_opening, dtype=np.float64)


def pack_slots(rules: EngineRules) -> tuple[IntArray, FloatArray]:
    """The rules of every slot."""
    ri = np.zeros((len(rules.slots), at.RI_WIDTH), dtype=np.int64)
    rf = np.zeros((len(rules.slots), at.RF_WIDTH), dtype=np.float64)
    for k, slot in enumerate(rules.slots):
        traits, own = slot.traits, slot.limits
        ri[k] = (
            slot.strategy,
            slot.instrument,
            traits.leverage_rule is LeverageRule.MAGNET,
            traits.hold_ms_max,
            traits.trigger_volatility,
            traits.trigger_conflict,
            traits.trigger_opposite,
            traits.trigger_trend_flip,
            traits.conflict_bars,
            losses_allowed(rules.fuse, own),
        )
        rf[k] = (
            _least(slot.risk_share, own.loss_at_stop_share),
            _least(traits.liquidation_share_max, own.stop_liquidation_share_max),
            _least(math.inf, own.margin_share_position),
        )
    return ri, rf


def pack_strategies(rules: EngineRules) -> FloatArray:
    """The results of every strategy before the first bar, and its own daily stop."""
    sf = np.zeros((rules.strategy_count, at.SF_WIDTH), dtype=np.float64)
    for strategy in range(rules.strategy_count):
        own = rules.limits_of(strategy).daily_loss_share
        sf[strategy, at.SF_DAILY] = 0.0 if own is None else float(own)
    return sf


def _least(share: float, own: Decimal | None) -> float:
    return share if own is None else min(share, float(own))


def pack_instruments(rules: EngineRules) -> tuple[IntArray, FloatArray]:
    """How every instrument trades."""
    mi = np.zeros((len(rules.instruments), at.MI_WIDTH), dtype=np.int64)
    mf = np.zeros((len(rules.instruments), at.MF_WIDTH), dtype=np.float64)
    for m, instrument in enumerate(rules.instruments):
        mi[m, at.MI_GROUP] = instrument.correlation_group
        mf[m] = (
            instrument.tick_size,
            instrument.lot_size,
            instrument.notional_min,
            instrument.taker_fee_rate,
            instrument.slippage_rate,
            instrument.fuse_slippage_rate,
            instrument.maintenance_rate,
            instrument.gap_rate_floor,
            instrument.tick_value,
            instrument.leverage_cap,
        )
    return mi, mf


def pack_fuse(rules: EngineRules) -> tuple[IntArray, FloatArray]:
    """The fuse's rules."""
    fuse = rules.fuse
    zi = (
        fuse.acting,
        fuse.market_acting,
        fuse.confirmation_bars,
        fuse.no_new_trades_ms,
        fuse.rearm_after_clear_ms,
        int(fuse.reset_policy),
        rules.bar_ms,
        rules.timeframe_ms,
    )
    zf = (
        fuse.daily_loss_share,
        fuse.drawdown_share,
        fuse.volatility_ratio_max,
        fuse.conflict_max,
        fuse.cut_share_min,
        fuse.cut_share_max,
    )
    return np.array(zi, dtype=np.int64), np.array(zf, dtype=np.float64)


_TRADE_INTS = {
    "slot": at.TI_SLOT, "side": at.TI_SIDE, "lots": at.TI_LOTS, "entry_time": at.TI_ENTRY_TIME,
    "exit_time": at.TI_EXIT_TIME, "entry_ticks": at.TI_ENTRY, "exit_ticks": at.TI_EXIT,
    "decision_ticks": at.TI_DECISION, "stop_ticks": at.TI_STOP, "target_ticks": at.TI_TARGET,
    "reason": at.TI_REASON, "ticks_lots": at.TI_TICKS_LOTS, "tier": at.TI_TIER,
    "binding": at.TI_BINDING, "cuts": at.TI_CUTS,
}  # fmt: skip
_TRADE_FLOATS = {
    "fees": at.TF_FEES, "funding": at.TF_FUNDING, "net": at.TF_NET, "r_multiple": at.TF_R,
    "leverage": at.TF_LEVERAGE, "equity_at_entry": at.TF_EQUITY,
}  # fmt: skip
_EVENT_INTS = {
    "time_ms": at.VI_TIME, "trigger": at.VI_TRIGGER, "instrument": at.VI_INSTRUMENT,
    "strategy": at.VI_STRATEGY, "positions": at.VI_POSITIONS,
}  # fmt: skip
_EVENT_FLOATS = {
    "value": at.VF_VALUE, "threshold": at.VF_THRESHOLD, "severity": at.VF_SEVERITY,
    "cut_share": at.VF_CUT,
}  # fmt: skip


def _unpack_trades(ti: IntArray, tf: FloatArray, count: int) -> tuple[RoundTrip, ...]:
    columns = _name_columns(ti[:count], _TRADE_INTS) | _name_columns(tf[:count], _TRADE_FLOATS)
    columns["ambiguous"] = (ti[:count, at.TI_AMBIGUOUS] != 0).tolist()
    return tuple(RoundTrip(**row) for row in _list_rows(columns))


def _unpack_events(vi: IntArray, vf: FloatArray, count: int) -> tuple[FuseMove, ...]:
    columns = _name_columns(vi[:count], _EVENT_INTS) | _name_columns(vf[:count], _EVENT_FLOATS)
    return tuple(FuseMove(**row) for row in _list_rows(columns))


def _name_columns(packed: NDArray[Any], names: Mapping[str, int]) -> dict[str, list[Any]]:
    return {name: packed[:, column].tolist() for name, column in names.items()}


def _list_rows(columns: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    names = tuple(columns)
    for row in zip(*columns.values(), strict=True):
        yield dict(zip(names, row, strict=True))


def _unpack_open(
    pi: IntArray, pf: FloatArray, ri: IntArray, mi: IntArray, mf: FloatArray
) -> tuple[OpenPosition, ...]:
    found = []
    for k in range(pi.shape[0]):
        side, lots = int(pi[k, at.PI_SIDE]), int(pi[k, at.PI_LOTS])
        if side == 0:
            continue
        m = int(ri[k, at.RI_INSTRUMENT])
        mark, entry = int(mi[m, at.MI_MARK]), int(pi[k, at.PI_ENTRY])
        found.append(
            OpenPosition(
                slot=k,
                side=side,
                lots=lots,
                entry_ticks=entry,
                entry_time=int(pi[k, at.PI_ENTRY_TIME]),
                mark_ticks=mark,
                open_profit=(mark - entry) * side * lots * float(mf[m, at.MF_TICK_VALUE]),
                leverage=float(pf[k, at.PF_LEVERAGE]),
            )
        )
    return tuple(found)
