"""Numbers of the wire: finite Decimals in, JSON numbers or exact strings out."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from rest_framework import serializers


class ExactDecimal(serializers.DecimalField):
    """A finite Decimal given as string or number; answered as a string."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_digits", 38)
        options.setdefault("decimal_places", 18)
        super().__init__(**options)


class FiniteFloat(serializers.FloatField):
    """A float64 that is a number; NaN and the infinities are refused."""

    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if not math.isfinite(value):
            raise serializers.ValidationError("a finite number is needed")
        return value


def number(value: Decimal | float | None) -> float | None:
    """A JSON number, None for what is none."""
    if value is None:
        return None
    plain = float(value)
    return plain if math.isfinite(plain) else None


def plain(value: Decimal | None) -> str | None:
    """An exact string without trailing zeros or an exponent."""
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain_number(value: float | None) -> str | None:
    """A float64 as the shortest exact string without an exponent; None for what is no number."""
    if value is None or not math.isfinite(value):
        return None
    return plain(Decimal(repr(value)))
