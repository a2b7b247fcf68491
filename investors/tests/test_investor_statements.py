"""Monthly statements: every line ties to the ledger, equal books give equal bytes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum

from investors.models import Investor, LotNav, Message, Paper, Posting
from investors.services import investor_statements
from investors.services.dealing_proposals import decide_dealing, propose_dealing
from investors.services.distributions import decide_distribution, propose_distribution
from investors.services.investor_statements import make_due_statements, make_statements
from investors.services.papers import render_paper
from investors.services.switching import submit_switch
from investors.tests.fund_support import SmallFund, first_of, make_fund_of
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed, NotFound
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
D = Decimal
MONTHS = [first_of(2025, month) for month in range(1, 7)]
A = {"performance_rate": "0.2", "management_rate": "0.02", "entry_fee_rate": "0.01",
     "exit_fee_rate": "0.005", "crystallisation_months": [3]}  # fmt: skip
B = {"performance_rate": "0.1", "hurdle": "hard", "hurdle_rate": "0.02"}


def lived() -> SmallFund:
    """Six months of two classes: money in and out, a switch, a transfer, gains and a loss, fees
    that become final, an expense."""
    small = make_fund_of("main", {"A": A, "B": B})
    for at in MONTHS:
        small.day(at)
    small.subscribe("ann", "30000", before=MONTHS[0])
    small.subscribe("bob", "12345.67", before=MONTHS[0])
    small.subscribe("cyd", "9000", before=MONTHS[0], code="B")
    small.strike(MONTHS[0])
    small.earn("1500.13", at=MONTHS[0] + timedelta(days=9), by_trading=True)
    small.earn("-77.77", at=MONTHS[0] + timedelta(days=11))
    small.subscribe("ann", "5000", before=MONTHS[1])
    small.redeem("bob", "40", before=MONTHS[1])
    small.strike(MONTHS[1])
    give(small, "ann", "dan", "25", at=MONTHS[1] + timedelta(days=3))
    small.earn("2100", at=MONTHS[1] + timedelta(days=9), by_trading=True)
    submit_switch(
        investor=small.investor("ann"), share_class=small.share_class("A"),
        into_class=small.share_class("B"), units=D(50), actor=small.maker,
        at=MONTHS[2] - timedelta(days=10),
    )  # fmt: skip
    small.redeem("bob", None, before=MONTHS[2])
    small.strike(MONTHS[2])
    pay_out(small, at=MONTHS[2] + timedelta(days=3))
    give(small, "ann", "dan", "5", at=MONTHS[2] + timedelta(days=4))
    small.earn("900", at=MONTHS[2] + timedelta(days=9), by_trading=True)
    small.strike(MONTHS[3])
    small.earn("-3000", at=MONTHS[3] + timedelta(days=9), by_trading=True)
    small.strike(MONTHS[4])
    return small


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return lived


@pytest.fixture
def small(module_database: Any, told: Any, db: None) -> SmallFund:
    return deepcopy(told.value)


def pay_out(small: SmallFund, *, at: datetime) -> None:
    """1.50 a unit of class A: in cash, to Ann in units."""
    row = propose_distribution(
        share_class=small.share_class("A"), per_unit=D("1.5"), is_in_units=False,
        exceptions=["main-ann"], reason="gain of the quarter", actor=small.maker,
    )  # fmt: skip
    decide_distribution(distribution=row, is_approved=True, actor=small.checker, at=at)


def give(small: SmallFund, giver: str, receiver: str, units: str, *, at: datetime) -> None:
    controller = Actor.of(
        ensure_user(email="second@example.com", name="Second", roles=[Role.CONTROLLER])
    )
    row = propose_dealing(
        kind="transfer", investor=small.investor(giver), receiver=small.investor(receiver),
        share_class=small.share_class("A"), units=D(units), actor=small.maker, reason="gift",
    )  # fmt: skip
    decide_dealing(proposal=row, is_approved=True, actor=controller, at=at)


def made(small: SmallFund, period: str) -> dict[str, Paper]:
    run = make_statements(fund=small.fund, period=period, actor=small.maker)
    assert run.refused == {}
    return {paper.investor.legal_name.lower(): paper for paper in run.made if paper.investor}


def lines_of(paper: Paper) -> dict[str, Decimal]:
    return {
        words: D(amount.replace(",", "").replace("−", "-")) for words, amount, _ in
        paper.data["bridge"]
    }  # fmt: skip


def test_every_line_of_all_statements_adds_to_what_the_ledger_booked(small: SmallFund):
    for begin, end in itertools.pairwise(MONTHS[:5]):
        papers = made(small, f"{begin:%Y-%m}")
        opening, closing = (
            small.fund.strikes.get(valuation_at=at, state="dealt") for at in (begin, end)
        )
        totals: dict[str, Decimal] = {}
        for paper in papers.values():
            rows = lines_of(paper)
            ends = {f"Value on {at:%-d %b %Y}" for at in (begin, end)}
            inside = sum((v for k, v in rows.items() if k not in ends), D(0))
            first, last = (rows[f"Value on {at:%-d %b %Y}"] for at in (begin, end))
            assert first + inside == last
            assert abs(rows.get("Rounding", D(0))) <= D("0.05")
            for words, amount in rows.items():
                totals[words] = totals.get(words, D(0)) + amount
        slack = D("0.01") * len(papers)
        assert totals[f"Value on {end:%-d %b %Y}"] == closing.nav
        assert totals[f"Value on {begin:%-d %b %Y}"] == sum(
            LotNav.objects.filter(strike=opening).values_list("net_value", flat=True)
        )
        booked = {
            line: -sum_of(small, accounts, begin, end)
            for line, accounts in {
                "Trading, realised": ("4010",),
                "Fund expenses": ("5040",),
                "Dealing fees and rounding kept by the fund": ("4060", "3900"),
            }.items()
        }
        booked["Deposits"] = sum_of(
            small, ("2010",), begin, end, kinds=("units_issued", "entry_fee")
        )
        booked["Redemptions"] = sum_of(
            small, ("2020",), begin, end, kinds=("redemption_dealt", "exit_fee")
        )
        booked["Performance fee, made final"] = sum_of(small, ("2120",), begin, end)
        booked["Entry and exit fees"] = sum_of(small, ("4060",), begin, end)
        booked["Management fee"] = -sum(row.management_fee for row in closing.classes.all())
        booked["Units transferred"] = D(0)
        for line, amount in booked.items():
            assert abs(totals.get(line, D(0)) - amount) <= slack, (begin, line)


def sum_of(small, accounts, begin, end, kinds=None) -> Decimal:
    rows = Posting.objects.filter(
        entry__fund=small.fund, account__in=accounts, currency="USD",
        entry__effective_at__gte=begin, entry__effective_at__lt=end,
    )  # fmt: skip
    if kinds is not None:
        rows = rows.filter(entry__kind__in=kinds)
    return rows.aggregate(total=Sum("amount"))["total"] or D(0)


def test_the_lots_returns_and_units_of_a_statement_are_those_of_the_strike(small: SmallFund):
    papers = made(small, "2025-02")
    ann, dan = papers["ann"].data, papers["dan"].data
    closing = small.fund.strikes.get(valuation_at=MONTHS[2], state="dealt")
    own = LotNav.objects.filter(strike=closing, lot__holding__investor=small.investor("ann"))
    assert ann["figures"]["closing"] == f"{sum(row.net_value for row in own):.2f}"
    assert len(ann["lots"]) == own.count()
    assert (ann["units"][0][0], ann["units"][0][5]) == ("A", "−25.000000")
    assert [row[1] for row in ann["moves"]] == ["Subscription", "Transfer to another holder"]
    assert [row[1] for row in ann["dealt"]] == [
        "Switch to another class",
        "Switch from another class",
    ]
    assert [row[0] for row in ann["returns"]] == ["February 2025", "2025", "Since your start"]
    # Dan paid nothing in: what he was given is a flow, its result his gain.
    assert dan["figures"]["opening"] == "0.00"
    assert D(dan["figures"]["flows"]) + D(dan["figures"]["gain"]) == D(dan["figures"]["closing"])
    bob = papers["bob"].data
    assert D(bob["figures"]["twr"]) == D(f"{expected_return(small, 'bob'):.12f}")
    assert all(words in ann["checks"] for words in bob["checks"])


def expected_return(small: SmallFund, name: str) -> Decimal:
    """Net value per unit of the investor's only lot over February."""
    lot = LotNav.objects.filter(lot__holding__investor=small.investor(name))
    first = lot.get(strike__valuation_at=MONTHS[1]).net_value
    last = lot.get(strike__valuation_at=MONTHS[2]).net_value
    order = small.investor(name).orders.get(kind="redemption", strike__valuation_at=MONTHS[1])
    return last / (first - order.dealt_amount) - 1


