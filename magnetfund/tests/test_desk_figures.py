"""What the desk works out for its pages: gauges, consequences, remainders, the engine's word."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.test import Client

from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.walls_support import make_engine_ready
from magnetfund.web.desk import selectors as desk
from magnetfund.web.desk.gauges import Gauge, draw_spark, find_nearest
from magnetfund.web.desk.stresses import build_consequences, build_stress_book, estimate_stop_cost
from risk.domain.limits import DEFAULT_LIMITS
from risk.domain.stress import compute_equity
from risk.domain.tail_risk import WINDOW_DAYS
from trading.models import EngineTransition, Instrument, Position, Valuation


def position(quantity: str, mark: str = "50000", stop: str | None = "49000", leverage: float = 1.0):
    instrument = Instrument(
        symbol="BTC/USDT:USDT", base="BTC", tick=Decimal("0.1"), lot=Decimal("0.001"),
        minimum_notional=5, taker_fee=Decimal("0.0005"), gap_floor=Decimal("0.25"),
        maintenance_tiers=[["inf", "0.004"]],
    )  # fmt: skip
    row = Position(
        instrument=instrument, strategy=f"s{quantity}", quantity=Decimal(quantity),
        average_price=Decimal(50_000), leverage=leverage,
        stop_price=Decimal(stop) if stop else None,
    )  # fmt: skip
    return desk.show_positions([row], {instrument.symbol: Decimal(mark)})[0]


def valuation(unit: str = "100") -> Any:
    return SimpleNamespace(
        equity=Decimal(430_000), unit_value=Decimal(unit), day_start_unit_value=Decimal(100),
        peak_unit_value=Decimal(100),
    )  # fmt: skip


def consequences(*positions: Any, unit: str = "100") -> dict[str, Any]:
    found = build_consequences(list(positions), valuation(unit), DEFAULT_LIMITS)
    return {item.words: item for item in found}


def test_the_emergency_stop_costs_what_closing_costs_now():
    # 0.4 BTC at a mark of 51,000, whatever the stop: taker fee, and the slippage of a forced fill.
    for stop in ("49000", "20000", None):
        cost = estimate_stop_cost([position("0.4", mark="51000", stop=stop)])
        assert cost.notional == 20_400
        assert cost.fees == Decimal("10.2")
        assert cost.slippage > 0
        assert cost.total == cost.fees + cost.slippage
        assert cost.realised == 400
    assert estimate_stop_cost([]).total == 0


def test_stops_are_counted_from_the_marks():
    found = consequences(position("0.4", mark="51000"))
    assert found["All stops fill at their stop price"].result == -800


def test_a_known_day_moves_the_position_and_closing_costs_are_in():
    item = consequences(position("1"))["12 March 2020, low"]
    # 1 BTC at 50,000 falls by 44.4 %; closing costs 5 bp and 2 bp of what is left.
    assert item.moves == (-0.444,)
    assert item.result == pytest.approx(-50_000 * 0.444 - 50_000 * 0.556 * 0.0007)
    assert item.liquidated == ()


def test_a_leveraged_position_loses_its_wallet_and_no_more():
    item = consequences(position("1", leverage=3.0))["12 March 2020, low"]
    assert item.result == pytest.approx(-50_000 / 3)
    assert item.liquidated == ("BTC s1",)


def test_a_long_and_a_short_of_the_same_size_nearly_cancel():
    item = consequences(position("1"), position("-1", stop="51000"))["12 March 2020, low"]
    assert abs(item.result) < 50


@pytest.mark.parametrize(("unit", "trips"), [("100", False), ("97.49", True), ("97.51", False)])
def test_the_fuse_is_told_from_the_nearer_loss_limit(unit: str, trips: bool):
    # The stop is at the mark, so nothing is lost: only the day that was is measured.
    found = consequences(position("0.1", stop="50000"), unit=unit)
    assert found["All stops fill at their stop price"].trips is trips


def test_equity_of_the_stress_book_is_that_of_the_fund():
    book = build_stress_book([position("1", mark="51000")], valuation(), DEFAULT_LIMITS)
    assert compute_equity(book=book) == pytest.approx(430_000)
    assert book.loss_limit == pytest.approx(430_000 * 0.975)


def test_nothing_open_has_no_consequence():
    assert consequences() == {}


def gauge(now: str, *, is_idle: bool = False) -> Gauge:
    return Gauge(
        name="Conflict", note="BTC", now=Decimal(now), threshold=Decimal("0.8"), is_idle=is_idle
    )


def test_a_measure_without_a_position_warns_of_nothing():
    assert gauge("0.9").is_warning
    assert not gauge("0.9", is_idle=True).is_warning
    assert gauge("0.5").room == Decimal("0.3")
    assert gauge("0.9").room == 0


def test_the_nearest_trigger_leaves_idle_measures_out():
    assert find_nearest(0.1, 0.4, [gauge("0.9", is_idle=True)]) == ("drawdown", Decimal("0.4"))
    name, share = find_nearest(0.1, 0.4, [gauge("0.6")])
    assert (name, share) == ("conflict, BTC", Decimal("0.75"))


@pytest.mark.django_db
class TestEngine:
    def test_a_stop_of_the_process_reads_as_a_start_right_after_a_restart(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        EngineTransition.objects.create(book="main", state="STOPPED", actor_label="trader")
        monkeypatch.setattr(desk, "PROCESS_STARTED_AT", utc_now())
        assert desk.find_engine("main")["word"] == "Starting"
        monkeypatch.setattr(desk, "PROCESS_STARTED_AT", utc_now() - timedelta(minutes=3))
        assert desk.find_engine("main")["word"] == "Stopped"

    def test_a_stop_by_a_person_is_a_stop_at_once(self, monkeypatch: pytest.MonkeyPatch):
        EngineTransition.objects.create(
            book="main", state="STOPPED", actor_label="Ann", reason="drill"
        )
        monkeypatch.setattr(desk, "PROCESS_STARTED_AT", utc_now())
        found = desk.find_engine("main")
        assert (found["word"], found["note"]) == ("Stopped", "drill")

    def test_reconciling_is_starting(self):
        EngineTransition.objects.create(book="main", state="RECONCILING", actor_label="trader")
        assert desk.find_engine("main")["word"] == "Starting"


@pytest.mark.usefixtures("fresh_database")
def test_an_engine_that_is_ready_reads_as_ready():
    make_engine_ready()
    assert desk.find_engine("main")["word"] == "Ready"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/", *(f"/desk/{p}" for p in ("", "risk/", "trading/", "signals/", "fund/"))]
)
def test_an_empty_fund_is_told_in_words(path: str):
    client = Client()
    client.force_login(ensure_user(email="op@example.com", name="Op", roles=[Role.OPERATOR]))
    page = client.get(path).content.decode().partition("<main")[2]
    words = re.sub(r"<[^>]+>", " ", page)
    assert not re.search(r"\b(None|nan|Decimal|TypeError)\b", words), words[:600]
    # Today of an empty fund lists what there is to do; every other page says what will appear.
    assert "mf-empty" in page or "open task" in words


@pytest.mark.django_db
def test_old_figures_are_called_old():
    Valuation.objects.create(
        book="main", at=utc_now() - timedelta(minutes=11), equity=430_000, cash=430_000,
        unit_value=100, peak_unit_value=100, day_start_unit_value=100,
    )  # fmt: skip
    client = Client()
    client.force_login(ensure_user(email="op@example.com", name="Op", roles=[Role.OPERATOR]))
    assert "Figures are out of date." in client.get("/desk/").content.decode()
    assert "Trading figures are out of date." in client.get("/").content.decode()


def test_a_spark_ends_at_its_newest_value_and_needs_two():
    found = draw_spark([1.0, 3.0, 2.0])
    assert found is not None
    assert found.path == "M2.0 17.0L31.0 3.0L60.0 10.0"
    assert (found.x, found.y) == (60.0, 10.0)
    assert draw_spark([1.0]) is None
    flat = draw_spark([5.0, 5.0])
    assert flat is not None
    assert flat.y == 17.0


@pytest.mark.django_db
def test_tail_risk_says_what_a_day_may_lose_or_how_many_days_it_lacks():
    client = Client()
    client.force_login(ensure_user(email="r@example.com", name="R", roles=[Role.RISK_OFFICER]))
    assert "0 closed days" in " ".join(client.get("/desk/risk/tail/").content.decode().split())
    now, steps = utc_now(), np.random.default_rng(3).normal(0.0, 0.01, WINDOW_DAYS + 30)
    for back, value in zip(
        range(WINDOW_DAYS + 30, 0, -1), 100 * np.cumprod(1 + steps), strict=True
    ):
        unit = Decimal(f"{value:.6f}")
        Valuation.objects.create(
            book="main", at=now - timedelta(days=back), equity=40_000, cash=40_000,
            unit_value=unit, peak_unit_value=unit, day_start_unit_value=unit,
        )  # fmt: skip
    page = " ".join(client.get("/desk/risk/tail/").content.decode().split())
    for words in ("Filtered historical", "of 29", "needs 250 days", "Did they hold?"):
        assert words in page, words
