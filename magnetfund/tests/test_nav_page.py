"""What a controller sees of a prepared NAV before signing it, and what
refuses it by page and API."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.test import Client
from rest_framework.test import APIClient

from investors.services.breaks import close_break, explain_break, raise_break
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user
from magnetfund.tests.walls_support import make_instrument
from trading.models import Candle, Instrument


@pytest.mark.django_db
def test_the_approver_sees_prices_totals_and_what_approval_deals():
    small = make_fund("main", performance_rate="0.2")
    second = first_of(2025, 2)
    for at in (FIRST, second):
        small.day(at)
    small.subscribe("ann", "10000", before=FIRST)
    small.strike(FIRST)
    small.redeem("ann", "25", before=second)
    small.subscribe("bob", "4000", before=second)
    small.prepare(second)
    client = Client()
    controller = ensure_user(email="con@example.com", name="Con", roles=[Role.CONTROLLER])
    client.force_login(controller)
    page = " ".join(client.get("/desk/fund/").content.decode().split())
    assert "Dealing price per unit<small>before performance fee</small>" in page
    for total in ("Assets", "Liabilities", "Net assets before fees"):
        assert f"<dt>{total}</dt>" in page
    dealt = page[page.index("Dealt on approval") :]
    assert "4,000.00 in, −2,500.00 out" in dealt
    named = re.findall(r"(\w+, class A)\s*<small\s*>\s*(\w+)", dealt)
    assert {("Redemption, class A", "Ann"), ("Subscription, class A", "Bob")} <= set(named)


SECOND = first_of(2025, 2)
NAVS, PREPARE = "/api/navs", "/desk/fund/prepare/"


def found_and_strike() -> SmallFund:
    """Ann's money is in since the first day; the second waits to be struck."""
    small = make_fund("main")
    for at in (FIRST, SECOND):
        small.day(at)
    small.subscribe("ann", "1000", before=FIRST)
    small.strike(FIRST)
    return small


def browser_of(actor: Actor) -> Client:
    assert actor.user is not None
    client = Client()
    client.force_login(actor.user)
    return client


def ask(actor: Actor, path: str, **body: Any) -> tuple[int, str]:
    """Status and code of the API's answer."""
    client = APIClient()
    client.force_authenticate(actor.user)
    answer = client.post(path, body, format="json", headers={"Idempotency-Key": uuid4().hex})
    return answer.status_code, answer.json().get("error", {}).get("code", "")


def write_fill(cluster: Any, instrument: Instrument) -> None:
    """A position as the trader left it, without the order that made it."""
    with psycopg.connect(cluster.dsn("postgres", "fresh"), autocommit=True) as session:
        session.execute("ALTER TABLE trading_fill DISABLE TRIGGER ALL")
        session.execute(
            "INSERT INTO trading_fill (order_id, venue, venue_trade_id, book, instrument_id, "
            "strategy, side, quantity, price, fee, realised, slippage, liquidity, reason, "
            "occurred_at, recorded_at) VALUES (gen_random_uuid(), 'sim', '1', 'main', %s, 'trend', "
            "'buy', 1, 100, 0, 0, 0, 'taker', '', %s, now())",
            (instrument.pk, SECOND - timedelta(hours=5)),
        )


def add_hour(instrument: Instrument, opened_at: datetime) -> None:
    known = opened_at + timedelta(hours=1)
    Candle.objects.create(
        instrument=instrument, timeframe="1h", open=100.0, high=100.0, low=100.0, close=100.0,
        volume=1.0, open_time=opened_at, known_at=known, available_at=known,
    )  # fmt: skip


def test_an_old_price_refuses_a_nav_by_page_and_api_until_the_data_is_there(fresh_database: Any):
    small, instrument = found_and_strike(), make_instrument()
    write_fill(fresh_database, instrument)
    add_hour(instrument, SECOND - timedelta(days=2))
    page = browser_of(small.maker).post(PREPARE, follow=True).content.decode()
    assert "(price_too_old)" in page
    assert "bring the market data up to date" in page
    assert ask(small.maker, NAVS) == (503, "price_too_old")
    assert small.fund.strikes.count() == 1
    add_hour(instrument, SECOND - timedelta(hours=1))
    assert ask(small.maker, NAVS) == (201, "")


@pytest.mark.django_db
def test_an_open_break_refuses_the_approval_by_page_and_api_until_it_is_closed():
    small = found_and_strike()
    assert ask(small.maker, NAVS) == (201, "")
    strike = small.fund.strikes.get(state="prepared")
    found = raise_break(
        fund=small.fund, source="custodian", reference="BTC vault", asset="BTC",
        ours=Decimal(2), theirs=Decimal("1.5"), day=FIRST.date(), text="counted at the vault",
        actor=small.maker,
    )  # fmt: skip
    given = {"decision": "approve", "hash": strike.result_hash}
    shown = browser_of(small.checker).post(f"/desk/fund/{strike.pk}/", given, follow=True)
    page = shown.content.decode()
    assert "no open break with bank or custodian" in page
    assert "(checks_failed)" in page
    path = f"{NAVS}/{strike.pk}/decision"
    body = {"is_approved": True, "content_hash": strike.result_hash}
    assert ask(small.checker, path, **body) == (409, "checks_failed")
    strike.refresh_from_db()
    assert (strike.state, strike.approved_by) == ("prepared", None)
    explain_break(found=found, cause="half was lent", actor=small.maker)
    close_break(found=found, resolution="agreed with the custodian", actor=small.checker)
    assert ask(small.checker, path, **body) == (200, "")
