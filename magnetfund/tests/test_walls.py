"""The walls of the database hold for the roles that run the platform, whatever they try."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from celery import shared_task
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, connection, connections, transaction

from investors.models import (
    Account,
    Entry,
    Fund,
    Holding,
    Investor,
    NavStrike,
    Posting,
    ShareClass,
    UnitEntry,
    UnitLot,
)
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.tests.walls_support import (
    NOON,
    arm_fuse,
    hold_position,
    make_engine_ready,
    make_instrument,
    make_order,
    make_user,
    order_values,
    trip_fuse,
)
from risk.models import FuseTransition
from trading.models import Instrument, Order, Reconciliation

pytestmark = pytest.mark.usefixtures("as_gateway")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def refuse(step: Callable[[], Any], words: str) -> None:
    """The step must fail in PostgreSQL with these words, and leave the transaction usable."""
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        step()
    assert words in str(caught.value)


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _row(order: Order) -> list[Any]:
    return [
        f.get_db_prep_save(f.pre_save(order, add=True), connection)
        for f in Order._meta.concrete_fields
    ]


COLUMNS = ", ".join(f.column for f in Order._meta.concrete_fields)


def _raw(order: Order) -> Callable[[], Any]:
    row = _row(order)
    marks = ", ".join(["%s"] * len(row))

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO public.trading_order ({COLUMNS}) VALUES ({marks})", row)

    return run


def _copy(order: Order) -> Callable[[], Any]:
    row = ["[]" if isinstance(v, list) or type(v).__name__ == "Jsonb" else v for v in _row(order)]

    def run() -> None:
        with (
            connection.wrap_database_errors,
            connection.cursor() as cursor,
            cursor.cursor.copy(f"COPY trading_order ({COLUMNS}) FROM STDIN") as stream,
        ):
            stream.write_row(row)

    return run


def _task(order: Order) -> Callable[[], Any]:
    def submit() -> None:
        order.save(force_insert=True)

    return lambda: shared_task(name="walls.order")(submit).apply(throw=True)


def _shell(order: Order) -> Callable[[], Any]:
    values = {f.attname: getattr(order, f.attname) for f in Order._meta.concrete_fields}
    code = (
        "import datetime\nfrom uuid import UUID\nfrom decimal import Decimal\n"
        "from trading.models import Order\n"
        f"Order.objects.create(**{values!r})"
    )
    return lambda: call_command("shell", command=code, verbosity=0)


#: Ways in which a row may be asked of the database; each gives the step that does it.
WAYS: dict[str, Callable[[Order], Callable[[], Any]]] = {
    "create": lambda order: lambda: order.save(force_insert=True),
    "bulk_create": lambda order: lambda: Order.objects.bulk_create([order]),
    "raw": _raw,
    "copy": _copy,
    "task": _task,
    "shell": _shell,
}


def _other_values() -> list[tuple[str, str]]:
    """Each setting that this role may change, with each value that it does not have now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, setting, vartype, enumvals, min_val, max_val FROM pg_settings "
            "WHERE context = 'user' ORDER BY name"
        )
        settings = cursor.fetchall()
    others = []
    for name, setting, kind, choices, low, high in settings:
        if kind == "bool":
            values = ["off" if setting == "on" else "on"]
        elif kind == "enum":
            values = [choice for choice in choices if choice != setting]
        elif kind in ("integer", "real"):
            values = [bound for bound in (low, high) if bound != setting]
        else:
            values = ["pg_temp"] if name == "search_path" else []
        others += [(name, value) for value in values]
    return others


@pytest.fixture
def officers() -> tuple[Any, Any]:
    return make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER)


@pytest.fixture
def instrument() -> Instrument:
    return make_instrument()


@pytest.fixture
def armed(officers: tuple[Any, Any], instrument: Instrument) -> Instrument:
    arm_fuse(*officers)
    make_engine_ready()
    return instrument


