"""Terms of instruments from files: the dated ones that are shipped, or one's own (TOML)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

from magnetfund.kernel.errors import InvalidInput
from risk.domain.margin import MaintenanceTier, build_tiers
from trading.domain.market import InstrumentKind, InstrumentTerms
from trading.domain.market.symbols import normalise_symbol, normalise_venue, parse_symbol

FOLDER = Path(__file__).resolve().parent.parent / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsFile:
    """Terms by symbol of one venue, where they come from and for which day they hold."""

    venue: str
    source: str
    stated_at: datetime
    terms: Mapping[str, InstrumentTerms]


def read_terms_file(path: Path) -> TermsFile:
    """A terms file; the layout is that of the shipped ones.

    Raises :class:`InvalidInput` with code ``no_such_file`` or ``bad_terms_file``.
    """
    if not path.is_file():
        raise InvalidInput(f"file not found: {path.name}", code="no_such_file")
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
        venue = normalise_venue(str(plain["venue"]))
        stated = plain["stated"]
        if not isinstance(stated, date) or not isinstance(plain["source"], str):
            raise InvalidInput("source and stated (a date) are needed", code="bad_terms_file")
        tiers = {name: _tiers(rows) for name, rows in plain.get("tiers", {}).items()}
        terms = {
            normalise_symbol(symbol): _terms(symbol, venue, {**plain, **row}, tiers)
            for symbol, row in plain["instruments"].items()
        }
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path.name} is not TOML: {error}", code="bad_terms_file") from None
    except KeyError as error:
        raise InvalidInput(f"{path.name} lacks {error}", code="bad_terms_file") from None
    except (TypeError, ValueError, InvalidOperation, AttributeError):
        raise InvalidInput(f"{path.name} holds a bad figure", code="bad_terms_file") from None
    return TermsFile(
        venue=venue,
        source=f"{plain['source']}, as of {stated:%Y-%m-%d}"[:200],
        stated_at=datetime(stated.year, stated.month, stated.day, tzinfo=UTC),
        terms=terms,
    )


@cache
def shipped_terms(venue: str) -> TermsFile | None:
    """The shipped terms of a venue; None where none are shipped."""
    path = FOLDER / f"instruments-{venue}.toml"
    return read_terms_file(path) if path.is_file() else None


def _terms(
    symbol: str, venue: str, row: Mapping[str, Any], tiers: Mapping[str, Any]
) -> InstrumentTerms:
    parts = parse_symbol(symbol)
    return InstrumentTerms(
        symbol=str(parts),
        venue=venue,
        kind=InstrumentKind.LINEAR_PERPETUAL,
        base=parts.base,
        quote=parts.quote,
        settle=parts.settle,
        tick=Decimal(row["tick"]),
        lot=Decimal(row["lot"]),
        minimum_notional=Decimal(row["minimum_notional"]),
        maker_fee=Decimal(row["maker_fee"]),
        taker_fee=Decimal(row["taker_fee"]),
        maintenance_tiers=tiers[row["tiers"]],
    )


def _tiers(rows: list[list[str]]) -> tuple[MaintenanceTier, ...]:
    return build_tiers(
        caps=[float(cap) for cap, _ in rows], rates=[float(rate) for _, rate in rows]
    )
