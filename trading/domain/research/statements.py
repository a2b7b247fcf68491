"""What a backtest assumed, in sentences that stand beside its figures."""

from __future__ import annotations

from trading.domain.research.run import Backtest, day_words


def state_assumptions(backtest: Backtest) -> list[str]:
    """Every assumption behind the figures that a reader could not see in them."""
    prepared, counts = backtest.prepared, backtest.result.counts
    request, rules = prepared.request, prepared.rules
    first = rules.instruments[0]
    finer = request.resolution or request.timeframe
    told = [
        f"Signals at the close of a {request.timeframe} candle, filled at the next open"
        f"{'' if request.resolution is None else f' of a {finer} candle'}. Inside a {finer} candle "
        f"the stop counts before the target; a price that jumps a stop fills at the open.",
        f"Fees {first.taker_fee_rate:.3%} a side, slippage {first.slippage_rate:.3%}, "
        f"{first.fuse_slippage_rate:.3%} where the fuse closes. No market impact.",
    ]
    for item in prepared.coverage:
        source = f", {item.label}" if item.label else ""
        told.append(
            f"{item.instrument}{source}: {item.bars:,} candles from {day_words(item.first_ms)} to "
            f"{day_words(item.last_ms - 1)}; {item.missing:,} missing "
            f"({item.missing_share:.2%}), never filled."
        )
        if item.shorter:
            told.append(
                f"{item.instrument}: orders, stops and the fuse execute on {item.shorter:,} "
                f"{request.resolution} candles; {item.shorter_missing:,} missing "
                f"({item.shorter_missing_share:.2%}). Equity is marked at each "
                f"{request.timeframe} close."
            )
        told.append(_funding_of(request.funding, item.funding_stamps, item.instrument))
    if request.rules == "fund":
        version = rules.fuse.limits_version
        told.append(
            f"The limits ({f'version {version}' if version else 'those shipped, none are signed'}) "
            "and the fuse of the fund act; after a trip the fuse is armed again by the policy "
            f"{request.reset_policy}. In the fund, two people decide that."
        )
    else:
        told.append(
            "Bare: no fuse and no market trigger; sizes keep the default limits. For comparison."
        )
    if prepared.blackouts:
        first_ms, last_ms = prepared.coverage[0].first_ms, prepared.coverage[0].last_ms
        count = sum(
            item.end_ms > first_ms and item.start_ms < last_ms for item in prepared.blackouts
        )
        told.append(f"Nothing is opened around {count} dated events of the fund's calendar.")
    if any(sleeve.strategy == "magnet" for sleeve in request.sleeves):
        told.append("Walls of a streamed order book, which the running sleeve reads, are left out.")
    told.append(
        f"Risk {request.sleeves[0].risk_share:.2%} of equity a trade at the stop, starting with "
        f"{request.cash:,.0f}; gains stay in. Sizes are whole lots of "
        f"{first.lot_size:g}: a smaller book rounds more and can trade at other bars."
    )
    small = counts.refusals.get("below_minimum", 0)
    if small:
        told.append(f"{small:,} entries were too small for one lot or the minimum order.")
    if counts.ambiguous_trades:
        told.append(
            f"{counts.ambiguous_trades:,} trades had stop and target inside one {finer} candle; "
            f"the stop was assumed."
        )
    if backtest.result.open_positions:
        told.append(
            f"{len(backtest.result.open_positions)} open position(s) at the end stand at their "
            f"mark and are in no trade statistic."
        )
    return told


def _funding_of(kind: str, stamps: int, instrument: str) -> str:
    if kind == "none":
        return f"{instrument}: no funding was charged."
    if kind == "default" or not stamps:
        return f"{instrument}: funding 0.01 % per 8 hours throughout, paid by longs to shorts."
    return f"{instrument}: {stamps:,} dated funding rates; 0.01 % per 8 hours where none is stored."
