"""The attack list: what each login role tries with SQL of its own, and what stops it.

Attacks that are still open are listed in docs/schema.md, not here: no test may claim more.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from magnetfund.core.models import User
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict
from magnetfund.tests.order_moves import stored_moves
from magnetfund.tests.walls_support import (
    NOON,
    arm_fuse,
    make_engine_ready,
    make_instrument,
    make_order,
    make_user,
    reconcile_books,
    say_kind,
    trip_fuse,
)
from risk.models import FuseReset, FuseTransition
from risk.services.fuse import state_of
from risk.services.scenario_clock import close_scenario, open_scenario
from trading.models import Order

pytestmark = pytest.mark.usefixtures("as_gateway")
RUN_TIME = ("fa_app", "fa_gateway", "fa_stop", "fa_watchdog", "fa_auditor")
WITHOUT_WRITES = ("fa_stop", "fa_watchdog", "fa_auditor")


def attack(cluster: Any, role: str, statement: str, *values: Any) -> psycopg.Error | None:
    """The refusal of one statement of one role, which commits where it is not refused."""
    with psycopg.connect(cluster.dsn(role, "fresh")) as session:
        try:
            session.execute(statement.encode(), values)
            session.commit()
        except psycopg.Error as error:
            return error
    return None


def superuser(cluster: Any, statement: str) -> None:
    with psycopg.connect(cluster.dsn("postgres", "fresh"), autocommit=True) as session:
        session.execute(statement.encode())


@pytest.fixture
def officers(as_gateway: None) -> tuple[User, User]:
    return make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER)


FORGED_READING = (
    "INSERT INTO trading_reconciliation (id, book, is_clean, differences, compared, occurred_at, "
    "recorded_at) VALUES (%s, 'main', true, '[]', '{}', now() + interval '1 day', now())"
)
STATEMENTS: dict[str, tuple[tuple[str, ...], str]] = {
    "a clean reconciliation": (
        ("fa_app", *WITHOUT_WRITES),
        "INSERT INTO trading_reconciliation SELECT * FROM trading_reconciliation",
    ),
    "ready to trade": (
        ("fa_app",),
        "INSERT INTO trading_enginetransition (book, state, reason, actor_label, "
        "reconciliation_id, occurred_at, recorded_at) SELECT 'main', 'READY', '', 'x', id, now(), "
        "now() FROM trading_reconciliation LIMIT 1",
    ),
    "clear an instrument": (
        ("fa_app", *WITHOUT_WRITES),
        "INSERT INTO risk_fusetransition (book, scope, state, occurred_at, recorded_at) "
        "VALUES ('main', 'BTC/USDT:USDT', 'ARMED', now(), now())",
    ),
    "arm without a reset": (
        RUN_TIME,
        "INSERT INTO risk_fusetransition (book, scope, state, occurred_at, recorded_at) "
        "VALUES ('main', 'fund', 'ARMED', now(), now())",
    ),
    "steal the lease": (
        ("fa_app", *WITHOUT_WRITES),
        "UPDATE core_lease SET holder = 'thief', token = token + 1",
    ),
    "make a lease": (
        ("fa_app", *WITHOUT_WRITES),
        "INSERT INTO core_lease VALUES ('trader:main', 'thief', 99, now() + interval '1 day')",
    ),
    "make a superuser": (
        RUN_TIME,
        "INSERT INTO core_user (password, is_superuser, id, email, name, person, is_active, "
        "is_staff, is_simulated, time_zone, theme, date_joined) VALUES ('x', true, "
        "gen_random_uuid(), 'x@example.com', 'x', gen_random_uuid(), true, true, false, 'UTC', "
        "'auto', now())",
    ),
    "become a superuser": (RUN_TIME, "UPDATE core_user SET is_superuser = true"),
    "become another person": (RUN_TIME, "UPDATE core_user SET person = gen_random_uuid()"),
    "end a stop": (
        RUN_TIME,
        "INSERT INTO risk_fusestopreset SELECT id, now(), gen_random_uuid() FROM risk_fuseevent",
    ),
    "say what the database is for": (
        RUN_TIME,
        "INSERT INTO risk_wallinstance VALUES (9, 'test', 'main', now())",
    ),
    "open a clock by hand": (
        RUN_TIME,
        "INSERT INTO risk_scenarioclock VALUES ('main', now(), NULL)",
    ),
    "open a clock": (("fa_app", *WITHOUT_WRITES), "SELECT wall_open_scenario('other')"),
    "move an order": (("fa_app", *WITHOUT_WRITES), "UPDATE trading_order SET state = 'SENDING'"),
    "book a fill": (
        ("fa_app", *WITHOUT_WRITES),
        "INSERT INTO trading_fill SELECT * FROM trading_fill",
    ),
    "hold a position": (
        ("fa_app", *WITHOUT_WRITES),
        "UPDATE trading_position SET quantity = 5000",
    ),
    "rewrite limits": (RUN_TIME, "UPDATE risk_limitset SET figures = '{}'"),
    "rewrite the ledger": (RUN_TIME, "UPDATE investors_posting SET amount = 0"),
    "put limits in force": (
        RUN_TIME,
        "INSERT INTO risk_limitset (book, version, figures, content_hash, reason, effective_from, "
        "proposed_by_id, approved_by_id, recorded_at) SELECT 'main', 9, '{}', 'x', 'x', now(), "
        "a.id, b.id, now() FROM core_user a, core_user b WHERE a.id <> b.id LIMIT 1",
    ),
    "approve a reset": (
        RUN_TIME,
        "UPDATE risk_fusereset SET approved_by_id = proposed_by_id, approved_at = now()",
    ),
    "sign for another": (
        RUN_TIME,
        "INSERT INTO core_signature SELECT * FROM core_signature",
    ),
    "record a signature": (
        RUN_TIME,
        "SELECT signer_record(gen_random_uuid(), 'demo', '', '', NULL, '', '', '', '', '')",
    ),
    "enrol a key": (RUN_TIME, "SELECT signer_enrol('x', 'code', 'x')"),
    "read the keys": (RUN_TIME, "SELECT * FROM core_signingkey"),
    "make a key": (
        (*RUN_TIME, "fa_signer"),
        "INSERT INTO core_signingkey (id, account, person, kind, credential, last_step, failures, "
        "enrolled_at) VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'code', "
        "'x', 0, 0, now())",
    ),
    "invite somebody": (
        (*RUN_TIME, "fa_signer"),
        "INSERT INTO core_signinginvite VALUES ('x', gen_random_uuid(), gen_random_uuid(), 'x', "
        "now(), now() + interval '1 day', NULL)",
    ),
    "arm as the signer": (
        ("fa_signer", *WITHOUT_WRITES),
        "SELECT risk_arm_fund(gen_random_uuid(), gen_random_uuid(), NULL, 'x', now())",
    ),
    "cut the audit": (RUN_TIME, "DELETE FROM core_auditevent"),
    "switch triggers off": (RUN_TIME, "ALTER TABLE trading_order DISABLE TRIGGER ALL"),
    "act as a replica": (RUN_TIME, "SET session_replication_role = replica"),
    "become the owner": (RUN_TIME, "SET ROLE fa_owner"),
    "become the trader": (
        ("fa_app", *WITHOUT_WRITES),
        "SET ROLE fa_gateway",
    ),
    "grant itself": (RUN_TIME, "GRANT fa_gateway TO CURRENT_USER"),
    "make a role": (RUN_TIME, "CREATE ROLE x LOGIN SUPERUSER"),
    "make a function": (
        RUN_TIME,
        "CREATE FUNCTION public.wall_time(text) RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
    ),
    "make a schema": (RUN_TIME, "CREATE SCHEMA x"),
    "end other sessions": (
        RUN_TIME,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    ),
    "read a file": (RUN_TIME, "SELECT pg_read_file('/etc/passwd')"),
    "write a file": (RUN_TIME, "COPY core_user TO PROGRAM 'cat'"),
    "change the server": (RUN_TIME, "ALTER SYSTEM SET fsync = off"),
    "end who is in the way": (
        ("fa_app", "fa_gateway", "fa_stop", "fa_auditor"),
        "SELECT watchdog_unblock('main')",
    ),
}
CASES = [(name, role) for name, (roles, _) in STATEMENTS.items() for role in roles]


class TestAttackList:
    @pytest.fixture(autouse=True)
    def _stopped(self, as_gateway: None, officers: tuple[User, User], fresh_database: Any) -> None:
        arm_fuse(*officers)
        make_engine_ready()
        trip_fuse()
        say_kind(fresh_database, "production")

    def test_every_statement_of_every_role_is_refused(self, fresh_database: Any):
        taken = [
            (name, role)
            for name, role in CASES
            if attack(fresh_database, role, STATEMENTS[name][1]) is None
        ]
        assert taken == []
        assert len(CASES) > 100
        assert state_of("main") == "TRIPPED"

    def test_four_statements_of_the_web_do_not_arm(
        self, fresh_database: Any, officers: tuple[User, User]
    ):
        """Own clean reconciliation, own request, another's approval, an arming of tomorrow."""
        ann, ben = officers
        forged = uuid.uuid4()
        assert attack(fresh_database, "fa_app", FORGED_READING, forged) is not None
        reset = uuid.uuid4()
        steps = [
            (
                "INSERT INTO risk_fusereset (id, book, trigger, stops, reason, reconciliation, "
                "proposed_by_id, proposed_at) VALUES (%s, 'main', '', '{}', 'x', %s, %s, now())",
                (reset, str(forged), ann.pk),
            ),
            (
                "UPDATE risk_fusereset SET approved_by_id = %s, approved_at = now() WHERE id = %s",
                (ben.pk, reset),
            ),
            (
                "INSERT INTO risk_fusetransition (book, scope, state, reset_id, occurred_at, "
                "recorded_at) VALUES ('main', 'fund', 'ARMED', %s, now() + interval '2 days', "
                "now())",
                (reset,),
            ),
        ]
        said = [attack(fresh_database, "fa_app", step, *values) for step, values in steps]
        assert [error is None for error in said] == [True, False, False]
        for role in ("fa_app", "fa_gateway"):
            step = "SELECT risk_arm_fund(%s, %s, NULL, 'x', now() + interval '2 days')"
            assert "has not signed this" in str(attack(fresh_database, role, step, reset, ben.pk))
        assert state_of("main") == "TRIPPED"


