"""The service forms in the dress of the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold import widgets

from magnetfund.operations.role_changes import is_last_director
from magnetfund.web.policy_forms import BookMemberForm, LimitsForm, TermsForm
from magnetfund.web.service_forms import ServiceForm, declare
from magnetfund.web.setup_forms import (
    DealingDaysForm,
    FundForm,
    HolidayForm,
    InvestorForm,
    NavForm,
    ShareClassForm,
)

__all__ = ["CHANGE_FORMS", "FORMS", "ServiceForm", "declare", "dress"]

#: What the admin creates, by the table that it lands in.
FORMS: dict[str, type[ServiceForm]] = {
    form.Meta.model._meta.label_lower: form
    for form in (
        FundForm,
        ShareClassForm,
        HolidayForm,
        BookMemberForm,
        DealingDaysForm,
        InvestorForm,
        NavForm,
        TermsForm,
        LimitsForm,
    )
}

_WIDGETS: tuple[tuple[type[forms.Field], type[forms.Widget]], ...] = (
    (forms.ModelChoiceField, widgets.UnfoldAdminSelectWidget),
    (forms.ChoiceField, widgets.UnfoldAdminSelectWidget),
    (forms.BooleanField, widgets.UnfoldBooleanSwitchWidget),
    (forms.DateField, widgets.UnfoldAdminSingleDateWidget),
    (forms.TimeField, widgets.UnfoldAdminSingleTimeWidget),
    (forms.IntegerField, widgets.UnfoldAdminIntegerFieldWidget),
    (forms.EmailField, widgets.UnfoldAdminEmailInputWidget),
    (forms.CharField, widgets.UnfoldAdminTextInputWidget),
)


def dress(field: forms.Field) -> None:
    """Give a field the widget of the admin."""
    if isinstance(field, forms.DecimalField):
        field.widget = widgets.UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"})
        return
    for kind, widget in _WIDGETS:
        if isinstance(field, kind):
            choices = getattr(field, "choices", None)
            attributes = {k: v for k, v in field.widget.attrs.items() if k != "class"}
            dressed = widget(attrs=attributes)
            dressed.is_required = field.required
            field.widget = dressed
            if choices is not None:
                field.choices = choices  # type: ignore[attr-defined]  # a choice field
            return


class AccountChangeForm(forms.ModelForm):  # type: ignore[type-arg]  # of the one table of accounts
    """What an administrator changes of an account by himself."""

    def clean_is_active(self) -> bool:
        """Without a director one person would give every role; PostgreSQL keeps the last too."""
        wanted = bool(self.cleaned_data["is_active"])
        if not wanted and is_last_director(self.instance):
            raise forms.ValidationError(
                "This is the last director: somebody else becomes one first."
            )
        return wanted


#: What an administrator changes of a row that is there, by its table.
CHANGE_FORMS: dict[str, type[Any]] = {"core.user": AccountChangeForm}
