"""XML of strangers: no document type, so that no entity is ever expanded."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.parsers import expat

from magnetfund.kernel.errors import InvalidInput


def parse_xml(content: bytes) -> ET.Element:
    """The root of a document; raises :class:`InvalidInput` (``not_xml``).

    A document type declaration is refused before anything is read.
    """

    def refuse(*_: object) -> None:
        raise InvalidInput("a document type declaration is not allowed", code="not_xml")

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    guard.EntityDeclHandler = refuse
    try:
        guard.Parse(content, True)
        return ET.fromstring(content)  # noqa: S314 - declarations were refused above
    except (expat.ExpatError, ET.ParseError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"the file is not XML: {error}", code="not_xml") from None
