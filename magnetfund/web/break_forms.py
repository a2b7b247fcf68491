"""Breaks for desk, admin and API: the form that raises one, its age, and its steps by name."""

from __future__ import annotations

from typing import Any

from django import forms

from investors.models import BookBreak, Fund
from investors.services.breaks import assign_break, close_break, explain_break, raise_break
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.web.service_forms import ServiceForm


class BreakForm(ServiceForm):
    """A difference between the books and a bank, a venue or a custodian."""

    capability = Capability.DEALING_PROCESS
    fund = forms.ModelChoiceField(Fund.objects.all())
    source = forms.ChoiceField(choices=BookBreak.Source.choices)
    reference = forms.CharField(max_length=100, help_text="Of the line, or the asset's account.")
    asset = forms.CharField(max_length=16, initial="USD")
    ours = forms.DecimalField(label="Our books say")
    theirs = forms.DecimalField(label="They say")
    day = forms.DateField()
    text = forms.CharField(max_length=300, label="What differs")

    class Meta(ServiceForm.Meta):
        model = BookBreak

    def perform(self, given: dict[str, Any]) -> BookBreak:
        return raise_break(**given, actor=self.actor)


def age_of(row: BookBreak) -> int:
    """Days from the older line to now, or to when it was closed."""
    until = row.closed_at or utc_now()
    return max(0, (until.date() - row.day).days)


def take_step(row: BookBreak, name: str, given: Any, actor: Actor) -> BookBreak:
    """One step of a break by its name; raises :class:`InvalidInput` (``unknown_step``)."""
    if name == "assign":
        owner = User.objects.filter(email=given.get("owner", "")).first()
        if owner is None:
            raise InvalidInput("nobody has this address", code="wrong_owner")
        return assign_break(found=row, owner=owner, actor=actor)
    if name == "explain":
        return explain_break(found=row, cause=given.get("words", ""), actor=actor)
    if name == "close":
        return close_break(
            found=row, resolution=given.get("words", ""), account=given.get("account", ""),
            actor=actor,
        )  # fmt: skip
    raise InvalidInput("a break is assigned, explained or closed", code="unknown_step")
