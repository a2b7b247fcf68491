"""A finished backtest as its page shows it: charts, the heat of months, bars, rows of words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.safestring import mark_safe

from magnetfund.core.templatetags.figures import signed, signed_percent
from magnetfund.kernel.clock import from_milliseconds
from magnetfund.web.months import MONTHS, shade_months
from trading.domain.research.drawing import draw_excursions, draw_trade
from trading.domain.research.report import say_trade
from trading.models import ResearchRun

COLOURS = ("field", "ink-3", "caution", "gain", "loss")
PERIODS = {"whole": "Whole run", "seen": "Seen", "unseen": "Unseen"}


def build_page(run: ResearchRun) -> dict[str, Any]:
    """What the template needs beyond the run and its judgement."""
    figures = run.result["figures"]
    return {
        "figures": figures,
        "metrics": figures["metrics"],
        "charts": draw_run(run),
        "years": shade_months(figures["months"]),
        "month_names": MONTHS,
        "distribution": bars_of(
            [
                (f"{item['low']:+.1f} to {item['high']:+.1f}", item["trades"], item["low"] >= 0)
                for item in figures["r_histogram"]
            ]
        ),
        "falls": falls_of(figures["costs"]),
        # Both are our own markup; every word in it is escaped where it is drawn.
        "excursions": mark_safe(draw_excursions(figures.get("excursion_points", []))),  # noqa: S308
        "trade_charts": [
            {"plot": mark_safe(draw_trade(item)), "words": say_trade(item)}  # noqa: S308
            for item in figures.get("trade_charts", [])
        ],
        "periods": [{**item, "title": PERIODS[item["name"]]} for item in figures["periods"]],
        "trades": [name_times(row) for row in figures["last_trades"]],
        "hash_words": " ".join(run.inputs_hash[k : k + 4] for k in range(0, 16, 4)),
        "data_words": " ".join(run.data_hash[k : k + 4] for k in range(0, 8, 4)),
        "refused_entries": sorted(figures["refusals"].items(), key=lambda item: -item[1]),
    }


def draw_run(run: ResearchRun) -> list[dict[str, Any]]:
    """Equity beside buy and hold, falls with the level of the fuse, rolling Sharpe, exposure."""
    figures = run.result["figures"]
    series, rolling = figures["series"], figures["rolling"]
    shared: dict[str, Any] = {"t": series["t"], "sync": "run", "years": years_of(series["t"])}
    falls = [100 * value for value in series["drawdown"]]
    lowest = min([*falls, 0.0])
    levels = []
    limits = run.result.get("limits")  # runs of before kept no figures, only that limits acted
    if isinstance(limits, dict) and lowest < -50 * limits["drawdown_share"]:
        levels.append(
            {
                "y": -100 * limits["drawdown_share"],
                "label": "The fuse closes everything",
                "colour": "loss",
                "dash": [4, 4],
            }
        )
    charts: dict[str, Any] = {
        "equity": {
            **shared,
            "digits": 2,
            "spans": _unseen_spans(figures["periods"]),
            "series": [
                _line("Held", series["hold"], "ink-3", 1.25),
                _line("Run", series["equity"], "field", 2),
            ],
        },
        "falls": {
            **shared,
            "digits": 2,
            "unit": " %",
            "axisDigits": 1,
            "levels": levels,
            "series": [{**_line("Fall", falls, "loss", 1.25, end=False), "fill": True}],
        },
    }
    if rolling["t"]:
        charts |= _rolling_charts(rolling)
    told = {
        "equity": ("Teal: this run. Grey: bought and held", "is-tall"),
        "falls": ("Below the highest value so far", "is-mid"),
        "rolling": ("Sharpe ratio of the last 180 days", "is-mid"),
        "exposure": ("Share of the last 180 days in the market", "is-mid"),
    }
    return [
        {"source": f"run-{name}", "caption": told[name][0], "size": told[name][1], "data": chart}
        for name, chart in charts.items()
    ]


def _unseen_spans(periods: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The stretches that no choice of parameters saw, as bands behind a chart."""
    return [
        {
            "from": item["first_ms"] // 1000,
            "to": item["last_ms"] // 1000,
            "colour": "field",
            "strength": 0.1,
            "label": "Unseen",
        }
        for item in periods
        if item["name"] == "unseen"
    ]


def _rolling_charts(rolling: Mapping[str, Any]) -> dict[str, Any]:
    """Sharpe ratio and share of time in the market over the last 180 days, day by day."""
    shared = {"t": rolling["t"], "years": years_of(rolling["t"])}
    exposure = [100 * value for value in rolling["exposure"]]
    return {
        "rolling": {
            **shared,
            "digits": 2,
            "axisDigits": 1,
            "levels": [{"y": 0, "label": "", "colour": "ink-3"}],
            "series": [_line("Sharpe", rolling["sharpe"], "field", 1.5, end=False)],
        },
        "exposure": {
            **shared,
            "digits": 0,
            "unit": " %",
            "range": [0, 105],
            "series": [_line("In the market", exposure, "field", 1.5, end=False)],
        },
    }


def _line(
    name: str, values: Sequence[float], colour: str, width: float, *, end: bool = True
) -> dict[str, Any]:
    line: dict[str, Any] = {"name": name, "y": values, "colour": colour, "width": width}
    if end:
        line |= {"label": name, "end": f"{values[-1]:,.0f}"}
    return line


