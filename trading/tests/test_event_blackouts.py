"""Event blackouts: nothing is opened near a dated event, by the trader, the ticket, a backtest."""

from __future__ import annotations

import json
from datetime import UTC, timedelta
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, User
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock, utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_access import bearer
from trading.domain.engine.book import BookFill, OrderIntent
from trading.domain.market import HOUR_MS
from trading.domain.market.blackouts import Blackout, find_blackout, mark_barred
from trading.models import EventBlackout, Trial
from trading.services.blackouts import (
    enter_blackout,
    find_barred_now,
    read_blackouts,
    withdraw_blackout,
)
from trading.tests.magnet_bars import make_random_bars
from trading.tests.parity import CASH, build_ground, run_history, run_trader
from trading.tests.test_research_backtests import NAME, store
from trading.tests.test_research_studies import call
from trading.tests.test_trader_caps import START_MS, STEP_MS, SYMBOL, make_market, trade
from trading.tests.test_trader_caps import wish as wish  # the fixture of a sleeve that wants in


@pytest.fixture(autouse=True)
def cash(settings: Any) -> None:
    settings.INITIAL_EQUITY = CASH


def person(name: str, role: Role) -> User:
    return ensure_user(email=f"{name}@example.com", name=name, roles=[role])


def event(at_ms: int, before: int, after: int, symbol: str | None = None, **more: Any) -> Any:
    return enter_blackout(
        book=more.pop("book", "live"), title=more.pop("title", "Rate decision"),
        event_at=from_milliseconds(at_ms), before_minutes=before, after_minutes=after,
        symbol=symbol, actor=Actor.of(person("olga", Role.OPERATOR)), **more,
    )  # fmt: skip


@given(before=st.integers(0, 600), after=st.integers(1, 600), offset=st.integers(-50_000, 50_000))
def test_a_span_bars_from_its_first_instant_to_before_its_last(
    before: int, after: int, offset: int
) -> None:
    item = Blackout(title="x", event_ms=0, before_minutes=before, after_minutes=after, symbol="A")
    at = offset * 1_000
    inside = -before * 60_000 <= at < after * 60_000
    assert item.bars("A", at) is inside
    assert not item.bars("B", at)
    marked = mark_barred([item], symbol="A", known_at=np.array([at], dtype=np.int64))
    assert bool(marked[0]) is inside
    assert (find_blackout([item], symbol="A", at_ms=at) is not None) is inside


@pytest.mark.parametrize(
    ("before", "after", "title"), [(0, 0, "x"), (-1, 5, "x"), (5, 10_081, "x"), (5, 5, " ")]
)
def test_a_malformed_event_is_refused(before: int, after: int, title: str) -> None:
    with pytest.raises(InvalidInput):
        Blackout(title=title, event_ms=0, before_minutes=before, after_minutes=after)


@pytest.mark.usefixtures("as_gateway")
@pytest.mark.parametrize("symbol", [None, SYMBOL])
def test_the_trader_opens_nothing_near_an_event_and_trades_on_after_it(
    wish: dict[str, float], symbol: str | None
) -> None:
    market = make_market(seed=33, days=1)
    build_ground(market, tick="0.1")
    first_close = START_MS + HOUR_MS
    with use_clock(VirtualClock(from_milliseconds(START_MS))):
        event(first_close, 10, 30, symbol)
    _, orders = trade(market, hours=3)
    assert orders, "the sleeve wants in at each close"
    assert orders[0].occurred_at >= from_milliseconds(first_close + HOUR_MS)


