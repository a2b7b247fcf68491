"""Background checks: trader heartbeat, unprotected positions, late jobs, daily verification of
the books."""

from __future__ import annotations

import logging
from datetime import timedelta

import requests
from django.conf import settings
from django.contrib.sessions.models import Session

from investors.models import Fund, InvestorSnapshot
from investors.services.estimates import estimate_fund
from investors.services.holder_values import write_snapshots
from investors.services.investor_statements import make_due_statements
from investors.services.verification import verify_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import JobRun
from magnetfund.core.services.audit_check import find_audit_breaks
from magnetfund.core.services.idempotency import purge_expired_keys
from magnetfund.core.services.jobs import beat_heart, purge_old_runs, slot_of
from magnetfund.core.services.refresh_tokens import purge_families
from magnetfund.core.services.signatures import find_untold_grants
from magnetfund.kernel.clock import to_milliseconds, utc_now
from magnetfund.kernel.counting import count_of
from magnetfund.operations.books.publishing import publish_differences, publish_root
from magnetfund.operations.books.root import (
    find_root_differences,
    make_root,
    note_newest_root,
)
from risk.domain.fuse import FuseRules, Trigger, is_equity_stale
from risk.domain.pretrade import EngineState
from risk.services.fuse import state_of, trip_fuse
from risk.services.limits import limits_in_force
from risk.services.stop_audit import stops_without_line
from risk.services.stop_statements import FuseFacts
from trading.models import (
    EngineTransition,
    Instrument,
    Valuation,
)
from trading.services.candle_archive import find_file_differences
from trading.services.engine import WATCHDOG
from trading.services.instrument_refresh import refresh_venue
from trading.services.market_choice import followed_exchange

#: What one run of the hourly job makes: some ten seconds of a core.
STATEMENTS_MAX = 1_000
#: A stop's audit line is written after it, by a job that runs every ten seconds.
LINE_DUE_AFTER = timedelta(minutes=1)
_log = logging.getLogger("magnetfund.watch")


def trip_on_stale_equity() -> str:
    """Trip the fuse when the book's equity is older than the limits allow.

    Age counts while somebody should be valuing the book: since the engine became ready, or since
    the watchdog stopped it.  A trader that was stopped on purpose leaves protection at the
    venue, and one that starts values the book before it trades.
    """
    book, now = settings.MAGNET_BOOK, utc_now()
    engine = EngineTransition.objects.filter(book=book).order_by("-id").first()
    is_watched = engine is not None and (
        engine.state == EngineState.READY
        or (engine.state == EngineState.STOPPED and engine.actor_label == WATCHDOG)
    )
    if engine is None or not is_watched or state_of(book) != "ARMED":
        return "nothing to value"
    newest = (
        Valuation.objects.filter(book=book).order_by("-at").values_list("at", flat=True).first()
    )
    valued = max(newest, engine.occurred_at) if newest is not None else engine.occurred_at
    rules = FuseRules.of_limit_set(limits_in_force(book, at=now))
    if not is_equity_stale(
        valued_ms=to_milliseconds(valued), now_ms=to_milliseconds(now), rules=rules
    ):
        return "equity on time"
    age, limit = (now - valued).total_seconds(), rules.equity_age_max_ms / 1000
    trip_fuse(
        book=book,
        facts=FuseFacts(
            trigger=Trigger.EQUITY_STALE.code,
            reason=f"Equity is {age:.0f} s old, limit {limit:.0f} s.",
            severity=1.0,
            measured={"value": age, "threshold": limit},
            limits_version=rules.limits_version,
        ),
        actor=Actor.system("equity age"),
    )
    _log.error("equity is %.0f s old; the fuse tripped", age)
    return f"tripped: equity is {age:.0f} s old"


