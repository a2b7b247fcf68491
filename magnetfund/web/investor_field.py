"""The field in which staff type an investor: a list of all of them is too long to choose from."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError

from investors.models import Investor
from investors.services.investor_search import search_investors

#: Investors that a refusal names.
NAMED_MAX = 5


class InvestorField(forms.CharField):
    """An investor by account number or whole name, whatever the case; programs may send the key.

    A part of a name is never enough: the refusal names who it may be.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"max_length": 200, "help_text": "Account number or name.", **given})

    def clean(self, value: Any) -> Any:
        """The investor; None where the field may be empty and is."""
        text = super().clean(value)
        if not text:
            return None
        if (one := _of_key(text)) is not None:
            return one
        near = search_investors(text)
        exact = [item for item in near if text.casefold() in item.spellings]
        if len(exact) == 1:
            return Investor.objects.get(pk=exact[0].pk)
        if not near:
            raise ValidationError("There is no investor of this number or name.")
        names = "; ".join(f"{item.number} {item.name}" for item in near[:NAMED_MAX])
        raise ValidationError(f"Give the account number. It may be: {names}.")


def _of_key(text: str) -> Investor | None:
    try:
        return Investor.objects.filter(pk=UUID(text)).first()
    except ValueError:
        return None
