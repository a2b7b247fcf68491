"""Expenses for desk, admin and API: the forms that propose one or a change of one."""

from __future__ import annotations

from typing import Any

from django import forms

from investors.models import Expense, ExpenseChange, Fund
from investors.models.expenses import EXPENSE_ACCOUNTS
from investors.services.expenses import propose_end, propose_expense, propose_invoice
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import InvalidInput
from magnetfund.web.service_forms import ServiceForm


class ExpenseForm(ServiceForm):
    """A sum that the fund owes a supplier for a period, or each year."""

    capability = Capability.NAV_PREPARE
    fund = forms.ModelChoiceField(Fund.objects.all())
    account = forms.ChoiceField(choices=EXPENSE_ACCOUNTS, label="Cost of")
    supplier = forms.CharField(max_length=120)
    reference = forms.CharField(
        max_length=80, help_text="Of the contract, budget or invoice; once for each supplier."
    )
    amount = forms.DecimalField(help_text="In the fund's currency.")
    is_yearly = forms.BooleanField(required=False, label="The amount is for a year")
    first_day = forms.DateField(help_text="The cost is spread evenly over the days.")
    last_day = forms.DateField(
        required=False, help_text="Inclusive. A yearly cost may stay open until it is ended."
    )

    class Meta(ServiceForm.Meta):
        model = Expense

    def perform(self, given: dict[str, Any]) -> Expense:
        return propose_expense(**given, actor=self.actor)


class ChangeForm(forms.Form):
    """What an end or a final invoice says."""

    change = forms.ChoiceField(choices=ExpenseChange.Kind.choices)
    last_day = forms.DateField(required=False)
    amount = forms.DecimalField(required=False)
    reference = forms.CharField(max_length=80, required=False)


def propose_change(row: Expense, given: Any, actor: Actor) -> ExpenseChange:
    """Propose the end or the final invoice of an expense, as it was typed.

    Raises :class:`InvalidInput` (``bad_form``) and what the services raise.
    """
    form = ChangeForm(given)
    if not form.is_valid():
        name, errors = next(iter(form.errors.items()))
        raise InvalidInput(f"{name.replace('_', ' ')}: {errors[0]}", code="bad_form")
    said = form.cleaned_data
    if said["change"] == ExpenseChange.Kind.END:
        if said["last_day"] is None:
            raise InvalidInput("give the last day", code="no_last_day")
        return propose_end(expense=row, last_day=said["last_day"], actor=actor)
    if said["amount"] is None:
        raise InvalidInput("give the sum of the invoice", code="not_positive")
    return propose_invoice(
        expense=row, amount=said["amount"], reference=said["reference"], actor=actor
    )
