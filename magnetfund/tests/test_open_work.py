"""Today's list: each kind of work appears while it waits, names its role and its page, and goes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.test import Client

from investors.models import DealingDay, DealingOrder, Fund, Investor, NavStrike, ShareClass
from investors.services.breaks import close_break, explain_break, raise_break
from investors.services.money_accounts import approve_account, open_account
from investors.services.suspension import decide_suspension, propose_suspension
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.env import parse_bucket_url
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.models import Backup, BackupCheck, BackupCopy
from magnetfund.operations.people import ensure_user
from magnetfund.operations.role_changes import decide_role, propose_role
from magnetfund.tests.walls_support import (
    arm_fuse,
    make_engine_ready,
    make_instrument,
    make_order,
    make_user,
)
from magnetfund.web.desk.open_work import Facts, listing
from magnetfund.web.desk.open_work import fund as fund_work
from magnetfund.web.desk.open_work import money as money_work
from magnetfund.web.desk.open_work import others as others_work
from magnetfund.web.desk.open_work import rates as rates_work
from magnetfund.web.desk.open_work import trading as trading_work
from magnetfund.web.desk.open_work import upkeep as upkeep_work
from magnetfund.web.desk.open_work.listing import SOURCES, find_rows
from magnetfund.web.desk.open_work.states import find_states
from risk.services.stop import stop_trading
from trading.models import EngineTransition, Reconciliation, Valuation

pytestmark = pytest.mark.usefixtures("fresh_database")
DAY = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture
def fund() -> Fund:
    return Fund.objects.create(code="F", name="Fund", book="main", inception=DAY)


def make_day(fund: Fund, at: datetime = DAY) -> DealingDay:
    return DealingDay.objects.create(
        fund=fund, day=at.date(), cutoff_at=at - timedelta(days=2),
        funding_deadline_at=at - timedelta(days=1), valuation_at=at,
        settlement_day=at.date() + timedelta(days=5),
    )  # fmt: skip


def make_strike(fund: Fund, state: str, *, version: int = 1) -> NavStrike:
    return NavStrike.objects.create(
        fund=fund, valuation_at=DAY, known_at=DAY, version=version, state=state, inputs={},
        waterfall=[], checklist=[], nav=0, gross_assets=0, result_hash="h", input_hash="i",
        prepared_by=make_user(f"pia{version}", Role.ACCOUNTANT), prepared_at=DAY,
        rejected_reason="prices differ" if state == "rejected" else "",
    )  # fmt: skip


def told() -> list[tuple[str, str]]:
    """What is to be done, and by whom."""
    return [(item.what, item.waits_on) for item in find_rows("main")]


def test_a_strike_is_due_then_prepared_then_returned_then_prepared_again(fund: Fund):
    make_day(fund)
    make_day(fund, utc_now() + timedelta(days=40))
    assert told() == [("NAV of 1 Oct 2026 is due", "Accountant")]
    strike = make_strike(fund, "prepared")
    assert told() == [("NAV of 1 Oct 2026, version 1", "Controller")]
    NavStrike.objects.filter(pk=strike.pk).update(state="rejected", rejected_reason="prices differ")
    assert told() == [("NAV of 1 Oct 2026, version 1 was returned", "Accountant")]
    assert find_rows("main")[0].note == "prices differ"
    make_strike(fund, "prepared", version=2)
    assert told() == [("NAV of 1 Oct 2026, version 2", "Controller")]


@pytest.mark.parametrize(
    ("state", "minutes", "words"),
    [
        ("UNKNOWN", 0, ["Order of unknown outcome: buy BTC/USDT:USDT"]),
        ("SENDING", 5, ["Order pending: BTC/USDT:USDT, sending"]),
        ("SENDING", 0, []),
        ("ACKED", 5, []),
    ],
)
def test_an_order_waits_where_its_outcome_is_not_known(
    fresh_database: Any, state: str, minutes: int, words: list[str]
):
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    make_engine_ready()
    order = make_order(make_instrument())
    at = utc_now() - timedelta(minutes=minutes)
    kinds = {"SENDING": "sending", "UNKNOWN": "outcome_unseen", "ACKED": "acknowledged"}
    with psycopg.connect(fresh_database.dsn("fa_gateway", "fresh")) as trader:
        tell = (
            "INSERT INTO trading_orderevent (order_id, seq, kind, from_state, to_state, detail, "
            "occurred_at, recorded_at) VALUES (%s, %s, %s, %s, %s, '{}', now(), now())"
        )
        trader.execute(tell, [order.pk, 1, "intent", "", "INTENT"])
        before = "INTENT"
        for seq, step in enumerate(dict.fromkeys(("SENDING", state)), start=2):
            trader.execute("UPDATE trading_order SET state = %s", [step])
            trader.execute(tell, [order.pk, seq, kinds[step], before, step])
            before = step
    with psycopg.connect(fresh_database.dsn("postgres", "fresh")) as owner:
        owner.execute("UPDATE trading_order SET occurred_at = %s WHERE id = %s", [at, order.pk])
    assert [what for what, _ in told()] == words


def test_a_break_waits_until_a_comparison_is_clean():
    now = utc_now()
    Reconciliation.objects.using("gateway").create(
        book="main", is_clean=False, occurred_at=now - timedelta(minutes=2)
    )
    assert told() == [("Break between books and venue", "Operator")]
    Reconciliation.objects.using("gateway").create(book="main", is_clean=True, occurred_at=now)
    assert told() == []


def test_a_break_with_the_bank_waits_to_be_explained_and_closed(fund: Fund):
    people = [
        Actor.of(ensure_user(email=f"{role.value}@example.com", name="P", roles=[role]))
        for role in (Role.ACCOUNTANT, Role.CONTROLLER)
    ]
    found = raise_break(
        fund=fund, source="bank", reference="STMT-17", asset="USD", ours=Decimal(100),
        theirs=Decimal(50), day=DAY.date(), text="fee", actor=people[0],
    )  # fmt: skip
    assert told() == [("Explain the bank break STMT-17", "Accountant")]
    explain_break(found=found, cause="a fee of the bank", actor=people[0])
    assert told() == [("Close the bank break STMT-17", "Controller")]
    close_break(found=found, resolution="accepted", actor=people[1])
    assert told() == []


@pytest.mark.parametrize(
    ("state", "is_open"),
    [("submitted", True), ("screening", True), ("review", True), ("approved", False),
     ("collecting", False), ("declined", False)],
)  # fmt: skip
def test_an_identity_verification_waits_for_compliance(state: str, is_open: bool):
    Investor.objects.create(
        number="1", legal_name="Ines Marlow", email="i@example.com", kyc_state=state
    )
    expected = [("KYC file of Ines Marlow", "Compliance")] if is_open else []
    assert told() == expected


def test_dealing_orders_wait_to_be_accepted_funded_and_paid(fund: Fund):
    share_class = ShareClass.objects.create(fund=fund, code="A", name="A", launch_price=100)
    investor = Investor.objects.create(number="1", legal_name="Ines Marlow", email="i@example.com")
    order = DealingOrder.objects.create(
        kind="subscription", investor=investor, share_class=share_class, amount=5_000,
        state="submitted", received_at=DAY,
    )  # fmt: skip
    assert told() == [("Subscription of Ines Marlow, 5,000.00 USD", "Accountant")]
    DealingOrder.objects.filter(pk=order.pk).update(state="accepted")
    assert told() == [("Ines Marlow, 5,000.00 USD", "Investor")]
    DealingOrder.objects.filter(pk=order.pk).update(state="settled")
    assert told() == []


def staff(role: Role) -> Actor:
    return Actor.of(ensure_user(email=f"{role.value}@example.com", name="P", roles=[role]))


@pytest.mark.parametrize("first", [Role.CONTROLLER, Role.DIRECTOR])
def test_a_suspension_waits_for_whoever_did_not_propose_it(fund: Fund, first: Role):
    other = {Role.CONTROLLER: Role.DIRECTOR, Role.DIRECTOR: Role.CONTROLLER}[first]
    for suspends, words in ((True, "suspend dealing"), (False, "open dealing again")):
        row = propose_suspension(
            fund=fund, suspends=suspends, reason="outage", notice="Closed.", actor=staff(first)
        )
        waits = [("Sign or decline: " + words, other.value.capitalize())]
        assert [item for item in told() if "dealing" in item[0]] == waits
        decide_suspension(proposal=row, is_approved=True, actor=staff(other))
        assert told() == []


def test_a_role_waits_for_a_director():
    staff(Role.DIRECTOR)
    row = propose_role(
        email="rita@example.com", name="Rita", role="risk_officer", reason="new",
        actor=staff(Role.ADMINISTRATOR),
    )  # fmt: skip
    what = "Sign or decline: give risk officer to rita@example.com"
    assert told() == [(what, "Director")]
    decide_role(proposal=row, is_approved=False, actor=staff(Role.DIRECTOR))
    assert told() == []


def test_accounts_wait_for_a_controller(fund: Fund):
    pia, carl = staff(Role.ACCOUNTANT), staff(Role.CONTROLLER)
    own = open_account(
        fund=fund, code="MAIN", kind="bank", bank="Example Bank", number="CH9300762011623852957",
        currency="USD", actor=pia,
    )  # fmt: skip
    assert told() == [("Approve the fund's account MAIN", "Controller")]
    approve_account(account=own, actor=carl)
    assert told() == []


READY = {"shape": "ok", "note": "", "since": None}


def facts(**more: Any) -> Facts:
    known: dict[str, Any] = {"fuse_state": "ARMED", "engine": READY, "data_at": DAY}
    return Facts(**{**known, "is_stale": False, **more})


def test_nothing_is_told_of_a_fund_in_order():
    assert find_states("main", facts()) == []


def test_a_tripped_fuse_a_stopped_engine_and_old_data_come_first():
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    stop_trading(
        book="main", reason="venue is down", actor=Actor.of(make_user("olga", Role.OPERATOR))
    )
    (fuse,) = find_states("main", facts(fuse_state="TRIPPED"))
    assert fuse.waits_on == "Risk officer"
    assert "venue is down" in fuse.note
    assert fuse.since is not None
    (engine,) = find_states("main", facts(engine={**READY, "shape": "fail", "note": "no trader"}))
    assert (engine.what, engine.waits_on) == ("Trading engine stopped", "Operator")
    (data,) = find_states("main", facts(is_stale=True))
    assert (data.what, data.since) == ("Figures are out of date", DAY)


def test_the_page_says_no_open_tasks_only_when_it_is_true(
    monkeypatch: pytest.MonkeyPatch, fund: Fund
):
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    make_engine_ready()
    Valuation.objects.using("gateway").create(
        book="main", at=utc_now(), equity=430_000, cash=430_000, unit_value=100,
        peak_unit_value=100, day_start_unit_value=100,
    )  # fmt: skip
    client = Client()
    client.force_login(ensure_user(email="op@example.com", name="Op", roles=[Role.OPERATOR]))
    assert "No open tasks" in client.get("/desk/").content.decode()
    make_day(fund)
    page = client.get("/desk/").content.decode()
    assert "No open tasks" not in page
    assert "NAV of 1 Oct 2026 is due" in page
    EngineTransition.objects.using("gateway").create(
        book="main", state="STOPPED", reason="trader died", actor_label="Olga Operator"
    )
    page = client.get("/desk/").content.decode()
    assert "Trading engine stopped" in page
    assert "trader died" in page
    mine = client.get("/desk/?role=operator").content.decode()
    assert "NAV of 1 Oct 2026 is due" not in mine
    assert "Trading engine stopped" in mine


def back_up(*, hours_ago: int, is_clean: bool | None = True, is_complete: bool = True) -> None:
    """A backup as it was recorded, with its restore unless ``is_clean`` is None."""
    at = utc_now() - timedelta(hours=hours_ago)
    name = f"magnetfund-{hours_ago}" if is_complete else ""
    digest = f"{hours_ago:064d}" if is_complete else ""
    Backup.objects.using("owner").create(
        name=name, reason="schedule", made_at=at, is_complete=is_complete, sha256=digest,
        detail="" if is_complete else "permission denied",
    )  # fmt: skip
    if is_clean is not None:
        BackupCheck.objects.using("owner").create(
            name=name, sha256=digest, checked_at=at, seconds=1, is_clean=is_clean
        )


@pytest.fixture
def bucket(settings: Any) -> Iterator[str]:
    """A bucket is set; the list's statement holds where it is, so it is compiled anew."""
    settings.BACKUP_BUCKET = parse_bucket_url("X", "https://s3.example.com/b", region="r")
    listing._compile.cache_clear()
    yield "s3.example.com/b"
    listing._compile.cache_clear()


