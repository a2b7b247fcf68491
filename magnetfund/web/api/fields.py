"""Numbers of the wire: finite Decimals in, JSON numbers or exact strings out."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from magnetfund.kernel.errors import InvalidInput


class ExactDecimal(serializers.DecimalField):
    """A finite Decimal given as string or number; answered as a string."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_digits", 38)
        options.setdefault("decimal_places", 18)
        super().__init__(**options)


class IsBase64(serializers.BooleanField):
    """Whether ``content`` is Base64, as an .xlsx must be."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("default", False)
        options.setdefault("help_text", "The content is Base64 of the file, as for an .xlsx.")
        super().__init__(**options)


class FiniteFloat(serializers.FloatField):
    """A float64 that is a number; NaN and the infinities are refused."""

    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if not math.isfinite(value):
            raise serializers.ValidationError("a finite number is needed")
        return value


def file_bytes(given: Mapping[str, Any]) -> bytes:
    """The file in ``content``: text, or Base64 of what is no text where ``is_base64`` says so.

    Raises :class:`InvalidInput` (``bad_base64``).
    """
    text: str = given["content"]
    if not given["is_base64"]:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise InvalidInput("the content is not Base64", code="bad_base64") from None


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
