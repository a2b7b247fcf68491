"""What a file needs, by the kind of holder: each item is received, then checked by a person.

Persons: identity, address, tax residence, source of funds, suitability, agreements.  A legal person
adds its existence and its owners; of a trust, the deed and every party (FATF Recommendations 10, 24
and 25).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from magnetfund.kernel.errors import InvalidInput


class CheckItem(StrEnum):
    """An item of the checklist."""

    EXISTENCE = "existence"
    OWNERS = "owners"
    TRUST_DEED = "trust_deed"
    TRUST_PARTIES = "trust_parties"
    IDENTITY = "identity"
    ADDRESS = "address"
    TAX_RESIDENCE = "tax_residence"
    SOURCE_OF_FUNDS = "source_of_funds"
    SUITABILITY = "suitability"
    AGREEMENTS = "agreements"


_I = CheckItem
#: Every item in words.
ITEMS: Mapping[CheckItem, str] = {
    _I.EXISTENCE: "Company exists",
    _I.OWNERS: "Owners and signatories",
    _I.TRUST_DEED: "Trust deed",
    _I.TRUST_PARTIES: "Settlor, trustees, beneficiaries",
    _I.IDENTITY: "Identity of each person",
    _I.ADDRESS: "Address",
    _I.TAX_RESIDENCE: "Tax residence",
    _I.SOURCE_OF_FUNDS: "Source of funds",
    _I.SUITABILITY: "Suitability",
    _I.AGREEMENTS: "Agreements",
}
_ALL = (_I.IDENTITY, _I.TAX_RESIDENCE, _I.SOURCE_OF_FUNDS, _I.SUITABILITY, _I.AGREEMENTS)
_PERSON = (_I.IDENTITY, _I.ADDRESS, *_ALL[1:])
_BY_KIND: Mapping[str, tuple[CheckItem, ...]] = {
    "person": _PERSON,
    "joint": _PERSON,
    "company": (_I.EXISTENCE, _I.OWNERS, *_ALL),
    "trust": (_I.TRUST_DEED, _I.TRUST_PARTIES, *_ALL),
}


def items_of(kind: str) -> tuple[CheckItem, ...]:
    """The items of a kind of holder; raises :class:`InvalidInput` (``bad_kind``)."""
    if kind not in _BY_KIND:
        raise InvalidInput(f"a holder must be one of: {', '.join(_BY_KIND)}", code="bad_kind")
    return _BY_KIND[kind]


def find_missing(*, kind: str, done: Collection[str]) -> tuple[str, ...]:
    """Items of a kind that are not among ``done``, in their order."""
    return tuple(item.value for item in items_of(kind) if item.value not in done)
