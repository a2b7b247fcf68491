"""Rows of an option chain from a CSV text: read, judged one by one, each refusal named by line.

Known columns (capitals and spaces do not matter), by what they hold:

- the option: ``instrument_name`` as Deribit (``BTC-27DEC24-100000-C``) or ccxt
  (``BTC/USD:BTC-241227-100000-C``) writes it, or ``expiry``, ``strike`` and ``kind``
  (call, put, C, P).  An expiry is an instant, or a date, which then means 08:00 UTC;
- ``open_interest`` in contracts, which every row needs;
- ``bid``, ``ask``, ``mark``: prices of one contract's unit, in the coin where the option is settled
  in it;
- volatility: ``mark_iv`` in percent, or ``implied_volatility`` as a fraction of at most 5;
- ``underlying_price``, the forward of that expiry; ``index_price``, the spot;
- ``volume`` in contracts since the day began, ``ask_volume`` the part bought at the ask;
- ``timestamp``, when the venue stated the row.

A file whose columns cannot be understood is refused as a whole.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.candle_files import NO_TIME, to_milliseconds_utc
from trading.domain.market import DAY_MS, HOUR_MS
from trading.domain.options.pricing import OptionKind

ROWS_MAX = 20_000
#: A fraction above this was meant as percent.
FRACTION_MAX = 5.0
PERCENT_MAX = 2_000.0
#: Options of crypto venues expire at 08:00 UTC.
EXPIRY_HOUR = 8
#: Nobody lists an option that runs longer.
RUN_MAX_MS = 20 * 366 * DAY_MS

_NAMES: dict[str, tuple[str, ...]] = {
    "name": ("instrument_name", "symbol", "name"),
    "expiry": ("expiry", "expiration", "expiry_date", "expiration_timestamp"),
    "strike": ("strike", "strike_price"),
    "kind": ("kind", "type", "option_type", "right"),
    "interest": ("open_interest", "openinterest", "oi"),
    "bid": ("bid", "bid_price", "best_bid_price"),
    "ask": ("ask", "ask_price", "best_ask_price"),
    "mark": ("mark", "mark_price"),
    "percent": ("mark_iv", "iv_percent"),
    "fraction": ("implied_volatility",),
    "forward": ("underlying_price", "underlying", "forward"),
    "spot": ("index_price", "spot"),
    "volume": ("volume",),
    "ask_volume": ("ask_volume",),
    "time": ("timestamp", "time"),
}
_KINDS = {"c": OptionKind.CALL, "call": OptionKind.CALL, "p": OptionKind.PUT, "put": OptionKind.PUT}
_DERIBIT = re.compile(r"-(\d{1,2}[A-Z]{3}\d{2})-(\d+(?:[.d]\d+)?)-([CP])$", re.IGNORECASE)
_CCXT = re.compile(r"-(\d{6})-(\d+(?:\.\d+)?)-([CP])$", re.IGNORECASE)


class ChainRefusal(StrEnum):
    """Why a row of a chain is not taken."""

    BAD_OPTION = "bad_option"
    EXPIRED = "expired"
    BAD_INTEREST = "bad_interest"
    BAD_PRICE = "bad_price"
    BAD_VOLATILITY = "bad_volatility"
    BAD_VOLUME = "bad_volume"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedOption:
    """One option of a chain; prices per unit of the asset in quote currency, None where none.

    ``volatility`` is the venue's annual fraction, ``forward`` the price of the asset for that
    expiry, ``interest`` and the volumes contracts.
    """

    kind: OptionKind
    strike: float
    expires_ms: int
    interest: float
    bid: float | None = None
    ask: float | None = None
    mark: float | None = None
    volatility: float | None = None
    forward: float | None = None
    volume: float | None = None
    ask_volume: float | None = None

    @property
    def middle_price(self) -> float | None:
        """The venue's mark, else the middle of bid and ask; None without either."""
        if self.mark is not None:
            return self.mark
        if self.bid is None or self.ask is None:
            return None
        return 0.5 * (self.bid + self.ask)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRow:
    """A line of the file that was not taken, with the cells that it holds."""

    line: int
    reason: ChainRefusal
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFile:
    """What a file holds; ``stated_ms`` is the newest of its time stamps, ``spot`` its index."""

    options: tuple[ListedOption, ...]
    refused: tuple[RefusedRow, ...]
    stated_ms: int
    spot: float


