"""How numbers and times read on every page: one place, so that nothing is written two ways.

Minus is U+2212, groups are commas, a no-break space stands before % and units.  What is missing is
"-"; a page says why beside it.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from magnetfund.kernel.clock import isoformat_z, utc_now

register = template.Library()
MINUS, SPACE, MISSING = "\u2212", "\u00a0", "-"
#: What reads as zero has no colour either: half of 0.01 % as a fraction.
TINY = Decimal("0.00005")


def _number(value: Any) -> Decimal | None:
    if value is None or value == "":
        return None
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    return number if number.is_finite() else None


def _text(number: Decimal, places: int, *, signed: bool) -> str:
    text = f"{abs(number):,.{places}f}"
    is_zero = not any(digit in text for digit in "123456789")
    if number < 0 and not is_zero:
        return MINUS + text
    return "+" + text if signed and not is_zero else text


@register.filter
def money(value: Any, places: int = 2) -> str:
    """1,234.50"""
    number = _number(value)
    return MISSING if number is None else _text(number, places, signed=False)


@register.filter
def signed(value: Any, places: int = 2) -> str:
    """+1,234.50 or \u22121,234.50"""
    number = _number(value)
    return MISSING if number is None else _text(number, places, signed=True)


@register.filter
def percent(value: Any, places: int = 2) -> str:
    """A fraction as 12.34 %."""
    number = _number(value)
    return MISSING if number is None else _text(number * 100, places, signed=False) + SPACE + "%"


@register.filter
def signed_percent(value: Any, places: int = 2) -> str:
    """A fraction as +1.23 %."""
    number = _number(value)
    return MISSING if number is None else _text(number * 100, places, signed=True) + SPACE + "%"


@register.filter
def signed_points(value: Any, places: int = 2) -> str:
    """A figure that is in per cent already as +1.23 %."""
    number = _number(value)
    return MISSING if number is None else _text(number, places, signed=True) + SPACE + "%"


@register.filter
def units(value: Any) -> str:
    """Up to six decimals, trailing zeros dropped."""
    number = _number(value)
    if number is None:
        return MISSING
    text = _text(number, 6, signed=False)
    return text.rstrip("0").rstrip(".") if "." in text else text


@register.filter
def unit_count(value: Any) -> str:
    """1 unit, 2.5 units."""
    text = units(value)
    return text if text == MISSING else f"{text} unit{'' if text == '1' else 's'}"


@register.filter
def price(value: Any, tick: Any = None) -> str:
    """A price with the decimals of its instrument's tick."""
    number = _number(value)
    if number is None:
        return MISSING
    step = _number(tick)
    places = 2 if step is None else max(0, -int(step.normalize().as_tuple().exponent))
    return _text(number, places, signed=False)


@register.filter
def quantity(value: Any) -> str:
    """An amount of the base without trailing zeros."""
    number = _number(value)
    if number is None:
        return MISSING
    text = f"{abs(number):,f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return (MINUS if number < 0 else "") + text


@register.filter
def multiple(value: Any, places: int = 2) -> str:
    """Leverage: 1.80x."""
    number = _number(value)
    return MISSING if number is None else f"{number:.{places}f}x"


@register.filter
def tone(value: Any) -> str:
    """The class that goes with a sign; the sign itself is always written as well."""
    number = _number(value)
    if number is None or abs(number) < TINY:
        return ""
    return "mf-gain" if number > 0 else "mf-loss"


@register.filter
def when(value: datetime | None) -> SafeString | str:
    """20 Nov 2026, 14:05 UTC, or in the reader's zone, with how long ago on hover."""
    if not value:
        return MISSING
    local = timezone.localtime(value)
    zone = local.tzname() or "UTC"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        isoformat_z(value),
        ago(value),
        f"{local.day} {local:%b %Y, %H:%M}{SPACE}{zone}",
    )


@register.filter
def day(value: Any) -> str:
    """20 Nov 2026"""
    return MISSING if not value else f"{value.day} {value:%b %Y}"


@register.filter
def short_day(value: Any) -> str:
    """20 Nov"""
    return MISSING if not value else f"{value.day} {value:%b}"


@register.filter
def clock(value: datetime | None) -> str:
    """14:05:32"""
    return MISSING if not value else f"{value:%H:%M:%S}"


@register.filter
def ago(value: datetime | None) -> str:
    """Elapsed time, for example "4 s ago"."""
    if not value:
        return MISSING
    seconds = (utc_now() - value).total_seconds()
    if seconds < 0:
        return "just now"
    for length, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count}{SPACE}{name} ago"
    return f"{int(seconds)}{SPACE}s ago"


@register.filter
def age(value: datetime | None) -> SafeString | str:
    """How long ago, with the instant on hover."""
    if not value:
        return MISSING
    instant = f"{value.day} {value:%b %Y, %H:%M}{SPACE}UTC"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', isoformat_z(value), instant, ago(value)
    )


@register.filter
def words(value: Any) -> str:
    """A code as words: daily_loss is daily loss."""
    return str(value).replace("_", " ")


@register.filter
def per_cent_of_bar(value: Any) -> str:
    """A share as the width of a 100-unit bar."""
    number = _number(value)
    return "0" if number is None else f"{min(Decimal(100), max(Decimal(0), number * 100)):.1f}"


@register.inclusion_tag("components/_bar.html")
def bar(share: Any, *, warn: Any = 0.75) -> dict[str, Any]:
    """A bar of a share of its limit with the warning tick and the end."""
    number = _number(share) or Decimal(0)
    return {
        "width": per_cent_of_bar(number),
        "is_warn": number >= Decimal(str(warn)),
        "warn": per_cent_of_bar(warn),
    }


@register.inclusion_tag("components/_state.html")
def state(word: str) -> dict[str, str]:
    """A state with its word and shape."""
    shapes = {
        "ARMED": "armed", "REDUCING": "reducing", "TRIPPED": "tripped", "DISARMED": "disarmed",
        "READY": "ok", "RECONCILING": "warn", "STOPPED": "fail", "FILLED": "ok", "DENIED": "fail",
        "DONE": "ok", "FAILED": "fail", "prepared": "none", "approved": "ok", "dealt": "ok",
        "rejected": "fail", "superseded": "none", "settled": "ok", "accepted": "none",
        "funded": "ok", "deferred": "warn", "cancelled": "none", "set_aside": "warn",
    }  # fmt: skip
    said = {"payable": "Payment due", "funded": "Funds cleared", "allotted": "Units issued"}
    plain = str(word).replace("_", " ").capitalize()
    return {"shape": shapes.get(word, "none"), "word": said.get(word, plain)}