def draw_comparison(runs: Sequence[ResearchRun]) -> dict[str, Any]:
    """Each run's equity from 100 on the days of the first, a run outside its span flat."""
    import bisect

    times = runs[0].result["figures"]["series"]["t"]
    lines = []
    for run, colour in zip(runs, COLOURS, strict=False):
        series, cash = run.result["figures"]["series"], run.request["cash"]
        values = []
        for second in times:
            at = bisect.bisect_right(series["t"], second) - 1
            values.append(100 * series["equity"][at] / cash if at >= 0 else 100.0)
        lines.append(
            {
                "name": f"Run {run.pk}",
                "y": values,
                "colour": colour,
                "width": 1.75,
                "label": f"Run {run.pk}",
            }
        )
    return {
        "source": "compared",
        "caption": "The span of the first run",
        "size": "is-tall",
        "data": {"t": times, "digits": 2, "years": years_of(times), "series": lines},
    }


def years_of(seconds: Sequence[int]) -> list[int] | None:
    """First seconds of the years inside a span of more than two; None for a shorter one."""
    first, last = (from_milliseconds(value * 1000) for value in (seconds[0], seconds[-1]))
    if last.year - first.year < 2:
        return None
    return [
        int(datetime(year, 1, 1, tzinfo=first.tzinfo).timestamp())
        for year in range(first.year + 1, last.year + 1)
    ]


def bars_of(rows: Sequence[tuple[str, int, bool]]) -> list[dict[str, Any]]:
    """Counts as bars of a 100-unit width; empty ends are left out."""
    most = max((count for _, count, _ in rows), default=0) or 1
    filled = [index for index, (_, count, _) in enumerate(rows) if count]
    if not filled:
        return []
    return [
        {"name": name.replace("-", "−"), "count": count, "width": f"{100 * count / most:.2f}",
         "kind": "f" if is_gain else "m"}
        for name, count, is_gain in rows[filled[0] : filled[-1] + 1]
    ]  # fmt: skip


def falls_of(costs: Mapping[str, float]) -> list[dict[str, Any]]:
    """Price moves, each cost, the net: as the steps of a waterfall."""
    steps = (
        ("before", "Price moves, before costs"),
        ("fees", "Fees"),
        ("slippage", "Slippage"),
        ("funding", "Funding"),
        ("net", "Net"),
    )
    level, marks = 0.0, []
    for key, name in steps:
        value = costs[key]
        start = 0.0 if key in ("before", "net") else level
        level = start + value
        marks.append((name, value, min(start, level), max(start, level), key))
    low = min([0.0, *(mark[2] for mark in marks)])
    high = max([0.0, *(mark[3] for mark in marks)])
    span = high - low or 1.0
    return [
        {
            "name": name,
            "value": value,
            "x": f"{100 * (left - low) / span:.2f}",
            "width": f"{max(100 * (right - left) / span, 0.4):.2f}",
            "kind": "f" if value >= 0 else "n",
            "is_sum": key in ("before", "net"),
        }
        for name, value, left, right, key in marks
    ]


def name_times(row: Mapping[str, Any]) -> dict[str, Any]:
    """A trade's row with its times as datetimes."""
    return {
        **row,
        "opened": from_milliseconds(row["entry_ms"]),
        "closed": from_milliseconds(row["exit_ms"]),
    }


def compare_rows(runs: Sequence[ResearchRun], judgements: Sequence[Any]) -> list[dict[str, Any]]:
    """Figures side by side; ``differs`` where a run is not as the first."""
    wanted: tuple[tuple[str, str, Callable[[Any, Any], Any]], ...] = (
        ("Return", "percent", lambda r, j: r["metrics"]["total_return"]),
        ("A year", "percent", lambda r, j: r["metrics"]["cagr"]),
        ("Sharpe ratio", "number", lambda r, j: r["metrics"]["sharpe"]),
        ("Maximum drawdown", "percent", lambda r, j: r["metrics"]["drawdown_max"]),
        ("Trades", "count", lambda r, j: r["metrics"]["trades"]),
        ("Won", "percent", lambda r, j: r["metrics"]["win_rate"]),
        ("Average, R", "number", lambda r, j: r["metrics"]["average_r"]),
        ("Profit factor", "number", lambda r, j: r["metrics"]["profit_factor"]),
        ("In the market", "percent", lambda r, j: r["metrics"]["exposure"]),
        ("Fees", "money", lambda r, j: r["costs"]["fees"]),
        ("Slippage", "money", lambda r, j: r["costs"]["slippage"]),
        ("Funding", "money", lambda r, j: r["costs"]["funding"]),
        ("Net", "money", lambda r, j: r["costs"]["net"]),
        ("Bought and held, a year", "percent", lambda r, j: r["periods"][0]["hold"]["cagr"]),
        ("Trials of the family", "count", lambda r, j: j.trials),
        ("Deflated Sharpe", "number", lambda r, j: j.deflated),
    )
    forms: dict[str, Callable[[Any], str]] = {"percent": signed_percent, "count": str}
    rows = []
    for title, kind, pick in wanted:
        values = [
            pick(run.result["figures"], judgement)
            for run, judgement in zip(runs, judgements, strict=True)
        ]
        form = forms.get(kind, signed)
        cells = [{"text": form(value), "differs": value != values[0]} for value in values]
        rows.append({"title": title, "cells": cells})
    return rows
