"""Who may be held for a market in doubt: a book that trades or fell silent, not one stopped."""

from __future__ import annotations

import pytest

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import utc_now
from trading.models import EngineTransition
from trading.services.engine import (
    WATCHDOG,
    engine_state_of,
    hold_for_market,
    stop_engine,
    waits_for_market,
)

pytestmark = pytest.mark.django_db
TRADER = Actor.system("trader")


def test_an_outage_after_the_watchdog_s_stop_is_the_market_s():
    EngineTransition.objects.create(
        book="main", state="STOPPED", reason="prices are 122 s old", actor_label=WATCHDOG,
        occurred_at=utc_now(),
    )  # fmt: skip
    assert hold_for_market(book="main", actor=TRADER, reason="no price")
    assert waits_for_market("main")
    assert not hold_for_market(book="main", actor=TRADER, reason="no price"), "once is enough"


def test_a_stop_on_purpose_stays():
    stop_engine(book="main", actor=Actor.system("test"), reason="on purpose")
    assert not hold_for_market(book="main", actor=TRADER, reason="no price")
    assert engine_state_of("main") == "STOPPED"
