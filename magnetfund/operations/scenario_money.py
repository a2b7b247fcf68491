"""Payments of a scenario: everything that a NAV leaves owed is paid at once, by all its steps."""

from __future__ import annotations

from datetime import datetime

from investors.domain.payments import PaymentKind, PaymentState
from investors.models import DealingOrder, Fund, FundAccount, Investor, PayeeAccount, Payment
from investors.services.money_accounts import (
    add_payee,
    approve_account,
    approve_payee,
    open_account,
)
from investors.services.payment_drafts import owed, payable_of, prepare_fee, prepare_proceeds
from investors.services.payments import approve_payment, confirm_payment, release_payments
from magnetfund.operations.people import ScenarioPeople

MANAGER = "Magnet Advisers (SIMULATED)"
FEES = (PaymentKind.MANAGEMENT_FEE, PaymentKind.PERFORMANCE_FEE)


def pay_what_is_owed(fund: Fund, *, people: ScenarioPeople, at: datetime) -> list[Payment]:
    """Prepare, sign, release and confirm the redemptions and fees that are owed."""
    made = [
        prepare_proceeds(
            order=order, payee=_payee(fund, order.investor, people, at), actor=people.maker, at=at
        )
        for order in DealingOrder.objects.filter(
            share_class__fund=fund, state__in=("payable", "deferred"), dealt_amount__gt=0
        ).select_related("investor")
        if payable_of(order) > 0
    ]
    made += [
        prepare_fee(
            fund=fund, kind=kind, payee=_payee(fund, None, people, at), text=kind.value,
            actor=people.maker, at=at,
        )
        for kind in FEES
        if owed(fund, kind) > 0
    ]  # fmt: skip
    if not made:
        return []
    signed = [
        approve_payment(payment=row, seen_hash=row.content_hash, actor=people.checker, at=at)
        for row in made
    ]
    signed = [
        row
        if row.state == PaymentState.APPROVED
        else approve_payment(payment=row, seen_hash=row.content_hash, actor=people.director, at=at)
        for row in signed
    ]
    release_payments(payments=signed, account=_account(fund, people), actor=people.maker, at=at)
    return [
        confirm_payment(
            payment=row, bank_reference=f"SIM-{row.reference}", actor=people.maker, at=at
        )
        for row in signed
    ]


def _account(fund: Fund, people: ScenarioPeople) -> FundAccount:
    found = FundAccount.objects.filter(fund=fund, code="bank").first()
    if found is not None:
        return found
    row = open_account(
        fund=fund, code="bank", kind="bank", bank="Simulated Bank", number="SIM00001",
        currency=fund.currency, actor=people.maker,
    )  # fmt: skip
    return approve_account(account=row, actor=people.checker)


def _payee(
    fund: Fund, investor: Investor | None, people: ScenarioPeople, at: datetime
) -> PayeeAccount:
    found = PayeeAccount.objects.filter(fund=fund, investor=investor).first()
    if found is not None:
        return found
    number = "SIM00002" if investor is None else f"SIM{investor.number.replace('-', '')}X0001"
    row = add_payee(
        fund=fund, investor=investor, kind="bank",
        name=MANAGER if investor is None else investor.legal_name, number=number,
        currency=fund.currency, evidence="SIMULATED", actor=people.maker,
    )  # fmt: skip
    return approve_payee(payee=row, actor=people.checker, at=at)
