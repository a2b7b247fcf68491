"""How the desk draws a measure against its threshold: shape, headroom, reading."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import template

from magnetfund.core.templatetags.figures import money
from magnetfund.web.desk.order_words import say_decision

register = template.Library()
#: Share of a threshold at which a measure warns where the limit set names none.
WARNING_SHARE = Decimal("0.75")


@register.filter
def decision(reason: Any) -> str:
    """A sleeve's reason as a sentence."""
    return say_decision(str(reason or ""))


@register.filter
def alarm(share: Any, warning: Any = None) -> str:
    """Class of a share of its threshold: over from 1, warning from ``warning``, else nothing."""
    number = Decimal(str(share or 0))
    if number >= 1:
        return "is-over"
    return "is-warn" if number >= Decimal(str(warning or WARNING_SHARE)) else ""


@register.filter
def gauge_shape(gauge: Any) -> str:
    """Class of a gauge; an idle one warns of nothing."""
    return "is-idle" if gauge.is_idle else alarm(gauge.share, gauge.warning)


@register.filter
def headroom(gauge: Any) -> str:
    """Distance to the threshold, or what being over it means."""
    if not gauge.is_over:
        return money(gauge.room, gauge.places)
    return "blocks new entries" if gauge.is_blocking else "over limit"


@register.filter
def measured(reading: Mapping[str, Any] | None) -> str:
    """The measured value and its threshold as an event of the fuse keeps them."""
    if not reading or not Decimal(str(reading.get("threshold") or 0)):
        return ""
    return f"{money(reading.get('value'))} of {money(reading['threshold'])}"
