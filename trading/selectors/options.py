"""Option chains as stored: the newest snapshots of an instrument, one of them with its greeks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Q

from magnetfund.kernel.clock import from_milliseconds, isoformat_z, to_milliseconds, utc_midnight
from trading.domain.options.chain import Expiry, ReadOption, build_expiries, list_strike_gamma
from trading.domain.options.chain_file import ListedOption
from trading.domain.options.condor import (
    CondorRefusal,
    CondorTerms,
    IronCondor,
    OptionQuote,
    build_iron_condor,
)
from trading.domain.options.exposure import ASSUMPTION, StrikeGamma
from trading.domain.options.implied import compute_iv_percentile, compute_iv_rank
from trading.domain.options.pricing import DAYS_A_YEAR, OptionKind
from trading.models import Instrument, OptionListing, OptionSnapshot

SNAPSHOTS_LISTED = 30
#: Days among which a volatility is ranked.
RANK_DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainView:
    """A snapshot, its options by expiry with greeks, and dollar gamma by strike."""

    snapshot: OptionSnapshot
    expiries: tuple[Expiry, ...]
    gamma: tuple[StrikeGamma, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilityRank:
    """Rank between the lowest and highest of ``days`` days (None where they are the same), and the
    share of them that was lower."""

    days: int
    rank: float | None
    percentile: float


def list_snapshots(instrument: Instrument | None = None) -> list[OptionSnapshot]:
    """The newest snapshots, of one instrument if asked."""
    rows = OptionSnapshot.objects.select_related("instrument").order_by("-stated_at", "-id")
    if instrument is not None:
        rows = rows.filter(instrument=instrument)
    return list(rows[:SNAPSHOTS_LISTED])


def find_snapshot(pk: int) -> OptionSnapshot | None:
    """The snapshot of this number; None where there is none."""
    return OptionSnapshot.objects.select_related("instrument").filter(pk=pk).first()


def view_chain(snapshot: OptionSnapshot) -> ChainView:
    """The stored options of a snapshot, valued anew by the rule of the import."""
    expiries = build_expiries(
        [_listed(row) for row in OptionListing.objects.filter(snapshot=snapshot)],
        stated_ms=to_milliseconds(snapshot.stated_at),
        spot=snapshot.spot,
    )
    return ChainView(
        snapshot=snapshot,
        expiries=expiries,
        gamma=list_strike_gamma(expiries, spot=snapshot.spot, multiplier=snapshot.multiplier),
    )


def describe_snapshot(row: OptionSnapshot) -> dict[str, Any]:
    """A snapshot for the API; prices in quote currency, gamma per 1 % move of the spot."""
    return {
        "id": row.pk,
        "instrument": row.instrument.symbol,
        "venue": row.instrument.venue,
        "stated_at": isoformat_z(row.stated_at),
        "known_at": isoformat_z(row.known_at),
        "source": row.source,
        "sha256": row.sha256,
        "spot": row.spot,
        "multiplier": row.multiplier,
        "settled_in_coin": row.settled_in_coin,
        "options": row.options,
        "refused": row.refused,
        "gamma": row.gamma,
        "flip": row.flip,
        "call_wall": row.call_wall,
        "put_wall": row.put_wall,
        "implied_volatility": row.middle_volatility,
        "unusual": row.unusual,
        "assumption": ASSUMPTION,
    }


def describe_option(row: ReadOption) -> dict[str, Any]:
    """One option with its greeks: delta and gamma per 1.00 of price, vega a point, theta a day."""
    option, greeks = row.option, row.greeks
    return {
        "kind": option.kind.value,
        "strike": option.strike,
        "open_interest": option.interest,
        "volume": option.volume,
        "bid": option.bid,
        "ask": option.ask,
        "mark": option.mark,
        "forward": row.forward,
        "implied_volatility": row.volatility,
        "volatility_from": _origin(row),
        "delta": greeks.delta if greeks is not None else None,
        "gamma": greeks.gamma if greeks is not None else None,
        "vega": greeks.vega_per_point if greeks is not None else None,
        "theta": greeks.theta_per_day if greeks is not None else None,
    }


def choose_expiry(expiries: Sequence[Expiry], asked: str) -> Expiry | None:
    """The expiry asked for (its day, YYYY-MM-DD), or the one with the most open interest."""
    for expiry in expiries:
        if say_expiry(expiry) == asked:
            return expiry
    return max(expiries, key=lambda expiry: expiry.calls + expiry.puts, default=None)


def say_expiry(expiry: Expiry) -> str:
    """The day of an expiry as the address of a page names it."""
    return from_milliseconds(expiry.expires_ms).strftime("%Y-%m-%d")


def _origin(row: ReadOption) -> str:
    """Where the volatility comes from, or why there is none."""
    if row.is_stated:
        return "venue"
    if row.volatility is not None:
        return "price"
    return row.failure.value if row.failure is not None else "no_price"


def _listed(row: OptionListing) -> ListedOption:
    return ListedOption(
        kind=OptionKind(row.kind),
        strike=row.strike,
        expires_ms=to_milliseconds(row.expires_at),
        interest=row.interest,
        bid=row.bid,
        ask=row.ask,
        mark=row.mark,
        volatility=row.volatility,
        forward=row.forward,
        volume=row.volume,
        ask_volume=row.ask_volume,
    )


def chain_instruments() -> list[Instrument]:
    """Instruments with a chain, then the active ones without."""
    with_chain = set(OptionSnapshot.objects.values_list("instrument_id", flat=True).distinct())
    rows = Instrument.objects.filter(Q(is_active=True) | Q(pk__in=with_chain))
    return sorted(rows, key=lambda row: (row.pk not in with_chain, row.symbol, row.venue))


def rank_volatility(snapshot: OptionSnapshot) -> VolatilityRank | None:
    """Where the snapshot's volatility stands among the days of the year before it."""
    today = snapshot.middle_volatility
    rows = OptionSnapshot.objects.filter(
        instrument=snapshot.instrument_id,
        stated_at__lt=utc_midnight(snapshot.stated_at),
        stated_at__gte=snapshot.stated_at - timedelta(days=RANK_DAYS),
        middle_volatility__gt=0.0,
    ).order_by("stated_at")
    days = {at.date(): value for at, value in rows.values_list("stated_at", "middle_volatility")}
    past = [float(value) for value in days.values() if value is not None]
    if not today or not past:
        return None
    return VolatilityRank(
        days=len(past),
        rank=compute_iv_rank(today=today, past=past),
        percentile=compute_iv_percentile(today=today, past=past),
    )


def plan_condor(
    expiry: Expiry, *, loss_max: float, multiplier: float
) -> IronCondor | CondorRefusal:
    """The iron condor on one expiry's quotes that may lose at most ``loss_max``."""
    quotes = [
        OptionQuote(
            kind=row.option.kind,
            strike=row.option.strike,
            bid=row.option.bid or 0.0,
            ask=row.option.ask,
            volatility=row.volatility,
        )
        for row in expiry.options
        if row.option.ask is not None and row.volatility is not None
    ]
    terms = CondorTerms(
        spot=expiry.forward,
        years=expiry.days / DAYS_A_YEAR,
        loss_max=loss_max,
        multiplier=multiplier,
    )
    return build_iron_condor(quotes=quotes, terms=terms)
