"""Receipts that the bank took back: each debit with the receipts that it can mean."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST

from investors.models import Fund, StatementLine
from investors.services.reversals import reverse_receipt, say_use
from investors.services.reversed_receipts import SHOWN, is_named, open_reversals, receipts_of
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReversal:
    """A debit that is not booked, the receipts to choose from, and what stands in the way where
    it names one that has a use."""

    line: StatementLine
    choices: list[StatementLine]
    in_the_way: str


def list_reversals(fund: Fund) -> list[OpenReversal]:
    """Debits that take a receipt back, the oldest first: those that name one have it alone."""
    found = []
    for line in open_reversals(fund).select_related("account")[:SHOWN]:
        choices = list(receipts_of(line)[:SHOWN])
        named = [row for row in choices if is_named(row, line)]
        if named or line.return_code or choices:
            shown = named or choices
            hindrance = say_use(shown[0]) if len(shown) == 1 else ""
            found.append(OpenReversal(line=line, choices=shown, in_the_way=hindrance))
    return found


@require_POST
@desk_view(Capability.DEALING_PROCESS)
def reverse_line(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End the chosen receipt by a debit of the bank."""
    rows = StatementLine.objects.filter(fund__book=settings.MAGNET_BOOK)
    reversal = get_object_or_404(rows, pk=pk, amount__lt=0)
    chosen = request.POST.get("receipt", "")
    receipt = next((row for row in receipts_of(reversal) if str(row.pk) == chosen), None)
    try:
        if receipt is None:
            messages.error(request, "Not booked: choose the receipt that was taken back.")
        else:
            reverse_receipt(receipt=receipt, reversal=reversal, actor=actor_of(request))
            messages.success(
                request, "Booked: the receipt has ended. Another person closes the break."
            )
    except FundError as error:
        messages.error(request, f"Not booked: {error.message}. ({error.code})")
    return HttpResponseRedirect(reverse("desk_money"), status=303)
