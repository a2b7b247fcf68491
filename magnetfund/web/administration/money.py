"""Accounts, statements and receipts in the admin: forms that propose, actions that decide.

What needs a second person is an action; each row is tried on its own, and a refusal is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from investors.models import (
    BookBreak,
    DealingOrder,
    Fund,
    FundAccount,
    PayeeAccount,
    Payment,
    StatementFile,
    StatementLine,
)
from investors.services.account_changes import refuse_change
from investors.services.breaks import assign_break, close_break
from investors.services.coin_rates import decide_rates
from investors.services.dealing import cancel_order
from investors.services.dealing_proposals import decide_dealing
from investors.services.distributions import decide_distribution
from investors.services.expenses import decide_expense
from investors.services.money_accounts import (
    add_payee,
    approve_account,
    approve_payee,
    open_account,
)
from investors.services.nav import approve_strike
from investors.services.par_terms import decide_par
from investors.services.payment_drafts import (
    PAID_OUT,
    prepare_proceeds,
    prepare_rebate,
    release_holdback,
)
from investors.services.payments import approve_payment, cancel_payment
from investors.services.pocket_changes import decide_change
from investors.services.pockets import decide_pocket
from investors.services.policies import approve_terms
from investors.services.rebates import decide_rebate
from investors.services.receipt_suggestions import suggest
from investors.services.receipts import match_receipt, take_over
from investors.services.restatements import decline_restatement, sign_restatement
from investors.services.statements import FILE_BYTES_MAX, confirm_statement, upload_statement
from investors.services.suspension import decide_suspension
from magnetfund.core.actors import Actor
from magnetfund.core.doors import require_step_up
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import SignatureMissing
from magnetfund.kernel.errors import Conflict, FundError
from magnetfund.web.administration.forms import ServiceForm
from magnetfund.web.break_forms import BreakForm
from magnetfund.web.dealing_forms import DealingProposalForm, DistributionForm, RestatementForm
from magnetfund.web.expense_forms import ExpenseForm
from magnetfund.web.investor_field import InvestorField
from magnetfund.web.pocket_forms import PocketChangeForm, PocketForm
from magnetfund.web.rate_forms import ParForm, RateForm
from magnetfund.web.rebate_forms import RebateForm
from magnetfund.web.signing import words_to_sign

KINDS = [("bank", "bank account"), ("wallet", "wallet")]
Action = Callable[[Any, HttpRequest, QuerySet[Any]], None]


class FundAccountForm(ServiceForm):
    """Proposes an account of the fund; a second person approves it by the action."""

    capability = Capability.ACCOUNTS_PROPOSE
    fund = forms.ModelChoiceField(Fund.objects.all())
    code = forms.CharField(max_length=20)
    kind = forms.ChoiceField(choices=KINDS)
    bank = forms.CharField(max_length=120, label="Bank or chain")
    number = forms.CharField(max_length=120, label="IBAN, account number or address")
    currency = forms.CharField(max_length=8, initial="USD")
    confirmations = forms.IntegerField(min_value=0, initial=0)

    class Meta(ServiceForm.Meta):
        model = FundAccount

    def perform(self, given: dict[str, Any]) -> FundAccount:
        return open_account(**given, actor=self.actor)


class PayeeAccountForm(ServiceForm):
    """Proposes an account that the fund may pay."""

    capability = Capability.ACCOUNTS_PROPOSE
    fund = forms.ModelChoiceField(Fund.objects.all())
    investor = InvestorField(required=False)
    kind = forms.ChoiceField(choices=KINDS)
    name = forms.CharField(max_length=200, label="Holder of the account")
    number = forms.CharField(max_length=120, label="IBAN, account number or address")
    bank = forms.CharField(max_length=120, required=False, label="BIC or chain")
    currency = forms.CharField(max_length=8, initial="USD")
    evidence = forms.CharField(max_length=300, help_text="How it was proved.")

    class Meta(ServiceForm.Meta):
        model = PayeeAccount

    def perform(self, given: dict[str, Any]) -> PayeeAccount:
        return add_payee(**given, actor=self.actor)


class StatementFileForm(ServiceForm):
    """Reads a statement; its lines are imported by the action, after its counts were seen."""

    capability = Capability.DEALING_PROCESS
    account = forms.ModelChoiceField(
        FundAccount.objects.filter(approved_at__isnull=False, closed_at=None)
    )
    file = forms.FileField(max_length=120, label="camt.053 or CSV")

    class Meta(ServiceForm.Meta):
        model = StatementFile

    def perform(self, given: dict[str, Any]) -> StatementFile:
        row, report = upload_statement(
            account=given["account"],
            name=given["file"].name,
            content=given["file"].read(FILE_BYTES_MAX + 1),
            actor=self.actor,
        )
        row.counts = report.plain()
        row.save(update_fields=["counts"])
        return row


class PaymentForm(ServiceForm):
    """Prepares proceeds or rebates that are owed; a second person approves it by the action."""

    capability = Capability.DEALING_PROCESS
    order = forms.ModelChoiceField(
        DealingOrder.objects.filter(kind__in=PAID_OUT, state__in=("payable", "deferred")),
        required=False,
        help_text="Without one: the rebates of fees that are owed to the account's holder.",
    )
    payee = forms.ModelChoiceField(
        PayeeAccount.objects.filter(approved_at__isnull=False, closed_at=None)
    )

    class Meta(ServiceForm.Meta):
        model = Payment

    def perform(self, given: dict[str, Any]) -> Payment:
        order, payee = given["order"], given["payee"]
        if order is None:
            return prepare_rebate(fund=payee.fund, payee=payee, actor=self.actor)
        return prepare_proceeds(order=order, payee=payee, actor=self.actor)


FORMS: dict[str, type[ServiceForm]] = {
    form.Meta.model._meta.label_lower: form
    for form in (
        FundAccountForm,
        PayeeAccountForm,
        StatementFileForm,
        PaymentForm,
        DealingProposalForm,
        DistributionForm,
        RestatementForm,
        BreakForm,
        ExpenseForm,
        RateForm,
        ParForm,
        RebateForm,
        PocketForm,
        PocketChangeForm,
    )
}


def action(
    description: str, done: str, work: Callable[[Any, Actor], Any], *, step_up: bool = False
) -> Action:
    """An action that runs a service on each chosen row; a refusal stops nothing else.  ``step_up``
    asks for a fresh second factor before the first of them."""

    def run(_: Any, request: HttpRequest, queryset: QuerySet[models.Model]) -> None:
        assert isinstance(request.user, User)
        if step_up:
            require_step_up(request)
        actor, count = Actor.of(request.user), 0
        for row in queryset:
            try:
                work(row, actor)
            except SignatureMissing as error:
                words = words_to_sign(error, actor, back=request.path)
                messages.error(request, format_html("{}: {}", row, words))
            except FundError as error:
                messages.error(request, f"{row}: {error.message} ({error.code})")
            else:
                count += 1
        if count:
            messages.success(request, f"{count} {done}.")

    run.__name__ = description.split(" (")[0].lower().replace(" ", "_")
    shown: Action = admin.action(run, description=description)
    return shown


def decisions(decide: Callable[..., Any]) -> tuple[Action, Action]:
    """Both decisions of a second person on a proposal that another made."""
    return (
        action(
            "Approve (second person)",
            "approved",
            lambda row, actor: decide(proposal=row, is_approved=True, actor=actor),
            step_up=True,
        ),
        action(
            "Decline (second person)",
            "declined",
            lambda row, actor: decide(
                proposal=row, is_approved=False, reason="declined in the admin", actor=actor
            ),
            step_up=True,
        ),
    )


def _match(line: StatementLine, actor: Actor) -> None:
    found = suggest(line) if line.open_amount else None
    if found is None or not found.order:
        raise Conflict("no order fits this receipt", code="unknown_order")
    match_receipt(line=line, order=DealingOrder.objects.get(pk=found.order), actor=actor)


def _take_break(row: BookBreak, actor: Actor) -> None:
    assert actor.user is not None
    assign_break(found=row, owner=actor.user, actor=actor)


#: Actions by table.
ACTIONS: Mapping[str, tuple[Action, ...]] = {
    "investors.dealingorder": (
        action(
            "Cancel orders",
            "cancelled",
            lambda row, actor: cancel_order(order=row, actor=actor),
        ),
        action(
            "Release what was withheld (the audit is done)",
            "released",
            lambda row, actor: release_holdback(
                order=row, reason="the audit is done, released in the admin", actor=actor
            ),
            step_up=True,
        ),
    ),
    "investors.dealingproposal": (
        action(
            "Approve and carry out (second person)",
            "carried out",
            lambda row, actor: decide_dealing(proposal=row, is_approved=True, actor=actor),
            step_up=True,
        ),
        action(
            "Decline (second person)",
            "declined",
            lambda row, actor: decide_dealing(proposal=row, is_approved=False, actor=actor),
            step_up=True,
        ),
    ),
    "investors.navstrike": (
        action(
            "Approve and deal (second person)",
            "approved and dealt",
            lambda row, actor: approve_strike(strike=row, seen_hash=row.result_hash, actor=actor),
            step_up=True,
        ),
    ),
    "investors.termsproposal": (
        action(
            "Approve terms (second person)",
            "in force",
            lambda row, actor: approve_terms(proposal=row, seen_hash=row.content_hash, actor=actor),
            step_up=True,
        ),
    ),
    "investors.bookbreak": (
        action("Make mine to explain", "taken", _take_break),
        action(
            "Accept without money (second person)",
            "accepted",
            lambda row, actor: close_break(
                found=row, resolution="accepted in the admin", actor=actor
            ),
        ),
    ),
    "investors.distribution": (
        action(
            "Declare (second person)",
            "declared",
            lambda row, actor: decide_distribution(distribution=row, is_approved=True, actor=actor),
            step_up=True,
        ),
        action(
            "Decline (second person)",
            "declined",
            lambda row, actor: decide_distribution(
                distribution=row, is_approved=False, actor=actor
            ),
            step_up=True,
        ),
    ),
    **dict.fromkeys(("investors.expense", "investors.expensechange"), decisions(decide_expense)),
    "investors.rebate": decisions(decide_rebate),
    "investors.rateproposal": decisions(decide_rates),
    "investors.sidepocket": decisions(decide_pocket),
    "investors.parterm": decisions(decide_par),
    "investors.pocketchange": decisions(decide_change),
    "investors.suspensionproposal": (
        action(
            "Sign (controller, director)",
            "signed",
            lambda row, actor: decide_suspension(proposal=row, is_approved=True, actor=actor),
            step_up=True,
        ),
        action(
            "Decline (second person)",
            "declined",
            lambda row, actor: decide_suspension(proposal=row, is_approved=False, actor=actor),
            step_up=True,
        ),
    ),
    "investors.restatement": (
        action(
            "Sign (controller, director)",
            "signed",
            lambda row, actor: sign_restatement(
                restatement=row, seen_hash=row.content_hash, actor=actor
            ),
            step_up=True,
        ),
        action(
            "Decline",
            "declined",
            lambda row, actor: decline_restatement(
                restatement=row, reason="declined in the admin", actor=actor
            ),
            step_up=True,
        ),
    ),
    "investors.fundaccount": (
        action(
            "Approve (second person)",
            "approved",
            lambda row, actor: approve_account(account=row, actor=actor),
            step_up=True,
        ),
    ),
    "investors.accountchange": (
        action(
            "Refuse what the holder asked for",
            "refused",
            lambda row, actor: refuse_change(change=row, reason="Please call us.", actor=actor),
            step_up=True,
        ),
    ),
    "investors.payeeaccount": (
        action(
            "Approve (second person)",
            "approved",
            lambda row, actor: approve_payee(payee=row, actor=actor),
            step_up=True,
        ),
    ),
    "investors.payment": (
        action(
            "Approve payments (second person)",
            "signed",
            lambda row, actor: approve_payment(
                payment=row, seen_hash=row.content_hash, actor=actor
            ),
            step_up=True,
        ),
        action(
            "Cancel payments",
            "cancelled",
            lambda row, actor: cancel_payment(
                payment=row, reason="cancelled in the admin", actor=actor
            ),
            step_up=True,
        ),
    ),
    "investors.statementfile": (
        action(
            "Import lines",
            "imported",
            lambda row, actor: confirm_statement(file=row, actor=actor),
        ),
    ),
    "investors.statementline": (
        action("Match as suggested", "matched", _match),
        action("Make mine to clear", "taken", lambda row, actor: take_over(line=row, actor=actor)),
    ),
}
