"""Performance of every sleeve: kept after closed trades, made anew by command, read by pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Max

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import to_milliseconds, utc_now
from magnetfund.kernel.errors import InvalidInput
from risk.domain.leverage import EvidencePolicy
from risk.domain.ratios import compute_sharpe_facts
from risk.domain.readiness import (
    Evidence,
    Readiness,
    TrackRecord,
    compute_edge_probability,
    judge_readiness,
    read_facts,
    score_confidence,
)
from risk.services.limits import limits_in_force
from trading.domain.performance import (
    DAYS_A_YEAR,
    ClosedTrade,
    SleeveFigures,
    compute_daily_shares,
    compute_survival_probability,
    measure_trades,
)
from trading.domain.research.trials import TrialFacts, judge
from trading.models import Strategy, StrategyNote, StrategyPerformance, Trade
from trading.selectors.research import family_named
from trading.services.kept_sums import make_sums
from trading.services.leverage_caps import evidence_policy
from trading.services.sleeve_strategies import family_of_sleeve

Kind = StrategyPerformance.Kind
#: A stretch of a year holds calm and turmoil; a shorter one is one regime.
REGIME_DAYS = 365
#: A trade is seen at most so long after the time of its row: its transaction takes seconds.
BOOKED_WITHIN = timedelta(minutes=5)
NOTE_MAX = 2_000
TAGS_MAX = 8


def refresh_performance(book: str, *, at: datetime | None = None) -> int:
    """Bring the figures of every sleeve with a trade newer than its figures up to date.

    Returns how many sleeves were written.  The job of beat; running it again changes nothing.
    """
    at = at or utc_now()
    newest = {
        row["strategy"]: row["last"]
        for row in Trade.objects.filter(book=book)
        .values("strategy")
        .annotate(last=Max("closed_at"))
    }
    today = at.astimezone(UTC).date()
    known = {
        row.strategy: row for row in StrategyPerformance.objects.filter(book=book, kind=Kind.LATEST)
    }
    count = 0
    for strategy in sorted({*newest, *_active_codes()}):
        row = known.get(strategy)
        same = row is not None and row.last_trade_at == newest.get(strategy)
        if same and row is not None and row.detail.get("day") == today.isoformat():
            continue
        write_performance(book, strategy, at=at)
        count += 1
    return count


def recalculate_performance(book: str, *, at: datetime | None = None) -> dict[str, int]:
    """Make every derived row of every sleeve anew: latest, each day with a trade, each month; and
    the sums of days that pages read."""
    at = at or utc_now()
    make_sums(book)
    written = {}
    codes = set(Trade.objects.filter(book=book).values_list("strategy", flat=True).distinct())
    for strategy in sorted(codes | _active_codes()):
        trades = _trades(book, strategy)
        days = sorted({_day_of(row) for row in trades})
        with transaction.atomic():
            take_lock(AdvisoryLock.PERFORMANCE, f"{book} {strategy}")
            for day in days:
                _write_day(book, strategy, day, trades)
            write_performance(book, strategy, at=at, trades=trades)
        written[strategy] = len(days)
    return written


def write_performance(
    book: str, strategy: str, *, at: datetime, trades: Sequence[Trade] | None = None
) -> StrategyPerformance:
    """Write the figures as they stand, of the present day and of its month; before, those of each
    earlier day, with its month, that trades changed since they were last written."""
    rows = _trades(book, strategy) if trades is None else trades
    today = at.astimezone(UTC).date()
    with transaction.atomic():
        take_lock(AdvisoryLock.PERFORMANCE, f"{book} {strategy}")
        since = _changed_since(book, strategy, rows)
        for day in sorted({_day_of(row) for row in rows}):
            if since <= day < today:
                _write_day(book, strategy, day, rows)
        _write_day(book, strategy, today, rows, at=at)
        return _write(book, strategy, Kind.LATEST, date(1970, 1, 1), rows, at=at, today=today)


def add_note(
    *, book: str, strategy: str, text: str, tags: Sequence[str], actor: Actor
) -> StrategyNote:
    """Add to the journal of a sleeve; raises :class:`InvalidInput` (``bad_note``)."""
    actor.require(Capability.DESK_VIEW)
    assert actor.user is not None  # a capability is a person's
    words = text.strip()
    if not 1 <= len(words) <= NOTE_MAX:
        raise InvalidInput(f"a note has 1 to {NOTE_MAX:,} characters", code="bad_note")
    kept = [tag.strip()[:30] for tag in tags if tag.strip()][:TAGS_MAX]
    with transaction.atomic():
        note = StrategyNote.objects.create(
            book=book, strategy=strategy, text=words, tags=kept, author=actor.user
        )
        record_audit(
            actor=actor,
            action="strategy.note",
            subject=("strategy_note", note.pk),
            body={"strategy": strategy, "tags": kept},
        )
    return note


def _active_codes() -> set[str]:
    return set(Strategy.objects.filter(is_active=True).values_list("code", flat=True))


def _trades(book: str, strategy: str) -> list[Trade]:
    return list(
        Trade.objects.filter(book=book, strategy=strategy)
        .only(
            "opened_at", "closed_at", "net_pnl", "account_balance", "commission", "slippage",
            "funding", "recorded_at",
        )
        .order_by("closed_at", "id")
    )  # fmt: skip


def _changed_since(book: str, strategy: str, rows: Sequence[Trade]) -> date:
    """The first day whose figures may differ from those that are written.

    The last day that was written went on after it, and trades may be booked days after they closed.
    """
    rows_of = StrategyPerformance.objects.filter(book=book, strategy=strategy, kind=Kind.LATEST)
    known = rows_of.first()
    if known is None:
        return date.min
    seen = known.computed_at - BOOKED_WITHIN
    late = (_day_of(row) for row in rows if row.recorded_at > seen)
    return min([date.fromisoformat(known.detail["day"]), *late])


def _day_of(row: Trade) -> date:
    return row.closed_at.astimezone(UTC).date()


def _write_day(
    book: str, strategy: str, day: date, trades: Sequence[Trade], *, at: datetime | None = None
) -> None:
    """The figures to the end of a day (or to ``at`` within it), and those of its month so far."""
    end = min(at, _end_of(day)) if at is not None else _end_of(day)
    until = [row for row in trades if row.closed_at < end]
    _write(book, strategy, Kind.DAY, day, until, at=end, today=day)
    first = day.replace(day=1)
    start = datetime.combine(first, time(), tzinfo=UTC)
    inside = [row for row in until if row.closed_at >= start]
    _write(book, strategy, Kind.MONTH, first, inside, at=end, today=day)


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)


def _write(
    book: str,
    strategy: str,
    kind: str,
    period: date,
    rows: Sequence[Trade],
    *,
    at: datetime,
    today: date,
) -> StrategyPerformance:
    trades = [_closed(row) for row in rows]
    figures = measure_trades(trades, end_ms=to_milliseconds(at))
    columns: dict[str, Any] = {
        "total_trades": figures.trades,
        "winning_trades": figures.wins,
        "losing_trades": figures.losses,
        "net_pnl": sum((row.net_pnl for row in rows), Decimal(0)),
        "commission": sum((row.commission for row in rows), Decimal(0)),
        "slippage": sum((row.slippage for row in rows), Decimal(0)),
        "funding": sum((row.funding for row in rows), Decimal(0)),
        "win_rate": figures.win_rate,
        "average_win": figures.average_win,
        "average_loss": figures.average_loss,
        "largest_win": figures.largest_win,
        "largest_loss": figures.largest_loss,
        "profit_factor": _finite(figures.profit_factor),
        "expectancy": figures.expectancy,
        "expectancy_error": figures.expectancy_error,
        "sharpe_ratio": figures.sharpe,
        "sortino_ratio": figures.sortino,
        "max_drawdown": figures.drawdown_max,
        "exposure": figures.exposure,
        "last_trade_at": rows[-1].closed_at if rows else None,
        "computed_at": utc_now(),
        "detail": {"day": today.isoformat()},
    }
    if kind == Kind.LATEST:
        policy = evidence_policy(limits_in_force(book))
        readiness, detail = judge_sleeve(strategy, trades, figures, policy=policy, at=at)
        columns |= {
            "confidence_score": detail["score"],
            "ready_for_live": readiness.ready_for_live,
            "ready_for_live_reason": readiness.reason,
            "detail": {**columns["detail"], **detail},
        }
    key = {"book": book, "strategy": strategy, "kind": kind, "period": period}
    if not StrategyPerformance.objects.filter(**key).update(**columns):
        StrategyPerformance.objects.create(**key, **columns)
    return StrategyPerformance.objects.get(**key)


def judge_sleeve(
    strategy: str,
    trades: Sequence[ClosedTrade],
    figures: SleeveFigures,
    *,
    policy: EvidencePolicy,
    at: datetime,
) -> tuple[Readiness, dict[str, Any]]:
    """The five facts, the confidence score and the verdict of a sleeve's own closed trades."""
    facts = read_facts(
        record=TrackRecord(
            wins=figures.wins,
            losses=figures.losses,
            sharpe=figures.sharpe,
            drawdown_max=figures.drawdown_max,
            profit_factor=figures.profit_factor,
        )
    )
    row = Strategy.objects.filter(code=strategy).order_by("-version").first()
    family = family_named(family_of_sleeve(strategy, row.parameters if row else {}))
    daily = compute_daily_shares(trades, end_ms=to_milliseconds(at))
    found = compute_sharpe_facts(returns=daily) if daily.size > 2 else None
    stated = None
    if found is not None:
        stated = TrialFacts(
            sharpe=found.sharpe,
            days=found.periods,
            skewness=found.skewness,
            kurtosis=found.kurtosis,
        )
    judged = judge(facts=stated, family=family, trades=figures.trades)
    deflated = judged.deflated if math.isfinite(judged.deflated) else None
    confidence = score_confidence(
        evidence=Evidence(
            deflated_sharpe=deflated,
            edge=_find_edge(figures),
            survival=_find_survival(trades, figures, luck=judged.luck),
            trades_effective=float(figures.trades),
            trials=judged.trials,
            has_out_of_sample=figures.trades > 0,
            has_full_volatility_regime=figures.days >= REGIME_DAYS,
            has_look_ahead_difference=False,
        )
    )
    readiness = judge_readiness(
        facts=facts, confidence=confidence, policy=policy, paper_days=figures.days
    )
    evidence = confidence.evidence
    return readiness, {
        "score": confidence.score,
        "standing": readiness.standing.value,
        "binding": confidence.binding.value if confidence.binding else None,
        "caps": [cap.value for cap in confidence.caps],
        "components": {
            "deflated_sharpe": evidence.deflated_sharpe,
            "edge": evidence.edge,
            "survival": evidence.survival,
        },
        "trials": judged.trials,
        "paper_days": figures.days,
        "policy": policy.value,
        "is_policy_enforced": policy is EvidencePolicy.ENFORCED,
        "facts": [{**asdict(fact), "value": _finite(fact.value)} for fact in facts],
    }