def test_the_roles_own_nothing_and_are_who_they_should_be():
    for alias, role in (("default", "fa_gateway"), ("owner", "fa_owner")):
        with connections[alias].cursor() as cursor:
            cursor.execute(
                "SELECT current_user, rolsuper, rolbypassrls FROM pg_roles "
                "WHERE rolname = current_user"
            )
            assert cursor.fetchone() == (role, False, False)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND "
            "tableowner <> 'fa_owner'"
        )
        assert cursor.fetchone() == (0,)


def test_every_table_states_its_grant_class():
    from magnetfund.core.table_walls import FRAMEWORK_PREFIXES
    from magnetfund.operations.walls import declared_grants

    stated = {row.table for row in declared_grants()}
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = {name for (name,) in cursor.fetchall()}
    unstated = {name for name in found - stated if not name.startswith(FRAMEWORK_PREFIXES)}
    assert unstated == set()
    assert stated <= found


def test_every_declared_trigger_is_enabled_always():
    from magnetfund.operations.walls import missing_triggers

    assert missing_triggers() == []


def test_privileges_are_exactly_the_declared_ones():
    from magnetfund.operations.walls import privilege_differences

    assert privilege_differences() == []


def test_every_model_has_a_table_of_this_database():
    tables = set(connection.introspection.table_names())
    assert {model._meta.db_table for model in apps.get_models()} <= tables


