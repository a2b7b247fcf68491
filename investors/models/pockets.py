"""Side pockets: claims set apart for those who held units on the day, and the units of them.

``PocketEntry`` is the append-only truth of pocket units; there is no balance beside it.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from investors.domain.ledger import ACCOUNTS
from investors.domain.ledger.chart import POCKET_SOURCES
from investors.models.expenses import STANDS, TwoPersonProposal, checks_of_two
from magnetfund.core.fields import ExactField, in_range, not_negative, positive

#: (code, name) of the accounts that a claim may be taken from.
SOURCE_ACCOUNTS = tuple((code, ACCOUNTS[code].name) for code in POCKET_SOURCES)


class SidePocket(TwoPersonProposal):
    """A claim and what it is carried at; ``strike`` is the NAV whose dealing set it apart.

    What was proposed never changes.  An approved one without a NAV waits for the next.
    """

    fund = models.ForeignKey("investors.Fund", on_delete=models.PROTECT, related_name="pockets")
    number = models.PositiveIntegerField()
    asset = models.CharField(max_length=200, help_text="What is claimed, and from whom.")
    account = models.CharField(max_length=4, choices=SOURCE_ACCOUNTS)
    value = ExactField(help_text="What it is carried at, in the fund's currency.")
    cause = models.CharField(max_length=300, help_text="Why it is set apart.")
    notice = models.CharField(max_length=1000, help_text="What the holders are told.")
    strike = models.ForeignKey(
        "investors.NavStrike",
        on_delete=models.PROTECT,
        related_name="pockets",
        null=True,
        blank=True,
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta(TwoPersonProposal.Meta):
        constraints = [
            models.UniqueConstraint(fields=["fund", "number"], name="investors_sidepocket_number"),
            *positive("investors_sidepocket", "value"),
            *checks_of_two("investors_sidepocket"),
            models.CheckConstraint(
                condition=Q(strike=None) | Q(is_approved=True, withdrawn_at=None),
                name="investors_sidepocket_created",
            ),
        ]

    @property
    def name(self) -> str:
        """What the ledger and every page call it."""
        return f"SP-{self.number}"

    def __str__(self) -> str:
        return f"{self.name}, {self.asset}"


class PocketChange(TwoPersonProposal):
    """A new value of a claim, cash that came in for it, or its way back into the classes;
    ``strike`` is the NAV that books it.

    What was proposed never changes.  ``value`` is what the claim is carried at afterwards: at zero
    the pocket is closed, and its units leave.
    """

    class Kind(models.TextChoices):
        VALUE = "value", "New value"
        CASH = "cash", "Cash paid out"
        MERGE = "merge", "Merged back"

    pocket = models.ForeignKey(SidePocket, on_delete=models.PROTECT, related_name="changes")
    kind = models.CharField(max_length=5, choices=Kind.choices)
    value = ExactField(help_text="What the claim is carried at afterwards.")
    cash = ExactField(default=0, help_text="What came in for it and is paid to its holders.")
    line = models.ForeignKey(
        "investors.StatementLine",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="The receipt that the cash is; without one the venue paid it.",
    )
    merged = ExactField(default=0, help_text="What comes back into the classes as main units.")
    account = models.CharField(
        max_length=4,
        choices=SOURCE_ACCOUNTS,
        blank=True,
        help_text="The account that a merged value comes into.",
    )
    source = models.CharField(max_length=300, help_text="What the value or the payment rests on.")
    strike = models.ForeignKey(
        "investors.NavStrike",
        on_delete=models.PROTECT,
        related_name="pocket_changes",
        null=True,
        blank=True,
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta(TwoPersonProposal.Meta):
        constraints = [
            *not_negative("investors_pocketchange", "value", "cash", "merged"),
            *checks_of_two("investors_pocketchange"),
            models.CheckConstraint(
                condition=Q(kind="value", cash=0, line=None, merged=0, account="")
                | Q(kind="cash", cash__gt=0, merged=0, account="")
                | Q(kind="merge", cash=0, line=None, value=0, merged__gt=0)
                & Q(account__in=POCKET_SOURCES),
                name="investors_pocketchange_measured",
            ),
            models.CheckConstraint(
                condition=Q(strike=None) | Q(is_approved=True, withdrawn_at=None),
                name="investors_pocketchange_booked",
            ),
            models.UniqueConstraint(
                fields=["pocket"],
                condition=STANDS & Q(strike=None, withdrawn_at=None),
                name="investors_pocketchange_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pocket.name}, {self.get_kind_display().lower()}"


class PocketEntry(models.Model):
    """One movement of a lot's part of a pocket: of its units, its value, or both; positive adds.

    ``value`` is what the movement adds to the pocket's capital, ``price`` that of a pocket unit,
    ``fee`` the performance fee taken of what it pays.  ``into`` is the lot of main units that a
    merge made of it, or the receiver's lot of a transfer, which no NAV makes.  Mark and
    hurdle clock are the lot's as they were when the units were set apart.
    """

    class Kind(models.TextChoices):
        CREATED = "created", "Set apart"
        VALUED = "valued", "New value"
        PAID = "paid", "Paid to the holder"
        CLOSED = "closed", "Nothing is left"
        MERGED = "merged", "Merged back into main units"
        TRANSFER_OUT = "transfer_out", "Transferred to another holder"
        TRANSFER_IN = "transfer_in", "Transferred from another holder"

    pocket = models.ForeignKey(SidePocket, on_delete=models.PROTECT, related_name="entries")
    lot = models.ForeignKey(
        "investors.UnitLot", on_delete=models.PROTECT, related_name="pocket_entries"
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    units = ExactField()
    price = ExactField()
    value = ExactField()
    fee = ExactField(default=0)
    into = models.ForeignKey(
        "investors.UnitLot", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    high_water_mark = ExactField()
    hurdle_start = models.DateField()
    strike = models.ForeignKey(
        "investors.NavStrike", on_delete=models.PROTECT, null=True, related_name="+"
    )
    entry = models.ForeignKey("investors.Entry", on_delete=models.PROTECT, related_name="+")
    effective_at = models.DateTimeField()
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "pocket entries"
        ordering = ["effective_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["pocket", "lot", "strike", "kind"], name="investors_pocketentry_once"
            ),
            models.UniqueConstraint(
                fields=["into"], condition=Q(kind="merged"), name="investors_pocketentry_into_once"
            ),
            *in_range("investors_pocketentry", "units", "value"),
            *not_negative("investors_pocketentry", "price", "fee"),
            *positive("investors_pocketentry", "high_water_mark"),
            models.CheckConstraint(
                condition=~Q(units=0) | Q(kind__in=("valued", "paid")),
                name="investors_pocketentry_not_zero",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.units}"