def _find_edge(figures: SleeveFigures) -> float | None:
    if not figures.average_win or not figures.average_loss:
        return None
    return compute_edge_probability(
        wins=figures.wins,
        losses=figures.losses,
        win_average=figures.average_win,
        loss_average=-figures.average_loss,
    )


def _find_survival(
    trades: Sequence[ClosedTrade], figures: SleeveFigures, *, luck: float
) -> float | None:
    """``luck`` is the annual Sharpe that chance reaches among the trials of the family."""
    if not trades or not figures.days:
        return None
    a_year = figures.trades / figures.days * DAYS_A_YEAR
    shares = [trade.share for trade in trades]
    mean = sum(shares) / len(shares)
    spread = math.sqrt(sum((share - mean) ** 2 for share in shares) / max(len(shares) - 1, 1))
    taken = luck / math.sqrt(a_year) * spread if math.isfinite(luck) and a_year > 0 else 0.0
    return compute_survival_probability(shares, trades_a_year=a_year, luck_a_trade=taken)


def _closed(row: Trade) -> ClosedTrade:
    return ClosedTrade(
        opened_ms=to_milliseconds(row.opened_at),
        closed_ms=to_milliseconds(row.closed_at),
        net=float(row.net_pnl),
        balance=float(row.account_balance),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
