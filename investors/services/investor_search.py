"""How staff find an investor: by a part of the account number or the name."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q

from investors.models import Investor


class NamedInvestor(NamedTuple):
    """What staff find an investor by."""

    pk: UUID
    number: str
    name: str

    @property
    def spellings(self) -> tuple[str, str]:
        """Number and name, whatever their case."""
        return self.number.casefold(), self.name.casefold()


def search_investors(text: str, *, most: int | None = None) -> list[NamedInvestor]:
    """Those with ``text`` in their number or name, by number; all with an empty one.

    The database knows the case of plain letters alone ("É" is no capital of "é" in its order), so
    that others are compared here.
    """
    wanted = text.strip()
    rows = Investor.objects.order_by("number").values_list("pk", "number", "legal_name")
    if wanted.isascii():
        if wanted:
            rows = rows.filter(Q(number__icontains=wanted) | Q(legal_name__icontains=wanted))
        return [NamedInvestor(*row) for row in rows[:most]]
    folded = wanted.casefold()
    found = (NamedInvestor(*row) for row in rows.iterator())
    return list(islice((it for it in found if any(folded in w for w in it.spellings)), most))
