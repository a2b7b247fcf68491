"""Small charts as SVG text: lines, falls, bars, trades on their candles.

Colours are classes of the page's sheet.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from magnetfund.kernel.clock import from_milliseconds

WIDTH, HEIGHT = 760, 220
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 8, 22
Points = Sequence[float | None]


def draw_lines(
    *,
    seconds: Sequence[int],
    lines: Sequence[tuple[str, Points]],
    label: str,
    height: int = HEIGHT,
    percent: bool = False,
    fill: bool = False,
) -> str:
    """Lines over time; each is (class, values).  ``fill`` shades to zero."""
    known = [value for _, values in lines for value in values if value is not None]
    if not known or len(seconds) < 2:
        return ""
    low, high = min(known), max(known)
    if fill:
        high = max(high, 0.0)
    if high == low:
        low, high = low - 1.0, high + 1.0
    span = seconds[-1] - seconds[0] or 1

    def across(second: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (second - seconds[0]) / span

    def down(value: float) -> float:
        return TOP + (height - TOP - BOTTOM) * (high - value) / (high - low)

    parts = [_open(label, height)]
    for step in range(5):
        value = low + (high - low) * step / 4
        text = f"{100 * value:.1f} %" if percent else _short(value)
        parts.append(
            f'<line class="r-grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down(value):.1f}" '
            f'y2="{down(value):.1f}"/><text class="r-text" x="{LEFT - 6}" '
            f'y="{down(value) + 4:.1f}" text-anchor="end">{text}</text>'
        )
    parts.extend(_years(seconds, across, height))
    for name, values in lines:
        points = [
            f"{across(second):.1f},{down(value):.1f}"
            for second, value in zip(seconds, values, strict=True)
            if value is not None
        ]
        if fill:
            zero = f"{down(0.0):.1f}"
            area = [
                f"{across(seconds[0]):.1f},{zero}",
                *points,
                f"{across(seconds[-1]):.1f},{zero}",
            ]
            parts.append(f'<polygon class="{name}-area" points="{" ".join(area)}"/>')
        parts.append(f'<polyline class="{name}" points="{" ".join(points)}"/>')
    return "".join([*parts, "</svg>"])


def draw_bars(*, bars: Sequence[tuple[str, float]], label: str, height: int = 180) -> str:
    """Counts side by side; a label that begins with a minus is drawn as a loss."""
    most = max((count for _, count in bars), default=0) or 1
    width = (WIDTH - LEFT - RIGHT) / max(len(bars), 1)
    parts = [_open(label, height)]
    for index, (name, count) in enumerate(bars):
        tall = (height - TOP - BOTTOM) * count / most
        left, top = LEFT + index * width, height - BOTTOM - tall
        kind = "r-loss" if name.startswith("-") else "r-gain"
        parts.append(
            f'<rect class="{kind}-bar" x="{left + 1:.1f}" y="{top:.1f}" width="{width - 2:.1f}" '
            f'height="{tall:.1f}"><title>{escape(name)}: {count:g}</title></rect>'
        )
        if index % 2 == 0:
            parts.append(
                f'<text class="r-text" x="{left:.1f}" y="{height - 6}">{escape(name)}</text>'
            )
    return "".join([*parts, "</svg>"])


def draw_excursions(points: Sequence[Sequence[float]], *, height: int = 240) -> str:
    """Each trade by its worst (across) and its best (up) on the way, in R; empty without trades."""
    if not points:
        return ""
    left_most = min(-1.0, *(point[0] for point in points))
    top_most = max(1.0, *(point[1] for point in points))

    def across(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - left_most) / -left_most

    def down(value: float) -> float:
        return TOP + (height - TOP - BOTTOM) * (top_most - value) / top_most

    parts = [_open("Worst and best of each trade on its way, in R", height)]
    for step in range(5):
        value = top_most * step / 4
        parts.append(_level(value, f"{value:.1f} R", down(value)))
    for step in range(5):
        value = left_most * (4 - step) / 4 + 0.0  # no -0.0
        parts.append(
            f'<text class="r-text" x="{across(value):.1f}" y="{height - 6}" '
            f'text-anchor="{"end" if step == 4 else "middle"}">{value:.1f} R</text>'
        )
    for worst, best, result in points:
        kind = "r-gain-dot" if result > 0 else "r-loss-dot"
        parts.append(
            f'<circle class="{kind}" cx="{across(min(worst, 0.0)):.1f}" '
            f'cy="{down(max(best, 0.0)):.1f}" r="2.5"><title>{worst:.2f} R, {best:+.2f} R, '
            f"ended {result:+.2f} R</title></circle>"
        )
    return "".join([*parts, "</svg>"])


def draw_trade(trade: Mapping[str, Any], *, height: int = 240) -> str:
    """A trade on its candles with entry, exit, stop, target and the zone that it aimed at."""
    bars = trade["candles"]
    levels = [
        (kind, words, trade[name])
        for name, kind, words in (
            ("zone", "r-zone", "zone"), ("target", "r-target", "target"),
            ("entry", "r-entry", "entry"), ("stop", "r-stop", "stop"),
        )
        if trade[name] is not None
    ]  # fmt: skip
    near = [price for kind, _, price in levels if kind in ("r-entry", "r-stop")]
    low: float = min([*bars["low"], *near])
    high: float = max([*bars["high"], *near])
    reach = high - low or 1.0
    for _, _, price in levels:  # what lies further off than the candles are tall is told in words
        if low - reach <= price <= high + reach:
            low, high = min(low, price), max(high, price)

    def down(price: float) -> float:
        return TOP + (height - TOP - BOTTOM) * (high - price) / ((high - low) or 1.0)

    count = len(bars["t"])
    width = (WIDTH - LEFT - RIGHT) / max(count, 1)

    def across(index: float) -> float:
        return LEFT + width * (index + 0.5)

    parts = [_open(f"{trade['instrument']} {trade['side']} on its candles", height)]
    for step in range(4):
        value = low + (high - low) * step / 3
        parts.append(_level(value, _short_price(value), down(value)))
    first = bisect_right(bars["t"], trade["entry_ms"]) - 1
    last = bisect_right(bars["t"], trade["exit_ms"]) - 1
    parts.append(
        f'<rect class="r-held" x="{across(first - 0.5):.1f}" y="{TOP}" '
        f'width="{width * (last - first + 1):.1f}" height="{height - TOP - BOTTOM}"/>'
    )
    columns = zip(bars["open"], bars["high"], bars["low"], bars["close"], strict=True)
    for index, (opened, top, bottom, closed) in enumerate(columns):
        kind, x = ("r-up" if closed >= opened else "r-down"), across(index)
        tall = max(abs(down(opened) - down(closed)), 0.8)
        parts.append(
            f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{down(top):.1f}" '
            f'y2="{down(bottom):.1f}"/><rect class="{kind}" x="{x - 0.35 * width:.1f}" '
            f'y="{min(down(opened), down(closed)):.1f}" width="{0.7 * width:.1f}" '
            f'height="{tall:.1f}"/>'
        )
    for kind, words, price in levels:
        if low <= price <= high:
            parts.append(
                f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down(price):.1f}" '
                f'y2="{down(price):.1f}"/>{_name_level(words, down(price))}'
            )
    parts.append(
        f'<circle class="r-exit" cx="{across(last):.1f}" cy="{down(trade["exit"]):.1f}" r="4">'
        f"<title>exit</title></circle>"
    )
    for index, anchor in ((0, "start"), (count - 1, "end")):
        at = from_milliseconds(bars["t"][index])
        parts.append(
            f'<text class="r-text" x="{across(index):.1f}" y="{height - 6}" '
            f'text-anchor="{anchor}">{at.day} {at:%b %Y, %H:%M}</text>'
        )
    return "".join([*parts, "</svg>"])


def _name_level(words: str, y: float) -> str:
    """A zone is named on the left, so that a target upon it stays legible; none leaves the plot."""
    x, anchor = (LEFT + 4, "start") if words == "zone" else (WIDTH - RIGHT, "end")
    return (
        f'<text class="r-text" x="{x}" y="{max(y - 3, TOP + 12):.1f}" '
        f'text-anchor="{anchor}">{words}</text>'
    )


def _level(value: float, text: str, y: float) -> str:
    return (
        f'<line class="r-grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="r-text" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _short_price(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _open(label: str, height: int) -> str:
    return (
        f'<svg class="r-plot" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(label)}">'
    )


def _years(seconds: Sequence[int], across: Callable[[int], float], height: int) -> list[str]:
    first, last = (from_milliseconds(s * 1000) for s in (seconds[0], seconds[-1]))
    marks = []
    if last.year - first.year >= 2:
        for year in range(first.year + 1, last.year + 1):
            second = int(first.replace(year=year, month=1, day=1, hour=0, minute=0).timestamp())
            marks.append((second, str(year)))
    else:
        for step in range(1, 6):
            second = seconds[0] + (seconds[-1] - seconds[0]) * step // 6
            at = from_milliseconds(second * 1000)
            marks.append((second, f"{at.day} {at:%b %y}"))
    return [
        f'<text class="r-text" x="{across(second):.1f}" y="{height - 6}" '
        f'text-anchor="middle">{name}</text>'
        for second, name in marks
    ]


def _short(value: float) -> str:
    for size, unit in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if abs(value) >= 10 * size:
            return f"{value / size:,.0f} {unit}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
