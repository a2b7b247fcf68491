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
from dataclasses import replace

import numpy as np

from risk.domain.fuse import FuseRules, ResetPolicy
from studies import samples
from studies.controls import print_trend_controls
from studies.published import MAGNET, TREND
from studies.rotations import print_magnet_rotations, print_trend_rotations
from studies.runs import Setting, planned_multiples, run_sample, size_share
from studies.samples import fill_hours, find_folder, load_candles
from trading.domain.engine.book import FuseMove, Trigger
from trading.domain.magnets.history import compute_magnet_signals
from trading.domain.magnets.parameters import DEFAULT_PARAMETERS
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
FILLED = "missing hours filled flat, as published"
ROW_FACTORS = (0.5, 0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 2.0)
FUSE_TRIGGERS = ("daily_loss", "drawdown", "loss_streak")


def print_trend(
    candles: Mapping[str, Candles],
    signals: Mapping[str, Signals],
    hours: str,
    *,
    with_funding: bool = True,
) -> None:
    """The core sleeve by sample; ``hours`` says what was done with missing ones."""
    funding = "funding paid" if with_funding else "no funding"
    print(f"\ntrend, {hours}, 0.35 % risk, 1.0x, {funding}, fuse off (published in brackets)")
    setting = Setting(with_funding=with_funding)
    print(f"{'sample':<24}{'CAGR %':>16}{'Sharpe':>16}{'max DD %':>16}{'trades/y':>14}", end="")
    print(f"{'in market %':>12}{'notional %':>11}{'worst R':>9}")
    for sample in TREND_SAMPLES:
        outcome = run_sample(
            sample=sample,
            candles=candles,
            signals=signals,
            traits=TrendStrategy().traits,
            setting=setting,
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
    candles: Mapping[str, Candles], forms: Mapping[str, Mapping[str, Signals]], hours: str
) -> None:
    """The founding idea, both forms, without fuse and funding."""
    print(f"\nmagnet, {hours}, fuse off, no funding (published at 0.35 % risk in brackets)")
    print("planned R: over the stop's distance and the round trip, as published; stop R: without")
    print(f"{'form sample':<26}{'risk %':>7}{'trades/y':>14}{'win %':>14}", end="")
    print(
        f"{'planned R (se)':>26}{'stop R':>8}{'no cost':>8}{'CAGR %':>14}{'max DD %':>14}", end=""
    )
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
                planned = planned_multiples(outcome)
                error = planned.std(ddof=1) / np.sqrt(planned.size)
                cells += [f"{planned.mean():.3f} ({error:.3f})"]
                cells += [f"{100 * m.cagr:.2f}", f"{100 * m.drawdown_max:.1f}"]
                if known:
                    cells = [
                        f"{cell} ({value:g})" for cell, value in zip(cells, known, strict=True)
                    ]
                print(
                    f"{form.value} {sample.name:<24}{100 * risk:>7.2f}{cells[0]:>14}{cells[1]:>14}"
                    f"{cells[2]:>26}{m.average_r:>8.3f}{m.average_r_gross:>8.3f}"
                    f"{cells[3]:>14}{cells[4]:>14}"
                    f"{levered[0]:>9.0f} /{levered[1]:>3.0f}{100 * size_share(outcome):>11.1f}"
                )


def print_row_heights(candles: Mapping[str, Candles]) -> None:
    """What the grain of the volume profiles alone does to ``magnet``: planned R (CAGR %)."""
    print(
        "\nmagnet by the row height of its volume profiles, times the default: planned R (CAGR %)"
    )
    print(f"{'form sample':<26}" + "".join(f"{factor:>16g}" for factor in ROW_FACTORS))
    cells: dict[tuple[str, str], list[str]] = {}
    setting = Setting(with_funding=False)
    contexts = {name: MagnetStrategy().context(candles=bars) for name, bars in candles.items()}
    for factor in ROW_FACTORS:
        day, week, month = (factor * height for height in DEFAULT_PARAMETERS.row_height)
        parameters = replace(DEFAULT_PARAMETERS, row_height=(day, week, month))
        readings = {
            name: compute_magnet_signals(candles=bars, parameters=parameters)
            for name, bars in candles.items()
        }
        for form in MagnetForm:
            strategy = MagnetStrategy(form=form)
            signals = {
                name: strategy.signals(magnets=readings[name], context=contexts[name])
                for name in candles
            }
            for sample in MAGNET_SAMPLES:
                outcome = run_sample(
                    sample=sample,
                    candles=candles,
                    signals=signals,
                    traits=strategy.traits,
                    setting=setting,
                )
                told = f"{planned_multiples(outcome).mean():.3f} ({100 * outcome.metrics.cagr:.1f})"
                cells.setdefault((form.value, sample.name), []).append(told)
    for (letter, name), row in cells.items():
        print(f"{letter} {name:<24}" + "".join(f"{cell:>16}" for cell in row))


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


def count_trips(events: Sequence[FuseMove]) -> dict[str, int]:
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
    filled = {name: fill_hours(bars) for name, bars in candles.items()}
    trend_filled = {
        name: compute_signals(strategy=TrendStrategy(), candles=bars)
        for name, bars in filled.items()
    }
    print(f"seed {options.seed}, {options.rotations} rotations")
    for name, bars in candles.items():
        print(f"{name}: {len(bars):,} hours, {len(filled[name]) - len(bars)} missing between them")
    print_trend(candles, trend, "hours as they are")
    print_trend(filled, trend_filled, FILLED)
    print_trend(filled, trend_filled, FILLED, with_funding=False)
    print_trend_controls(
        candles=candles, signals=trend, samples=TREND_SAMPLES[:4], seed=options.seed
    )
    print_trend_rotations(
        candles=candles,
        signals=trend,
        samples=TREND_SAMPLES[:4],
        rotations=options.rotations,
        seed=options.seed,
    )
    print_reset_policies("trend", candles, {"trend": trend})
    print_comparisons(candles)
    print_magnet(candles, forms, "hours as they are")
    print_magnet(filled, make_magnet_signals(filled)[1], FILLED)
    print_row_heights(candles)
    print_magnet_rotations(
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