def test_a_copy_that_failed_or_is_old_waits_for_an_administrator(bucket: str):
    now = utc_now()
    row = {"name": "magnetfund-1", "sha256": "a" * 64, "place": bucket, "size": 1}
    old, sent = now - timedelta(hours=30), BackupCopy.objects.using("owner").create
    sent(**{**row, "place": "another"}, made_at=old, is_verified=False)
    assert told() == []
    sent(**row, made_at=old, tried_at=old, is_verified=True)
    assert told() == [("No backup of the last 26 hours is in the bucket", "Administrator")]
    sent(**row, made_at=now, is_verified=False, detail="does not answer")
    assert ("The last copy of a backup failed", "Administrator") in told()
    sent(**row, made_at=now, is_verified=True)
    assert told() == []


def test_a_backup_that_failed_or_did_not_restore_waits_for_an_administrator():
    assert told() == []
    back_up(hours_ago=30)
    assert told() == [("No backup of the last 26 hours is proven by a restore", "Administrator")]
    back_up(hours_ago=3, is_clean=None)
    assert len(told()) == 1, "made, but not proven"
    back_up(hours_ago=2, is_complete=False, is_clean=None)
    assert ("The last backup failed", "Administrator") in told()
    back_up(hours_ago=1, is_clean=False)
    assert ("The last restore test failed", "Administrator") in told()
    back_up(hours_ago=0)
    assert told() == []
    # A copy with its log is another thing: neither hides what became of the other.
    BackupCheck.objects.using("owner").create(
        name="base-1 to 00:00:00", sha256="b" * 64, checked_at=utc_now() - timedelta(hours=2),
        seconds=1, is_clean=False,
    )  # fmt: skip
    assert told() == [("The last restore test failed", "Administrator")]


def test_a_name_of_a_source_is_taken_once():
    works = (trading_work, fund_work, money_work, others_work, rates_work, upkeep_work)
    parts = [work.SOURCES for work in works]
    assert len(SOURCES) == sum(len(part) for part in parts)
