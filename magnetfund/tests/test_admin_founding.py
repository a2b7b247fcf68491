"""A fund founded in the admin alone, from its first row to the units of its first NAV.

Whoever may invest was approved before: a file of KYC is worked in ``test_kyc.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from investors.domain.onboarding import KycState
from investors.models import (
    DealingOrder,
    DealingProposal,
    Fund,
    FundAccount,
    Holding,
    Investor,
    NavStrike,
    ShareClass,
    StatementFile,
    TermsProposal,
)
from investors.services.ledger import ensure_chart
from investors.services.verification import verify_fund
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import VirtualClock, use_clock
from magnetfund.tests.test_admin_forms import add, signed_in

pytestmark = pytest.mark.django_db
BEGIN = datetime(2025, 3, 3, 9, tzinfo=UTC)
FIRST = datetime(2025, 4, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with use_clock(VirtualClock(BEGIN)) as found:
        assert isinstance(found, VirtualClock)
        yield found


def act(client: Client, row: Any, action: str) -> str:
    """Choose one row in its table and run an action; what the page says of it."""
    path = f"/admin/{row._meta.label_lower.replace('.', '/')}/"
    answer = client.post(path, {"action": action, "_selected_action": [str(row.pk)]})
    assert answer.status_code == 302, answer.content.decode()
    return str(list(get_messages(answer.wsgi_request))[-1])


def found_with_terms(maker: Client, checker: Client) -> ShareClass:
    assert add(
        maker, "investors.fund", code="KESTREL", name="Kestrel Point", first_day="2025-04-01"
    ) == []  # fmt: skip
    fund = Fund.objects.get()
    assert add(maker, "investors.shareclass", fund=fund.pk, code="A", name="Class A") == []
    share_class = ShareClass.objects.get()
    assert add(
        maker, "investors.termsproposal", share_class=share_class.pk, reason="launch",
        effective_from="2025-03-01",
    ) == []  # fmt: skip
    terms = TermsProposal.objects.get()
    assert "not_allowed" in act(maker, terms, "approve_terms")
    assert act(checker, terms, "approve_terms") == "1 in force."
    assert add(maker, "investors.dealingday", fund=fund.pk, first="2025-04-01", months=3) == []
    assert add(
        maker, "investors.fundaccount", fund=fund.pk, code="MAIN", kind="bank", bank="Example Bank",
        number="CH9300762011623852957",
    ) == []  # fmt: skip
    assert act(checker, FundAccount.objects.get(), "approve") == "1 approved."
    return share_class


def buy(maker: Client, checker: Client, share_class: ShareClass, clock: VirtualClock) -> None:
    """An order on instruction, and its money by a statement of the bank."""
    assert add(
        maker, "investors.investor", name="Ines Marlow", email="ines@example.com", kind="person",
        country="CH",
    ) == []  # fmt: skip
    Investor.objects.update(kyc_state=KycState.APPROVED)
    investor = Investor.objects.get()
    assert add(
        maker, "investors.dealingproposal", kind="subscription", investor=investor.pk,
        share_class=share_class.pk, amount="10000", instruction="letter of 3 March",
        reason="first money",
    ) == []  # fmt: skip
    proposal = DealingProposal.objects.get()
    assert act(checker, proposal, "approve_and_carry_out") == "1 carried out."
    order = DealingOrder.objects.get()
    clock.move_to(BEGIN + timedelta(days=5))
    line = f"B1,2025-03-07T08:00:00Z,10000.00,USD,Ines Marlow,{order.reference}"
    content = f"reference,booked_at,amount,currency,party,text\n{line}\n".encode()
    file = SimpleUploadedFile("march.csv", content)
    account = FundAccount.objects.get()
    assert add(maker, "investors.statementfile", account=account.pk, file=file) == []
    statement = StatementFile.objects.get()
    assert act(maker, statement, "import_lines") == "1 imported."
    for row in statement.lines.filter(allocated=0):
        assert act(maker, row, "match_as_suggested") == "1 matched."
    order.refresh_from_db()
    assert order.state == "funded"


def test_a_fund_is_founded_and_deals_its_first_nav_in_the_admin(clock: VirtualClock):
    ensure_chart()
    maker, checker = signed_in(Role.ACCOUNTANT), signed_in(Role.CONTROLLER)
    share_class = found_with_terms(maker, checker)
    buy(maker, checker, share_class, clock)
    clock.move_to(FIRST + timedelta(hours=8))
    day = share_class.fund.dealing_days.get(valuation_at=FIRST)
    assert add(maker, "investors.navstrike", dealing_day=day.pk) == []
    strike = NavStrike.objects.get()
    assert "not_allowed" in act(maker, strike, "approve_and_deal")
    assert act(checker, strike, "approve_and_deal") == "1 approved and dealt."
    assert "not_prepared" in act(checker, strike, "approve_and_deal")
    held = Holding.objects.get()
    assert (held.investor.legal_name, held.units) == ("Ines Marlow", 100)
    assert verify_fund(share_class.fund) == []
