"""Bank details and wallets that a holder asked to be paid to, and what became of each request."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from investors.models.money import ACCOUNT_KINDS
from magnetfund.kernel.clock import utc_now


class AccountChange(models.Model):
    """A holder's request to be paid to another account, asked by him or by his attorney.

    What was asked never changes.  The call-back makes a payee of it, which a second person signs
    and the cooling-off follows; a request that was withdrawn or refused stays closed.
    """

    class State(models.TextChoices):
        ASKED = "asked", "asked; we call back"
        CALLED_BACK = "called_back", "called back; waits for a second signature"
        COOLING_OFF = "cooling_off", "in cooling-off"
        USABLE = "usable", "in use"
        CLOSED = "closed", "taken off the list"
        REFUSED = "refused"
        WITHDRAWN = "withdrawn"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    fund = models.ForeignKey("investors.Fund", on_delete=models.PROTECT, related_name="+")
    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="account_changes"
    )
    kind = models.CharField(max_length=6, choices=ACCOUNT_KINDS)
    name = models.CharField(max_length=200, help_text="Name of the account's holder.")
    number = models.CharField(max_length=120, help_text="IBAN, account number or address.")
    bank = models.CharField(max_length=120, blank=True, help_text="BIC, or name of the chain.")
    currency = models.CharField(max_length=8)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    under_power = models.ForeignKey(
        "investors.PowerOfAttorney",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="By which an attorney asked.",
    )
    asked_at = models.DateTimeField(default=utc_now)
    called_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    called_at = models.DateTimeField(null=True, blank=True)
    called_number = models.CharField(max_length=40, blank=True, help_text="Number that was called.")
    known_since = models.DateField(
        null=True, blank=True, help_text="Day since which that number is known."
    )
    spoken_with = models.CharField(max_length=80, blank=True)
    payee = models.OneToOneField(
        "investors.PayeeAccount",
        on_delete=models.PROTECT,
        related_name="change",
        null=True,
        blank=True,
        help_text="Proposed by the call-back.",
    )
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    refused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    refused_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True, help_text="Why it was refused.")

    class Meta:
        ordering = ["-asked_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["fund", "investor", "number"],
                condition=Q(payee=None, withdrawn_at=None, refused_at=None),
                name="investors_accountchange_once",
            ),
            models.CheckConstraint(
                condition=Q(
                    payee=None, called_by=None, called_at=None, known_since=None,
                    called_number="", spoken_with="",
                )
                | (
                    Q(payee__isnull=False, called_by__isnull=False, called_at__gte=F("asked_at"))
                    & Q(known_since__isnull=False)
                    & ~Q(called_number="")
                    & ~Q(spoken_with="")
                ),
                name="investors_accountchange_called",
            ),
            models.CheckConstraint(
                condition=(
                    Q(withdrawn_at=None, withdrawn_by=None)
                    | Q(withdrawn_at__isnull=False, withdrawn_by__isnull=False)
                )
                & (
                    Q(refused_at=None, refused_by=None, reason="")
                    | (Q(refused_at__isnull=False, refused_by__isnull=False) & ~Q(reason=""))
                )
                & (Q(withdrawn_at=None) | Q(refused_at=None)),
                name="investors_accountchange_ended",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.name} {self.number}"

    @property
    def state(self) -> str:
        """What became of it as of now: one of :class:`State`."""
        if self.withdrawn_at is not None:
            return self.State.WITHDRAWN
        if self.refused_at is not None:
            return self.State.REFUSED
        if self.payee is None:
            return self.State.ASKED
        if self.payee.closed_at is not None:
            return self.State.CLOSED
        if self.payee.usable_from is None:
            return self.State.CALLED_BACK
        return self.State.COOLING_OFF if self.payee.usable_from > utc_now() else self.State.USABLE

    @property
    def state_words(self) -> str:
        """The state as pages say it."""
        return str(self.State(self.state).label).lower()

    @property
    def is_open(self) -> bool:
        """Whether nothing has been paid there yet, so that it can be withdrawn."""
        return self.state in (self.State.ASKED, self.State.CALLED_BACK, self.State.COOLING_OFF)