def refresh_instruments() -> str:
    """Bring the instruments of the exchange that this home follows to what it states today."""
    venue = followed_exchange()
    if not venue:
        return "no exchange is followed"
    rows = Instrument.objects.filter(venue=venue, is_active=True)
    found = refresh_venue(
        venue=venue,
        symbols=list(rows.values_list("symbol", flat=True)),
        book=settings.MAGNET_BOOK,
        actor=Actor.system("instrument refresh"),
    )
    names = count_of(rows.count(), "instrument")
    parts = [f"{names}, {len(found.changed)} changed"]
    parts += [f"{symbol}: {why}" for symbol, why in {**found.refused, **found.ended}.items()]
    return "; ".join(parts)


def find_late_jobs() -> str:
    """Jobs whose last finished slot is more than three periods old, and stops that the audit trail
    does not tell of: a missing line is an alarm."""
    from magnetfund.operations.schedule import ALL_PERIODS

    late = []
    for name, period in ALL_PERIODS.items():
        newest = (
            JobRun.objects.filter(job=name, state=JobRun.State.DONE)
            .order_by("-scheduled_for")
            .values_list("scheduled_for", flat=True)
            .first()
        )
        wanted = slot_of(utc_now(), period) - 3 * period
        if newest is not None and newest < wanted:
            late.append(name.replace("_", " "))
    if late:
        _log.warning("late jobs: %s", ", ".join(late))
    untold = len(stops_without_line(before=utc_now() - LINE_DUE_AFTER))
    if untold:
        _log.error("%d stops of the fund have no audit line after a minute", untold)
    said = [f"late: {', '.join(late)}"] if late else []
    said += [f"{untold} stops without an audit line"] if untold else []
    return "; ".join(said) or "every job is on time"


def tell_orchestrator() -> str:
    """Heartbeat to the orchestrator where one is configured; never in the way of trading."""
    if not settings.ORCHESTRATOR_URL:
        return "no orchestrator is configured"
    body: dict[str, str | int] = {"droplet_id": settings.DROPLET_ID, "at": utc_now().isoformat()}
    try:
        answer = requests.post(f"{settings.ORCHESTRATOR_URL}/heartbeat", json=body, timeout=5)
        answer.raise_for_status()
    except requests.RequestException as error:
        return f"orchestrator unavailable: {type(error).__name__}"
    beat_heart(part="remote", instance="orchestrator")
    return "heartbeat sent"


def estimate_investors() -> str:
    """Estimate every holding now, net of the fees accrued since the last NAV."""
    made, now = 0, utc_now()
    for fund in Fund.objects.all():
        values = estimate_fund(fund, at=now)
        struck = InvestorSnapshot.objects.filter(
            investor__holdings__share_class__fund=fund, day=now.date(), is_estimate=False
        )
        if values and not struck.exists():
            made += write_snapshots(fund, day=now.date(), values=values, is_estimate=True)
    return f"{made} investor estimates updated"


def make_statements() -> str:
    """Statements that the newest two months of each fund lack."""
    told = [make_due_statements(fund, most=STATEMENTS_MAX) for fund in Fund.objects.all()]
    return ", ".join(told) or "no fund"


def verify_all() -> str:
    """Recompute the books; a difference trips the fuse of its book and goes to the auditors, and
    clean books give the root of the day."""
    problems = []
    for fund in Fund.objects.filter(book=settings.MAGNET_BOOK):
        found = verify_fund(fund)
        problems += found
        if found and state_of(fund.book) == "ARMED":
            trip_fuse(
                book=fund.book,
                facts=FuseFacts(trigger="books_differ", reason=found[0][:300]),
                actor=Actor.system("daily verification"),
            )
    note_newest_root()
    problems += find_audit_breaks() + find_untold_grants() + find_root_differences()
    problems += find_file_differences()
    if problems:
        publish_differences(problems)
        return f"{len(problems)} differences: {problems[0]}"
    return f"clean; {publish_root(make_root())}"


def clean_up() -> str:
    """Remove what is past use: job rows, idempotency keys, ended sessions."""
    runs, keys = purge_old_runs(), purge_expired_keys()
    sessions = Session.objects.filter(expire_date__lt=utc_now()).delete()[0]
    families = purge_families()
    return (
        f"removed: {runs} job rows, {keys} idempotency keys, {sessions} sessions, "
        f"{families} API sign-ins"
    )