class _RowError(Exception):
    def __init__(self, reason: ChainRefusal) -> None:
        self.reason = reason


def parse_chain(
    text: str,
    *,
    stated_ms: int | None = None,
    spot: float | None = None,
    in_coin: bool = False,
) -> ChainFile:
    """The options of a CSV text, prices turned into quote currency where they are in the coin.

    ``stated_ms`` and ``spot`` go before the file's own.  Raises :class:`InvalidInput`:
    ``empty_file``, ``wrong_columns``, ``too_many_rows``, ``no_time``, ``no_spot``.
    """
    rows = [row for row in csv.reader(io.StringIO(text.lstrip("\ufeff"))) if any(row)]
    if len(rows) < 2:
        raise InvalidInput("the file holds no rows", code="empty_file")
    if len(rows) > ROWS_MAX:
        raise InvalidInput(f"a chain has at most {ROWS_MAX:,} rows", code="too_many_rows")
    header = [re.sub(r"\s+", "_", cell.strip().lower()) for cell in rows[0]]
    columns = _find_columns(header)
    cells = [dict(zip(header, row, strict=False)) for row in rows[1:]]
    at_ms = stated_ms if stated_ms is not None else _newest(cells, columns.get("time"))
    price = spot if spot is not None else _median(cells, columns)
    options: list[ListedOption] = []
    refused: list[RefusedRow] = []
    seen: set[tuple[OptionKind, float, int]] = set()
    for line, row in enumerate(cells, start=2):
        given = {name: row.get(column, "").strip() for name, column in columns.items()}
        try:
            option = _read_row(given, spot=price, at_ms=at_ms, in_coin=in_coin)
            key = (option.kind, option.strike, option.expires_ms)
            if key in seen:
                raise _RowError(ChainRefusal.DUPLICATE)
        except _RowError as error:
            refused.append(RefusedRow(line=line, reason=error.reason, cells=row))
        else:
            seen.add(key)
            options.append(option)
    return ChainFile(options=tuple(options), refused=tuple(refused), stated_ms=at_ms, spot=price)


def _find_columns(header: Sequence[str]) -> dict[str, str]:
    found = {
        name: next((column for column in known if column in header), "")
        for name, known in _NAMES.items()
    }
    columns = {name: column for name, column in found.items() if column}
    has_option = "name" in columns or {"expiry", "strike", "kind"} <= columns.keys()
    if not has_option or "interest" not in columns:
        raise InvalidInput(
            "an option chain needs open_interest, and instrument_name or expiry, strike and kind; "
            f"the file has {', '.join(header)}"[:300],
            code="wrong_columns",
        )
    return columns


def _newest(cells: Sequence[Mapping[str, str]], column: str | None) -> int:
    stamps = to_milliseconds_utc([row.get(column, "") for row in cells]) if column else None
    if stamps is None or (stamps == NO_TIME).all():
        raise InvalidInput(
            "the file does not say when it was stated; give the time with --at", code="no_time"
        )
    return int(stamps.max())


def _median(cells: Sequence[Mapping[str, str]], columns: Mapping[str, str]) -> float:
    column = columns.get("spot") or columns.get("forward")
    prices = [] if column is None else [_number(row.get(column, "")) for row in cells]
    known = [price for price in prices if price is not None and price > 0.0]
    if not known:
        raise InvalidInput(
            "the file has no index_price or underlying_price; give the spot with --spot",
            code="no_spot",
        )
    return float(np.median(known))


