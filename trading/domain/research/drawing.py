"""Small charts as SVG text: lines, falls, bars, heat.  Colours are classes of the page's sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

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
