"""What is read of sleeves: figures, verdict, signals, checks before a session, journal, health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

from django.db.models import Max, OuterRef, Q, Subquery, Sum
from django.db.models.fields.json import KeyTransform

from magnetfund.core.models import Heartbeat
from magnetfund.kernel.clock import utc_now
from risk.services.fuse import state_of
from risk.services.limits import limits_in_force
from trading.domain.strategies.registry import STRATEGIES
from trading.domain.strategies.signals import Reason
from trading.models import (
    EventBlackout,
    Instrument,
    Reconciliation,
    ResearchRun,
    RunState,
    Signal,
    SleeveProposal,
    Strategy,
    StrategyNote,
    StrategyPerformance,
    Trade,
    TradeDay,
    TradingSession,
)
from trading.services.membership import Member, members_of

TRADES_SHOWN = 10
NOTES_SHOWN = 20
POINTS_MAX = 600
#: From here on trades are summed by day before a curve is drawn through them.
TRADES_MAX = 2 * POINTS_MAX
DATA_AGE_SECONDS = 120
HEALTH_SECONDS = 60
#: Conditions of momentum scalping, of which every one must hold.
SCALPING_CONDITIONS = 6
#: A decision is shown until the next daily one has been made.
DECISION_AGE = timedelta(hours=25)
NOT_DECISION_BAR = Reason.NOT_DECISION_BAR.code
SESSIONS_SHOWN = 10
#: Strategies that a book can never hold yet, with what they read.
WITHOUT_SLEEVE = {"iron-condor": ["delta", "implied_volatility"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class SleeveRow:
    """A sleeve in the list: its row, its slots, its newest figures."""

    row: Strategy
    members: tuple[Member, ...]
    performance: StrategyPerformance | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCheck:
    """One line of the checklist before a session."""

    name: str
    is_passed: bool
    found: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SleeveDecision:
    """What a sleeve last decided on an instrument; ``decided_at`` None where it never did.

    ``direction`` is 1, -1 or 0; prices in quote currency.  ``reason`` is the stored code.
    """

    instrument: Instrument
    decided_at: datetime | None
    reason: str
    direction: int = 0
    stop: float | None = None
    target: float | None = None


def list_sleeves(book: str) -> list[SleeveRow]:
    """The newest version of every sleeve, active ones first."""
    newest: dict[str, Strategy] = {}
    for row in Strategy.objects.order_by("version"):
        newest[row.code] = row
    members = members_of(book).members
    figures = {item.strategy: item for item in _latest(book)}
    rows = sorted(newest.values(), key=lambda row: (not row.is_active, row.pk))
    return [
        SleeveRow(
            row=row,
            members=tuple(member for member in members if member.strategy == row.code),
            performance=figures.get(row.code),
        )
        for row in rows
    ]


def find_sleeve(book: str, code: str) -> SleeveRow | None:
    """One sleeve, or None."""
    return next((item for item in list_sleeves(book) if item.row.code == code), None)


def find_months(book: str, code: str) -> list[StrategyPerformance]:
    """The months of a sleeve, newest first."""
    rows = StrategyPerformance.objects.filter(book=book, strategy=code, kind="month")
    return list(rows.exclude(total_trades=0).order_by("-period")[:36])


def find_last_trades(book: str, code: str) -> list[Trade]:
    """The last closed trades."""
    rows = Trade.objects.filter(book=book, strategy=code).select_related("instrument")
    return list(rows.order_by("-closed_at", "-id")[:TRADES_SHOWN])


def find_result_curve(book: str, code: str) -> tuple[list[datetime], list[Decimal]]:
    """The sum of net results after each closed trade; of a sleeve with many trades after the last
    one of each day.  Thinned to what a page draws."""
    trades = Trade.objects.filter(book=book, strategy=code)
    each = trades.order_by("closed_at", "id").values_list("closed_at", "net_pnl")
    rows = list(each[:TRADES_MAX])
    if len(rows) == TRADES_MAX:
        by_day = TradeDay.objects.filter(book=book, strategy=code).values("day")
        rows = list(by_day.values_list(Max("last_closed_at"), Sum("net")).order_by("day"))
    sums = list(accumulate(net for _, net in rows))
    step = max(1, len(rows) // POINTS_MAX)
    kept = [*range(0, len(rows), step)]
    if rows and kept[-1] != len(rows) - 1:
        kept.append(len(rows) - 1)
    return [rows[k][0] for k in kept], [sums[k] for k in kept]


def find_notes(book: str, code: str) -> list[StrategyNote]:
    """The journal, newest first."""
    rows = StrategyNote.objects.filter(book=book, strategy=code).select_related("author")
    return list(rows.order_by("-written_at")[:NOTES_SHOWN])


def find_open_proposals(book: str) -> list[SleeveProposal]:
    """Changes of sleeves that wait for a second person."""
    rows = SleeveProposal.objects.filter(book=book, decision="").select_related("proposed_by")
    return list(rows.order_by("proposed_at"))


def find_readings(sleeve: SleeveRow) -> list[dict[str, Any]]:
    """What the sleeve said at the last close of each of its instruments."""
    newest = Signal.objects.filter(instrument=OuterRef("pk")).order_by("-known_at").values("pk")
    instruments = Instrument.objects.filter(
        pk__in=[member.instrument.pk for member in sleeve.members]
    )
    keys = instruments.annotate(newest=Subquery(newest[:1])).values_list("newest", flat=True)
    rows = {row.instrument_id: row for row in Signal.objects.filter(pk__in=list(keys))}
    found = []
    for member in sleeve.members:
        row = rows.get(member.instrument.pk)
        said = (row.reading.get(sleeve.row.code) if row is not None else None) or {}
        found.append({"member": member, "at": row.known_at if row else None, "said": said})
    return found


def find_decisions(sleeve: SleeveRow, *, at: datetime | None = None) -> list[SleeveDecision]:
    """What the sleeve last decided on each instrument, at most a day and an hour ago.

    Bars at which it decides nothing (a daily strategy between two midnights) are passed over.
    """
    at, code = at or utc_now(), sleeve.row.code
    rows = (
        Signal.objects.filter(
            instrument__in=[member.instrument for member in sleeve.members],
            known_at__gt=at - DECISION_AGE,
            known_at__lte=at,
        )
        .order_by("-known_at")
        .values("instrument_id", "known_at", said=KeyTransform(code, "reading"))
    )
    newest: dict[int, dict[str, Any]] = {}
    for row in rows:
        if row["said"] and row["said"]["reason"] != NOT_DECISION_BAR:
            newest.setdefault(row["instrument_id"], dict(row))
    found = []
    for member in sleeve.members:
        own = newest.get(member.instrument.pk, {})
        said = own.get("said") or {}
        found.append(
            SleeveDecision(
                instrument=member.instrument,
                decided_at=own.get("known_at"),
                reason=said.get("reason", "no decision in the last day"),
                direction=said.get("direction", 0),
                stop=said.get("stop"),
                target=said.get("target"),
            )
        )
    return found


def list_sessions(book: str) -> list[TradingSession]:
    """The last sessions of the book, newest first."""
    return list(TradingSession.objects.filter(book=book).order_by("-started_at")[:SESSIONS_SHOWN])


def find_model_costs(code: str) -> dict[str, Any] | None:
    """Means per trade of the newest finished backtest of this strategy alone, or None."""
    run = (
        ResearchRun.objects.filter(
            kind=ResearchRun.Kind.BACKTEST,
            state=RunState.DONE,
            request__sleeves__0__strategy=code,
            request__sleeves__1__isnull=True,
        )
        .order_by("-id")
        .first()
    )
    if run is None:
        return None
    figures = run.result["figures"]
    count = figures["metrics"]["trades"]
    if not count:
        return None
    return {
        "run": run,
        "trades": count,
        "metrics": figures["metrics"],
        "each": {name: value / count for name, value in figures["costs"].items()},
    }


def compare_costs(performance: StrategyPerformance, model: dict[str, Any]) -> list[dict[str, Any]]:
    """Mean of a trade on the book beside its backtest, by cost; costs are negative."""
    count = performance.total_trades
    if not count:
        return []
    net = float(performance.net_pnl) / count
    mine = {
        "net": net,
        "fees": -float(performance.commission) / count,
        "slippage": -float(performance.slippage) / count,
        "funding": float(performance.funding) / count,
    }
    words = {"fees": "Fees", "slippage": "Slippage", "funding": "Funding", "net": "Net result"}
    return [
        {
            "words": label,
            "book": mine[name],
            "model": model["each"].get(name),
            "difference": None
            if model["each"].get(name) is None
            else mine[name] - model["each"][name],
        }
        for name, label in words.items()
    ]


def check_session(
    book: str, sleeve: SleeveRow, readings: Sequence[Mapping[str, Any]]
) -> list[SessionCheck]:
    """What must hold before this sleeve may open anything, with its :func:`find_readings`."""
    now = utc_now()
    trader = Heartbeat.objects.filter(part="trader", instance=book).first()
    detail = trader.detail if trader is not None else {}
    age = (now - trader.seen_at).total_seconds() if trader is not None else None
    clean = Reconciliation.objects.filter(book=book).order_by("-occurred_at").first()
    fuse, limits = state_of(book), limits_in_force(book)
    streak = max(
        (
            item["losses"]
            for item in detail.get("streaks") or []
            if item["strategy"] == sleeve.row.code
        ),
        default=0,
    )
    ratio_max, losses_max = float(limits.volatility_ratio_max), limits.losses_in_a_row_count
    doubt = (detail.get("market") or {}).get("doubt", "")
    ratios = [
        item["said"].get("volatility_ratio")
        for item in readings
        if item["said"].get("volatility_ratio") is not None
    ]
    return [
        SessionCheck(name="Fuse", is_passed=fuse == "ARMED", found=fuse.lower()),
        SessionCheck(
            name="Trader",
            is_passed=age is not None and age <= DATA_AGE_SECONDS and not doubt,
            found="no heartbeat" if age is None else f"{age:.0f} s of {DATA_AGE_SECONDS} s",
            note=doubt,
        ),
        SessionCheck(
            name="Books and venue",
            is_passed=clean is not None and clean.is_clean,
            found="never compared" if clean is None else ("agree" if clean.is_clean else "differ"),
        ),
        SessionCheck(
            name="Volatility regime",
            is_passed=bool(ratios) and max(ratios) <= ratio_max,
            found=f"{max(ratios):.2f} of {ratio_max:.2f}" if ratios else "no reading yet",
        ),
        SessionCheck(
            name="Losses in a row",
            is_passed=streak < losses_max,
            found=f"{streak} of {losses_max}",
            note="the last one locks the sleeve until 00:00 UTC",
        ),
        _check_events(book, sleeve, now),
    ]


def _check_events(book: str, sleeve: SleeveRow, now: datetime) -> SessionCheck:
    """Whether a dated event bars entries now, or will today."""
    rows = list(
        EventBlackout.objects.filter(
            Q(instrument=None) | Q(instrument__in=[item.instrument for item in sleeve.members]),
            book=book,
            withdrawn_at=None,
            ends_at__gt=now,
            starts_at__lt=now + timedelta(days=1),
        ).order_by("starts_at")
    )
    if not rows:
        return SessionCheck(name="Events", is_passed=True, found="none within a day")
    first = rows[0]
    return SessionCheck(
        name="Events",
        is_passed=first.starts_at > now,
        found=f"{first.title}, {first.starts_at:%H:%M} to {first.ends_at:%H:%M} UTC",
        note="nothing is opened in that span",
    )


def describe_health(book: str, sleeve: SleeveRow) -> dict[str, Any]:
    """The health of a sleeve as the API tells it."""
    trader = Heartbeat.objects.filter(part="trader", instance=book).first()
    lives = trader is not None and (utc_now() - trader.seen_at).total_seconds() <= HEALTH_SECONDS
    trading = [member for member in sleeve.members if member.state == "trading"]
    last = (
        Signal.objects.filter(
            instrument__in=[member.instrument for member in sleeve.members],
            reading__has_key=sleeve.row.code,
        )
        .order_by("-known_at")
        .values_list("known_at", flat=True)
        .first()
    )
    status = "active" if lives and trading else "inactive"
    if lives and any(m.state == "paused" and "failed" in m.reason for m in sleeve.members):
        status = "error"
    return {
        "status": status,
        "strategy": sleeve.row.code,
        "initialized": bool(last),
        "symbols_monitored": [member.instrument.symbol for member in trading],
        "indicators": sorted(
            name for name, value in sleeve.row.parameters.items() if not isinstance(value, dict)
        ),
        "conditions_required": _conditions_of(sleeve.row.code),
        "last_signal_at": last,
    }


def describe_unused(code: str) -> dict[str, Any] | None:
    """The health of a shipped strategy that the book does not hold; None for an unknown name.

    The iron condor prices and sizes option spreads; no source of option chains feeds a book, so it
    monitors nothing.
    """
    if code in WITHOUT_SLEEVE:
        indicators = WITHOUT_SLEEVE[code]
    elif code in STRATEGIES:
        indicators = sorted(item.name for item in fields(STRATEGIES[code]))  # type: ignore[arg-type]  # all are dataclasses
    else:
        return None
    return {
        "status": "inactive",
        "strategy": code,
        "initialized": False,
        "symbols_monitored": [],
        "indicators": indicators,
        "conditions_required": _conditions_of(code),
        "last_signal_at": None,
    }


def _conditions_of(code: str) -> int | None:
    return SCALPING_CONDITIONS if code == "momentum-scalping" else None


def _latest(book: str) -> list[StrategyPerformance]:
    return list(StrategyPerformance.objects.filter(book=book, kind="latest").order_by("strategy"))


def latest_performance(book: str) -> list[StrategyPerformance]:
    """The newest figures of every sleeve, by name."""
    return _latest(book)