class TestFuseGate:
    def test_no_fuse_row_means_no_exposure(self, instrument: Instrument):
        refuse(lambda: make_order(instrument), "the fuse is DISARMED")

    def test_an_armed_fuse_without_a_ready_engine_is_not_enough(self, officers, instrument):
        arm_fuse(*officers)
        refuse(lambda: make_order(instrument), "the engine is missing")

    def test_armed_and_ready_and_checked_passes(self, armed: Instrument):
        assert make_order(armed).state == "INTENT"

    def test_an_entry_without_an_accepted_check_is_refused(self, armed: Instrument):
        values = {**order_values(armed), "pretrade_check": uuid.uuid4()}
        refuse(lambda: Order.objects.create(**values), "no accepted pre-trade check")

    def test_a_check_of_a_smaller_order_is_refused(self, armed: Instrument):
        values = {**order_values(armed), "quantity": Decimal(2)}
        refuse(lambda: Order.objects.create(**values), "no accepted pre-trade check")

    @pytest.mark.parametrize("way", WAYS)
    def test_nothing_adds_exposure_while_tripped(self, armed: Instrument, way: str):
        order = Order(**order_values(armed))
        trip_fuse()
        refuse(WAYS[way](order), "the fuse is TRIPPED")
        assert Order.objects.count() == 0

    @pytest.mark.parametrize("way", ["raw", "copy"])
    @pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
    def test_an_older_view_of_the_fuse_serves_no_way(self, armed: Instrument, way: str, level: str):
        order = Order(**order_values(armed))
        add = WAYS[way](order)

        def add_on_an_old_snapshot() -> None:
            execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
            add()

        refuse(add_on_an_old_snapshot, "read committed")
        assert Order.objects.count() == 0

    def test_an_intent_made_before_the_trip_cannot_be_sent_after_it(self, armed: Instrument):
        order = make_order(armed)
        trip_fuse()
        refuse(
            lambda: Order.objects.filter(pk=order.pk).update(state="SENDING"), "the fuse is TRIPPED"
        )

    def test_an_old_snapshot_is_refused(self, armed: Instrument):
        values = order_values(armed)

        def order_on_an_old_snapshot() -> None:
            execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            Order.objects.create(**values)

        refuse(order_on_an_old_snapshot, "read committed")

    @pytest.mark.parametrize(
        "setting",
        [
            "SET session_replication_role = replica",
            "SET search_path = pg_temp",
            "SET transform_null_equals = on",
            "SET row_security = off",
            "SET default_transaction_isolation = 'repeatable read'",
        ],
    )
    def test_no_session_setting_opens_the_gate(self, armed: Instrument, setting: str):
        trip_fuse()
        values = order_values(armed)
        columns = [f.column for f in Order._meta.concrete_fields]
        order = Order(**values)
        row = [
            f.get_db_prep_save(f.pre_save(order, add=True), connection)
            for f in Order._meta.concrete_fields
        ]
        marks = ", ".join(["%s"] * len(columns))
        insert = f"INSERT INTO public.trading_order ({', '.join(columns)}) VALUES ({marks})"

        def attack() -> None:
            execute(
                "CREATE TEMP TABLE risk_fuseevent AS SELECT * FROM public.risk_fuseevent "
                "WHERE kind = 'armed'"
            )
            execute(setting)
            with connection.cursor() as cursor:
                cursor.execute(insert, row)

        with pytest.raises(DatabaseError), transaction.atomic():
            attack()
        execute("RESET ALL")
        assert Order.objects.count() == 0

    def test_no_setting_that_the_role_can_change_opens_the_gate(self, armed: Instrument):
        order = Order(**order_values(armed))
        add = WAYS["raw"](order)
        trip_fuse()

        def set_and_add(name: str, value: str) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
            add()

        stopped_by_the_fuse = 0
        for name, value in _other_values():
            with pytest.raises(DatabaseError) as refused, transaction.atomic():
                set_and_add(name, value)
            stopped_by_the_fuse += "the fuse is TRIPPED" in str(refused.value)
        assert stopped_by_the_fuse > 150
        assert Order.objects.count() == 0

    def test_a_reducing_instrument_takes_no_entry_but_its_neighbour_does(self, armed: Instrument):
        other = make_instrument("ETH/USDT:USDT")
        FuseTransition.objects.create(scope=armed.symbol, state="REDUCING")
        refuse(lambda: make_order(armed), "is REDUCING")
        assert make_order(other).state == "INTENT"

    def test_closing_passes_while_tripped_and_never_flips(self, armed: Instrument):
        hold_position(armed)
        trip_fuse()
        close = make_order(armed, side="sell", purpose="fuse")
        close.refresh_from_db()
        assert close.reduces
        refuse(lambda: make_order(armed, side="sell", purpose="fuse"), "must reduce")
        stop = make_order(armed, side="sell", purpose="stop")
        stop.refresh_from_db()
        assert stop.reduces

    def test_the_callers_word_that_an_order_reduces_counts_for_nothing(self, armed: Instrument):
        trip_fuse()
        refuse(lambda: make_order(armed, side="sell", reduces=True), "the fuse is TRIPPED")

    def test_a_denied_order_is_kept_as_a_record(self, instrument: Instrument):
        assert make_order(instrument, state="DENIED").state == "DENIED"
        refuse(lambda: make_order(instrument, state="ACKED"), "starts as INTENT")


