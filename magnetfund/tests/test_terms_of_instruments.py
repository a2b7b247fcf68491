"""A thief of the background jobs makes no instrument look safer or cheaper than its venue says."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.env import parse_database_url
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.tests.test_money_walls import attack
from magnetfund.tests.walls_support import (
    arm_fuse,
    make_engine_ready,
    make_instrument,
    make_order,
    make_user,
    say_kind,
    trader_alias,
)
from magnetfund.web.desk.open_work.trading import SOURCES
from risk.domain.margin import flat_tier
from trading.domain.market import InstrumentKind, InstrumentTerms
from trading.models import Instrument, MarketEvent, Position, Strategy
from trading.services import instrument_refresh
from trading.services.instrument_refresh import refresh_venue
from trading.services.instruments import add_instrument, refresh_terms
from trading.services.membership import change_members

TIERS = [["50000", "0.004"], ["inf", "0.01"]]


@pytest.fixture
def instrument(fresh_database: Any) -> Instrument:
    row = make_instrument()
    say_kind(fresh_database, "production")
    said = attack(fresh_database, "fa_gateway", put(maintenance_tiers=json.dumps(TIERS)))
    assert said == ""
    return row


def put(**terms: str) -> tuple[str, tuple[Any, ...]]:
    changes = ", ".join(f"{name} = %s" for name in terms)
    return f"UPDATE trading_instrument SET {changes}", tuple(terms.values())


LOOSER = (
    [["inf", "0.004"]],
    [["inf", "0"]],
    [["60000", "0.004"], ["inf", "0.01"]],
    [["50000", "0.003"], ["inf", "0.01"]],
    [["50000", "0.004"], ["1000000", "0.01"]],
    [["0", "0"], ["inf", "0.5"]],
    [["inf", "0.5"], ["1", "0"]],
    [["inf", "NaN"]],
    [],
)
TIGHTER = (
    [["inf", "0.01"]],
    [["40000", "0.004"], ["inf", "0.01"]],
    [["50000", "0.005"], ["250000", "0.01"], ["inf", "0.02"]],
)


@pytest.mark.parametrize("tiers", LOOSER, ids=str)
def test_no_job_lowers_the_maintenance_of_an_instrument(
    instrument: Instrument, fresh_database: Any, tiers: list[list[str]]
):
    step = put(maintenance_tiers=json.dumps(tiers))
    assert "refresh_instruments alone" in attack(fresh_database, "fa_worker", step)
    assert "permission denied" in attack(fresh_database, "fa_app", step)


@pytest.mark.parametrize("tiers", TIGHTER, ids=str)
def test_a_job_takes_over_what_asks_for_more(
    instrument: Instrument, fresh_database: Any, tiers: list[list[str]]
):
    assert attack(fresh_database, "fa_worker", put(maintenance_tiers=json.dumps(tiers))) == ""


def test_no_job_lowers_a_fee(instrument: Instrument, fresh_database: Any):
    for name in ("maker_fee", "taker_fee"):
        said = attack(fresh_database, "fa_worker", put(**{name: "-0.5"}))
        assert "refresh_instruments alone" in said
        assert attack(fresh_database, "fa_worker", put(**{name: "0.01"})) == ""


@pytest.mark.parametrize("role", ["fa_worker", "fa_gateway"])
def test_nobody_changes_the_steps_of_what_is_held(
    instrument: Instrument, fresh_database: Any, placed_positions: None, role: str
):
    """A lot a thousand times as large would make a held position worth a thousand times as much."""
    assert attack(fresh_database, role, put(lot="0.01")) == ""
    Position.objects.using(trader_alias()).create(
        book="main", instrument=instrument, strategy="trend", quantity=1
    )
    for name in ("tick", "lot"):
        assert "while a position is open" in attack(fresh_database, role, put(**{name: "1000"}))


@pytest.mark.parametrize("role", ["fa_worker", "fa_gateway"])
def test_nobody_changes_the_steps_of_an_order_on_its_way(
    instrument: Instrument, fresh_database: Any, role: str
):
    """Half a lot of the new size would fill as none, and leave a position that no lot closes."""
    say_kind(fresh_database, "test")
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    make_engine_ready()
    order = make_order(instrument, quantity=Decimal("0.005"))
    say_kind(fresh_database, "production")
    for name in ("tick", "lot"):
        said = attack(fresh_database, role, put(**{name: "10"}))
        assert "while an order is open" in said
    ended = (
        "UPDATE trading_order SET state = 'EXPIRED', closed_at = now() WHERE id = %s", (order.pk,)
    )  # fmt: skip
    told = [
        (
            "INSERT INTO trading_orderevent (order_id, seq, kind, from_state, to_state, detail, "
            "occurred_at, recorded_at) VALUES (%s, %s, %s, %s, %s, '{}', now(), now())",
            (order.pk, *step),
        )
        for step in ((1, "intent", "", "INTENT"), (2, "not_sent", "INTENT", "EXPIRED"))
    ]
    assert attack(fresh_database, "fa_gateway", told[0], ended, told[1]) == ""
    assert attack(fresh_database, role, put(lot="10")) == ""


def become_worker(cluster: Any) -> None:
    """The suite's own sign-in comes back with the end of ``fresh_database``."""
    connection.close()
    connection.settings_dict.update(parse_database_url("test", cluster.dsn("fa_worker", "fresh")))


