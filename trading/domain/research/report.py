"""A backtest as one HTML file that needs nothing else: no script, no network, no second file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from magnetfund.kernel.clock import from_milliseconds
from trading.domain.research.drawing import draw_bars, draw_excursions, draw_lines, draw_trade

SHEET = """
:root{color-scheme:light dark;--ink:#14202b;--soft:#5c6b78;--line:#d9e0e4;--paper:#fbfaf7;
--gain:#147a4b;--loss:#a3323f;--run:#0c7c78;--hold:#8b98a3}
@media (prefers-color-scheme:dark){:root{--ink:#e8edf0;--soft:#9aa8b3;--line:#2d3a44;
--paper:#12191f;--gain:#56c08d;--loss:#ef7d88;--run:#4fc3bd;--hold:#7a8894}}
body{font:15px/1.5 Inter,system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:860px;margin:0 auto;padding:24px 16px}h1{font-size:1.5rem;margin:0}
h2{font-size:1.1rem;margin:32px 0 8px}p{margin:4px 0}small,.soft{color:var(--soft)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}
th{text-align:left;font-weight:500;color:var(--soft)}td,th{padding:4px 6px;
border-bottom:1px solid var(--line)}.n{text-align:right}.wide{overflow-x:auto}
.gain{color:var(--gain)}.loss{color:var(--loss)}.note{border-left:3px solid var(--run);
padding:8px 12px;background:color-mix(in srgb,var(--run) 8%,transparent)}
.r-plot{width:100%;height:auto}.r-grid{stroke:var(--line)}.r-text{font-size:11px;
fill:var(--soft)}.r-run{fill:none;stroke:var(--run);stroke-width:1.6}.r-hold{fill:none;
stroke:var(--hold);stroke-width:1.2}.r-fall{fill:none;stroke:var(--loss)}
.r-fall-area{fill:var(--loss);opacity:.18}.r-gain-bar{fill:var(--gain)}.r-loss-bar{fill:var(--loss)}
.r-gain-dot{fill:var(--gain);opacity:.6}.r-loss-dot{fill:var(--loss);opacity:.6}
.r-held{fill:var(--run);opacity:.08}.r-up{fill:var(--hold);stroke:var(--hold)}
.r-down{fill:var(--soft);stroke:var(--soft)}.r-entry{stroke:var(--run);stroke-width:1.4}
.r-stop{stroke:var(--loss);stroke-dasharray:4 3}.r-target{stroke:var(--gain);stroke-dasharray:4 3}
.r-zone{stroke:var(--run);stroke-width:6;opacity:.25}.r-exit{fill:none;stroke:var(--ink);
stroke-width:1.6}figure{margin:12px 0}
td.p1{background:color-mix(in srgb,var(--gain) 8%,transparent)}
td.p2{background:color-mix(in srgb,var(--gain) 18%,transparent)}
td.p3{background:color-mix(in srgb,var(--gain) 32%,transparent)}
td.n1{background:color-mix(in srgb,var(--loss) 8%,transparent)}
td.n2{background:color-mix(in srgb,var(--loss) 18%,transparent)}
td.n3{background:color-mix(in srgb,var(--loss) 32%,transparent)}
"""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TRADES_MAX = 3_000


def build_report(
    *,
    title: str,
    subtitle: str,
    figures: Mapping[str, Any],
    trades: Sequence[Mapping[str, Any]],
    headline: str = "",
    parameters: Mapping[str, str] | None = None,
) -> str:
    """The whole page.  ``trades`` beyond 3,000 are left to the exports, and the page says so."""
    series = figures["series"]
    sections = [
        f"<h1>{escape(title)}</h1><p class=soft>{escape(subtitle)}</p>",
        f"<p class=note><b>{escape(headline)}</b></p>" if headline else "",
        _key_figures(figures),
        "<h2>Equity</h2><p class=soft>Teal: this run. Grey: bought and held.</p>",
        draw_lines(
            seconds=series["t"],
            lines=(("r-hold", series["hold"]), ("r-run", series["equity"])),
            label="Equity of the run beside buy and hold",
            height=260,
        ),
        "<h2>Below the highest value so far</h2>",
        draw_lines(
            seconds=series["t"],
            lines=(("r-fall", series["drawdown"]),),
            label="Drawdown",
            height=150,
            percent=True,
            fill=True,
        ),
        _months(figures["months"]),
        _rolling(figures["rolling"]),
        "<h2>Results of the trades in R</h2>",
        draw_bars(
            bars=[(f"{b['low']:g}", b["trades"]) for b in figures["r_histogram"]],
            label="Number of trades by R",
        ),
        _excursions(figures.get("excursion_points", [])),
        _spread(figures),
        _trade_charts(figures.get("trade_charts", [])),
        _costs(figures["costs"]),
        _sleeves(figures["sleeves"]),
        _parameters(parameters or {}),
        "<h2>Assumptions</h2><ul>"
        + "".join(f"<li>{escape(line)}</li>" for line in figures["assumptions"])
        + "</ul>",
        _trades(trades),
        f"<p><small>Inputs {figures['inputs_hash']}<br>Data {figures['data_hash']}<br>"
        f"Fill rules {escape(figures['fill_rule_version'])}</small></p>",
    ]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{SHEET}</style></head><body>"
        + "\n".join(section for section in sections if section)
        + "</body></html>\n"
    )


def _key_figures(figures: Mapping[str, Any]) -> str:
    rows = []
    for name, key, form in (
        ("Return", "total_return", _percent),
        ("A year", "cagr", _percent),
        ("Sharpe ratio", "sharpe", _number),
        ("Maximum drawdown", "drawdown_max", _percent),
    ):
        cells = "".join(
            f"<td class=n>{form(period[side][key])}</td>"
            for period in figures["periods"]
            for side in ("run", "hold")
        )
        rows.append(f"<tr><th scope=row>{name}</th>{cells}</tr>")
    heads = "".join(
        f"<th scope=col class=n>{escape(p['name'])}</th><th scope=col class=n>held</th>"
        for p in figures["periods"]
    )
    metrics = figures["metrics"]
    told = (
        f"{metrics['trades']:,} trades, {_percent(metrics['win_rate'])} won, profit factor "
        f"{_number(metrics['profit_factor'])}, average {_number(metrics['average_r'])} R "
        f"(standard error {_number(metrics['average_r_error'])}), in the market "
        f"{_percent(metrics['exposure'])} of the time. Cash would have returned 0.00 %."
    )
    return (
        f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"<p class=soft>{told}</p>"
    )


def _months(years: Sequence[Mapping[str, Any]]) -> str:
    edge = compute_heat_edge(years)
    rows = "".join(
        f"<tr><th scope=row>{year['year']}</th>"
        + "".join(_toned(value, heat_class(value, edge)) for value in year["months"])
        + _toned(year["whole"])
        + "</tr>"
        for year in years
    )
    heads = "".join(f"<th scope=col class=n>{name}</th>" for name in (*MONTHS, "Year"))
    return (
        "<h2>By month, %</h2><div class=wide><table><thead><tr><th></th>"
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def compute_heat_edge(years: Sequence[Mapping[str, Any]]) -> float:
    """The size of month that only a tenth exceeds; 1 where there is none."""
    known = sorted(abs(v) for year in years for v in year["months"] if v is not None)
    return known[int(0.9 * (len(known) - 1))] if known else 1.0


def heat_class(value: float | None, edge: float) -> str:
    """The class of a month's heat: p1 to p3 for gains, n1 to n3 for losses, empty near zero."""
    if value is None or abs(value) < 0.00005:
        return ""
    step = 1 + int(abs(value) > edge / 3) + int(abs(value) > 2 * edge / 3)
    return f"{'p' if value > 0 else 'n'}{step}"


def _toned(value: float | None, heat: str = "") -> str:
    if value is None:
        return "<td class=n>-</td>"
    kind = "gain" if value > 0.00005 else "loss" if value < -0.00005 else ""
    return f'<td class="n {kind} {heat}">{100 * value:+.1f}</td>'


def _rolling(rolling: Mapping[str, Any]) -> str:
    if not rolling["t"]:
        return ""
    return (
        "<h2>Sharpe ratio of the last 180 days</h2>"
        + draw_lines(
            seconds=rolling["t"],
            lines=(("r-run", rolling["sharpe"]),),
            label="Rolling Sharpe ratio",
            height=150,
        )
        + "<h2>Share of the last 180 days in the market</h2>"
        + draw_lines(
            seconds=rolling["t"],
            lines=(("r-run", rolling["exposure"]),),
            label="Rolling exposure",
            height=120,
            percent=True,
        )
    )


def _excursions(points: Sequence[Sequence[float]]) -> str:
    if not points:
        return ""
    return (
        "<h2>Worst and best of each trade on its way</h2><p class=soft>Across: how far it went "
        "against us, in R. Up: how far it went our way. Green ended as a gain.</p>"
        + draw_excursions(points)
    )


def _trade_charts(trades: Sequence[Mapping[str, Any]]) -> str:
    if not trades:
        return ""
    return "<h2>Trades on their candles</h2>" + "".join(
        f"<figure>{draw_trade(trade)}<figcaption class=soft>{escape(say_trade(trade))}"
        "</figcaption></figure>"
        for trade in trades
    )


def say_trade(trade: Mapping[str, Any]) -> str:
    """What a trade on its candles was: why, from where, its bounds, how it ended."""
    target = "no target" if trade["target"] is None else f"target {trade['target']:,.2f}"
    zone = "" if trade["zone"] is None else f", zone at {trade['zone']:,.2f}"
    why = f" Seen at its close: {trade['why']}." if trade["why"] else ""
    return (
        f"{trade['title']}: {trade['strategy']}, {trade['instrument']} {trade['side']} from "
        f"{_stamp(trade['entry_ms'])} at {trade['entry']:,.2f}, stop {trade['stop']:,.2f}, "
        f"{target}{zone}; closed by {trade['reason'].replace('_', ' ')} "
        f"{_stamp(trade['exit_ms'])} at {trade['exit']:,.2f}, {trade['r']:+.2f} R.{why}"
    )


def _spread(figures: Mapping[str, Any]) -> str:
    rows = [
        ("Winners went against us, R", figures["excursions"]["winners_mae"]),
        ("Winners went our way at best, R", figures["excursions"]["winners_mfe"]),
        ("Losers went against us, R", figures["excursions"]["losers_mae"]),
        ("Losers went our way at best, R", figures["excursions"]["losers_mfe"]),
        ("Winners lasted, hours", figures["durations"]["winners"]),
        ("Losers lasted, hours", figures["durations"]["losers"]),
    ]
    body = "".join(
        f"<tr><th scope=row>{name}</th>"
        + "".join(f"<td class=n>{_number(part[key])}</td>" for key in ("low", "middle", "high"))
        + "</tr>"
        for name, part in rows
    )
    return (
        "<h2>Excursions and durations</h2><table><thead><tr><th></th><th class=n>quarter</th>"
        f"<th class=n>median</th><th class=n>three quarters</th></tr></thead>{body}</table>"
    )


def _costs(costs: Mapping[str, float]) -> str:
    names = {
        "before": "Price moves, before costs",
        "fees": "Fees",
        "slippage": "Slippage",
        "funding": "Funding",
        "net": "Net",
    }
    rows = "".join(
        f"<tr><th scope=row>{name}</th><td class=n>{costs[key]:+,.2f}</td></tr>"
        for key, name in names.items()
    )
    return f"<h2>Where the money went</h2><table>{rows}</table>"


def _sleeves(sleeves: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><th scope=row>{escape(s['strategy'])}, {escape(s['instrument'])}, {s['side']}</th>"
        f"<td class=n>{s['trades']:,}</td><td class=n>{_percent(s['win_rate'])}</td>"
        f"<td class=n>{_number(s['average_r'])}</td><td class=n>{s['net']:+,.2f}</td></tr>"
        for s in sleeves
    )
    return (
        "<h2>Sleeves</h2><table><thead><tr><th></th><th class=n>Trades</th><th class=n>Won</th>"
        f"<th class=n>Average R</th><th class=n>Net</th></tr></thead>{rows}</table>"
    )


def _parameters(parameters: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in parameters.items()
    )
    return f"<h2>Parameters</h2><table>{rows}</table>" if rows else ""


def _trades(trades: Sequence[Mapping[str, Any]]) -> str:
    shown = trades[-TRADES_MAX:][::-1]
    rows = "".join(
        f"<tr><td>{_stamp(t['exit_ms'])}</td><td>{escape(t['instrument'])} {t['side']}</td>"
        f"<td class=n>{t['entry']:,.2f}</td><td class=n>{t['exit']:,.2f}</td>"
        f"<td>{t['reason'].replace('_', ' ')}</td><td class=n>{t['r']:+.2f}</td>"
        f"<td class=n>{t['net']:+,.2f}</td></tr>"
        for t in shown
    )
    rest = len(trades) - len(shown)
    more = f"<p class=soft>{rest:,} earlier trades are in the exports.</p>" if rest else ""
    return (
        f"<h2>Trades</h2>{more}<div class=wide><table><thead><tr><th>Closed, UTC</th><th>Trade</th>"
        "<th class=n>Entry</th><th class=n>Exit</th><th>Closed by</th><th class=n>R</th>"
        f"<th class=n>Net</th></tr></thead>{rows}</table></div>"
    )


def _stamp(instant_ms: int) -> str:
    return f"{from_milliseconds(instant_ms):%Y-%m-%d %H:%M}"


def _percent(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.2f} %"


def _number(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.2f}"
