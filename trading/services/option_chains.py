"""Option chains from files into the store, and their gamma walls to those who read magnets."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import (
    from_milliseconds,
    isoformat_z,
    to_milliseconds,
    utc_midnight,
    utc_now,
)
from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.gamma import GammaWall, GammaWalls
from trading.domain.options.activity import HISTORY_DAYS, judge_chain_activity, sum_premiums
from trading.domain.options.chain import (
    ChainGamma,
    Expiry,
    build_expiries,
    compute_chain_gamma,
    find_middle_volatility,
)
from trading.domain.options.chain_file import ChainFile, RefusedRow, parse_chain
from trading.models import Instrument, MarketRefusal, OptionListing, OptionSnapshot, Signal

FILE_MAX_BYTES = 20_000_000
#: Refused rows that are kept with their content; the rest is counted.
REFUSALS_KEPT = 1_000
UNUSUAL_KEPT = 50
#: How far a file's clock may run before ours (seconds).
CLOCK_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainTerms:
    """What a file does not say of itself; None where it does.

    ``multiplier`` is units of the asset in a contract; ``published_at`` when the chain became
    public, its own time where nothing else is known.
    """

    stated_at: datetime | None = None
    published_at: datetime | None = None
    spot: float | None = None
    multiplier: float = 1.0
    in_coin: bool = False

    def __post_init__(self) -> None:
        for value in (self.spot, self.multiplier):
            if value is not None and not 0.0 < value < 1e12:
                raise InvalidInput("spot and multiplier are positive numbers", code="bad_price")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """What an import did; ``refused`` counts rows by reason, ``is_new`` is False for a repeat."""

    snapshot: OptionSnapshot
    is_new: bool
    refused: Mapping[str, int]
    refused_rows: tuple[RefusedRow, ...]


def import_option_chain(
    path: Path, *, instrument: Instrument, terms: ChainTerms, actor: Actor, source: str = ""
) -> ChainReport:
    """Store the chain of a CSV file as one snapshot, all or nothing; a repeat changes nothing.

    A person needs ``market.import``.  Raises :class:`InvalidInput`: ``no_such_file``,
    ``broken_file``, ``empty_file``, ``wrong_columns``, ``too_many_rows``, ``no_time``, ``no_spot``,
    ``no_options`` (every row was refused), ``future_time``, ``bad_times`` (published before it was
    stated), ``snapshot_differs`` (another chain of that instant is stored).
    """
    if actor.user is not None:
        actor.require(Capability.MARKET_IMPORT)
    content = _read_bytes(path)
    chain = _parse(content, path, terms)
    expiries = build_expiries(chain.options, stated_ms=chain.stated_ms, spot=chain.spot)
    gamma = compute_chain_gamma(expiries, spot=chain.spot, multiplier=terms.multiplier)
    digest = hashlib.sha256(content)
    digest.update(f"|{chain.stated_ms}|{chain.spot!r}|{terms.multiplier!r}".encode())
    with transaction.atomic():
        take_lock(AdvisoryLock.OPTION_CHAIN, str(instrument.pk))
        stored = OptionSnapshot.objects.filter(
            instrument=instrument, stated_at=from_milliseconds(chain.stated_ms)
        ).first()
        is_new = stored is None
        if stored is not None and stored.sha256 != digest.hexdigest():
            raise InvalidInput(
                f"another chain of {isoformat_z(stored.stated_at)} is stored, from {stored.source}",
                code="snapshot_differs",
            )
        if stored is None:
            stored = _store(
                chain,
                expiries,
                gamma,
                instrument=instrument,
                terms=terms,
                source=(source or path.name)[:200],
                sha256=digest.hexdigest(),
                actor=actor,
            )
    return ChainReport(
        snapshot=stored,
        is_new=is_new,
        refused=Counter(row.reason.value for row in chain.refused),
        refused_rows=chain.refused,
    )


def list_walls(
    instrument: Instrument, *, after_ms: int | None = None, until_ms: int | None = None
) -> tuple[GammaWalls, ...]:
    """The walls of the snapshots known in ``(after_ms, until_ms]``, oldest first."""
    rows = OptionSnapshot.objects.filter(instrument=instrument)
    if after_ms is not None:
        rows = rows.filter(known_at__gt=from_milliseconds(after_ms))
    if until_ms is not None:
        rows = rows.filter(known_at__lte=from_milliseconds(until_ms))
    return tuple(
        GammaWalls(
            interest_ms=to_milliseconds(row.stated_at),
            known_ms=to_milliseconds(row.known_at),
            call=_wall(row.call_wall, row.call_wall_until),
            put=_wall(row.put_wall, row.put_wall_until),
        )
        for row in rows.order_by("known_at", "stated_at")
    )


def _wall(strike: float | None, until: datetime | None) -> GammaWall | None:
    if strike is None or until is None:
        return None
    return GammaWall(strike=strike, expires_ms=to_milliseconds(until))


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise InvalidInput(f"file not found: {path.name}", code="no_such_file")
    if path.stat().st_size > FILE_MAX_BYTES:
        raise InvalidInput(f"{path.name} is over 20 MB", code="too_many_rows")
    return path.read_bytes()


def _parse(content: bytes, path: Path, terms: ChainTerms) -> ChainFile:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{path.name} is not text in UTF-8", code="broken_file") from None
    stated = terms.stated_at
    chain = parse_chain(
        text,
        stated_ms=to_milliseconds(stated) if stated is not None else None,
        spot=terms.spot,
        in_coin=terms.in_coin,
    )
    if not chain.options:
        reasons = Counter(row.reason.value for row in chain.refused)
        words = ", ".join(f"{count} {name}" for name, count in reasons.most_common())
        raise InvalidInput(f"{path.name} holds no option to take: {words}", code="no_options")
    return chain


def _store(
    chain: ChainFile,
    expiries: Sequence[Expiry],
    gamma: ChainGamma,
    *,
    instrument: Instrument,
    terms: ChainTerms,
    source: str,
    sha256: str,
    actor: Actor,
) -> OptionSnapshot:
    stated_at, now = from_milliseconds(chain.stated_ms), utc_now()
    published_at = terms.published_at or stated_at
    if published_at < stated_at:
        raise InvalidInput("a chain is published after it is stated", code="bad_times")
    if (published_at - now).total_seconds() > CLOCK_SECONDS:
        raise InvalidInput(f"{isoformat_z(published_at)} has not come yet", code="future_time")
    # What was said at hours that have closed since stays as it was said.
    was_read = Signal.objects.filter(instrument=instrument, known_at__gte=published_at).exists()
    call, put = gamma.call_wall, gamma.put_wall
    row = OptionSnapshot.objects.create(
        instrument=instrument,
        stated_at=stated_at,
        known_at=max(published_at, now) if was_read else published_at,
        recorded_at=max(published_at, now),
        source=source,
        sha256=sha256,
        spot=chain.spot,
        multiplier=terms.multiplier,
        settled_in_coin=terms.in_coin,
        options=len(chain.options),
        refused=len(chain.refused),
        gamma=gamma.exposure.total,
        flip=gamma.exposure.flip,
        call_wall=call.strike if call is not None else None,
        call_wall_until=from_milliseconds(call.expires_ms) if call is not None else None,
        put_wall=put.strike if put is not None else None,
        put_wall_until=from_milliseconds(put.expires_ms) if put is not None else None,
        middle_volatility=find_middle_volatility(expiries),
        premiums=sum_premiums(expiries, multiplier=terms.multiplier),
        unusual=_find_unusual(expiries, chain, terms, instrument),
    )
    _store_rows(row, chain)
    record_audit(
        actor=actor,
        action="options.imported",
        subject=("instrument", f"{instrument.venue}:{instrument.symbol}"),
        body={
            "source": source,
            "stated_at": isoformat_z(stated_at),
            "options": len(chain.options),
            "refused": len(chain.refused),
            "sha256": sha256,
        },
    )
    return row


def _store_rows(row: OptionSnapshot, chain: ChainFile) -> None:
    """The options taken and the first of the rows refused."""
    OptionListing.objects.bulk_create(
        [
            OptionListing(
                snapshot=row,
                kind=option.kind.value,
                strike=option.strike,
                expires_at=from_milliseconds(option.expires_ms),
                interest=option.interest,
                bid=option.bid,
                ask=option.ask,
                mark=option.mark,
                volatility=option.volatility,
                forward=option.forward,
                volume=option.volume,
                ask_volume=option.ask_volume,
            )
            for option in chain.options
        ],
        batch_size=2_000,
    )
    MarketRefusal.objects.bulk_create(
        MarketRefusal(
            instrument=row.instrument,
            source=row.source,
            reason=refusal.reason.value,
            line=refusal.line,
            raw={name: cell[:80] for name, cell in list(refusal.cells.items())[:20]},
        )
        for refusal in chain.refused[:REFUSALS_KEPT]
    )


def _find_unusual(
    expiries: Sequence[Expiry], chain: ChainFile, terms: ChainTerms, instrument: Instrument
) -> list[dict[str, Any]]:
    """Options traded far more than usual, against the chains stored before this one."""
    stated_at = from_milliseconds(chain.stated_ms)
    before = OptionSnapshot.objects.filter(
        instrument=instrument, stated_at__lt=utc_midnight(stated_at)
    ).order_by("-stated_at")
    last = before.first()
    if last is None:
        return []
    interest = {
        (kind, strike, to_milliseconds(expires_at)): contracts
        for kind, strike, expires_at, contracts in OptionListing.objects.filter(
            snapshot=last
        ).values_list("kind", "strike", "expires_at", "interest")
    }
    # The last chain of each day holds the day's volume.
    days: dict[Any, Mapping[str, float]] = {}
    since = stated_at - timedelta(days=4 * HISTORY_DAYS)
    for at, premiums in before.filter(stated_at__gte=since).values_list("stated_at", "premiums"):
        days.setdefault(at.date(), premiums)
    traded = judge_chain_activity(
        expiries,
        multiplier=terms.multiplier,
        stated_ms=chain.stated_ms,
        interest=interest,
        past=list(days.values())[:HISTORY_DAYS][::-1],
    )
    return [
        {
            "kind": item.row.option.kind.value,
            "strike": item.row.option.strike,
            "expires_ms": item.row.option.expires_ms,
            "volume": item.row.option.volume,
            "volume_over_interest": item.verdict.volume_over_interest,
            "premium": round(item.premium, 2),
            "premium_score": item.verdict.premium_score,
            "ask_share": item.verdict.ask_share,
        }
        for item in traded
        if item.verdict.is_unusual
    ][:UNUSUAL_KEPT]