@pytest.mark.usefixtures("as_gateway")
def test_a_replay_opens_nothing_near_an_event_and_the_same_as_the_trader_elsewhere(
    wish: dict[str, float],
) -> None:
    market = make_market(seed=33, days=1)
    instruments = build_ground(market, tick="0.1")
    free, _ = run_history(market, instruments, book="free", fine=True)
    with use_clock(VirtualClock(from_milliseconds(START_MS))):
        event(START_MS + HOUR_MS, 0, 300)
        event(START_MS + 14 * HOUR_MS, 60, 1, SYMBOL)
        event(START_MS + 20 * HOUR_MS, 600, 0, None, book="other")
    events = read_blackouts("live")
    told, _ = run_history(market, instruments, book="told", fine=True, blackouts=events)
    live, _ = run_trader(market, book="live", beat_ms=STEP_MS)
    barred = [
        intent.decided_at for intent in told.events
        if isinstance(intent, OrderIntent) and not intent.reduces
        and any(item.bars(SYMBOL, intent.decided_at) for item in events)
    ]  # fmt: skip
    assert barred == []
    assert told.count(BookFill) > 0
    assert told.lines() != free.lines()
    assert live.lines() == told.lines()


@pytest.mark.usefixtures("as_gateway")
def test_an_event_entered_while_trading_acts_and_one_withdrawn_does_not(
    wish: dict[str, float],
) -> None:
    market = make_market(seed=33, days=1)
    build_ground(market, tick="0.1")
    _, barred = trade(market, between=lambda: event(START_MS + HOUR_MS - STEP_MS, 0, 600))
    assert barred == []


@pytest.mark.usefixtures("as_gateway")
def test_an_event_of_another_instrument_bars_nothing_here(wish: dict[str, float]) -> None:
    market = make_market(seed=33, days=1)
    build_ground(market, tick="0.1")
    with use_clock(VirtualClock(from_milliseconds(START_MS))):
        row = event(START_MS + HOUR_MS, 10, 600)
        with pytest.raises(NotAllowed):
            withdraw_blackout(
                book="live", number=row.pk, reason="moved",
                actor=Actor.of(person("olga", Role.OPERATOR)),
            )  # fmt: skip
        officer = Actor.of(person("rita", Role.RISK_OFFICER))
        with pytest.raises(InvalidInput):
            withdraw_blackout(book="live", number=row.pk, reason=" ", actor=officer)
        withdraw_blackout(book="live", number=row.pk, reason="moved", actor=officer)
        with pytest.raises(Conflict):
            withdraw_blackout(book="live", number=row.pk, reason="moved", actor=officer)
        assert not find_barred_now("live", [SYMBOL], at=from_milliseconds(START_MS + HOUR_MS))
    actions = AuditEvent.objects.filter(action__startswith="blackout.")
    assert list(actions.order_by("id").values_list("action", flat=True)) == [
        "blackout.entered", "blackout.withdrawn",
    ]  # fmt: skip
    _, orders = trade(market)
    assert len(orders) == 1


@pytest.mark.django_db
def test_a_backtest_under_the_funds_rules_opens_nothing_near_an_event() -> None:
    bars = make_random_bars(count=2_000, seed=31)
    store(bars)
    arguments = ("backtest", "--strategy", "moving-average", "--instrument", NAME)
    free = call(*arguments, "--rules", "fund")
    bare = call(*arguments, "--rules", "bare")
    start = int(bars.open_time[800])
    event(start, 0, 7 * 24 * 60, NAME, book="main")
    event(start + 7 * 24 * HOUR_MS, 0, 7 * 24 * 60, book="main")
    held = call(*arguments, "--rules", "fund")
    assert held["id"] != free["id"]
    assert any("around 2 dated events" in line for line in held["assumptions"])
    assert call(*arguments, "--rules", "bare")["id"] == bare["id"], "bare knows no calendar"
    assert Trial.objects.count() == 3

    from trading.models import ResearchRun
    from trading.services.research.tables import decode_rows

    def opened(number: int) -> list[int]:
        rows = decode_rows(ResearchRun.objects.get(pk=number).trades_file)
        return [row["entry_ms"] for row in rows]

    end = start + 14 * 24 * HOUR_MS
    assert any(start <= at < end for at in opened(free["id"]))
    assert not any(start <= at < end for at in opened(held["id"]))
    assert any(at >= end for at in opened(held["id"]))


