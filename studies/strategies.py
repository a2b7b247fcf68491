"""Every strategy measured over real hours, with its controls, beside the published figures.

Run as ``python -m studies.strategies [--data FOLDER] [--rotations 100] [--seed 20240421]``.  Costs:
0.05 % taker a side, 2 bp slippage, 10 bp on fuse exits; signal on the close, fill at the next open;
stop before target inside a bar; gaps at the open.  ``trend`` and the comparisons pay 0.01 % funding
per 8 hours; the table of ``magnet`` has none, as published.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from studies import samples
from studies.controls import print_rotations, print_trend_controls
from studies.published import MAGNET, TREND
from studies.runs import Setting, run_sample, size_share
from studies.samples import find_folder, load_candles
from trading.domain.backtest.book import FuseEvent, Trigger
from trading.domain.backtest.rules import FuseRules, ResetPolicy
from trading.domain.magnets.history import compute_magnet_signals
from trading.domain.magnets.types import MagnetSignals
from trading.domain.market.candles import Candles
from trading.domain.strategies.base import compute_signals
from trading.domain.strategies.magnet import MagnetForm, MagnetStrategy
from trading.domain.strategies.registry import build_strategy, compute_columns
from trading.domain.strategies.signals import Signals
from trading.domain.strategies.trend import TrendStrategy

SEED = 20_240_421
TREND_SAMPLES = (
    samples.BTC_EARLY,
    samples.BTC_LATE,
    samples.ETH_SHARED,
    samples.PAIR,
    samples.ETH_UNSEEN,
)
MAGNET_SAMPLES = (samples.BTC_EARLY, samples.BTC_LATE, samples.ETH_WHOLE)
COMPARISONS = (
    ("trend", build_strategy("trend")),
    ("moving-average 20/200", build_strategy("moving-average")),
    ("moving-average 20/100", build_strategy("moving-average", {"slow": 100})),
    ("donchian 20/10 days", build_strategy("donchian")),
    ("momentum 28 days", build_strategy("momentum")),
    ("always-long", build_strategy("always-long")),
    ("macd 4 h", build_strategy("macd")),
    ("rsi-reversion 4 h", build_strategy("rsi-reversion")),
    ("bollinger-breakout 4 h", build_strategy("bollinger-breakout")),
    ("momentum-scalping 1 h", build_strategy("momentum-scalping")),
)
FUSE_TRIGGERS = ("daily_loss", "drawdown", "loss_streak")


def print_trend(candles: Mapping[str, Candles], signals: Mapping[str, Signals]) -> None:
    """The core sleeve by sample."""
    print("\ntrend, 0.35 % risk, 1.0x, funding paid, fuse off (published in brackets)")
    print(f"{'sample':<24}{'CAGR %':>16}{'Sharpe':>16}{'max DD %':>16}{'trades/y':>14}", end="")
    print(f"{'in market %':>12}{'notional %':>11}{'worst R':>9}")
    for sample in TREND_SAMPLES:
        outcome = run_sample(
            sample=sample, candles=candles, signals=signals, traits=TrendStrategy().traits
        )
        m = outcome.metrics
        found = (100 * m.cagr, m.sharpe, 100 * m.drawdown_max, m.trades_a_year)
        known = TREND.get(sample.name)
        cells = [
            f"{value:.2f}" + (f" ({known[index]:g})" if known else "")
            for index, value in enumerate(found)
        ]
        worst = min((trade.r_multiple for trade in outcome.raw.trades), default=float("nan"))
        print(
            f"{sample.name:<24}{cells[0]:>16}{cells[1]:>16}{cells[2]:>16}{cells[3]:>14}"
            f"{100 * m.exposure:>12.0f}{100 * size_share(outcome):>11.1f}{worst:>9.2f}"
        )


def print_reset_policies(
    name: str,
    candles: Mapping[str, Candles],
    signals: Mapping[str, Mapping[str, Signals]],
) -> None:
    """What the fuse does under each reset policy, at the default risk and at the hard limit."""
    print(f"\n{name}: the fuse by reset policy (trips a year: daily / drawdown / three losses)")
    strategies = {"trend": TrendStrategy(), "magnet": MagnetStrategy()}
    print(f"{'sample':<24}{'risk %':>7}{'policy':>14}{'trips a year':>22}", end="")
    print(f"{'CAGR %':>9}{'no fuse':>9}{'max DD %':>10}{'no fuse':>9}")
    for sample in MAGNET_SAMPLES if name == "magnet" else TREND_SAMPLES[:4]:
        for risk in (0.0035, 0.01):
            traits = strategies[name].traits
            bare = run_sample(
                sample=sample,
                candles=candles,
                signals=signals[name],
                traits=traits,
                setting=Setting(risk_share=risk),
            ).metrics
            for policy in ResetPolicy:
                outcome = run_sample(
                    sample=sample,
                    candles=candles,
                    signals=signals[name],
                    traits=traits,
                    setting=Setting(risk_share=risk, fuse=FuseRules(reset_policy=policy)),
                )
                m = outcome.metrics
                trips = count_trips(outcome.raw.fuse_events)
                told = " / ".join(f"{trips[code] / m.years:.1f}" for code in FUSE_TRIGGERS)
                print(
                    f"{sample.name:<24}{100 * risk:>7.2f}{policy.code:>14}{told:>22}"
                    f"{100 * m.cagr:>9.2f}{100 * bare.cagr:>9.2f}"
                    f"{100 * m.drawdown_max:>10.2f}{100 * bare.drawdown_max:>9.2f}"
                )


def print_magnet(
    candles: Mapping[str, Candles], forms: Mapping[str, Mapping[str, Signals]]
) -> None:
    """The founding idea, both forms, without fuse and funding."""
    print("\nmagnet, fuse off, no funding (published at 0.35 % risk in brackets)")
    print(
        f"{'form sample':<26}{'risk %':>7}{'trades/y':>14}{'win %':>14}{'avg R (se)':>26}", end=""
    )
    print(f"{'no cost R':>10}{'CAGR %':>14}{'max DD %':>14}", end="")
    print(f"{'L>1 / L>2 %':>14}{'notional %':>11}")
    for form in MagnetForm:
        traits = MagnetStrategy(form=form).traits
        for sample in MAGNET_SAMPLES:
            for risk in (0.0035, 0.01):
                setting = Setting(risk_share=risk, with_funding=False)
                outcome = run_sample(
                    sample=sample,
                    candles=candles,
                    signals=forms[form.value],
                    traits=traits,
                    setting=setting,
                )
                m = outcome.metrics
                known = MAGNET[form.value, sample.name] if risk == 0.0035 else None
                leverage = np.array([trade.leverage for trade in outcome.raw.trades])
                levered = [100 * float((leverage > edge).mean()) for edge in (1.0, 2.0)]
                cells = [f"{m.trades_a_year:.0f}", f"{100 * m.win_rate:.1f}"]
                cells += [f"{m.average_r:.3f} ({m.average_r_error:.3f})"]
                cells += [f"{100 * m.cagr:.2f}", f"{100 * m.drawdown_max:.1f}"]
                if known:
                    cells = [
                        f"{cell} ({value:g})" for cell, value in zip(cells, known, strict=True)
                    ]
                print(
                    f"{form.value} {sample.name:<24}{100 * risk:>7.2f}{cells[0]:>14}{cells[1]:>14}"
                    f"{cells[2]:>26}{m.average_r_gross:>10.3f}{cells[3]:>14}{cells[4]:>14}"
                    f"{levered[0]:>9.0f} /{levered[1]:>3.0f}{100 * size_share(outcome):>11.1f}"
                )


def print_comparisons(candles: Mapping[str, Candles]) -> None:
    """The neighbours of the core sleeve: same sizing, no fuse, funding paid; Sharpe by sample."""
    print("\ncomparisons at 0.35 % risk, fuse off: Sharpe (CAGR %) by sample")
    print(f"{'strategy':<24}" + "".join(f"{sample.name:>24}" for sample in TREND_SAMPLES))
    for label, strategy in COMPARISONS:
        signals = {
            name: compute_columns(strategy=strategy, candles=bars) for name, bars in candles.items()
        }
        cells = []
        for sample in TREND_SAMPLES:
            m = run_sample(
                sample=sample, candles=candles, signals=signals, traits=strategy.traits
            ).metrics
            cells.append(f"{m.sharpe:.2f} ({100 * m.cagr:.1f})")
        print(f"{label:<24}" + "".join(f"{cell:>24}" for cell in cells))


def count_trips(events: Sequence[FuseEvent]) -> dict[str, int]:
    """Fuse events by the code word of their trigger."""
    found = dict.fromkeys((trigger.code for trigger in Trigger), 0)
    for event in events:
        found[Trigger(event.trigger).code] += 1
    return found


def make_magnet_signals(
    candles: Mapping[str, Candles],
) -> tuple[dict[str, MagnetSignals], dict[str, dict[str, Signals]]]:
    """Readings of every instrument, and the signals of both forms made from them."""
    readings = {name: compute_magnet_signals(candles=bars) for name, bars in candles.items()}
    forms: dict[str, dict[str, Signals]] = {}
    for form in MagnetForm:
        strategy = MagnetStrategy(form=form)
        forms[form.value] = {
            name: strategy.signals(magnets=readings[name], context=strategy.context(candles=bars))
            for name, bars in candles.items()
        }
    return readings, forms


def main(arguments: list[str] | None = None) -> int:
    """Print every table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with candles/ (default: MAGNET_DATA)")
    parser.add_argument("--rotations", type=int, default=100)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    folder = find_folder(options.data)
    if folder is None:
        print("no real candles here: set MAGNET_DATA or pass --data", file=sys.stderr)
        return 2
    candles = {name: load_candles(folder, name) for name in samples.FILES}
    trend = {
        name: compute_signals(strategy=TrendStrategy(), candles=bars)
        for name, bars in candles.items()
    }
    readings, forms = make_magnet_signals(candles)
    print(f"seed {options.seed}")
    print_trend(candles, trend)
    print_trend_controls(
        candles=candles, signals=trend, samples=TREND_SAMPLES[:4], seed=options.seed
    )
    print_reset_policies("trend", candles, {"trend": trend})
    print_comparisons(candles)
    print_magnet(candles, forms)
    print_rotations(
        candles=candles,
        readings=readings,
        samples=MAGNET_SAMPLES,
        rotations=options.rotations,
        seed=options.seed,
    )
    print_reset_policies("magnet", candles, {"magnet": forms["B"]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