def test_equal_books_give_equal_bytes_and_a_second_run_makes_nothing(small: SmallFund):
    papers = made(small, "2025-01")
    assert len(papers) == 3
    again = make_statements(fund=small.fund, period="2025-01", actor=small.maker)
    assert (again.made, again.kept) == ([], 3)
    for paper in papers.values():
        kept = Paper.objects.get(pk=paper.pk)
        assert bytes(kept.content) == render_paper("statement.typ", kept.data)
        assert bytes(kept.content).startswith(b"%PDF-")
    assert Message.objects.filter(subject="Statement for January 2025 is ready").count() == 3
    line = AuditEvent.objects.filter(action="statements.made").latest("seq")
    assert (line.body["made"], line.body["kept"]) == (0, 3)


def test_other_books_make_a_further_version_and_the_old_one_stays(small: SmallFund, monkeypatch):
    before = made(small, "2025-01")
    # The restated strike: a later version of the same instant with a result of its own.
    real = investor_statements.read_books

    def restated(fund, period, **rest):
        period.closing.result_hash = "f" * 64
        return real(fund, period, **rest)

    monkeypatch.setattr(investor_statements, "read_books", restated)
    after = made(small, "2025-01")
    for name, paper in after.items():
        assert (paper.version, paper.number) == (2, before[name].number + "-v2")
        assert paper.data["supersedes"] == before[name].number
        assert Paper.objects.filter(pk=before[name].pk).exists()
    message = Message.objects.get(key=f"statement:{after['ann'].number}:{after['ann'].investor_id}")
    assert f"replaces {before['ann'].number}" in message.body