@pytest.mark.django_db
def test_the_command_enters_shows_and_withdraws() -> None:
    store(make_random_bars(count=60, seed=1))
    made = call(
        "blackout", "enter", "--title", "Listing", "--at", "2026-12-09T19:00", "--before", "30",
        "--instrument", NAME,
    )  # fmt: skip
    assert made["starts_at"] == "2026-12-09T18:30:00Z"
    out = StringIO()
    call_command("blackout", "show", stdout=out)
    assert "Listing, 2026-12-09 19:00 UTC" in out.getvalue()
    with pytest.raises(CommandError, match="bad_date"):
        call("blackout", "enter", "--title", "x", "--at", "tomorrow")
    with pytest.raises(CommandError, match="unknown_instrument"):
        call(
            "blackout",
            "enter",
            "--title",
            "x",
            "--at",
            "2026-12-09",
            "--instrument",
            "XYZ/USDT:USDT",
        )
    with pytest.raises(CommandError, match="reason_missing"):
        call("blackout", "withdraw", "--number", str(made["id"]))
    call("blackout", "withdraw", "--number", str(made["id"]), "--reason", "moved")
    assert call("blackout", "show")["events"] == []


@pytest.mark.django_db
@pytest.mark.usefixtures("token_keys")
def test_the_page_and_the_api_enter_and_refuse(client: Client) -> None:
    client.force_login(person("olga", Role.OPERATOR))
    at = (utc_now() + timedelta(days=1)).astimezone(UTC)
    given = {
        "title": "Rate decision", "event_at": f"{at:%Y-%m-%dT%H:%M}", "before": "30",
        "after": "90", "instrument": "",
    }  # fmt: skip
    bad = client.post("/desk/risk/events/enter/", {**given, "before": "many"})
    assert bad.status_code == 422
    assert b"Minutes are whole numbers" in bad.content
    assert b'value="Rate decision"' in bad.content, "nothing typed is lost"
    assert not EventBlackout.objects.exists()
    assert client.post("/desk/risk/events/enter/", given).status_code == 302
    page = client.get("/desk/risk/events/").content.decode()
    assert "Rate decision" in page
    assert "30 min before to 90 min after" in page
    row = EventBlackout.objects.get()
    assert row.ends_at - row.starts_at == timedelta(hours=2)
    assert client.post(f"/desk/risk/events/{row.pk}/withdraw/", {"reason": "x"}).status_code == 403
    client.force_login(person("rita", Role.RISK_OFFICER))
    client.post(f"/desk/risk/events/{row.pk}/withdraw/", {"reason": "moved"})
    row.refresh_from_db()
    assert row.withdrawn_reason == "moved"
    body = {
        "title": "Unlock", "event_at": "2030-01-01T00:00:00Z", "before_minutes": 5,
        "after_minutes": 5,
    }  # fmt: skip
    api = Client(headers=bearer(Role.OPERATOR))
    made = api.post("/api/risk/events", json.dumps(body), content_type="application/json")
    assert made.status_code == 201
    assert made.json()["instrument"] is None
    assert [row["title"] for row in api.get("/api/risk/events").json()] == ["Unlock"]
    path = f"/api/risk/events/{made.json()['id']}/withdraw"
    assert api.post(path, {"reason": "x"}, content_type="application/json").status_code == 403
    officer = Client(headers=bearer(Role.RISK_OFFICER))
    gone = officer.post(path, {"reason": "moved"}, content_type="application/json")
    assert gone.json()["withdrawn"]
    empty = {**body, "before_minutes": 0, "after_minutes": 0}
    bad = api.post("/api/risk/events", json.dumps(empty), content_type="application/json")
    assert (bad.status_code, bad.json()["error"]["code"]) == (422, "blackout_span")
