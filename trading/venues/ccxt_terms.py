"""An instrument's terms out of ccxt's unified market structure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_from_float
from risk.domain.margin import MaintenanceTier, flat_tier
from trading.domain.market import InstrumentKind, InstrumentTerms
from trading.domain.market.symbols import parse_symbol

#: ccxt's ``precisionMode`` in which a precision is the step itself; else it counts decimals.
TICK_SIZE = 4


def terms_from_market(
    market: Mapping[str, Any],
    *,
    venue: str,
    precision_mode: int,
    tiers: tuple[MaintenanceTier, ...] = (),
    fees: tuple[Decimal, Decimal] | None = None,
) -> tuple[InstrumentTerms, tuple[str, ...]]:
    """The terms, and what in them the venue's public metadata does not state.

    ``tiers`` and ``fees`` (maker, taker) from a better source go before ccxt's own.  Raises
    :class:`InvalidInput`: ``not_linear``, or ``no_terms`` where a step is missing.
    """
    symbol = str(market.get("symbol"))
    if not (market.get("swap") and market.get("linear")):
        raise InvalidInput(f"{symbol} is not a linear perpetual of {venue}", code="not_linear")
    if float(market.get("contractSize") or 1.0) != 1.0:
        raise InvalidInput(f"{symbol}: contracts of other than 1 unit", code="not_linear")
    parts = parse_symbol(symbol)
    precision = market.get("precision") or {}
    steps = [_step(precision.get(name), precision_mode) for name in ("price", "amount")]
    if None in steps:
        raise InvalidInput(f"{venue} states no tick or lot of {symbol}", code="no_terms")
    notes = []
    if fees is None:
        fees = (_number(market.get("maker")), _number(market.get("taker")))
        notes.append("fees are ccxt's constants")
    if not tiers:
        percent = _number((market.get("info") or {}).get("maintMarginPercent"))
        if percent <= 0:
            raise InvalidInput(
                f"{venue} states no maintenance margin of {symbol} publicly; add it with "
                f"--maintenance",
                code="no_terms",
            )
        tiers = flat_tier(rate=float(percent / 100))
        notes.append("maintenance is one flat public rate")
    cost = ((market.get("limits") or {}).get("cost") or {}).get("min")
    return (
        InstrumentTerms(
            symbol=symbol,
            venue=venue,
            kind=InstrumentKind.LINEAR_PERPETUAL,
            base=parts.base,
            quote=parts.quote,
            settle=parts.settle,
            tick=steps[0],  # type: ignore[arg-type]  # None was refused above
            lot=steps[1],  # type: ignore[arg-type]
            minimum_notional=_number(cost),
            maker_fee=fees[0],
            taker_fee=fees[1],
            maintenance_tiers=tiers,
        ),
        tuple(notes),
    )


def _step(value: Any, precision_mode: int) -> Decimal | None:
    if value is None:
        return None
    number = _number(value)
    return number if precision_mode == TICK_SIZE else Decimal(1).scaleb(-int(number))


def _number(value: Any) -> Decimal:
    if value is None:
        return Decimal(0)
    return decimal_from_float(value) if isinstance(value, float) else Decimal(str(value))
