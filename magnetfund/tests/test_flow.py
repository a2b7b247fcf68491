"""The whole flow on simulated candles: orders to NAV, books that verify, races that cannot win."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection, connections

from investors.models import Fund, Holding, NavStrike
from investors.services.dealing import submit_redemption
from investors.services.nav import approve_strike, prepare_strike
from investors.services.verification import verify_fund
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import Conflict, NotAllowed
from magnetfund.operations.people import ensure_user
from magnetfund.tests.flow_support import LATER, START, SYMBOL, make_candles, replay
from magnetfund.web.portal.own_selectors import find_prices
from trading.models import Candle, Order, Trade, TradeDay, Valuation
from trading.selectors.active_return import view_active_return
from trading.services.kept_sums import find_sum_differences
from trading.services.reconcile import reconcile_with_executions

pytestmark = pytest.mark.usefixtures("as_gateway")


def test_a_replay_trades_strikes_and_leaves_clean_books_twice_the_same():
    instrument = make_candles()
    first = replay("one", instrument, days=33)
    second = replay("two", instrument, days=33)
    assert first["trades"] >= 5
    assert first["navs_struck"] == 2
    assert first["ledger"] == "clean", first["differences"]
    bridge = {name: Decimal(amount) for name, amount in first["bridge"].items()}
    assert bridge["difference"] == 0
    assert bridge["capital"] > 0
    parts = bridge["capital"] + bridge["closed_trades"] + bridge["open_positions"]
    assert abs(parts - Decimal(first["final_equity"])) <= Decimal("0.02"), "rounded parts"
    assert second["state_hash"] == first["state_hash"]
    assert Trade.objects.filter(book="one").count() == first["trades"]
    fund = Fund.objects.get(book="one")
    assert {s.state for s in NavStrike.objects.filter(fund=fund)} == {"dealt"}
    assert not Order.objects.filter(book="one", state__in=["INTENT", "SENDING", "UNKNOWN"]).exists()


def test_a_replay_trades_an_instrument_that_the_live_books_do_not():
    instrument = make_candles()
    instrument.is_active = False
    instrument.save(update_fields=["is_active"])
    found = replay("past", instrument, days=12)
    assert found["trades"] >= 1
    entries = Order.objects.filter(book="past", purpose="entry")
    assert not [row for row in entries if "not_allowed" in row.denial_codes]


@pytest.mark.usefixtures("traded_month")
def test_the_return_of_a_month_is_explained_by_its_fills(fresh_database: Any):
    assert find_sum_differences("main") == []
    assert TradeDay.objects.filter(book="main").exists()
    found = view_active_return("main", since=None, until=START + timedelta(days=33))
    assert found.attribution is not None
    assert (found.instruments, found.days, found.left_out) == ((SYMBOL,), 32, 0)
    values = [
        Valuation.objects.filter(book="main", at__lte=START + timedelta(days=day)).latest("at")
        for day in (1, 33)
    ]
    whole = float(values[1].unit_value / values[0].unit_value) - 1.0
    assert found.attribution.portfolio_return == pytest.approx(whole, abs=1e-12)
    assert found.rows[-1][3] == pytest.approx(found.attribution.active_return, abs=1e-12)
    traded, cash, _ = found.rows
    assert abs(traded[2]) > 1e-3, "the month traded"
    # What no fill, fee, funding or price explains.
    assert abs(cash[2]) < 1e-8


@pytest.mark.usefixtures("traded_month")
def test_past_navs_tell_months_and_what_holding_would_have_given(fresh_database: Any):
    holder = Holding.objects.filter(units__gt=0, investor__isnull=False).first()
    assert holder is not None
    (shown,) = find_prices(holder.investor, since=None)
    (year,) = shown["years"]
    assert [row["name"] for row in year["months"] if row["value"] is not None] == ["Jan"]
    # The class began at its launch price on 1 January.
    assert shown["lines"][-1]["price"] == 100
    assert year["whole"] == pytest.approx(float(shown["total"]))
    (beside,) = shown["beside"]
    ends = [line["at"] for line in shown["lines"]]
    closes = [
        Candle.objects.get(open_time=at - timedelta(hours=1), timeframe="1h").close for at in ends
    ]
    assert float(beside.compared.benchmark) == pytest.approx(float(closes[0] / closes[-1] - 1))
    grown = (1 + beside.compared.benchmark) * (1 + beside.compared.geometric)
    assert grown == pytest.approx(1 + shown["total"])
    assert not shown["yearly"].is_annualised


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE investors_posting SET amount = amount + 1 WHERE id = (SELECT min(id) FROM "
         "investors_posting)", "debits and credits differ"),
        ("DELETE FROM investors_posting WHERE entry_id = (SELECT id FROM investors_entry "
         "WHERE kind = 'units_issued' LIMIT 1)", "no postings"),
        ("UPDATE investors_entry SET row_hash = 'x' WHERE seq = 2", "hash chain broken"),
        ("UPDATE investors_unitlot SET units = units + 1 WHERE number = 1", "lot 1: register"),
        ("UPDATE investors_classnav SET price = price + 0.01", "recomputed"),
        ("UPDATE trading_position SET quantity = quantity + 1", "recomputed from fills"),
        ("UPDATE trading_fillday SET paid = paid + 1", "are not those of its fills"),
        ("UPDATE trading_tradeday SET best = best + 1", "are not those of its closed trades"),
        ("UPDATE trading_filltotal SET quantity = quantity + 1", "not that of its fills"),
        ("UPDATE trading_bookflow SET amount = amount + 1", "recomputed from transfers"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("traded_month")
def test_each_tampering_with_the_books_is_named(fresh_database: Any, statement: str, words: str):
    fund = Fund.objects.get(book="main")
    assert verify_fund(fund) == []
    # Only a superuser who switches the walls off can do this at all.
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as attacker:
        attacker.execute("SET session_replication_role = replica")
        for (table,) in attacker.execute(
            "SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE NOT t.tgisinternal"
        ).fetchall():
            attacker.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
        attacker.execute(statement)
    problems = verify_fund(fund)
    assert any(words in line for line in problems), problems


class TestFourEyes:
    @pytest.fixture
    def fund(self, traded_month: None) -> Fund:
        return Fund.objects.get(book="main")

    def test_the_preparer_cannot_approve_even_with_both_roles(self, fund: Fund):
        both = Actor.of(
            ensure_user(
                email="both@example.com", name="Both", roles=[Role.ACCOUNTANT, Role.CONTROLLER]
            )
        )
        strike = prepare_strike(fund=fund, valuation_at=LATER, actor=both)
        with pytest.raises(NotAllowed, match="second person"):
            approve_strike(strike=strike, seen_hash=strike.result_hash, actor=both)
        strike.refresh_from_db()
        assert strike.state == "prepared"

    def test_a_second_account_of_the_same_person_cannot_approve(self, fund: Fund):
        one = ensure_user(email="a@example.com", name="A", roles=[Role.ACCOUNTANT])
        two = ensure_user(email="b@example.com", name="B", roles=[Role.CONTROLLER])
        type(two).objects.using("owner").filter(pk=two.pk).update(person=one.person)
        two.refresh_from_db()
        strike = prepare_strike(fund=fund, valuation_at=LATER, actor=Actor.of(one))
        with pytest.raises(NotAllowed, match="second person"):
            approve_strike(strike=strike, seen_hash=strike.result_hash, actor=Actor.of(two))

    def test_a_book_compared_before_the_valuation_point_alone_is_not_approved(self, fund: Fund):
        maker = ensure_user(email="a@example.com", name="A", roles=[Role.ACCOUNTANT])
        checker = ensure_user(email="b@example.com", name="B", roles=[Role.CONTROLLER])
        reconcile_with_executions(fund.book, at=LATER - timedelta(seconds=1))
        strike = prepare_strike(fund=fund, valuation_at=LATER, actor=Actor.of(maker))
        (line,) = [line for line in strike.checklist if not line["passed"]]
        assert line["name"] == "no open break against the venue"
        assert "not since the valuation point" in line["words"]
        assert "settle_orders" in line["words"]
        with pytest.raises(Conflict, match="no open break against the venue"):
            approve_strike(strike=strike, seen_hash=strike.result_hash, actor=Actor.of(checker))
        assert NavStrike.objects.get(pk=strike.pk).state != "dealt"

    def test_what_was_not_shown_cannot_be_approved(self, fund: Fund):
        maker = ensure_user(email="a@example.com", name="A", roles=[Role.ACCOUNTANT])
        checker = ensure_user(email="b@example.com", name="B", roles=[Role.CONTROLLER])
        reconcile_with_executions(fund.book, at=LATER)
        strike = prepare_strike(fund=fund, valuation_at=LATER, actor=Actor.of(maker))
        with pytest.raises(Conflict, match="review it again"):
            approve_strike(strike=strike, seen_hash="0" * 64, actor=Actor.of(checker))
        approve_strike(strike=strike, seen_hash=strike.result_hash, actor=Actor.of(checker))
        strike.refresh_from_db()
        assert strike.state == "dealt"
        assert verify_fund(fund) == []


def _in_threads(count: int, work: Callable[[int], str]) -> list[str]:
    """Run ``work`` at once in many threads, each on its own connection."""
    gate = threading.Barrier(count)

    def run(number: int) -> str:
        try:
            gate.wait()
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.usefixtures("traded_month")
def test_sixty_four_redemptions_never_take_more_than_is_held():
    holding = Holding.objects.filter(units__gt=0).select_related("investor", "share_class")[0]
    part = (holding.units / 10).quantize(Decimal("0.000001"))

    def redeem(number: int) -> str:
        try:
            submit_redemption(
                investor=holding.investor,
                share_class=holding.share_class,
                units=part,
                actor=Actor.system("test"),
                at=START,
            )
        except Conflict:
            return "refused"
        return "taken"

    outcomes = _in_threads(64, redeem)
    holding.refresh_from_db()
    assert outcomes.count("taken") == int(holding.units / part)
    assert holding.reserved_units == part * outcomes.count("taken")
    assert holding.reserved_units <= holding.units


def test_the_connection_is_the_gateways():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("fa_gateway",)
