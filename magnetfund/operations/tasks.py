"""Background jobs: thin fronts of services, each owning the slot of its period."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from celery import shared_task
from celery.exceptions import OperationalError
from django.conf import settings

from investors.services.coin_rates import poll_rates
from investors.services.kyc import mark_due
from investors.services.rescreening import screen_everybody
from magnetfund.core.services.jobs import beat_heart, run_slot
from magnetfund.core.services.mail import send_waiting
from magnetfund.kernel.counting import count_of
from magnetfund.operations import role_changes as role_changes  # registers its mail
from magnetfund.operations import watch
from magnetfund.operations.schedule import PERIODS, RESEARCH_QUEUE
from risk.services.stop_audit import chain_stops
from trading.services.account_checks import check_fuse, snapshot_account
from trading.services.engine import chain_watchdog_stops
from trading.services.leverage_readings import recalculate_leverage
from trading.services.market_poll import poll_market
from trading.services.performance import refresh_performance
from trading.services.research.studies import ask_weekly_evidence
from trading.services.research.survival import ask_weekly_survival
from trading.services.sessions import open_session

log = logging.getLogger(__name__)


def _job(name: str, work: Callable[[datetime], str]) -> Callable[[], str]:
    @shared_task(name=f"magnetfund.{name}")  # type: ignore[untyped-decorator]
    def task() -> str:
        row = run_slot(job=name, period=PERIODS[name], work=work)
        return row.detail if row is not None else "already run for this time slot"

    return task  # type: ignore[no-any-return]  # Celery is untyped


def _beat(slot: datetime) -> str:
    beat_heart(part="worker", instance="celery", build_id=settings.BUILD_ID)
    return "alive"


equity_age = _job("equity_age", lambda slot: watch.trip_on_stale_equity())
stop_audit = _job(
    "stop_audit",
    lambda slot: f"{chain_stops() + chain_watchdog_stops()} audit lines of stops written",
)
worker_heartbeat = _job("worker_heartbeat", _beat)


def _poll(slot: datetime) -> str:
    """Prices and rates each by themselves: what one source lacks holds up no other."""
    return "; ".join(filter(None, (poll_rates(), poll_market(slot=slot))))


market_poll = _job("market_poll", _poll)
leverage_recalculation = _job(
    "leverage_recalculation", lambda slot: recalculate_leverage(settings.MAGNET_BOOK, at=slot)
)
fuse_check = _job("fuse_check", lambda slot: check_fuse(settings.MAGNET_BOOK))
account_snapshot = _job(
    "account_snapshot", lambda slot: snapshot_account(settings.MAGNET_BOOK, at=slot)
)
instrument_refresh = _job("instrument_refresh", lambda slot: watch.refresh_instruments())
job_health = _job("job_health", lambda slot: watch.find_late_jobs())
orchestrator_heartbeat = _job("orchestrator_heartbeat", lambda slot: watch.tell_orchestrator())
investor_statements = _job("investor_statements", lambda slot: watch.make_statements())
investor_estimates = _job("investor_estimates", lambda slot: watch.estimate_investors())


def _refresh_sleeves(slot: datetime) -> str:
    book = settings.MAGNET_BOOK
    count, is_new = refresh_performance(book), open_session(book)
    return f"figures of {count_of(count, 'sleeve')} written{', a session opened' if is_new else ''}"


strategy_performance = _job("strategy_performance", _refresh_sleeves)
outgoing_mail = _job("outgoing_mail", lambda slot: f"{count_of(send_waiting(), 'mail')} sent")
periodic_reviews = _job(
    "periodic_reviews", lambda slot: f"{mark_due()} files are due for their periodic review"
)


def _screen(slot: datetime) -> str:
    files, hits = screen_everybody()
    return f"{count_of(files, 'file')} screened, {count_of(hits, 'new hit')}"


daily_screening = _job("daily_screening", _screen)
daily_verification = _job("daily_verification", lambda slot: watch.verify_all())
housekeeping = _job("housekeeping", lambda slot: watch.clean_up())


def _ask_evidence(slot: datetime) -> str:
    asked = ask_weekly_evidence(settings.MAGNET_BOOK)
    if asked:
        wake_research()
    return f"{count_of(asked, 'study', 'studies')} of magnets asked for"


magnet_evidence = _job("magnet_evidence", _ask_evidence)


def _ask_survival(slot: datetime) -> str:
    asked = ask_weekly_survival(settings.MAGNET_BOOK)
    if asked:
        wake_research()
    return f"{count_of(asked, 'study', 'studies')} of survival asked for"


survival_study = _job("survival_study", _ask_survival)

#: A sweep or a survival study may run for hours; a backtest takes a second.
RESEARCH_SECONDS_MAX = 6 * 3_600


@shared_task(  # type: ignore[untyped-decorator]
    name="magnetfund.research_queue", time_limit=RESEARCH_SECONDS_MAX
)
def research_queue() -> str:
    """Work on waiting research runs; the rows are the queue, so a lost message loses nothing."""
    from trading.services.research.queue import work_waiting

    return f"{work_waiting(on_more=wake_research)} runs"


def wake_research() -> None:
    """Tell a research worker that a run waits; without a broker the row waits for its round."""
    try:
        research_queue.apply_async(queue=RESEARCH_QUEUE, retry=False, expires=600)
    except OperationalError:
        log.warning("no broker: research runs wait for the next round")
