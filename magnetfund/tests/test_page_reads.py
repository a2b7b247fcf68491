"""Reads behind the pages that were made to stay small: they must still tell the truth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client

from investors.models import DealingOrder, Fund, Investor, ShareClass, UnitEntry
from magnetfund.core import sessions
from magnetfund.core.models import JobRun
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.tests.walls_support import make_instrument, make_user
from magnetfund.web.administration.admin import BoundedPaginator
from magnetfund.web.desk import selectors as desk
from magnetfund.web.desk.open_work import listing as open_work
from magnetfund.web.portal.activity import find_activity, money_of_movement
from risk.models import FuseReset
from trading import selectors
from trading.models import Instrument, Signal, Valuation
from trading.selectors.fuse import recent_measures

pytestmark = pytest.mark.django_db
DAY = datetime(2026, 3, 2, tzinfo=UTC)


def mark(at: datetime, unit_value: str, book: str = "main") -> None:
    Valuation.objects.create(
        book=book, at=at, equity=Decimal(unit_value) * 10, cash=0, unit_value=Decimal(unit_value),
        peak_unit_value=110, day_start_unit_value=100,
    )  # fmt: skip


def test_each_day_shows_its_last_value_and_a_day_without_any_is_left_out():
    mark(DAY + timedelta(hours=1), "100")
    mark(DAY + timedelta(hours=23, minutes=59), "101")
    mark(DAY + timedelta(days=1), "102")
    mark(DAY + timedelta(days=3, hours=5), "103")
    mark(DAY + timedelta(days=1, hours=9), "999", book="other")
    found = selectors.daily_unit_values("main")
    assert [value for _, value in found] == [101, 102, 103]
    assert found[0][0] == DAY + timedelta(hours=23, minutes=59)
    since = selectors.daily_unit_values(
        "main", since=DAY + timedelta(hours=23, minutes=59, seconds=1)
    )
    assert [value for _, value in since] == [102, 103]
    assert selectors.daily_unit_values("nobody") == []


def test_the_series_has_the_last_value_of_each_interval_and_only_the_newest_intervals(
    monkeypatch: pytest.MonkeyPatch,
):
    for minutes, value in ((0, "100"), (59, "104"), (60, "102"), (60 * 5 + 1, "101")):
        mark(DAY + timedelta(minutes=minutes), value)
    points = selectors.performance_series("main", period="all", interval="1h")
    assert [point.unit_value for point in points] == [104, 102, 101]
    assert points[-1].drawdown == pytest.approx(101 / 104 - 1)
    monkeypatch.setattr(selectors.book, "POINTS_MAX", 5)
    newest = selectors.performance_series("main", period="all", interval="1h")
    assert [point.unit_value for point in newest] == [102, 101]
    assert selectors.performance_series("main", period="1d", interval="1h") == []


def test_measures_come_from_the_newest_bar_with_a_map_and_the_past_in_order():
    instrument = make_instrument()
    for hour, ratio, has_map in ((0, 1.0, True), (1, 1.5, True), (2, 1.7, False)):
        reading: dict[str, Any] = {"magnet": {"volatility_ratio": ratio, "conflict": None}}
        Signal.objects.create(
            instrument=instrument, timeframe="1h", known_at=DAY + timedelta(hours=hour), close=1.0,
            reading={**reading, "map": {"long": {"conflict": 0.25}}} if has_map else reading,
        )  # fmt: skip
    Instrument.objects.filter(pk=instrument.pk).update(is_active=True)
    (found,) = recent_measures()
    assert (found.base, found.volatility_ratio) == ("BTC", 1.5)
    assert found.conflicts == {1: 0.25, -1: None}
    assert found.volatility_ratios == [1.0, 1.5, 1.7]
    assert found.conflicts_past == {1: [0.25, 0.25], -1: []}
    (short,) = recent_measures(bars=2)
    assert short.volatility_ratios == [1.5, 1.7]


@pytest.fixture
def share_class() -> ShareClass:
    fund = Fund.objects.create(code="F", name="Fund", book="main", inception=DAY)
    return ShareClass.objects.create(fund=fund, code="A", name="A", launch_price=100)


def subscribe(share_class: ShareClass, investor: Investor, amount: int, at: datetime) -> None:
    DealingOrder.objects.create(
        kind="subscription", investor=investor, share_class=share_class, amount=amount,
        state="accepted", received_at=at,
    )  # fmt: skip


def test_open_work_of_all_kinds_stands_in_one_list_oldest_first(
    share_class: ShareClass, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(open_work, "TASKS_SHOWN", 2)
    monkeypatch.setattr(open_work, "_compile", open_work._compile.__wrapped__)
    investor = Investor.objects.create(number="1", legal_name="Ines Marlow", email="i@example.com")
    for days, amount in ((0, 1_000), (2, 2_500), (3, 9_999)):
        subscribe(share_class, investor, amount, DAY + timedelta(days=days))
    FuseReset.objects.create(
        book="main", reason="quiet again", reconciliation="r", proposed_at=DAY + timedelta(days=1),
        proposed_by=make_user("rita", Role.RISK_OFFICER),
    )  # fmt: skip
    found = open_work.find_rows("main")
    assert [item.what for item in found] == [
        "Ines Marlow, 1,000.00 USD",
        "Request to re-arm the fuse: a second risk officer approves",
        "Ines Marlow, 2,500.00 USD",
    ]
    assert found[1].note == "quiet again (by Rita)"
    assert found[0].note == "class A; funds not yet cleared"
    assert open_work.find_rows("other") == []


def test_the_activity_is_cut_into_pages_without_loss(share_class: ShareClass):
    investor = Investor.objects.create(number="1", legal_name="Ines Marlow", email="i@example.com")
    for k in range(7):
        subscribe(share_class, investor, 100 + k, DAY + timedelta(hours=k))
    pages = [find_activity(investor, number=number, size=3) for number in (1, 2, 3)]
    amounts = [int(item.amount or 0) for page in pages for item in page.happenings]
    assert amounts == [*range(106, 99, -1)]
    assert [page.has_older for page in pages] == [True, True, False]


@pytest.mark.parametrize(
    ("kind", "units", "shown"),
    [
        ("redeem", "-25", "2496.81"),
        ("switch_out", "-3", "299.61"),
        ("issue", "2", "199.7452"),
        ("transfer_out", "-1", "99.87"),
        ("transfer_out", "-3", "299.62"),
    ],
)
def test_the_activity_shows_the_cents_that_were_paid(kind: str, units: str, shown: str):
    entry = UnitEntry(kind=kind, units=Decimal(units), price=Decimal("99.8726"))
    assert money_of_movement(entry) == Decimal(shown)


def test_each_job_shows_its_newest_run():
    now = utc_now()
    for minutes, state in ((9, "failed"), (1, "done")):
        JobRun.objects.create(
            job="job_health", scheduled_for=now - timedelta(minutes=minutes), state=state
        )
    found = {item["name"]: item["state"] for item in desk.find_jobs()}
    assert found["job health"] == "done"
    assert found["housekeeping"] == "none"


def test_a_list_of_the_admin_is_counted_no_further_than_it_can_be_browsed(
    monkeypatch: pytest.MonkeyPatch,
):
    for number in range(5):
        Investor.objects.create(number=str(number), legal_name="x", email="x@example.com")
    monkeypatch.setattr("magnetfund.web.administration.admin.ROWS_BROWSED_MAX", 3)
    assert BoundedPaginator(Investor.objects.order_by("number"), 2).num_pages == 2


class TestSessions:
    def test_last_seen_is_written_once_a_minute_and_at_once_from_a_new_address(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        clock = [1_000.0]
        monkeypatch.setattr(sessions.time, "monotonic", lambda: clock[0])
        client = Client()
        client.force_login(make_user("olive", Role.OPERATOR))

        def seen(**extra: str) -> datetime:
            client.get("/desk/", **extra)
            return UserSession.objects.get().last_seen_at

        first = seen()
        assert seen() == first
        clock[0] += 61
        second = seen()
        assert second > first
        assert seen(REMOTE_ADDR="192.0.2.7") > second
        assert UserSession.objects.get().ip == "192.0.2.7"

    def test_a_role_that_is_taken_away_is_gone_with_the_next_page(self):
        user = make_user("olive", Role.OPERATOR)
        client = Client()
        client.force_login(user)
        assert client.get("/desk/").status_code == 200
        user.role_grants.update(revoked_at=utc_now())
        assert client.get("/desk/").status_code == 403

    def test_an_account_that_is_switched_off_is_out_with_the_next_page(self):
        user = make_user("olive", Role.OPERATOR)
        client = Client()
        client.force_login(user)
        user.is_active = False
        user.save(update_fields=["is_active"])
        assert client.get("/desk/").status_code == 302