class TestArming:
    def test_one_person_cannot_arm(self, officers):
        refuse(lambda: arm_fuse(officers[0], officers[0]), "same person")

    def test_two_accounts_of_one_person_cannot_arm(self, officers):
        twin = make_user("ann.second", Role.RISK_OFFICER, person=officers[0].person)
        refuse(lambda: arm_fuse(officers[0], twin), "same person")

    def test_another_role_cannot_arm(self, officers):
        refuse(lambda: arm_fuse(officers[0], make_user("cat", Role.OPERATOR)), "risk officers")

    def test_no_reset_no_arming(self):
        refuse(lambda: FuseTransition.objects.create(state="ARMED"), "two people")

    def test_a_daily_loss_waits_for_the_next_utc_day(self, officers):
        trip_fuse(trigger="daily_loss")
        refuse(lambda: arm_fuse(*officers, at=NOON + timedelta(hours=11)), "next UTC day")
        arm_fuse(*officers, at=NOON + timedelta(hours=12))

    def test_arming_rests_on_a_clean_reconciliation_since_the_stop(self, officers):
        words = "clean reconciliation since"
        before = Reconciliation.objects.create(is_clean=True, occurred_at=NOON - HOUR)
        other = Reconciliation.objects.create(book="other", is_clean=True, occurred_at=NOON)
        trip_fuse()
        for text in ("all is well", "", str(uuid.uuid4()), str(before.pk), str(other.pk)):
            refuse(lambda text=text: arm_fuse(*officers, reconciliation=text), words)
        clean = Reconciliation.objects.create(is_clean=True, occurred_at=NOON + HOUR)
        Reconciliation.objects.create(is_clean=False, occurred_at=NOON + 2 * HOUR)
        later = NOON + 3 * HOUR
        refuse(lambda: arm_fuse(*officers, at=later, reconciliation=str(clean.pk)), words)
        arm_fuse(*officers, at=later)
        assert FuseTransition.objects.order_by("-id").first().state == "ARMED"

    def test_a_second_drawdown_reset_within_thirty_days_takes_a_director(self, officers):
        words = "takes a fund director"
        arm_fuse(*officers)
        trip_fuse(trigger="drawdown")
        arm_fuse(*officers, at=NOON + HOUR, trigger="drawdown")
        trip_fuse(trigger="drawdown", at=NOON + 2 * HOUR)
        soon, director = NOON + 29 * DAY, make_user("dora", Role.DIRECTOR)
        twin = make_user("ann.board", Role.DIRECTOR, person=officers[0].person)

        def arm(at: datetime, director: Any = None) -> Callable[[], None]:
            return lambda: arm_fuse(*officers, at=at, trigger="drawdown", director=director)

        refuse(arm(soon), words)
        refuse(arm(soon, make_user("eve", Role.OPERATOR)), words)
        refuse(arm(soon, twin), words)
        arm(soon, director)()
        trip_fuse(trigger="drawdown", at=NOON + 70 * DAY)
        arm(NOON + 71 * DAY)()

    def test_a_reset_serves_once(self, officers):
        arm_fuse(*officers)
        used = FuseTransition.objects.get(state="ARMED").reset
        trip_fuse()
        refuse(lambda: FuseTransition.objects.create(state="ARMED", reset=used), "stopped again")


class TestLedger:
    @pytest.fixture(autouse=True)
    def _accounts(self, as_gateway: None) -> None:
        self.fund = Fund.objects.create(code="MF", name="Fund", inception=NOON)
        Account.objects.create(code="1010", name="Bank", kind="asset")
        Account.objects.create(
            code="2010", name="Subscriptions received in advance", kind="liability"
        )

    def enter(self, ref: str, *legs: tuple[str, str, int]) -> Entry:
        entry = Entry.objects.create(
            fund=self.fund,
            kind="test",
            source_ref=ref,
            effective_at=NOON,
            content_hash="0" * 64,
            created_by_label="test",
        )
        Posting.objects.bulk_create(
            [
                Posting(entry=entry, account_id=account, currency=currency, amount=amount)
                for account, currency, amount in legs
            ]
        )
        return entry

    def test_a_balanced_entry_commits_and_is_chained_to_the_last(self):
        with transaction.atomic():
            first = self.enter("a", ("1010", "USD", 5), ("2010", "USD", -5))
        with transaction.atomic():
            second = self.enter("b", ("1010", "USD", 5), ("2010", "USD", -5))
        first.refresh_from_db()
        second.refresh_from_db()
        assert (first.seq, second.seq) == (1, 2)
        assert bytes(second.prev_hash) == bytes(first.row_hash)

    def test_a_sum_across_currencies_is_no_balance(self):
        refuse(lambda: self.enter("a", ("1010", "USD", 5), ("2010", "EUR", -5)), "does not balance")

    def test_an_entry_without_postings_is_refused(self):
        refuse(lambda: self.enter("a"), "no postings")

    def test_a_committed_entry_is_closed(self):
        with transaction.atomic():
            entry = self.enter("a", ("1010", "USD", 5), ("2010", "USD", -5))
        refuse(
            lambda: Posting.objects.bulk_create(
                [
                    Posting(entry=entry, account_id="1010", currency="USD", amount=1),
                    Posting(entry=entry, account_id="2010", currency="USD", amount=-1),
                ]
            ),
            "is closed",
        )

    def test_an_early_check_does_not_spend_the_check(self):
        def attack() -> None:
            entry = self.enter("a", ("1010", "USD", 5), ("2010", "USD", -5))
            execute("SET CONSTRAINTS ALL IMMEDIATE")
            Posting.objects.create(entry=entry, account_id="1010", currency="USD", amount=1)

        refuse(attack, "does not balance")

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "0"])
    def test_no_amount_that_is_no_number(self, value: str):
        with transaction.atomic():
            entry = self.enter("a", ("1010", "USD", 5), ("2010", "USD", -5))
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO investors_posting (entry_id, account_id, currency, amount, "
                "share_class, instrument, strategy) VALUES (%s, '1010', 'USD', %s, '', '', '')",
                [entry.pk, value],
            )


