"""Figures of sleeves: by hand, kept after trades, made anew, judged for live money."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_access import bearer
from trading.domain.market.candles import DAY_MS
from trading.domain.performance import (
    ClosedTrade,
    compute_daily_shares,
    compute_survival_probability,
    measure_trades,
)
from trading.models import (
    BookMember,
    Instrument,
    Signal,
    SleeveProposal,
    Strategy,
    StrategyNote,
    StrategyPerformance,
    Trade,
    TradingSession,
)
from trading.selectors.strategies import SleeveDecision, find_decisions, find_sleeve
from trading.services import performance
from trading.services.performance import refresh_performance
from trading.services.run_now import build_ticket
from trading.services.sessions import open_session
from trading.tests.test_membership import new_instrument

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
NETS = (100.0, -50.0, 200.0, -80.0, 30.0)


def closed(net: float, day: int, *, hours: int = 6) -> ClosedTrade:
    return ClosedTrade(
        opened_ms=day * DAY_MS,
        closed_ms=day * DAY_MS + hours * 3_600_000,
        net=net,
        balance=10_000.0,
    )


def test_the_figures_are_those_of_a_hand_calculation() -> None:
    trades = [closed(net, day) for day, net in enumerate(NETS)]
    found = measure_trades(trades, end_ms=5 * DAY_MS)
    assert (found.trades, found.wins, found.losses, found.days) == (5, 3, 2, 5)
    assert found.win_rate == 0.6
    assert found.average_win == pytest.approx(110.0)
    assert found.average_loss == pytest.approx(-65.0)
    assert (found.largest_win, found.largest_loss) == (200.0, -80.0)
    assert found.profit_factor == pytest.approx(330.0 / 130.0)
    assert found.expectancy == pytest.approx(40.0)
    daily = np.array(NETS) / 10_000.0
    assert found.sharpe == pytest.approx(daily.mean() / daily.std(ddof=1) * math.sqrt(365.0))
    assert found.drawdown_max == pytest.approx(0.008)
    assert found.exposure == pytest.approx(5 * 6 / (5 * 24))
    assert compute_daily_shares(trades, end_ms=7 * DAY_MS).size == 7


def test_without_trades_or_losses_nothing_is_invented() -> None:
    none = measure_trades([], end_ms=DAY_MS)
    assert (none.trades, none.win_rate, none.sharpe, none.drawdown_max) == (0, None, None, None)
    won = measure_trades([closed(10.0, 0), closed(5.0, 1)], end_ms=2 * DAY_MS)
    assert won.profit_factor == math.inf
    assert won.average_loss is None
    assert won.drawdown_max == 0.0


def test_a_year_of_an_edge_survives_and_one_without_does_not() -> None:
    rng = np.random.default_rng(3)
    edge = rng.normal(0.002, 0.004, 300).tolist()
    none = rng.normal(-0.0005, 0.01, 300).tolist()
    asked = {"trades_a_year": 200.0, "luck_a_trade": 0.0}
    assert (compute_survival_probability(edge, **asked) or 0.0) > 0.99
    assert (compute_survival_probability(none, **asked) or 0.0) < 0.5
    taken = compute_survival_probability(edge, trades_a_year=200.0, luck_a_trade=0.002)
    assert (taken or 0.0) < 0.9
    assert compute_survival_probability(edge[:9], **asked) is None


@pytest.fixture
def sleeve(as_gateway: None) -> Strategy:
    row = Strategy.objects.create(
        code="trend", version=1, name="Trend", risk_fraction=Decimal("0.0035")
    )
    instrument = new_instrument("BTC/USDT:USDT")
    BookMember.objects.create(
        book="main", version=1, strategy="trend", instrument=instrument, state="trading",
        reason="first", actor_label="test",
    )  # fmt: skip
    return row


def add_trade(net: float, day: int) -> Trade:
    closed_at = START + timedelta(days=day, hours=6)
    return Trade.objects.create(
        instrument=Instrument.objects.get(),
        strategy="trend",
        direction="long",
        quantity=Decimal(1),
        entry_price=Decimal(100),
        exit_price=Decimal(101),
        gross_pnl=Decimal(str(net)) + 3,
        commission=Decimal(2),
        slippage=Decimal(1),
        funding=Decimal(0),
        net_pnl=Decimal(str(net)),
        account_balance=Decimal(10_000),
        closure_reason="signal",
        opened_at=START + timedelta(days=day),
        closed_at=closed_at,
    )


def latest() -> StrategyPerformance:
    return StrategyPerformance.objects.get(kind="latest")


def test_figures_follow_closed_trades_and_are_made_anew_the_same(sleeve: Strategy) -> None:
    for day, net in enumerate(NETS):
        add_trade(net, day * 9)
    at = START + timedelta(days=60)
    assert refresh_performance("main", at=at) == 1
    assert refresh_performance("main", at=at) == 0
    first = latest()
    assert (first.total_trades, first.winning_trades, first.net_pnl) == (5, 3, Decimal(200))
    assert first.commission == Decimal(10)
    assert not first.ready_for_live
    assert "5 trades, at least 100" in first.ready_for_live_reason
    assert first.confidence_score <= 40.0
    add_trade(-20.0, 50)
    assert refresh_performance("main", at=at) == 1
    assert latest().net_pnl == Decimal(180)
    out = StringIO()
    call_command("recalculate_performance", "--json", stdout=out)
    assert json.loads(out.getvalue())["strategies"] == {"trend": 6}
    months = StrategyPerformance.objects.filter(kind="month").exclude(total_trades=0)
    assert sum(row.net_pnl for row in months) == Decimal(180)
    assert StrategyPerformance.objects.filter(kind="day").count() >= 6
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM v_latest_strategy_performance")
        names = [column.name for column in cursor.description or ()]
        row = dict(zip(names, cursor.fetchone(), strict=True))
    assert row["total_trades"] == 6
    assert row["win_rate"] == pytest.approx(0.5)
    assert {
        "sharpe_ratio", "max_drawdown", "profit_factor", "confidence_score", "ready_for_live",
        "ready_for_live_reason",
    } <= set(names)  # fmt: skip


def test_days_and_months_are_whole_after_a_past_an_outage_and_a_late_booking(
    sleeve: Strategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The trades of this test are seen as soon as they have their time.
    monkeypatch.setattr(performance, "BOOKED_WITHIN", timedelta(0))

    def months() -> list[tuple[int, Decimal]]:
        rows = StrategyPerformance.objects.filter(kind="month").exclude(total_trades=0)
        return [(row.total_trades, row.net_pnl) for row in rows.order_by("period")]

    def refresh(day: int) -> None:
        refresh_performance("main", at=START + timedelta(days=day, hours=12))

    # A book with a past: its first figures hold every month.
    add_trade(10.0, 3)
    add_trade(20.0, 40)
    refresh(41)
    assert months() == [(1, Decimal(10)), (1, Decimal(20))]
    # Nobody looked for weeks, in which a month ended; and a trade of January is booked late.
    add_trade(-5.0, 50)
    add_trade(7.0, 66)
    add_trade(1.0, 20)
    refresh(70)
    assert months() == [(2, Decimal(11)), (2, Decimal(15)), (1, Decimal(7))]
    days = StrategyPerformance.objects.filter(kind="day").order_by("period")
    before = list(days.values_list("period", "total_trades", "net_pnl"))
    call_command("recalculate_performance", "--json", stdout=StringIO())
    assert set(before) <= set(days.values_list("period", "total_trades", "net_pnl"))


def person(letter: str, *roles: Role) -> Client:
    client = Client()
    client.force_login(ensure_user(email=f"{letter}@example.com", name=letter, roles=list(roles)))
    return client


def test_the_page_shows_figures_verdict_checks_and_keeps_notes(sleeve: Strategy) -> None:
    for day, net in enumerate(NETS):
        add_trade(net, day * 9)
    refresh_performance("main", at=START + timedelta(days=60))
    desk = person("o", Role.OPERATOR)
    assert "trend" in desk.get("/desk/research/strategies/").content.decode()
    page = " ".join(desk.get("/desk/research/strategies/trend/").content.decode().split())
    for words in ("Not ready. Its edge is not shown", "5 trades, at least 100",
                  "Before it may open anything", "fewer than 100 trades", "+200.00"):  # fmt: skip
        assert words in page, words
    answer = desk.post(
        "/desk/research/strategies/trend/note/", {"text": "Third stop in a row.", "tags": "stop, a"}
    )
    assert answer.status_code == 302
    note = StrategyNote.objects.get()
    assert note.tags == ["stop", "a"]
    assert AuditEvent.objects.filter(action="strategy.note").exists()
    assert "Third stop in a row." in desk.get("/desk/research/strategies/trend/").content.decode()
    desk.post("/desk/research/strategies/trend/note/", {"text": "  "})
    assert StrategyNote.objects.count() == 1
    assert desk.get("/desk/research/strategies/nobody/").status_code == 404
    assert desk.post("/desk/research/strategies/nobody/note/", {"text": "x"}).status_code == 404


def test_two_officers_add_and_retire_a_sleeve_on_the_page(sleeve: Strategy) -> None:
    first, second = person("a", Role.RISK_OFFICER), person("b", Role.RISK_OFFICER)
    form = {"code": "donchian", "risk": "0.25", "parameters": "enter_bars = 30", "reason": "paper"}
    bad = first.post("/desk/research/strategies/propose/", {**form, "risk": "7"})
    assert bad.status_code == 422
    assert "at most" in bad.content.decode()
    assert first.post("/desk/research/strategies/propose/", form).status_code == 302
    row = SleeveProposal.objects.get()
    decide = f"/desk/research/strategies/decide/{row.pk}/"
    for client, seen in ((first, row.content_hash), (second, "0" * 64)):
        client.post(decide, {"decision": "approve", "hash": seen})
        assert not Strategy.objects.filter(code="donchian").exists()
    second.post(decide, {"decision": "approve", "hash": row.content_hash})
    assert Strategy.objects.get(code="donchian").parameters == {"enter_bars": 30}
    assert person("o", Role.OPERATOR).post(decide, {}).status_code == 403
    first.post("/desk/research/strategies/donchian/retire/", {"reason": "enough"})
    leaving = SleeveProposal.objects.get(decision="")
    second.post(
        f"/desk/research/strategies/decide/{leaving.pk}/",
        {"decision": "approve", "hash": leaving.content_hash},
    )
    assert not Strategy.objects.get(code="donchian").is_active


def test_a_day_s_session_is_opened_once_with_its_checklist_and_closed_with_its_result(
    sleeve: Strategy,
) -> None:
    add_trade(100.0, 0)
    refresh_performance("main", at=START + timedelta(days=1))
    first = START + timedelta(days=1)
    assert open_session("main", at=first)
    assert not open_session("main", at=first + timedelta(hours=3))
    row = TradingSession.objects.get()
    (told,) = row.sleeves
    assert told["strategy"] == "trend"
    assert {item["name"]: item["is_passed"] for item in told["checks"]}["Trader"] is False
    assert len(told["facts"]) == 5
    assert told["confidence_score"] is not None
    assert row.ended_at is None
    add_trade(-40.0, 1)
    assert open_session("main", at=first + timedelta(days=3))
    row.refresh_from_db()
    assert row.ended_at == datetime(2026, 1, 7, tzinfo=UTC)
    assert row.summary == {"trend": {"trades": 1, "net": "-40.000000000000000000"}}
    with pytest.raises(IntegrityError), transaction.atomic():
        TradingSession.objects.create(book="main")
    page = person("o", Role.OPERATOR).get("/desk/research/strategies/trend/").content.decode()
    assert "Sessions" in page
    assert "Trader: no heartbeat" in page


def decided(direction: int, stop: float, **more: Any) -> SleeveDecision:
    # Steps as the database tells them.
    row = Instrument(
        symbol="BTC/USDT:USDT", tick=Decimal("0.100000000000000000"),
        lot=Decimal("0.001000000000000000"),
    )  # fmt: skip
    return SleeveDecision(
        instrument=row, decided_at=START, reason="entry", direction=direction, stop=stop, **more
    )


def test_run_now_is_the_newest_decision_at_the_sleeve_s_risk_or_says_why_not() -> None:
    asked: dict[str, Any] = {
        "strategy": "Trend", "risk_fraction": Decimal("0.0035"), "equity": Decimal(430_000),
        "mark": Decimal(50_000),
    }  # fmt: skip
    fields = build_ticket(decided(1, 48_000.04, target=58_000.0), **asked)
    assert not isinstance(fields, str)
    assert (fields["side"], fields["stop"], fields["target"]) == ("long", "48000", "58000")
    assert len(fields["amount"]) <= len("0.735")
    loss = Decimal(fields["amount"]) * (Decimal("1999.96") + Decimal(50_000) * Decimal("0.0014"))
    assert Decimal(1503) < loss <= Decimal(1505)
    for decision, words in (
        (decided(0, 48_000.0), "opens no position"),
        (decided(-1, 48_000.0), "beyond its stop"),
        (decided(1, 48_000.0, target=49_000.0), "beyond its target"),
    ):
        assert words in str(build_ticket(decision, **asked))
    assert "below one lot" in str(build_ticket(decided(1, 48e3), **asked | {"equity": Decimal(9)}))
    assert "no live price" in str(build_ticket(decided(1, 48e3), **asked | {"mark": None}))


def test_run_now_passes_over_bars_without_a_decision(sleeve: Strategy) -> None:
    instrument = Instrument.objects.get()
    for hours, said in (
        (1, {"direction": 1, "reason": "entry", "stop": 90.0}),
        (2, {"direction": 0, "reason": "not_decision_bar"}),
    ):
        Signal.objects.create(
            instrument=instrument, timeframe="1h", known_at=START + timedelta(hours=hours),
            close=100.0, reading={"trend": said},
        )  # fmt: skip
    row = find_sleeve("main", "trend")
    assert row is not None
    (found,) = find_decisions(row, at=START + timedelta(hours=3))
    assert (found.direction, found.stop) == (1, 90.0)
    assert found.decided_at == START + timedelta(hours=1)
    (stale,) = find_decisions(row, at=START + timedelta(hours=27))
    assert (stale.direction, stale.decided_at) == (0, None)


@pytest.mark.usefixtures("token_keys")
def test_health_and_performance_over_the_api(sleeve: Strategy) -> None:
    add_trade(10.0, 0)
    refresh_performance("main", at=START + timedelta(days=2))
    headers = bearer(Role.OPERATOR)

    def read(path: str) -> Any:
        answer = Client().get(path, headers=headers)
        assert answer.status_code == 200, path
        return answer.json()

    whole = read("/api/strategies/health")
    assert whole["strategies"][0]["symbols_monitored"] == ["BTC/USDT:USDT"]
    assert whole["status"] == "inactive"  # no trader beats
    assert read("/api/trend/health")["strategy"] == "trend"
    assert read("/api/strategies/performance")[0]["total_trades"] == 1
    condor, scalping = read("/api/iron-condor/health"), read("/api/momentum-scalping/health")
    assert (condor["status"], condor["conditions_required"]) == ("inactive", None)
    assert (scalping["initialized"], scalping["conditions_required"]) == (False, 6)
    assert scalping["indicators"]
    assert Client().get("/api/nobody/health", headers=headers).status_code == 404
    assert Client().get("/api/trend/health").status_code == 401
