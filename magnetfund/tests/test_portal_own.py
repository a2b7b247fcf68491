"""An investor's own pages: messages, settings, past NAVs, trades of his time, own risk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client

from investors.models import Fund, Investor, InvestorSnapshot, Message
from investors.services.messages import send_message, send_to_holders
from investors.services.money_accounts import add_payee
from investors.tests.fund_support import FIRST, SmallFund, make_fund
from investors.tests.test_payments import payee_of
from magnetfund.core.models import User
from magnetfund.core.roles import Role
from magnetfund.core.services.mail import send_waiting
from magnetfund.operations.people import ensure_user
from magnetfund.web.portal.own_selectors import find_prices, find_risk, find_trades
from trading.models import ResearchRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund("main")
    fund.day(FIRST)
    fund.subscribe("ann", "10000", before=FIRST, paid=False)
    return fund


def client_of(investor: Investor) -> Client:
    user = ensure_user(email=investor.email, name=investor.legal_name, roles=[Role.INVESTOR])
    Investor.objects.filter(pk=investor.pk).update(user=user)
    investor.user = user
    client = Client()
    client.force_login(user)
    return client


def staff(role: Role) -> Client:
    client = Client()
    client.force_login(ensure_user(email=f"{role.value}@example.com", name="x", roles=[role]))
    return client


def test_a_suspension_takes_controller_and_director_and_tells_holders(small: SmallFund):
    ann = client_of(small.investor("ann"))
    controller, director = staff(Role.CONTROLLER), staff(Role.DIRECTOR)
    page = "/desk/fund/suspension/"
    given = {"reason": "venue closed", "notice": "The venue is closed; nothing is dealt."}
    assert staff(Role.ACCOUNTANT).post(page, given).status_code == 403
    assert "reason_missing" in controller.post(page, {}, follow=True).content.decode()
    assert "a second person signs" in controller.post(page, given, follow=True).content.decode()
    assert "proposal_open" in director.post(page, given, follow=True).content.decode()
    shown = director.get(page)
    address = f"{page}{shown.context['waiting'].pk}/"
    own = controller.post(address, {"decision": "approve"}, follow=True).content.decode()
    assert "same_person" in own
    second = ensure_user(email="c2@example.com", name="C", roles=[Role.CONTROLLER])
    other = Client()
    other.force_login(second)
    both = other.post(address, {"decision": "approve"}, follow=True).content.decode()
    assert "both_roles_needed" in both
    assert not Fund.objects.get().is_suspended
    done = director.post(address, {"decision": "approve"}, follow=True).content.decode()
    assert "holders are told" in done
    assert Fund.objects.get().is_suspended
    inbox = ann.get("/messages/").content.decode()
    assert "The venue is closed; nothing is dealt." in inbox
    assert "venue closed" not in inbox
    assert "1 new" in inbox
    again = director.post(address, {"decision": "approve"}, follow=True).content.decode()
    assert "proposal_closed" in again
    director.post(page, {"reason": "open", "notice": "Dealing is open again."})
    lifting = controller.get(page).context["waiting"]
    controller.post(f"{page}{lifting.pk}/", {"decision": "approve"})
    assert not Fund.objects.get().is_suspended
    assert Message.objects.count() == 2


def test_messages_are_kept_once_mailed_if_wanted_and_marked_as_read(small: SmallFund):
    investor = small.investor("ann")
    ann = client_of(investor)
    for _ in range(2):
        send_message(investor=investor, key="k", subject="Hello", body="Words for Ann")
    assert Message.objects.count() == 1
    assert send_waiting() == 1
    assert "Words for Ann" in mail.outbox[0].body
    User.objects.filter(pk=investor.user_id).update(wants_mail=False)
    investor = Investor.objects.get(pk=investor.pk)
    row = send_message(investor=investor, key="k2", subject="Quiet", body="No mail")
    assert send_waiting() == 0
    other = Investor.objects.create(
        number="X-1", legal_name="Bob", email="bob@example.com", kyc_state="approved"
    )
    theirs = send_message(investor=other, key="k", subject="Theirs", body="secret of Bob")
    assert "secret of Bob" not in ann.get("/messages/").content.decode()
    ann.post("/messages/read/", {"message": theirs.pk})
    theirs.refresh_from_db()
    assert theirs.read_at is None
    ann.post("/messages/read/", {"message": row.pk})
    row.refresh_from_db()
    assert row.read_at is not None
    part = ann.get("/messages/", HTTP_HX_REQUEST="true", HTTP_HX_TARGET="messages-list")
    assert "<html" not in part.content.decode()
    assert "Mark all as read" in part.content.decode()
    ann.post("/messages/read/")
    assert not Message.objects.filter(investor=investor, read_at=None).exists()
    assert send_to_holders(fund=small.fund, key="n", subject="S", body="B") == 1


def test_a_holder_is_told_of_an_account_and_sees_what_he_is_paid_to(small: SmallFund):
    ann = client_of(small.investor("ann"))
    assert "No account of yours is known yet" in ann.get("/settings/").content.decode()
    first = payee_of(small)
    add_payee(
        fund=small.fund, investor=small.investor("ann"), kind="bank", name="Ann",
        number="DE89370400440532013000", currency="USD", evidence="called back", actor=small.maker,
    )  # fmt: skip
    page = ann.get("/settings/").content.decode()
    assert first.number not in page
    assert f"{first.number[:4]} … {first.number[-4:]}" in page
    assert "waits for a second signature" in page
    told = Message.objects.get(investor=small.investor("ann"))
    assert told.subject == "An account that you are paid to was added"
    assert first.number not in told.body
    bob = client_of(small.investor("bob")).get("/settings/").content.decode()
    assert f"… {first.number[-4:]}" not in bob


def test_settings_are_kept_and_times_are_shown_in_the_own_zone(small: SmallFund):
    investor = small.investor("ann")
    ann = client_of(investor)
    row = send_message(investor=investor, key="k", subject="Hello", body="x")
    Message.objects.filter(pk=row.pk).update(read_at=None)
    given = {"time_zone": "Asia/Tokyo", "theme": "dark"}
    assert ann.post("/settings/", {**given, "time_zone": "Mars"}).status_code == 422
    assert ann.post("/settings/", {**given, "theme": "pink"}).status_code == 422
    assert ann.post("/settings/", given).status_code == 302
    user = User.objects.get(pk=investor.user_id)
    assert (user.time_zone, user.theme, user.wants_mail) == ("Asia/Tokyo", "dark", False)
    page = ann.get("/messages/").content.decode()
    assert "JST" in page
    assert 'data-bs-theme="dark"' in page
    assert "UTC" in ann.get("/settings/").content.decode()
    assert staff(Role.OPERATOR).get("/settings/").status_code == 404


def test_past_prices_trades_and_risk_are_ones_own(small: SmallFund):
    from trading.models import Instrument, Trade, Valuation

    investor = small.investor("ann")
    ann = client_of(investor)
    for path in ("/navs/", "/trades/", "/my-risk/", "/messages/"):
        assert ann.get(path).status_code == 200
    assert "Nothing is at risk" in ann.get("/my-risk/").content.decode()
    assert find_trades(investor, book="main", number=1).trades == ()
    assert find_prices(investor, since=None) == []
    now = datetime.now(UTC)
    InvestorSnapshot.objects.create(
        investor=investor, day=now.date() - timedelta(days=3), units=Decimal(100),
        value=Decimal(10_000), net_invested=Decimal(10_000), share_of_fund=0.25,
    )  # fmt: skip
    valuation = Valuation.objects.create(
        book="main", at=now, equity=Decimal(40_000), cash=Decimal(40_000),
        unit_value=Decimal(100), peak_unit_value=Decimal(100), day_start_unit_value=Decimal(100),
    )  # fmt: skip
    found: Any = find_risk(investor, book="main", valuation=valuation)
    assert (found["share"], found["exposure"], found["to_stops"]) == (0.25, 0, 0)
    assert found["at_daily_limit"] == Decimal("-250.00")
    assert "The fund holds cash" in ann.get("/my-risk/").content.decode().replace(
        "the fund holds", "The fund holds"
    )
    assert Instrument.objects.count() == Trade.objects.count() == 0


def test_survival_stands_with_its_assumptions_where_investors_and_strangers_read(
    small: SmallFund,
):
    pages = (
        (Client(), "/"),
        (client_of(small.investor("ann")), "/my-risk/"),
        (staff(Role.OPERATOR), "/desk/risk/"),
    )
    for client, path in pages:
        assert "No hour was worse" not in client.get(path).content.decode()
    now = datetime.now(UTC)
    ResearchRun.objects.create(
        kind="survival", state="done", finished_at=now, request={"instrument": "BTC/USDT:USDT"},
        result={"sentence": "Of simulated years 3.0% fell below half.", "bars": 58_419,
                "assumptions": ["No hour was worse than the worst one stored."], "rows": []},
    )  # fmt: skip
    cache.clear()
    for client, path in pages:
        page = client.get(path).content.decode()
        assert "Of simulated years 3.0% fell below half." in page, path
        assert "No hour was worse than the worst one stored." in page, path
        assert "58,419 hours of BTC/USDT:USDT" in " ".join(page.split()), path
