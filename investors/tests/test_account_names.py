"""Accounts are named in the chart: services and selectors hold no numbers of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import investors
from investors.domain.ledger import ACCOUNTS
from investors.domain.onboarding import KycState
from investors.models.holders import KYC_CHOICES

FOLDER = Path(investors.__file__).parent
NUMBER = re.compile(r"(?<![0-9.])[1-9][0-9]{3}(?![0-9.])")


def numbers_in(text: str) -> set[str]:
    """Account numbers in the strings of a module, docstrings left out."""
    tree = ast.parse(text)
    words = {
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        number
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value not in words
        for number in NUMBER.findall(node.value)
        if number in ACCOUNTS
    }


def test_the_search_sees_a_number_and_its_sql():
    assert numbers_in('x = "1120"\n"""about 1010"""\n') == {"1120"}
    assert numbers_in("run(\"WHERE p.account_id = '3010'\")\n") == {"3010"}


def test_services_and_selectors_hold_no_account_numbers():
    files = [*(FOLDER / "services").rglob("*.py"), *FOLDER.glob("selectors*.py")]
    assert len(files) > 30
    found = {file.name: numbers for file in files if (numbers := numbers_in(file.read_text()))}
    assert found == {}


def test_each_state_of_a_file_has_its_words_once():
    assert [value for value, _ in KYC_CHOICES] == list(
        dict.fromkeys(value for value, _ in KYC_CHOICES)
    )
    assert {value for value, _ in KYC_CHOICES} == {state.value for state in KycState}
