"""No entry of the ledger without the row or the signed decision that it comes from.

Each attack posts a balanced entry with the role of the web; the honest way is taken beside it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection

from investors.domain.ledger import EVENTS, build_entry
from investors.domain.ledger.types import CHOSEN
from investors.models import DealingOrder, Entry, Fund, NavStrike
from investors.services import nav_settlement
from investors.services.distributions import decide_distribution
from investors.services.ledger import NewEntry, post_entries
from investors.services.nav import approve_strike
from investors.services.verification import verify_fund
from investors.tests.fund_support import SmallFund, first_of, make_fund
from magnetfund.core.services.signing import DISTRIBUTION, NAV
from magnetfund.kernel.clock import utc_now
from magnetfund.tests.test_decision_walls import checker_of, distribution
from magnetfund.tests.test_signed_refusals import restatement
from magnetfund.tests.walls_support import say_kind, write_signature
from trading.models import BookFlow

FIRST, SECOND = first_of(2025, 2), first_of(2026, 1)


def tell() -> SmallFund:
    """Ann holds 10 units and asks for 4 back; Bob holds 30."""
    fund = make_fund("main")
    for at in (FIRST, SECOND):
        fund.day(at)
    fund.subscribe("ann", "1000", before=FIRST)
    fund.subscribe("bob", "3000", before=FIRST)
    fund.strike(FIRST)
    fund.redeem("ann", "4", before=SECOND)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(fresh_database: Any, told: Any) -> SmallFund:
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


def post(fund: SmallFund, kind: str, source: str, part: str = "amount", **more: Any) -> None:
    """A balanced entry of 100, as a thief of the web would post it."""
    entry = build_entry(
        event=kind, source_ref=source, amounts={part: "100"}, currency="USD",
        **{"effective_at": utc_now(), **more},
    )  # fmt: skip
    post_entries(fund.fund, [NewEntry.of(entry)], actor=fund.maker)


#: What is posted, its source, and what else it needs; ``{}`` is the id of a row that is there.
FORGED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a recovered error": ("error_recovered", "restatement:{}:fund:error_recovered", {}),
    "an error of nothing": ("error_recovered", "x", {}),
    "a package that nobody signed": ("error_recovered", "restatement:{package}:fund:x", {}),
    "a debt of the manager": (
        "compensation_owed", "restatement:{package}:a:x", {"account": "1400"},
    ),
    "a fill that was not": ("trade_fill", "fill:999", {"part": "realised"}),
    "funding that was not": ("funding", "funding:999", {"part": "received"}),
    "a mark of no NAV": (
        "mark_to_market", "mark:main:2026-01-01T00:00:00Z:9", {"part": "change", "account": "1120"},
    ),
    "a cost of nobody": ("expense_accrued", "expense:{}:2026-01-01:amount:1", {"account": "5040"}),
    "a break of nothing": ("expense_accrued", "break:{}:expense_accrued", {"account": "5040"}),
    "a payment": ("redemption_paid", "payment:{}", {}),
    "an old NAV's fee": ("management_fee", "management_fee:{strike}:A", {"effective_at": FIRST}),
    "an old NAV's units": (
        "units_issued", "units_issued:{strike}:", {"part": "consideration", "effective_at": FIRST},
    ),
    "a flow of nothing": ("venue_funded", "venue_funded:x", {}),
    "a distribution": ("distribution_declared", "distribution_declared:{}", {}),
    "what was held back": ("holdback_released", "holdback:{order}", {}),
    "a receipt put to use": ("receipt_identified", "allocation:{}:1", {}),
    "a kind that nothing posts": ("income_received", "x", {"part": "cash"}),
    "a side pocket": (
        "side_pocket_created", "side_pocket_created:{strike}:A",
        {"part": "venue_cash", "effective_at": FIRST},
    ),
    "a rebate": (
        "fee_rebate", "fee_rebate:{strike}:A", {"part": "management", "effective_at": FIRST},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_no_entry_without_its_source(small: SmallFund, what: str, fresh_database: Any):
    kind, form, more = FORGED[what]
    source = form.format(
        uuid.uuid4(),
        package=restatement(small).pk,
        strike=NavStrike.objects.get().pk,
        order=DealingOrder.objects.get(kind="redemption").pk,
    )
    with pytest.raises(IntegrityError, match=r"belongs to the dealing|without the source|nothing"):
        post(small, kind, source, **more)
    assert not Entry.objects.filter(source_ref=source).exists()
    # Where a superuser switched the wall off, the books name the entry.
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as session:
        for name in ("entry_sourced", "entry_of_dealing"):
            session.execute(f"ALTER TABLE investors_entry DISABLE TRIGGER {name}".encode())
    post(small, kind, source, **more)
    is_named = any(f"{kind} {source} is " in line for line in verify_fund(small.fund))
    assert is_named or "{strike}" in form


def test_an_entry_moves_the_accounts_of_its_kind_alone(small: SmallFund):
    taken = build_entry(
        event="error_recovered", source_ref="fill:1", effective_at=utc_now(),
        amounts={"amount": "100"}, currency="USD",
    )  # fmt: skip
    new = replace(NewEntry.of(taken), kind="trade_fill")
    with pytest.raises(IntegrityError, match="its kind does not move"):
        post_entries(small.fund, [new], actor=small.maker)


@pytest.mark.parametrize("amount", ["100", None])
def test_a_flow_leaves_the_bank_at_what_is_owed(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch, amount: str | None
):
    """With a NAV's own signature a thief moves no other amount between bank and book."""

    def level(fund: Fund, *, at: datetime, source: str, **_: Any) -> None:
        post(small, "venue_funded", f"venue_funded:{source}", effective_at=at)
        BookFlow.objects.create(
            book=fund.book, amount=100, source_ref=source, text="", occurred_at=at
        )

    if amount is not None:
        monkeypatch.setattr(nav_settlement, "level_bank", level)
    strike = small.prepare(SECOND)
    write_signature(fresh_database, NAV, strike.pk, checker_of(small))
    expected = (
        nullcontext() if amount is None
        else pytest.raises(IntegrityError, match="what is owed from it")
    )  # fmt: skip
    with expected:
        approve_strike(strike=strike, seen_hash=strike.result_hash, actor=small.checker)
    strike.refresh_from_db()
    assert strike.state == ("dealt" if amount is None else "prepared")


def test_dealing_and_a_distribution_with_their_signatures_pass(
    small: SmallFund, fresh_database: Any
):
    strike = small.prepare(SECOND)
    write_signature(fresh_database, NAV, strike.pk, checker_of(small))
    approve_strike(strike=strike, seen_hash=strike.result_hash, actor=small.checker)
    row = distribution(small)
    write_signature(fresh_database, DISTRIBUTION, row.pk, checker_of(small))
    decide_distribution(distribution=row, is_approved=True, actor=small.checker)
    kinds = set(Entry.objects.values_list("kind", flat=True))
    assert {"distribution_declared", "redemption_dealt", "venue_funded"} <= kinds
    assert verify_fund(small.fund) == []


@pytest.mark.django_db
def test_the_accounts_of_the_wall_are_those_of_the_events():
    with connection.cursor() as cursor:
        for name, event in EVENTS.items():
            cursor.execute("SELECT investors_entry_accounts(%s)", [name])
            (accounts,) = cursor.fetchone()
            if accounts is None:
                continue
            fixed = {side for rule in event.rules for side in (rule.debit, rule.credit)} - {CHOSEN}
            assert fixed <= set(accounts) <= fixed | set(event.choices), name
