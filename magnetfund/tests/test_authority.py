"""The attack list: what each login role tries with SQL of its own, and what stops it.

Attacks that are still open are listed in docs/schema.md, not here: no test may claim more.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from magnetfund.core.actors import Actor
from magnetfund.core.models import RoleGrant, Signature, User
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict
from magnetfund.tests.attack_list import HARMLESS, RUN_TIME, STATEMENTS
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
from risk.domain.limits import Limits, figures_of
from risk.models import FuseReset, FuseTransition
from risk.services.fuse import state_of
from risk.services.fuse_reset import propose_reset
from risk.services.limits import propose_limits
from risk.services.scenario_clock import close_scenario, open_scenario
from trading.domain.orders import OrderClaimed
from trading.models import Order
from trading.services.orders import record_events

pytestmark = pytest.mark.usefixtures("as_gateway")


def attack(cluster: Any, role: str, statement: str, *values: Any) -> psycopg.Error | None:
    """The refusal of one statement of one role, which commits where it is not refused."""
    with psycopg.connect(cluster.dsn(role, "fresh")) as session:
        try:
            session.execute(statement.encode(), values)
            session.commit()
        except psycopg.Error as error:
            return error
    return None


class Attackers(ExitStack):
    """A session of each role, which a refused statement leaves as it was: the next one begins in
    the same session, and one after a statement that was not refused in a new one."""

    def __init__(self, cluster: Any) -> None:
        super().__init__()
        self._cluster = cluster
        self._sessions: dict[str, psycopg.Connection] = {}

    def attack(self, role: str, statement: str) -> psycopg.Error | None:
        """The refusal of one statement of one role, which commits where it is not refused."""
        session = self._sessions.get(role)
        if session is None or session.closed:
            session = psycopg.connect(self._cluster.dsn(role, "fresh"))
            self._sessions[role] = self.enter_context(closing(session))
        try:
            session.execute(statement.encode())
            session.commit()
        except psycopg.Error as error:
            if not session.closed:
                session.rollback()
            return error
        session.close()
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
CASES = [(name, role) for name, (roles, _) in STATEMENTS.items() for role in roles]


class TestAttackList:
    @pytest.fixture(autouse=True)
    def _stopped(self, as_gateway: None, officers: tuple[User, User], fresh_database: Any) -> None:
        arm_fuse(*officers)
        make_engine_ready()
        trip_fuse()
        say_kind(fresh_database, "production")

    @pytest.fixture
    def answers(self, fresh_database: Any, officers: tuple[User, User]) -> list[tuple[str, ...]]:
        """Role, attack and what became of it, for every statement of every role."""
        ann, ben = officers
        propose_reset(book="main", reason="x", reconciliation="x", actor=Actor.of(ann))
        propose_limits(
            book="main", figures=figures_of(limits=Limits()), reason="x",
            effective_from=utc_now(), actor=Actor.of(ben),
        )  # fmt: skip
        say_kind(fresh_database, "test")
        RoleGrant.objects.filter(user=ben).update(revoked_at=utc_now(), revoked_by=ann)
        say_kind(fresh_database, "production")
        rows = []
        with Attackers(fresh_database) as attackers:
            for name, role in CASES:
                error = attackers.attack(role, STATEMENTS[name][1])
                rows.append((role, name, "TAKEN" if error is None else str(error).splitlines()[0]))
            for name, (statement, why) in HARMLESS.items():
                for role in RUN_TIME:
                    error = attackers.attack(role, statement)
                    said = f"harmless: {why}" if error is None else str(error).splitlines()[0]
                    rows.append((role, name, said))
        return rows

    def test_every_statement_of_every_role_is_refused_or_harmless(
        self, answers: list[tuple[str, ...]], fresh_database: Any
    ):
        assert [row for row in answers if row[2] == "TAKEN"] == []
        typing = ("syntax error", "does not exist", "is of type", "violates")
        assert [row for row in answers if any(word in row[2] for word in typing)] == []
        assert len(STATEMENTS) >= 100
        assert state_of("main") == "TRIPPED"
        assert not Signature.objects.exists()
        with psycopg.connect(fresh_database.dsn("fa_stop", "fresh")) as session:
            asked = "SELECT has_function_privilege('signer_enrol(text,text,bytea)', 'EXECUTE')"
            assert session.execute(asked).fetchone() == (False,)

    @pytest.mark.drill
    def test_the_attack_list_as_a_table(self, answers: list[tuple[str, ...]], on_record: Any):
        with on_record():
            print()
            for role, name, said in sorted(answers, key=lambda row: row[1]):
                print(f"{name:<34} {role:<12} {said[:90]}")
            taken = sum(row[2] == "TAKEN" for row in answers)
            print(f"{len(answers)} attempts, {taken} taken")
        assert taken == 0

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
    def _production(self, officers: tuple[User, User], fresh_database: Any) -> None:
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

    @pytest.mark.parametrize("role", ["fa_app", "fa_gateway"])
    def test_a_stop_that_is_written_by_hand_has_the_servers_time(
        self, arm: Callable[..., None], fresh_database: Any, role: str
    ):
        """One of next century could never be armed after: no reconciliation is as late."""
        said = attack(
            fresh_database, role,
            "INSERT INTO risk_fuseevent (id, book, scope, kind, trigger, strategy, measured, "
            "action, reason, actor_label, occurred_at, recorded_at) VALUES (gen_random_uuid(), "
            "'main', 'fund', 'tripped', 'daily', '', '{}', '', '', 'x', '2126-01-01', now())",
        )  # fmt: skip
        assert said is None
        arm(at=utc_now())
        assert state_of("main") == "ARMED"

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
        self, fresh_database: Any, placed_positions: None, order: Order, claimed: bool,
        quantity: Decimal, side: str, words: str,
    ):  # fmt: skip
        # The guard of positions has tests of its own; here the machine of orders alone decides.
        if claimed:
            record_events(order, OrderClaimed(at=utc_now()))
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