class TestServerTime:
    @pytest.fixture(autouse=True)
    def _production(self, as_gateway: None, fresh_database: Any) -> None:
        say_kind(fresh_database, "production")

    @pytest.fixture
    def arm(self, officers: tuple[User, User], fresh_database: Any) -> Callable[..., None]:
        """Arming on signatures that a superuser wrote."""

        def sign(reset: FuseReset) -> None:
            for user in officers:
                superuser(
                    fresh_database,
                    "INSERT INTO core_signature (id, action, subject, account, person, method, "
                    "content, nonce, public_key, client_data, authenticator_data, signature, "
                    "origin, signed_at) SELECT gen_random_uuid(), 'fuse.arm', "
                    f"'{reset.pk}', '{user.pk}', '{user.person}', 'code', "
                    f"authority_content('fuse.arm', '{reset.pk}'), "
                    "decode(md5(random()::text), 'hex'), '', '', '', '', '', now()",
                )

        return lambda **values: arm_fuse(*officers, sign=sign, **values)

    def test_a_future_arming_is_an_arming_now(self, arm: Callable[..., None]):
        trip_fuse(trigger="daily_loss", at=NOON)
        with pytest.raises(Exception, match="next UTC day"):
            arm(at=utc_now() + timedelta(days=2))
        assert state_of("main") != "ARMED"

    def test_a_backdated_stop_is_a_stop_now(self, arm: Callable[..., None]):
        before = reconcile_books(at=utc_now())
        event = trip_fuse(at=NOON)
        assert abs(event.occurred_at - utc_now()) < timedelta(seconds=30)
        with pytest.raises(Exception, match="clean reconciliation since"):
            arm(reconciliation=str(before.pk))

    def test_an_arming_keeps_the_servers_times(self, arm: Callable[..., None]):
        arm(at=NOON)
        reset, row = FuseReset.objects.get(), FuseTransition.objects.get()
        for at in (reset.proposed_at, reset.approved_at, row.occurred_at):
            assert abs(at - utc_now()) < timedelta(seconds=30)

    def test_the_live_book_of_a_production_tells_no_story(self):
        with pytest.raises(Conflict, match="takes the time of the server"):
            open_scenario("main")

    def test_a_story_keeps_its_times_and_ends_once(self, officers: tuple[User, User]):
        open_scenario("replay")
        arm_fuse(*officers, book="replay", at=NOON)
        close_scenario("replay")
        assert FuseTransition.objects.get().occurred_at == NOON
        trip_fuse(book="replay", at=NOON)
        with pytest.raises(Conflict, match="has a past"):
            open_scenario("replay")