def test_a_refresh_by_a_job_says_who_takes_looser_terms_over(
    instrument: Instrument, fresh_database: Any
):
    stated = InstrumentTerms(
        symbol=instrument.symbol, venue=instrument.venue, kind=InstrumentKind.LINEAR_PERPETUAL,
        base="BTC", quote="USDT", settle="USDT", tick=instrument.tick, lot=instrument.lot,
        minimum_notional=Decimal(5), taker_fee=Decimal("0.0005"),
        maintenance_tiers=flat_tier(rate=0.002),
    )  # fmt: skip
    become_worker(fresh_database)
    with pytest.raises(Conflict, match="refresh_instruments") as refused:
        refresh_terms(stated, source="x", stated_at=utc_now(), actor=Actor.system("refresh"))
    assert refused.value.code == "looser_terms"
    tighter = replace(stated, maintenance_tiers=flat_tier(rate=0.02))
    assert "maintenance_tiers" in refresh_terms(
        tighter, source="x", stated_at=utc_now(), actor=Actor.system("refresh")
    )
    connection.close()


def test_terms_that_no_job_takes_over_wait_for_an_operator(
    instrument: Instrument, fresh_database: Any, monkeypatch: pytest.MonkeyPatch
):
    stated = InstrumentTerms(
        symbol=instrument.symbol, venue=instrument.venue, kind=InstrumentKind.LINEAR_PERPETUAL,
        base="BTC", quote="USDT", settle="USDT", tick=instrument.tick, lot=instrument.lot,
        minimum_notional=Decimal(5), taker_fee=Decimal("0.0005"),
        maintenance_tiers=flat_tier(rate=0.002),
    )  # fmt: skip
    monkeypatch.setattr(instrument_refresh, "open_exchange", lambda venue: None)
    market = {"info": {"status": "TRADING"}}
    monkeypatch.setattr(
        instrument_refresh, "ask_exchange", lambda client, ask: {instrument.symbol: market}
    )
    become_worker(fresh_database)

    def refresh(terms: InstrumentTerms) -> list[str]:
        monkeypatch.setattr(instrument_refresh, "fetch_terms", lambda *_, **__: (terms, "x"))
        refresh_venue(
            venue=instrument.venue, symbols=[instrument.symbol], book="main",
            actor=Actor.system("refresh"),
        )  # fmt: skip
        rows = SOURCES["terms_refused"].select("main", utc_now())
        return [SOURCES["terms_refused"].describe(row)[1] for row in rows]

    for _ in range(2):
        (why,) = refresh(stated)
        assert "taken over by manage.py refresh_instruments alone" in why
    assert MarketEvent.objects.count() == 1, "told once"
    assert refresh(replace(stated, maintenance_tiers=flat_tier(rate=0.02))) == []
    connection.close()


@pytest.mark.django_db
def test_what_settles_in_a_coin_is_history_alone():
    terms = InstrumentTerms(
        symbol="ETH/BTC:BTC", venue="binanceusdm", kind=InstrumentKind.LINEAR_PERPETUAL,
        base="ETH", quote="BTC", settle="BTC", tick=Decimal("0.00001"), lot=Decimal("0.001"),
        minimum_notional=Decimal("0.0001"), taker_fee=Decimal("0.0005"),
        maintenance_tiers=flat_tier(rate=0.004),
    )  # fmt: skip
    whole: Any = {"source": "x", "stated_at": utc_now(), "actor": Actor.system("test")}
    with pytest.raises(InvalidInput, match="ETH/BTC:BTC is in BTC") as refused:
        add_instrument(terms, is_active=True, **whole)
    assert refused.value.code == "currency_not_carried"
    assert not Instrument.objects.exists()
    row = add_instrument(terms, **whole)
    assert not row.is_active
    Instrument.objects.update(is_active=True)  # as a version that did not ask left it
    Strategy.objects.create(
        code="trend", version=1, name="Trend", risk_fraction=Decimal("0.01"), is_active=True
    )
    with pytest.raises(InvalidInput, match="ETH/BTC:BTC is in BTC"):
        change_members(
            book="main", strategies=["trend"], instruments=[Instrument.objects.get()],
            state="trading", reason="a test", actor=Actor.system("test"),
        )  # fmt: skip
