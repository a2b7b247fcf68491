"""Survival of accounts as a stored run: years drawn from real hours, under several rules."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import Count, Q
from numpy.typing import NDArray

from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.identifiers import content_hash
from risk.domain.limits import Limits
from risk.domain.liquidation import AccountRules, build_bootstrap_bars, simulate_account_years
from risk.domain.readiness import compute_wilson_interval
from risk.services.limits import limits_in_force
from trading.domain.market.candles import HOUR_MS, Candles
from trading.domain.research.figures import clean
from trading.domain.research.run import day_words
from trading.models import Instrument, ResearchRun, Valuation
from trading.services.membership import members_of
from trading.services.research.backtests import (
    begin_work,
    close_run,
    find_finished,
    refuse_run,
    repeat_run,
)
from trading.services.research.studies import ask_unless_waiting, hash_candles, stored_hours

HORIZONS_DAYS = (1, 7, 30, 365)
BARS_MIN = 24 * 60
#: An account must hold something: below this share of equity a book is as good as in cash.
EXPOSURE_MIN = 0.0001


def ask_weekly_survival(book: str) -> int:
    """Ask for a study of survival on the instrument of a book with the longest stored history.

    Returns how many were asked: none where one waits, or where nothing has hours enough.
    """
    members = [item.pk for item in members_of(book).instruments]
    counted = (
        Instrument.objects.filter(pk__in=members)
        .annotate(hours=Count("candles", filter=Q(candles__timeframe="1h")))
        .filter(hours__gt=BARS_MIN)
        .order_by("-hours", "symbol")
        .first()
    )
    if counted is None:
        return 0
    return int(ask_unless_waiting(kind=ResearchRun.Kind.SURVIVAL, instrument=counted.symbol))


def find_book_account(
    book: str, limits: Limits
) -> tuple[dict[str, Any] | None, AccountRules | None]:
    """What the book holds by its newest valuation, and that as an account under its own fuse.

    The account commits the book's margin at the book's leverage, as if all of it were in the
    study's instrument on one side: positions that fall together.  None without a position.
    """
    row = Valuation.objects.filter(book=book).order_by("-at").first()
    if row is None or row.equity <= 0:
        return None, None
    exposure = float(row.gross_exposure / row.equity)
    margin = float(row.margin_used / row.equity)
    facts = {
        "at": isoformat_z(row.at),
        "exposure": exposure,
        "margin": margin,
        "positions": row.open_positions,
    }
    if exposure < EXPOSURE_MIN or margin < EXPOSURE_MIN:
        return facts, None
    share = min(margin, 1.0)
    return facts, AccountRules(
        leverage=exposure / share,
        margin_cap=share,
        with_fuse=True,
        daily_loss=float(limits.daily_loss_share),
        drawdown=float(limits.drawdown_share),
    )


def find_accounts(limits: Limits) -> tuple[tuple[str, str, AccountRules], ...]:
    """The accounts of the survival study: name, group, rules.

    The headline (10x all-in) beside the fund's rules, and the rows of a late fuse, which change
    the answer a hundredfold.
    """
    fund: dict[str, Any] = {
        "leverage": float(limits.leverage_max),
        "margin_cap": float(limits.margin_share_tier_1),
        "with_fuse": True,
        "daily_loss": float(limits.daily_loss_share),
        "drawdown": float(limits.drawdown_share),
    }
    cap = f"{fund['leverage']:g}x, {fund['margin_cap']:.0%} margin"
    late = {**fund, "margin_cap": 1.0}
    return (
        ("10x all-in, no fuse", "headline", AccountRules(leverage=10.0)),
        (f"{cap}, fuse armed again after 7 days", "fund", AccountRules(**fund)),
        (f"{cap}, fuse halts for good", "fund", AccountRules(**fund, cool_off_hours=0)),
        (f"{cap}, fuse 4 hours late", "fund", AccountRules(**fund, latency_hours=4)),
        (f"{cap}, fuse a day late", "fund", AccountRules(**fund, latency_hours=24)),
        *(
            (f"{leverage:g}x all-in, no fuse", "comparison", AccountRules(leverage=leverage))
            for leverage in (1.0, 2.0, 2.5, 3.0, 5.0, 20.0)
        ),
        ("3x all-in, fuse", "comparison", AccountRules(**late)),
        ("3x all-in, fuse 4 hours late", "comparison", AccountRules(**late, latency_hours=4)),
        ("3x all-in, fuse a day late", "comparison", AccountRules(**late, latency_hours=24)),
        ("10x all-in, perfect fuse", "comparison", AccountRules(leverage=10.0, with_fuse=True)),
    )


def work_survival(run: ResearchRun, *, candles: Candles | None = None) -> ResearchRun:
    """Bootstrapped accounts without an edge: liquidated, ruined, ever under half, by horizon."""
    if not begin_work(run):
        return run
    began = time.monotonic()
    asked = run.request
    try:
        bars = _cut(candles or stored_hours(asked), asked)
        count = int(_kept(bars, asked).sum())
        if count < BARS_MIN:
            raise InvalidInput(
                f"{count:,} hours are too few to draw a year from; at least {BARS_MIN:,}",
                code="too_few_candles",
            )
        limits = limits_in_force(settings.MAGNET_BOOK)
        held, own = find_book_account(settings.MAGNET_BOOK, limits)
        accounts = find_accounts(limits)
        if held is not None and own is not None:
            name = f"The book as it stands, {held['exposure']:.2f}x of equity"
            accounts = (*accounts, (name, "book", own))
        run.data_hash = hash_candles(bars)
        run.inputs_hash = content_hash(
            {
                "asked": asked,
                "data": run.data_hash,
                "accounts": [(name, asdict(rules)) for name, _, rules in accounts],
            }
        )
        known = find_finished(run.kind, run.inputs_hash)
        if known is not None:
            return repeat_run(run, known)
        drawn = build_bootstrap_bars(high=bars.high, low=bars.low, close=bars.close)
        drawn = np.ascontiguousarray(drawn[_kept(bars, asked)[1:]])
    except InvalidInput as error:
        run.inputs_hash = ""
        return refuse_run(run, error)
    rows = []
    for name, group, rules in accounts:
        row: dict[str, Any] = {"name": name, "group": group, "horizons": []}
        for days in HORIZONS_DAYS:
            found = simulate_account_years(
                bars=drawn, rules=rules, paths=asked["paths"], seed=asked["seed"], hours=24 * days
            )
            row["horizons"].append(
                {
                    "days": days,
                    "liquidated": _share(found.liquidated, found.paths),
                    "ruined": _share(found.ruined, found.paths),
                    "halved": _share(found.halved, found.paths),
                    "median": found.equity_median,
                    "trips": found.trips_mean,
                }
            )
        rows.append(row)
    run.result = clean(
        {
            "rows": rows,
            "bars": len(bars),
            "first_ms": int(bars.open_time[0]),
            "last_ms": int(bars.open_time[-1]) + HOUR_MS,
            "paths": asked["paths"],
            "book": held,
            "sentence": _survival_sentence(rows, held),
            "assumptions": _survival_assumptions(asked),
        }
    )
    run.wall_ms = round(1000 * (time.monotonic() - began))
    return close_run(run)


def _share(value: float, paths: int) -> dict[str, float]:
    """A simulated share with its 95 % Wilson interval."""
    low, high = compute_wilson_interval(wins=round(value * paths), trades=paths)
    return {"value": value, "low": low, "high": high}


def _survival_sentence(rows: list[dict[str, Any]], held: dict[str, Any] | None) -> str:
    bold, fund = rows[0]["horizons"][-1], rows[1]["horizons"][-1]
    late = rows[4]["horizons"][-1]
    told = (
        f"Of simulated years without an edge, {bold['liquidated']['value']:.1%} at 10x all-in were "
        f"liquidated and {bold['halved']['value']:.1%} fell below half; under the fund's rules "
        f"{fund['liquidated']['value']:.2%} were liquidated (at most "
        f"{fund['liquidated']['high']:.2%}) and {fund['halved']['value']:.2%} fell below half, "
        f"{late['halved']['value']:.2%} where the fuse came a day late."
    )
    own = next((row for row in rows if row["group"] == "book"), None)
    if own is None:
        return told if held is None else f"{told} The book held no position when this was run."
    year = own["horizons"][-1]
    return (
        f"{told} Kept as it stood, at {held['exposure'] if held else 0:.2f}x of equity, the book "
        f"was liquidated in {year['liquidated']['value']:.2%} of them (at most "
        f"{year['liquidated']['high']:.2%}) and fell below half in {year['halved']['value']:.2%}."
    )


def _survival_assumptions(asked: Mapping[str, Any]) -> list[str]:
    return [
        f"Hours of {asked['instrument']} drawn in stretches of about 72, their drift removed: what "
        f"never happened in them cannot happen here.",
        "The account is always in the market, on a side drawn each day, without an edge; fees and "
        "funding are paid.",
        "Ruined: below a tenth of the start at any hour. Below half is the second, milder measure.",
        "Margin rules of one isolated position; exchange failure and loss of keys are not in it.",
        "The book as it stands: its margin at its leverage kept for a year, all of it in this one "
        "instrument, so that nothing offsets anything; its fuse arms again after 7 days.",
        *_left_out_words(asked),
        f"{asked['paths']:,} paths a row, seed {asked['seed']}; intervals are of the simulation "
        f"alone, not of history.",
    ]


def _left_out_words(asked: Mapping[str, Any]) -> list[str]:
    spans = asked.get("left_out", ())
    if not spans:
        return []
    told = ", ".join(f"{day_words(first)} to before {day_words(last)}" for first, last in spans)
    return [f"Hours left out of the history by the one who asked: {told}."]


def _cut(candles: Candles, asked: Mapping[str, Any]) -> Candles:
    """The hours of the asked span."""
    first, last = 0, len(candles)
    if asked["start_ms"] is not None:
        first = int(np.searchsorted(candles.open_time, asked["start_ms"]))
    if asked["end_ms"] is not None:
        last = int(np.searchsorted(candles.open_time, asked["end_ms"]))
    return candles.between(first, max(first, last))


def _kept(candles: Candles, asked: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which hours may be drawn: all but those of the spans left out."""
    kept = np.ones(len(candles), dtype=np.bool_)
    for first, last in asked.get("left_out", ()):
        kept &= (candles.open_time < first) | (candles.open_time >= last)
    return kept