class TestOrderMachine:
    @pytest.fixture
    def order(self, officers: tuple[User, User]) -> Order:
        arm_fuse(*officers)
        make_engine_ready()
        return make_order(make_instrument())

    def test_the_trigger_knows_the_moves_of_the_domain(self, fresh_database: Any):
        with psycopg.connect(fresh_database.dsn("fa_gateway", "fresh")) as session:
            rows = session.execute("SELECT * FROM trading_order_moves()").fetchall()
        assert {(a, b) for a, targets in rows for b in targets} == stored_moves()

    @pytest.mark.parametrize("state", ["ACKED", "FILLED", "UNKNOWN", "REJECTED", "ABSENT"])
    def test_an_intent_is_not_moved_past_the_gate(
        self, fresh_database: Any, order: Order, state: str
    ):
        said = attack(fresh_database, "fa_gateway", f"UPDATE trading_order SET state = '{state}'")
        assert f"INTENT to {state} is refused" in str(said)

    def test_a_denied_order_stays_denied(self, fresh_database: Any, order: Order):
        make_order(order.instrument, state="DENIED")
        for state in ("INTENT", "SENDING", "ACKED", "FILLED"):
            said = attack(
                fresh_database,
                "fa_gateway",
                f"UPDATE trading_order SET state = '{state}' WHERE state = 'DENIED'",
            )
            assert "is refused" in str(said)

    def test_an_order_is_not_filled_beyond_itself_or_backwards(
        self, fresh_database: Any, order: Order
    ):
        for quantity in ("2", "-1"):
            said = attack(
                fresh_database,
                "fa_gateway",
                f"UPDATE trading_order SET filled_quantity = {quantity}",
            )
            assert said is not None

    @pytest.mark.parametrize(
        ("claimed", "quantity", "side", "words"),
        [
            (False, Decimal(1), "buy", "was not claimed"),
            (True, Decimal(2), "buy", "more than the order"),
            (True, Decimal(1), "sell", "not of this order"),
            (True, Decimal(1), "buy", ""),
        ],
    )
    def test_a_fill_needs_a_claimed_order_and_never_exceeds_it(
        self, fresh_database: Any, order: Order, claimed: bool, quantity: Decimal, side: str,
        words: str,
    ):  # fmt: skip
        if claimed:
            Order.objects.filter(pk=order.pk).update(state="SENDING")
        said = attack(
            fresh_database,
            "fa_gateway",
            "INSERT INTO trading_fill (order_id, venue, venue_trade_id, book, instrument_id, "
            "strategy, side, quantity, price, fee, realised, slippage, liquidity, reason, "
            "occurred_at, recorded_at) VALUES (%s, 'paper', '1', 'main', %s, 'trend', %s, %s, "
            "100, 0, 0, 0, 'taker', '', now(), now())",
            order.pk,
            order.instrument_id,
            side,
            quantity,
        )
        assert (words in str(said)) if words else (said is None)