@pytest.mark.parametrize(
    "table",
    [
        "core_auditevent",
        "risk_fuseevent",
        "risk_fusetransition",
        "risk_pretradecheck",
        "trading_fill",
        "trading_orderevent",
        "investors_entry",
        "investors_posting",
        "investors_unitentry",
        "investors_lotnav",
    ],
)
@pytest.mark.parametrize(
    "attack",
    [
        'UPDATE "{table}" SET id = id',
        'DELETE FROM "{table}"',
        'TRUNCATE "{table}" CASCADE',
        'ALTER TABLE "{table}" DISABLE TRIGGER ALL',
        'DROP TABLE "{table}" CASCADE',
    ],
)
def test_append_only_tables_refuse_every_change(table: str, attack: str):
    with pytest.raises(DatabaseError), transaction.atomic():
        execute(attack.format(table=table))


def test_the_owner_too_is_refused_by_the_triggers_until_he_drops_them():
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_auditevent (chain, occurred_at, actor_label, action, "
            "subject_type, subject_id, body, trace_id) "
            "VALUES ('main', now(), 'x', 'x', '', '', '{}', '')"
        )
        with pytest.raises(DatabaseError, match="append-only"):
            cursor.execute("DELETE FROM core_auditevent")


def test_audit_lines_are_numbered_and_chained_and_tampering_shows():
    for k in range(3):
        AuditEvent.objects.create(actor_label="test", action=f"step {k}", body={"k": k})
    rows = list(AuditEvent.objects.order_by("seq"))
    assert [row.seq for row in rows] == [1, 2, 3]
    check = (
        "SELECT count(*) FROM (SELECT a.*, core_audit_digest(a) d, "
        "lag(row_hash, 1, '\\x'::bytea) OVER (PARTITION BY chain ORDER BY seq) p "
        "FROM core_auditevent a) q WHERE row_hash <> d OR prev_hash <> p"
    )
    with connection.cursor() as cursor:
        cursor.execute(check)
        assert cursor.fetchone() == (0,)
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditevent DISABLE TRIGGER append_only_row")
        cursor.execute("UPDATE core_auditevent SET action = 'forged' WHERE seq = 2")
        cursor.execute("ALTER TABLE core_auditevent ENABLE ALWAYS TRIGGER append_only_row")
    with connection.cursor() as cursor:
        cursor.execute(check)
        assert cursor.fetchone() == (1,)


