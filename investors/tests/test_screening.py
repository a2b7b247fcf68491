"""Screening: names meet through accents, order and slips; the published formats are read."""

from __future__ import annotations

import pytest

from investors.domain.onboarding.list_files import read_list
from investors.domain.onboarding.screening import (
    THRESHOLD,
    ListedName,
    NameIndex,
    plain_words,
    resemble,
    score_names,
)
from magnetfund.kernel.errors import InvalidInput

OFAC = b"""<?xml version="1.0"?>
<sdnList xmlns="http://tempuri.org/sdnList.xsd">
  <publshInformation><Publish_Date>11/19/2026</Publish_Date></publshInformation>
  <sdnEntry><uid>7</uid><firstName>Connor James</firstName><lastName>REED</lastName>
    <sdnType>Individual</sdnType>
    <akaList><aka><uid>8</uid><lastName>Conor Reade</lastName></aka></akaList>
    <dateOfBirthList><dateOfBirthItem><dateOfBirth>1961</dateOfBirth></dateOfBirthItem>
    </dateOfBirthList></sdnEntry>
  <sdnEntry><uid>9</uid><lastName>BLACK SEA SHIPPING LTD</lastName></sdnEntry>
</sdnList>"""
EU = """<?xml version="1.0" encoding="UTF-8"?>
<export xmlns="http://eu.europa.ec/fpi/fsd/export" generationDate="2026-11-20T10:00:00">
  <sanctionEntity euReferenceNumber="EU.1.2" logicalId="1"><subjectType code="person"/>
    <nameAlias wholeName="Тест Jürgen Groß"/><nameAlias firstName="Jurgen" lastName="Gross"/>
    <birthdate birthdate="1950-02-03"/></sanctionEntity>
</export>""".encode()


def test_the_two_published_formats_are_read() -> None:
    ofac, eu = read_list(OFAC, form="ofac"), read_list(EU, form="eu")
    assert (ofac.version, eu.version) == ("11/19/2026", "2026-11-20")
    assert [item.name for item in ofac.names] == [
        "Connor James REED", "Conor Reade", "BLACK SEA SHIPPING LTD"
    ]  # fmt: skip
    assert ofac.names[1].entry == "ofac:7"
    assert ofac.names[0].note == "born 1961"
    assert {item.entry for item in eu.names} == {"eu:EU.1.2"}
    assert eu.names[1].name == "Jurgen Gross"


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"<a/>", b"<!DOCTYPE a []><sdnList/>", EU, OFAC.replace(b"Publish_Date", b"D"),
     OFAC.replace(b"<uid>7", b"<!ENTITY x 'y'><uid>7")],
)  # fmt: skip
def test_what_is_no_list_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_list(content, form="ofac")
    assert refused.value.code == "bad_list"
    with pytest.raises(InvalidInput):
        read_list(OFAC, form="un")


def test_jaro_winkler_gives_the_published_values() -> None:
    # Winkler (1990), as in the usual tables: MARTHA/MARHTA 0.961, DIXON/DICKSONX 0.813.
    assert resemble("martha", "marhta") == pytest.approx(0.9611, abs=1e-4)
    assert resemble("dixon", "dicksonx") == pytest.approx(0.8133, abs=1e-4)
    assert resemble("dwayne", "duane") == pytest.approx(0.84, abs=1e-4)
    assert resemble("abc", "xyz") == 0


@pytest.mark.parametrize(
    ("asked", "listed", "is_hit"),
    [
        ("Conor Reed", "Connor James REED", True),
        ("Reed, Connor", "Connor James REED", True),
        ("Jürgen Groß", "Jurgen Gross", True),
        ("José Ángel Pérez", "PEREZ, Jose Angel", True),
        ("Black Sea Shipping", "BLACK SEA SHIPPING LTD", True),
        ("Co\u00adnn\u00ador Re\u00aded", "Connor James REED", True),
        ("C\u200bo\u200bn\u200bn\u200bo\u200br R\u2060e\u2060e\u2060d", "Connor Reed", True),
        ("Con\u034fnor\ufe0f Re\u034fed", "Connor James REED", True),
        ("Co\u3164nnor Re\u20dded", "Connor James REED", True),
        ("Ines Marlow", "Connor James REED", False),
        ("Reed", "Connor James REED", False),
        ("John Reed", "Connor James REED", False),
        ("Black Forest Bakery GmbH", "BLACK SEA SHIPPING LTD", False),
    ],
)
def test_who_is_looked_at(asked: str, listed: str, is_hit: bool) -> None:
    index = NameIndex.of([ListedName(entry="1", name=listed)])
    assert bool(index.find(asked)) == is_hit
    score = score_names(plain_words(asked), plain_words(listed))
    assert (score >= THRESHOLD) == is_hit


def test_an_entry_is_found_once_by_its_best_name() -> None:
    index = NameIndex.of(read_list(OFAC, form="ofac").names)
    assert len(index) == 3
    (match,) = index.find("Conor Reade")
    assert (match.entry, match.name, match.score) == ("ofac:7", "Conor Reade", 1.0)