def test_a_month_that_runs_or_waits_for_its_nav_has_no_statements(small: SmallFund):
    for period, code in (
        ("2025-05", "no_strike"), ("2024-11", "no_strike"), ("2199-01", "period_open"),
        ("2025-13", "bad_period"), ("may", "bad_period"),
    ):  # fmt: skip
        with pytest.raises((NotFound, Conflict, InvalidInput)) as refused:
            make_statements(fund=small.fund, period=period, actor=small.maker)
        assert refused.value.code == code, period
    middle = MONTHS[4] + timedelta(days=14)
    small.day(middle)
    small.strike(middle)
    with pytest.raises(Conflict) as waits:
        make_statements(fund=small.fund, period="2025-05", actor=small.maker)
    assert "2025-06-01" in waits.value.message
    with pytest.raises(NotAllowed):
        make_statements(fund=small.fund, period="2025-01", actor=small.checker)


def test_a_name_that_the_font_cannot_set_stops_one_paper_and_not_the_others(small: SmallFund):
    Investor.objects.filter(pk=small.investor("ann").pk).update(legal_name="漢字")
    run = make_statements(fund=small.fund, period="2025-01", actor=small.maker)
    assert run.refused == {"main-ann": "missing_glyph"}
    assert len(run.made) == 2


def test_the_hourly_job_makes_what_is_missing_once_and_then_says_nothing(small: SmallFund):
    assert make_due_statements(small.fund, most=3) == "3 statements made"
    assert make_due_statements(small.fund, most=50) == "4 statements made"
    lines = AuditEvent.objects.filter(action="statements.made").count()
    assert make_due_statements(small.fund, most=50) == "0 statements made"
    assert AuditEvent.objects.filter(action="statements.made").count() == lines
    assert set(Paper.objects.values_list("period", flat=True)) == {"2025-03", "2025-04"}


def test_the_command_makes_all_and_says_how_many(small: SmallFund, capsys):
    maker = small.maker.user.email
    call_command("make_statements", "--period", "2025-01", "--as", maker, "--investor", "main-ann")
    assert "1 statements made, 0 stood already" in capsys.readouterr().out
    call_command("make_statements", "--period", "2025-01", "--as", maker)
    assert "2 statements made, 1 stood already" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no_investor"):
        call_command("make_statements", "--period", "2025-01", "--as", maker, "--investor", "x")
