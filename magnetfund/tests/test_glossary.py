"""The glossary says on the page what it says in the documents, and templates use its terms."""

from __future__ import annotations

import re

import pytest

import bootstrap
from magnetfund.core.glossary import TERMS
from magnetfund.core.templatetags.pages import term

USED = re.compile(r'\{% term "([^"]+)"')


def test_the_document_prints_every_term_and_no_other():
    text = (bootstrap.PROJECT / "docs" / "glossary.md").read_text()
    printed = dict(re.findall(r"^\| (?!Term \|)([^|]+) \| ([^|]+) \|$", text, re.MULTILINE))
    assert printed == dict(TERMS)


def test_a_term_carries_its_definition():
    assert term("NAV") == '<abbr title="' + TERMS["NAV"] + '">NAV</abbr>'
    assert ">Magnets</abbr>" in term("magnet", "Magnets")
    with pytest.raises(KeyError):
        term("nothing")


def test_templates_name_terms_that_exist():
    templates = bootstrap.PROJECT / "templates"
    used = {name for path in templates.rglob("*.html") for name in USED.findall(path.read_text())}
    assert used
    assert used <= set(TERMS)
