"""What a thief of the trader's role cannot say of orders, fills and comparisons, and a thief of the
web of orders.  The honest trader runs on the same rows before and after."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from magnetfund.core.actors import Actor
from magnetfund.tests.test_money_walls import attack
from magnetfund.tests.walls_support import make_engine_ready, reconcile_books, say_kind
from trading.models import EngineTransition, Fill, Order, PaperOrder, Reconciliation
from trading.services.engine import engine_state_of, make_ready, stop_engine
from trading.tests.test_crash_points import Stage, check
from trading.tests.test_crash_points import stage as stage  # the fixture

pytestmark = pytest.mark.usefixtures("as_gateway")

SYSTEM = Actor.system("test")
Step = tuple[str, tuple[Any, ...]]


@pytest.fixture
def resting(stage: Stage) -> Order:
    """The stop of a position that a trader has opened and protected."""
    stage.beat_until(lambda: Order.objects.filter(purpose="stop", closed_at=None).exists())
    return Order.objects.filter(purpose="stop", closed_at=None)[0]


def end(order: Order, state: str = "CANCELLED") -> Step:
    return (
        "UPDATE trading_order SET state = %s, closed_at = now() WHERE id = %s",
        (state, order.pk),
    )


def tell(order: Order, kind: str, state: str, *, back: int = 0) -> Step:
    """A row of the order's events, the next one unless it goes ``back``."""
    return (
        "INSERT INTO trading_orderevent (order_id, seq, kind, from_state, to_state, detail, "
        "occurred_at, recorded_at) SELECT order_id, seq + 1 - %s, %s, to_state, %s, '{}', now(), "
        "now() FROM trading_orderevent WHERE order_id = %s ORDER BY seq DESC LIMIT 1",
        (back, kind, state, order.pk),
    )


def by_owner(cluster: Any, *statements: str) -> None:
    with psycopg.connect(cluster.dsn("postgres", "fresh"), autocommit=True) as owner:
        for statement in statements:
            owner.execute(statement.encode())


class TestOrders:
    def test_the_trader_ends_no_order_that_its_venue_has(
        self, fresh_database: Any, stage: Stage, resting: Order
    ):
        say_kind(fresh_database, "production")
        assert "its events lead to" in attack(fresh_database, "fa_gateway", end(resting))
        assert "by no word of its venue" in attack(
            fresh_database, "fa_gateway", end(resting), tell(resting, "sending", "CANCELLED")
        )
        for kind, state in (("venue_reported", "CANCELLED"), ("rejected", "REJECTED")):
            assert "while its venue has it" in attack(
                fresh_database, "fa_gateway", end(resting, state), tell(resting, kind, state)
            )
        assert "its fills add up to" in attack(
            fresh_database, "fa_gateway",
            (
                "UPDATE trading_order SET state = 'FILLED', filled_quantity = quantity, "
                "closed_at = now() WHERE id = %s", (resting.pk,),
            ),
            tell(resting, "fill", "FILLED"),
        )  # fmt: skip
        assert "closed at" in attack(
            fresh_database, "fa_gateway",
            ("UPDATE trading_order SET closed_at = now() WHERE id = %s", (resting.pk,)),
        )  # fmt: skip
        say_kind(fresh_database, "test")
        stage.beat()
        check(stage)

    def test_an_order_in_doubt_is_settled_by_what_its_venue_says(
        self, fresh_database: Any, resting: Order
    ):
        say_kind(fresh_database, "production")
        rules = ("order_told", "fuse_gate")
        by_owner(
            fresh_database,
            *(f"ALTER TABLE trading_order DISABLE TRIGGER {rule}" for rule in rules),
        )
        Order.objects.filter(pk=resting.pk).update(state="UNKNOWN")
        doubt = tell(resting, "outcome_unseen", "UNKNOWN")
        assert attack(fresh_database, "fa_gateway", doubt) == ""
        by_owner(
            fresh_database,
            *(f"ALTER TABLE trading_order ENABLE ALWAYS TRIGGER {rule}" for rule in rules),
        )
        assert "its events lead to UNKNOWN" in attack(
            fresh_database, "fa_gateway", end(resting, "ABSENT")
        )
        assert "while its venue has it" in attack(
            fresh_database, "fa_gateway",
            end(resting, "ABSENT"), tell(resting, "not_found", "ABSENT"),
        )  # fmt: skip

    @pytest.mark.parametrize("role", ["fa_app", "fa_worker"])
    def test_the_web_tells_nothing_of_an_order_but_that_it_was_asked_for(
        self, fresh_database: Any, resting: Order, role: str
    ):
        say_kind(fresh_database, "production")
        for kind in ("not_found", "cancel_requested", "venue_reported", "fill"):
            said = attack(fresh_database, role, tell(resting, kind, resting.state))
            assert "told by the trader" in said
        said = attack(fresh_database, role, tell(resting, "intent", resting.state))
        assert "does not follow" in said

    def test_events_follow_each_other(self, fresh_database: Any, resting: Order):
        ahead = tell(resting, "acknowledged", "ACKED", back=-3)
        assert "does not follow" in attack(fresh_database, "fa_gateway", ahead)