class TestUnits:
    @pytest.fixture(autouse=True)
    def _lot(self, as_gateway: None, fresh_database: Any) -> None:
        # What may move units has tests of its own; here the balances alone are asked.
        with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as superuser:
            superuser.execute("ALTER TABLE investors_unitentry DISABLE TRIGGER dealt_units")
        fund = Fund.objects.create(code="MF", name="Fund", inception=NOON)
        share_class = ShareClass.objects.create(fund=fund, code="A", name="A", launch_price=100)
        investor = Investor.objects.create(number="1", legal_name="Ines", email="i@example.com")
        self.holding = Holding.objects.create(investor=investor, share_class=share_class)
        self.lot = UnitLot.objects.create(
            number=1,
            holding=self.holding,
            share_class=share_class,
            dealing_day=NOON.date(),
            entry_price=100,
            units=0,
            high_water_mark=100,
            hurdle_start=NOON.date(),
            cost=0,
            opened_at=NOON,
        )

    def move(self, units: str, mark: int = 100) -> None:
        UnitEntry.objects.create(
            lot=self.lot,
            kind="issue",
            units=Decimal(units),
            price=100,
            high_water_mark=mark,
            hurdle_start=NOON.date(),
            effective_at=NOON,
        )

    def test_units_follow_their_entries(self):
        self.move("5")
        self.move("-2.5", mark=101)
        self.lot.refresh_from_db()
        self.holding.refresh_from_db()
        assert (self.lot.units, self.holding.units) == (Decimal("2.5"), Decimal("2.5"))
        assert self.lot.high_water_mark == 101

    def test_more_units_than_there_are_cannot_leave(self):
        self.move("5")
        refuse(lambda: self.move("-5.000001"), "violates check constraint")

    def test_units_cannot_be_written_past_their_entries(self):
        refuse(lambda: UnitLot.objects.filter(pk=self.lot.pk).update(units=9), "permission denied")
        refuse(
            lambda: Holding.objects.filter(pk=self.holding.pk).update(units=9), "permission denied"
        )


class TestNavStrike:
    def strike(self, preparer: Any, **changes: Any) -> NavStrike:
        fund, _ = Fund.objects.get_or_create(
            code="MF", defaults={"name": "Fund", "inception": NOON}
        )
        return NavStrike.objects.create(
            **{
                "fund": fund,
                "valuation_at": NOON,
                "known_at": NOON,
                "gross_assets": 1,
                "nav": 1,
                "inputs": {},
                "input_hash": "a",
                "result_hash": "b",
                "prepared_by": preparer,
                **changes,
            }
        )

    def approve(self, strike: NavStrike, approver: Any, seen: str = "b") -> None:
        rows = NavStrike.objects.filter(pk=strike.pk)
        with transaction.atomic():
            rows.update(
                state="approved", approved_by=approver, approved_at=NOON, approved_hash=seen
            )
            rows.update(state="dealt", dealt_at=NOON)

    def test_preparer_and_approver_are_two_people_with_the_right_role(self):
        anna = make_user("anna", Role.ACCOUNTANT, Role.CONTROLLER)
        carl = make_user("carl", Role.CONTROLLER)
        strike = self.strike(anna)
        refuse(lambda: self.approve(strike, anna), "same person")
        refuse(lambda: self.approve(strike, make_user("olive", Role.OPERATOR)), "controller")
        refuse(lambda: self.approve(strike, carl, seen="other"), "approved_what_was_seen")
        self.approve(strike, carl)
        strike.refresh_from_db()
        assert strike.state == "dealt"
        refuse(
            lambda: NavStrike.objects.filter(pk=strike.pk).update(state="prepared"), "is refused"
        )
        refuse(lambda: NavStrike.objects.filter(pk=strike.pk).update(nav=2), "permission denied")

    def test_a_strike_cannot_be_born_approved(self):
        anna, carl = make_user("anna", Role.ACCOUNTANT), make_user("carl", Role.CONTROLLER)
        refuse(
            lambda: self.strike(
                anna, state="approved", approved_by=carl, approved_at=NOON, approved_hash="b"
            ),
            "prepared first",
        )


def test_no_instrument_is_said_to_gap_by_less_than_a_quarter():
    row = make_instrument()
    Instrument.objects.filter(pk=row.pk).update(is_active=False)
    row.pk, row.symbol, row.gap_floor = None, "ETH/USDT:USDT", Decimal("0.01")
    refuse(row.save, "trading_instrument_gap_floor_least")
    refuse(
        lambda: Instrument.objects.update(gap_floor=Decimal("0.9")),
        "permission denied for table trading_instrument",
    )
