"""Messages of each step: with the event, once, mailed where wanted, never of a replayed past."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from investors.models import Investor, Message
from investors.services.dealing import submit_redemption, submit_subscription
from investors.services.messages import Draft, send_messages
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import OutgoingMail
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund("main", gate_share="0.25")
    for at in (FIRST, FEBRUARY, MARCH):
        fund.day(at)
    user = ensure_user(email="ann@example.com", name="Ann", roles=[Role.INVESTOR])
    Investor.objects.filter(pk=fund.investor("ann").pk).update(user=user)
    fund.investor("ann").refresh_from_db()
    for name in ("ann", "bob"):
        fund.subscribe(name, "1000", before=FIRST)
    fund.strike(FIRST)
    return fund


def told(small: SmallFund, name: str) -> list[str]:
    rows = Message.objects.filter(investor=small.investor(name)).order_by("pk")
    return [row.subject for row in rows]


def test_an_order_is_confirmed_when_it_is_placed_and_when_it_is_dealt(small: SmallFund):
    ann = small.investor("ann")
    assert ann.user is not None
    bought = ann.orders.get()
    assert told(small, "ann") == [f"Subscription order {bought.reference} dealt"]
    own = submit_redemption(
        investor=ann, share_class=small.share_class(), units=None, actor=Actor.of(ann.user),
        at=FEBRUARY - timedelta(days=10),
    )  # fmt: skip
    small.strike(FEBRUARY)
    small.strike(MARCH)
    received, *dealt = told(small, "ann")[1:]
    assert received == f"Redemption order {own.reference} received"
    assert dealt == [f"Redemption order {own.reference} dealt"] * 2
    first = Message.objects.filter(subject__endswith="dealt", investor=ann).order_by("pk")[1]
    assert "gate deferred a part" in first.body
    assert "contract note" in first.body
    body = Message.objects.get(subject=received).body
    assert "everything that you hold" in body
    assert "NAV of 1 Feb 2025" in body


def test_a_subscription_says_until_when_the_money_must_be_there(small: SmallFund):
    ann = small.investor("ann")
    assert ann.user is not None
    order = submit_subscription(
        investor=ann, share_class=small.share_class(), amount=Decimal("500"),
        actor=Actor.of(ann.user), at=FEBRUARY - timedelta(days=10),
    )  # fmt: skip
    row = Message.objects.get(key=f"received:{order.pk}:{ann.pk}")
    assert "500.00 USD" in row.body
    assert "30 Jan 2025, 00:00 UTC" in row.body
    assert order.reference in row.body


def test_a_message_is_mailed_once_and_only_where_it_is_wanted_and_new(small: SmallFund):
    ann, bob = small.investor("ann"), small.investor("bob")
    assert ann.user is not None
    ann.user.wants_mail = True
    ann.user.save(update_fields=["wants_mail"])
    assert not OutgoingMail.objects.exists(), "a replayed past mails nobody"
    drafts = [
        Draft(investor=who.pk, key="news", subject="News", body="x", at=utc_now())
        for who in (ann, bob)
    ]
    send_messages(drafts)
    send_messages(drafts)
    assert Message.objects.filter(subject="News").count() == 2
    assert OutgoingMail.objects.get().recipient == "ann@example.com"
    ann.user.wants_mail = False
    ann.user.save(update_fields=["wants_mail"])
    send_messages([Draft(investor=ann.pk, key="more", subject="More", body="x", at=utc_now())])
    assert OutgoingMail.objects.count() == 1


def test_a_message_goes_with_its_event_or_not_at_all(small: SmallFund):
    before = Message.objects.count()
    small.redeem("bob", "1", before=FEBRUARY)
    strike = small.prepare(FEBRUARY)
    with transaction.atomic():
        small.approve(strike)
        assert Message.objects.count() == before + 1
        transaction.set_rollback(True)
    assert Message.objects.count() == before