class TestVenue:
    def test_a_fill_is_one_that_the_paper_venue_executed(
        self, fresh_database: Any, stage: Stage, resting: Order
    ):
        say_kind(fresh_database, "production")
        columns = (
            "venue, book, instrument_id, strategy, slippage, liquidity, reason, realised, "
            "occurred_at, recorded_at"
        )
        fill = (
            f"INSERT INTO trading_fill (order_id, venue_trade_id, side, quantity, price, fee, "
            f"{columns}) SELECT %s, %s, %s, %s, price, fee, {columns} FROM trading_fill LIMIT 1"
        )
        known = Fill.objects.all()[0].venue_trade_id
        for name in ("forged", f"{known}0", known.replace("main-", "main-1"), "main-1-1"):
            said = attack(
                fresh_database, "fa_gateway",
                (fill, (resting.pk, name, resting.side, resting.quantity)),
            )  # fmt: skip
            assert "executed nothing of the kind" in said

    def test_the_paper_venue_takes_what_was_claimed(
        self, fresh_database: Any, stage: Stage, resting: Order
    ):
        say_kind(fresh_database, "production")
        columns = (
            "book, instrument_id, account, side, type, reduce_only, leverage, is_urgent, status, "
            "filled_quantity, reason, taken_at"
        )
        said = attack(
            fresh_database, "fa_gateway",
            (
                f"INSERT INTO trading_paperorder (client_order_id, quantity, {columns}) "
                f"SELECT 'forged', 500, {columns} FROM trading_paperorder LIMIT 1", (),
            ),
        )  # fmt: skip
        assert "no order was claimed" in said
        assert not PaperOrder.objects.filter(pk="forged").exists()


CLEAN = (
    "INSERT INTO trading_reconciliation (id, book, is_clean, differences, compared, occurred_at, "
    "recorded_at) VALUES (gen_random_uuid(), 'main', true, %s, '{}', now(), now() + interval "
    "'1 day')"
)


class TestReady:
    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            ("UPDATE trading_position SET quantity = quantity + 1", "the sum of its fills"),
            (
                "UPDATE trading_papervenuestate SET state = jsonb_set(state, '{accounts}', '{}')",
                "that of the paper venue",
            ),
            (
                "UPDATE trading_paperorder SET status = 'cancelled', closed_at = now() "
                "WHERE closed_at IS NULL",
                "on one side alone",
            ),
        ],
    )
    def test_no_comparison_is_clean_that_is_not(
        self, fresh_database: Any, resting: Order, spoil: str, words: str
    ):
        """Whoever spoilt a row: the database compares by itself."""
        say_kind(fresh_database, "production")
        assert attack(fresh_database, "fa_gateway", (CLEAN, ("[]",))) == ""
        assert "it names differences" in attack(
            fresh_database, "fa_gateway", (CLEAN, ('[{"what": "cash"}]',))
        )
        by_owner(fresh_database, "ALTER TABLE trading_position DISABLE TRIGGER ALL", spoil)
        assert words in attack(fresh_database, "fa_gateway", (CLEAN, ("[]",)))
        assert attack(fresh_database, "fa_gateway", (CLEAN.replace("true", "false"), ("[]",))) == ""

    def test_ready_takes_a_comparison_of_now(self, fresh_database: Any):
        say_kind(fresh_database, "production")
        old = reconcile_books()
        assert old.recorded_at is not None
        by_owner(
            fresh_database,
            "ALTER TABLE trading_reconciliation DISABLE TRIGGER USER",
            "UPDATE trading_reconciliation SET recorded_at = now() - interval '2 minutes'",
        )
        assert "a clean reconciliation of now" in attack(fresh_database, "fa_gateway", ready(old))
        assert not EngineTransition.objects.exists()

    def test_ready_takes_a_comparison_after_the_stop(self, fresh_database: Any):
        say_kind(fresh_database, "production")
        make_engine_ready()
        before = reconcile_books()
        stop_engine(book="main", actor=SYSTEM, reason="a person looked")
        assert "was stopped after" in attack(fresh_database, "fa_gateway", ready(before))
        assert make_ready(book="main", reconciliation=before, actor=SYSTEM) is None
        assert engine_state_of("main") == "STOPPED"
        make_engine_ready()
        assert engine_state_of("main") == "READY"

    def test_a_later_difference_ends_what_a_clean_one_was_worth(self, fresh_database: Any):
        say_kind(fresh_database, "production")
        clean = reconcile_books()
        reconcile_books(is_clean=False)
        assert "a clean reconciliation of now" in attack(fresh_database, "fa_gateway", ready(clean))


def ready(run: Reconciliation) -> Step:
    return (
        "INSERT INTO trading_enginetransition (book, state, reason, actor_label, "
        "reconciliation_id, occurred_at, recorded_at) VALUES ('main', 'READY', '', 'x', %s, "
        "now(), now())",
        (run.pk,),
    )