def _read_row(given: Mapping[str, str], *, spot: float, at_ms: int, in_coin: bool) -> ListedOption:
    kind, strike, expires_ms = _read_terms(given)
    if expires_ms <= at_ms:
        raise _RowError(ChainRefusal.EXPIRED)
    if expires_ms > at_ms + RUN_MAX_MS:
        raise _RowError(ChainRefusal.BAD_OPTION)
    interest = _at_least_zero(given.get("interest", ""), ChainRefusal.BAD_INTEREST)
    if interest is None:
        raise _RowError(ChainRefusal.BAD_INTEREST)
    forward = _at_least_zero(given.get("forward", ""), ChainRefusal.BAD_PRICE) or None
    unit = (forward or spot) if in_coin else 1.0
    bid, ask, mark = (
        None if price is None else price * unit
        for price in (
            _at_least_zero(given.get(name, ""), ChainRefusal.BAD_PRICE)
            for name in ("bid", "ask", "mark")
        )
    )
    # A venue writes 0 where nobody bids or offers.
    bid, ask = bid or None, ask or None
    if bid is not None and ask is not None and bid > ask:
        raise _RowError(ChainRefusal.BAD_PRICE)
    volume = _at_least_zero(given.get("volume", ""), ChainRefusal.BAD_VOLUME)
    bought = _at_least_zero(given.get("ask_volume", ""), ChainRefusal.BAD_VOLUME)
    if bought is not None and bought > (volume or 0.0):
        raise _RowError(ChainRefusal.BAD_VOLUME)
    return ListedOption(
        kind=kind,
        strike=strike,
        expires_ms=expires_ms,
        interest=interest,
        bid=bid,
        ask=ask,
        mark=mark or None,
        volatility=_read_volatility(given),
        forward=forward,
        volume=volume,
        ask_volume=bought,
    )


def _read_terms(given: Mapping[str, str]) -> tuple[OptionKind, float, int]:
    name = given.get("name", "")
    parts = _DERIBIT.search(name) or _CCXT.search(name)
    if parts is not None:
        day, strike, kind = parts.groups()
    else:
        day, strike, kind = (given.get(key, "") for key in ("expiry", "strike", "kind"))
    found = _KINDS.get(kind.lower())
    # Deribit writes the point of small strikes as a letter: 0d55.
    price = _number(strike.replace("d", "."))
    expires_ms = _expiry_ms(day)
    if found is None or expires_ms is None or price is None or not price > 0.0:
        raise _RowError(ChainRefusal.BAD_OPTION)
    return found, price, expires_ms


def _expiry_ms(text: str) -> int | None:
    for layout in ("%d%b%y", "%y%m%d", "%Y-%m-%d", "%Y%m%d"):
        try:
            day = datetime.strptime(
                f"{text.title() if 'b' in layout else text} +0000", f"{layout} %z"
            )
        except ValueError:
            continue
        return int(day.timestamp()) * 1000 + EXPIRY_HOUR * HOUR_MS
    stamp = int(to_milliseconds_utc([text])[0])
    return None if stamp == NO_TIME else stamp


def _read_volatility(given: Mapping[str, str]) -> float | None:
    percent = _at_least_zero(given.get("percent", ""), ChainRefusal.BAD_VOLATILITY)
    fraction = _at_least_zero(given.get("fraction", ""), ChainRefusal.BAD_VOLATILITY)
    if percent is not None and percent > PERCENT_MAX:
        raise _RowError(ChainRefusal.BAD_VOLATILITY)
    if fraction is not None and fraction > FRACTION_MAX:
        raise _RowError(ChainRefusal.BAD_VOLATILITY)
    return (percent / 100.0 if percent else fraction) or None


def _at_least_zero(text: str, reason: ChainRefusal) -> float | None:
    """The number of a cell, None for an empty one."""
    if not text:
        return None
    number = _number(text)
    if number is None or number < 0.0:
        raise _RowError(reason)
    return number


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
