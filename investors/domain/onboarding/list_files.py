"""Sanctions lists in their published formats: OFAC's ``sdn.xml`` and the EU's consolidated list.

Only the names, the ids and the dates of birth are read.  A file that declares entities or is not of
its format is refused; nothing is fetched from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from investors.domain.onboarding.screening import ListedName
from magnetfund.kernel.errors import InvalidInput

FORMATS = ("ofac", "eu")
#: The EU's list has about 30 MB, OFAC's about 30 MB.
BYTES_MAX = 200_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFile:
    """A list as it was published: its own version and every name."""

    name: str
    version: str
    names: tuple[ListedName, ...]


def read_list(content: bytes, *, form: str) -> ListFile:
    """Read a published list; raises :class:`InvalidInput` (``bad_list``)."""
    if form not in FORMATS:
        raise InvalidInput(f"a list must be one of: {', '.join(FORMATS)}", code="bad_list")
    if len(content) > BYTES_MAX:
        raise InvalidInput("the file is too large to be a list", code="bad_list")
    if b"<!DOCTYPE" in content[:4096] or b"<!ENTITY" in content:
        raise InvalidInput("a list declares no entities", code="bad_list")
    try:
        # Entities, by which XML attacks, were refused above.
        root = ElementTree.fromstring(content)  # noqa: S314
    except ElementTree.ParseError as error:
        raise InvalidInput(f"this is not XML: {error}", code="bad_list") from None
    found = _read_ofac(root) if form == "ofac" else _read_eu(root)
    if not found.names or not found.version:
        raise InvalidInput(f"this is not a list in the format {form}", code="bad_list")
    return found


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _children(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if _local(child) == name)


def _text(element: ElementTree.Element, name: str) -> str:
    for child in _children(element, name):
        return (child.text or "").strip()
    return ""


def _deep(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (child for child in element.iter() if _local(child) == name)


def _read_ofac(root: ElementTree.Element) -> ListFile:
    version = next((item.text or "" for item in _deep(root, "Publish_Date")), "").strip()
    names: list[ListedName] = []
    for entry in _children(root, "sdnEntry"):
        born = next((item.text or "" for item in _deep(entry, "dateOfBirth")), "").strip()
        note = f"born {born}" if born else ""
        uid = f"ofac:{_text(entry, 'uid')}"
        for part in (entry, *_deep(entry, "aka")):
            whole = " ".join(
                word for word in (_text(part, "firstName"), _text(part, "lastName")) if word
            )
            if whole:
                names.append(ListedName(entry=uid, name=whole, note=note))
    return ListFile(name="OFAC SDN", version=version, names=tuple(names))


def _read_eu(root: ElementTree.Element) -> ListFile:
    version = root.get("generationDate", "")[:10]
    names: list[ListedName] = []
    for entity in _children(root, "sanctionEntity"):
        number = entity.get("euReferenceNumber") or entity.get("logicalId", "")
        births = list(_children(entity, "birthdate"))
        born = (births[0].get("birthdate") or births[0].get("year") or "") if births else ""
        note = f"born {born}" if born else ""
        for alias in _children(entity, "nameAlias"):
            whole = alias.get("wholeName", "").strip() or " ".join(
                alias.get(part, "") for part in ("firstName", "middleName", "lastName")
            )
            if whole.strip():
                names.append(
                    ListedName(entry=f"eu:{number}", name=" ".join(whole.split()), note=note)
                )
    return ListFile(name="EU consolidated", version=version, names=tuple(names))
