"""Instruments: named once, found by symbol."""

from __future__ import annotations

from decimal import Decimal

from magnetfund.kernel.errors import InvalidInput
from trading.models import Instrument

#: Steps of the common perpetuals; another symbol gets cautious ones and can be changed in time.
STEPS = {
    "BTC": (Decimal("0.1"), Decimal("0.001")),
    "ETH": (Decimal("0.01"), Decimal("0.01")),
}
TAKER_FEE = Decimal("0.0005")
GAP_FLOOR = Decimal("0.25")


def get_instrument(symbol: str) -> Instrument:
    """The instrument of a symbol; raises :class:`InvalidInput` listing those that exist."""
    row = Instrument.objects.filter(symbol=symbol).first()
    if row is None:
        known = ", ".join(Instrument.objects.values_list("symbol", flat=True)[:20]) or "none yet"
        raise InvalidInput(
            f"there is no instrument {symbol}; known: {known}", code="unknown_instrument"
        )
    return row


def ensure_perpetual(
    symbol: str,
    *,
    source_label: str = "",
    tick: Decimal | None = None,
    lot: Decimal | None = None,
    taker_fee: Decimal = TAKER_FEE,
) -> Instrument:
    """The linear perpetual of a ccxt symbol (``BTC/USDT:USDT``), made when it is new."""
    try:
        pair, settle = symbol.split(":")
        base, quote = pair.split("/")
    except ValueError:
        raise InvalidInput(
            f"{symbol} is not a perpetual; write it as BTC/USDT:USDT", code="bad_symbol"
        ) from None
    if not (base and quote and settle == quote):
        raise InvalidInput(f"{symbol} is not a linear perpetual", code="bad_symbol")
    usual_tick, usual_lot = STEPS.get(base, (Decimal("0.0001"), Decimal("0.1")))
    row, _ = Instrument.objects.get_or_create(
        symbol=symbol,
        defaults={
            "kind": Instrument.Kind.LINEAR_PERPETUAL,
            "base": base,
            "quote": quote,
            "settle": settle,
            "tick": tick or usual_tick,
            "lot": lot or usual_lot,
            "minimum_notional": Decimal(5),
            "taker_fee": taker_fee,
            "maker_fee": Decimal("0.0002"),
            "gap_floor": GAP_FLOOR,
            "source_label": source_label,
        },
    )
    return row
