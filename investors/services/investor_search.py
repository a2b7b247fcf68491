"""How staff find an investor: by a part of the account number or the name."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

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


def search_investors(text: str) -> list[NamedInvestor]:
    """Those with ``text`` in their number or name, by number; all with an empty one.

    Letters are compared here: in the database's own order "É" is no capital of "é".
    """
    wanted = text.strip().casefold()
    rows = Investor.objects.order_by("number").values_list("pk", "number", "legal_name")
    found = [NamedInvestor(*row) for row in rows]
    return [item for item in found if any(wanted in word for word in item.spellings)]
