"""Founding a fund from the example file: what is written, what is refused, who signs."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from investors.domain.dealing.schedule import CalendarRule, plan_calendar
from investors.models import (
    DealingDay,
    Entry,
    Fund,
    FundHoliday,
    Investor,
    ShareClass,
    TermsProposal,
)
from investors.services.dealing import next_dealing_day, submit_subscription
from investors.services.founding import create_class
from investors.services.policies import (
    approve_terms,
    propose_terms,
    terms_in_force,
    withdraw_terms,
)
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.operations.founding_state import read_founding
from magnetfund.operations.people import ensure_user
from risk.models import LimitProposal
from risk.services.limits import approve_limits, limits_in_force
from trading.models import Instrument, Strategy

pytestmark = pytest.mark.django_db
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "fund.toml"


def person(name: str, role: Role) -> Actor:
    return Actor.of(ensure_user(email=f"{name}@example.com", name=name.title(), roles=[role]))


@pytest.fixture
def staff() -> dict[str, Actor]:
    return {
        "dmitri": person("dmitri", Role.ACCOUNTANT),
        "oskar": person("oskar", Role.CONTROLLER),
        "nadia": person("nadia", Role.RISK_OFFICER),
        "paul": person("paul", Role.RISK_OFFICER),
    }


def found(path: Path = EXAMPLE, *options: str) -> dict[str, Any]:
    out = StringIO()
    call_command("found", "--from", str(path), "--json", *options, stdout=out)
    return dict(json.loads(out.getvalue().strip().splitlines()[-1]))


def changed(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = EXAMPLE.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "fund.toml"
    path.write_text(text)
    return path


def written() -> tuple[int, ...]:
    models = (Fund, ShareClass, DealingDay, TermsProposal, Investor, LimitProposal, Strategy)
    return (*(model.objects.count() for model in models), Instrument.objects.count())


def test_the_example_founds_a_fund_whose_terms_and_limits_wait_for_signatures(staff):
    report = found()
    assert report["classes"] == 2
    assert written() == (1, 2, 12, 2, 2, 1, 2, 2)
    fund = Fund.objects.get(code="KESTREL")
    assert (fund.currency, fund.zone, fund.is_simulated) == ("USD", "Europe/Zurich", False)
    first = fund.dealing_days.first()
    assert fund.inception == first.valuation_at > utc_now()
    assert set(Investor.objects.values_list("kyc_state", flat=True)) == {"not_started"}
    assert not Entry.objects.exists()
    line = AuditEvent.objects.get(action="fund.created")
    assert line.actor == staff["dmitri"].user
    assert line.actor_label.endswith("by manage.py found")
    missing = {item["step"]: item for item in report["missing"]}
    assert missing["Share classes and terms"]["who"] == "controller"
    assert missing["Limits"]["who"] == "risk officer"
    assert missing["First money"]["note"].endswith("nothing yet")


def test_two_people_put_terms_and_limits_in_force_and_no_maker_signs(staff):
    found()
    proposal = TermsProposal.objects.get(share_class__code="B")
    both = person("dora", Role.CONTROLLER)
    with pytest.raises(FundError) as refused:
        approve_terms(proposal=proposal, seen_hash=proposal.content_hash, actor=staff["dmitri"])
    assert refused.value.code == "not_allowed"
    with pytest.raises(FundError) as refused:
        approve_terms(proposal=proposal, seen_hash="another", actor=both)
    assert refused.value.code == "changed"
    row = approve_terms(proposal=proposal, seen_hash=proposal.content_hash, actor=both)
    terms = terms_in_force(proposal.share_class, at=utc_now())
    assert (terms.hurdle_rate, terms.notice_days) == (Decimal("0.05"), 30)
    assert (row.proposed_by, row.approved_by) == (staff["dmitri"].user, both.user)
    with pytest.raises(FundError) as refused:
        approve_terms(proposal=proposal, seen_hash=proposal.content_hash, actor=both)
    assert refused.value.code == "proposal_closed"

    limits = LimitProposal.objects.get()
    approve_limits(proposal=limits, seen_hash=limits.content_hash, actor=staff["paul"])
    assert limits_in_force("main").daily_loss_share == Decimal("0.02")
    done = {step.name for step in read_founding("main").steps if step.is_done}
    assert {"Fund and currency", "Dealing calendar", "Limits", "Instruments"} <= done
    assert "Share classes and terms" not in done


def test_a_dry_run_and_a_second_founding_write_nothing(staff):
    found(EXAMPLE, "--dry-run")
    assert written() == (0,) * 8
    found()
    before, lines = written(), AuditEvent.objects.count()
    with pytest.raises(CommandError, match="fund_exists"):
        found()
    assert (written(), AuditEvent.objects.count()) == (before, lines)


def test_another_fund_on_the_same_book_is_refused_after_its_first_steps(staff, tmp_path):
    found()
    before = written()
    with pytest.raises(CommandError, match="book_taken"):
        found(changed(tmp_path, ('"KESTREL"', '"OTHER"')))
    assert written() == before


def test_a_refusal_in_the_last_step_takes_everything_back(staff, tmp_path):
    Strategy.objects.create(code="manual", name="taken", risk_fraction=Decimal("0.001"))
    before = written()
    with pytest.raises(CommandError, match="sleeve_exists"):
        found()
    assert written() == before


def test_every_mistake_of_a_file_is_named_by_its_key_at_once(staff, tmp_path):
    path = changed(
        tmp_path,
        ('"Europe/Zurich"', '"Mars/Base"'),
        ('currency = "USD"', 'currency = "USD"\nfee = 1'),
        ("launch_price = 100", "launch_price = -1"),
        ("performance_rate = 0.15", "performance_rate = 1.5"),
        ("notice_days = 10", "notice = 10"),
        ('code = "B"', 'code = "B"\ncurrency = "EUR"'),
        ("risk_fraction = 0.0035", "risk_fraction = 0.5"),
        ("daily_loss_share = 0.02", "daily_loss_share = 0.5"),
        ('"iris@example.com"', '"iris"'),
        ("cutoff_days = 5", "cutoff_days = 0"),
    )
    with pytest.raises(CommandError) as refused:
        found(path)
    text = str(refused.value)
    for line in (
        "fund.zone:", "(unknown_zone)", "fund.fee: is not a key", "classes[0].launch_price:",
        "classes[0].terms.performance_rate:", "classes[0].terms.notice:", "classes[1].currency:",
        "(currency_differs)", "sleeves[0].risk_fraction:", "limits.daily_loss_share:",
        "investors[0]:", "(bad_email)", "calendar:", "(not_forward)",
    ):  # fmt: skip
        assert line in text, line
    assert written() == (0,) * 8


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('symbol = "BTC/USDT:USDT"', 'symbol = "NONE/USDT:USDT"', "no_terms"),
        ('"dmitri@example.com"', '"nobody@example.com"', "no_such_person"),
        ('"dmitri@example.com"', '"nadia@example.com"', "no_such_person"),
        ("# inception = 2027-02-01 ", "inception = 2199-01-13 ", "inception_no_dealing_day"),
        ("# inception = 2027-02-01 ", "inception = 2020-06-01 ", "cutoff_past"),
        ("months = 12", "months = 0", "bad_months"),
        ('code = "KESTREL"', "code = 7", "bad_value"),
    ],
)
def test_refusals_have_stable_codes(staff, tmp_path, old, new, code):
    with pytest.raises(CommandError, match=code):
        found(changed(tmp_path, (old, new)))
    assert written() == (0,) * 8


def test_terms_wait_once_a_class_and_come_back_with_a_reason(staff):
    found()
    proposal = TermsProposal.objects.get(share_class__code="A")
    again = {
        "share_class": proposal.share_class, "terms": {"management_rate": "0.02"},
        "reason": "as the offering document says", "effective_from": utc_now(),
        "actor": staff["dmitri"],
    }  # fmt: skip
    with pytest.raises(FundError) as refused:
        propose_terms(**again)
    assert refused.value.code == "proposal_open"
    withdraw_terms(proposal=proposal, reason="two percent, not one", actor=staff["oskar"])
    assert propose_terms(**again).terms["management_rate"] == "0.02"


def test_a_class_in_another_currency_and_a_known_code_are_refused(staff):
    found()
    fund = Fund.objects.get()
    new = {
        "fund": fund, "name": "Class C", "launch_price": Decimal(100),
        "minimum_subscription": Decimal(0), "actor": staff["dmitri"],
    }  # fmt: skip
    with pytest.raises(FundError) as refused:
        create_class(code="C", currency="EUR", **new)
    assert refused.value.code == "currency_differs"
    with pytest.raises(FundError) as refused:
        create_class(code="A", **new)
    assert refused.value.code == "class_exists"


@pytest.mark.parametrize("currency", ["EUR", "JPY", "BTC"])
def test_a_fund_in_a_currency_of_which_no_rate_is_read_is_refused(staff, tmp_path, currency):
    before = written()
    path = changed(tmp_path, ('currency = "USD"', f'currency = "{currency}"'))
    with pytest.raises(CommandError, match=f"is in {currency}; a fund and what it trades are in"):
        found(path)
    assert written() == before


def test_a_registered_holder_cannot_subscribe_before_approval(staff):
    found()
    with pytest.raises(FundError) as refused:
        submit_subscription(
            investor=Investor.objects.get(email="iris@example.com"),
            share_class=ShareClass.objects.get(code="A"),
            amount=Decimal(10_000),
            actor=staff["dmitri"],
        )
    assert refused.value.code == "kyc_open"
    assert Investor.objects.get(email="iris@example.com").kyc_state == "not_started"


def test_holidays_lengthen_notice(staff):
    found()
    fund = Fund.objects.get()
    days = list(fund.dealing_days.all())
    received = days[0].cutoff_at
    business = (days[0].day - received.date()).days
    plain = next_dealing_day(fund, received_at=received, notice_days=2)
    assert plain.day == days[0].day
    for step in range(1, business + 1):
        day = date.fromordinal(received.date().toordinal() + step)
        FundHoliday.objects.get_or_create(fund=fund, day=day, defaults={"name": "closed"})
    assert next_dealing_day(fund, received_at=received, notice_days=2).day == days[1].day


def test_the_calendar_moves_over_holidays_and_follows_the_zone():
    rule = CalendarRule(
        zone="Europe/Zurich", skips_weekends=True, cutoff_days=5, cutoff_time=time(17)
    )
    days = plan_calendar(rule=rule, first=date(2027, 1, 1), months=8, holidays={date(2027, 1, 1)})
    # 1 Jan 2027 is a holiday on a Friday; 1 May and 1 Aug 2027 fall on a weekend.
    assert [item.dealing.day.isoformat() for item in days] == [
        "2027-01-04", "2027-02-01", "2027-03-01", "2027-04-01",
        "2027-05-03", "2027-06-01", "2027-07-01", "2027-08-02",
    ]  # fmt: skip
    # 17:00 on the wall of Zurich: 16:00 UTC in winter, 15:00 after 28 March.
    assert days[1].dealing.cutoff_at == datetime(2027, 1, 27, 16, tzinfo=UTC)
    assert days[4].dealing.cutoff_at == datetime(2027, 4, 28, 15, tzinfo=UTC)
    with pytest.raises(InvalidInput) as refused:
        CalendarRule(funding_days=0)
    assert refused.value.code == "not_forward"


@pytest.mark.parametrize(
    ("zone", "clock", "funding_days", "is_refused"),
    [
        # 19:30 in New York is 00:30 UTC of the next day in winter, and 23:30 in summer.
        ("America/New_York", time(19, 30), 1, True),
        ("America/New_York", time(18, 30), 1, False),
        ("America/New_York", time(19, 30), 2, False),
        ("America/Los_Angeles", time(17), 1, True),
        ("Pacific/Kiritimati", time(23, 59), 1, False),
    ],
)
def test_no_money_is_in_time_that_comes_after_the_valuation(
    zone: str, clock: time, funding_days: int, is_refused: bool
):
    rule = CalendarRule(zone=zone, cutoff_time=clock, funding_days=funding_days)
    if is_refused:
        with pytest.raises(InvalidInput) as refused:
            plan_calendar(rule=rule, first=date(2027, 1, 1), months=12)
        assert refused.value.code == "not_forward"
        return
    for item in plan_calendar(rule=rule, first=date(2027, 1, 1), months=12):
        assert item.dealing.funding_deadline_at < item.dealing.valuation_at


def test_the_page_names_what_is_missing_in_an_empty_home_and_takes_the_signatures(staff, client):
    client.force_login(staff["oskar"].user)
    page = client.get("/desk/founding/").content.decode()
    assert "no fund yet" in page
    assert "manage.py found --from fund.toml" in page
    assert 'href="/desk/founding/"' in client.get("/desk/").content.decode()
    found()
    assert "wait for a signature" in client.get("/desk/").content.decode()
    page = client.get("/desk/founding/").content.decode()
    assert page.count("Sign terms") == 2
    assert "Sign limits" not in page
    for row in TermsProposal.objects.all():
        answer = client.post(
            f"/desk/founding/terms/{row.pk}/", {"decision": "approve", "hash": row.content_hash}
        )
        assert answer["Location"] == "/desk/founding/"
    assert not TermsProposal.objects.filter(policy=None).exists()
    limits = LimitProposal.objects.get()
    address, seen = f"/desk/founding/limits/{limits.pk}/", {"hash": limits.content_hash}
    assert client.post(address, seen).status_code == 403
    client.force_login(staff["nadia"].user)
    assert "Sign limits" not in client.get("/desk/founding/").content.decode()
    client.post(address, seen)
    assert limits_in_force("main").version == 0
    client.force_login(staff["paul"].user)
    client.post(address, seen)
    assert limits_in_force("main").daily_loss_share == Decimal("0.02")
