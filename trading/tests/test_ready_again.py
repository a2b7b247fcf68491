"""An engine that stood still for a silence or one difference goes on by itself once books and venue
agree; what people have to do stands on Today."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from magnetfund.web.desk.open_work import Facts
from magnetfund.web.desk.open_work.states import find_states
from magnetfund.web.desk.selectors import find_engine
from risk.services.fuse import state_of
from trading.models import EngineTransition, Reconciliation
from trading.services import reconcile as reconcile_module
from trading.services.engine import WATCHDOG, engine_state_of
from trading.tests.test_crash_points import Stage, entries
from trading.tests.test_crash_points import stage as stage  # the fixture

pytestmark = pytest.mark.usefixtures("as_gateway")


def test_one_difference_stops_it_until_the_next_clean_comparison(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    stage.beat_until(entries().exists)
    real, seen = reconcile_module.find_differences, []

    def differs_once(paper: Any, **known: Any) -> Any:
        found, compared = real(paper, **known)
        if not seen:
            seen.append(1)
            return [{"what": "cash", "ours": "1.00", "venue": "2.00"}], compared
        return found, compared

    monkeypatch.setattr(reconcile_module, "find_differences", differs_once)
    stage.beat_until(lambda: seen)
    assert (engine_state_of("main"), state_of("main")) == ("RECONCILING", "TRIPPED")
    stage.beat_until(lambda: engine_state_of("main") == "READY")
    assert Reconciliation.objects.order_by("-occurred_at").first().is_clean  # type: ignore[union-attr]
    assert state_of("main") == "TRIPPED", "the fuse is people's to arm"
    (work,) = find_states(
        "main",
        Facts(
            fuse_state=state_of("main"),
            engine=find_engine("main"),
            data_at=stage.clock.now(),
            is_stale=False,
        ),
    )
    assert (work.kind, work.waits_on, work.url_name) == ("Fuse", "Risk officer", "desk_risk")
    assert "do not reconcile" in work.note


def test_a_silence_that_is_over_ends_with_the_next_clean_comparison(stage: Stage):
    stage.beat_until(entries().exists)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO trading_enginetransition (book, state, reason, actor_label, occurred_at, "
            "recorded_at) VALUES ('main', 'STOPPED', 'silent', %s, now(), now())",
            [WATCHDOG],
        )
    assert engine_state_of("main") == "STOPPED"
    stage.beat_until(lambda: engine_state_of("main") == "READY")
    assert state_of("main") == "ARMED"


def test_what_a_person_stopped_stays_stopped(stage: Stage):
    stage.beat_until(entries().exists)
    EngineTransition.objects.create(
        book="main",
        state="STOPPED",
        reason="by hand",
        actor_label="ann",
        occurred_at=stage.clock.now(),
    )
    before = Reconciliation.objects.filter(is_clean=True).count()
    stage.beat_until(lambda: Reconciliation.objects.filter(is_clean=True).count() > before + 2)
    assert engine_state_of("main") == "STOPPED"
