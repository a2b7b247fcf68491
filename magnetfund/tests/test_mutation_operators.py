"""The mutants of a small source: what changes, and what is never touched."""

from __future__ import annotations

import ast

import pytest

from drills.mutants import build_mutant, find_mutants
from drills.report import FLOOR_SHARE, PAGE, RECORD, build_page, explain, read_record

SOURCE = '''"""Words 1 < 2."""
__all__ = ["price"]


def price(count: int = 2, *, name: str = "x") -> float:
    """More words."""
    if count <= 0 and not name:
        raise ValueError(f"bad {count + 1}")
    note(count, name="a" + name)
    return max(count - 1, 0.5) * -3
'''


def changes(source: str) -> dict[str, str]:
    """Change by name, with the source that it makes."""
    return {
        f"{mutant.line}: {mutant.change}": ast.unparse(build_mutant(source=source, mutant=mutant))
        for mutant in find_mutants(path="price.py", source=source)
    }


def test_each_operator_makes_its_one_change() -> None:
    found = changes(SOURCE)
    assert "count < 0 and (not name)" in found["7: LtE -> Lt"]
    assert "count > 0 and (not name)" in found["7: LtE -> Gt"]
    assert "count <= 0 or not name" in found["7: And -> Or"]
    assert "count <= 0 and name" in found["7: drop not"]
    assert "count <= 1" in found["7: 0 -> 1"]
    assert "pass" in found["8: remove raise"]
    assert "note" not in found["9: remove call"]
    assert "min(count - 1, 0.5) * -3" in found["10: max -> min"]
    assert "max(count + 1, 0.5) * -3" in found["10: Sub -> Add"]
    assert "max(count - 1, 0.5) / -3" in found["10: Mult -> Div"]
    assert "max(count - 1, 0.5) * 3" in found["10: drop minus"]
    assert "max(count - 1, 0.5) * -2" in found["10: -3 -> -2"]
    assert "return None" in found["10: return None"]
    assert "count: int=3" in found["5: 2 -> 3"]


def test_texts_and_what_an_exception_says_stay_as_they_are() -> None:
    lines = {mutant.line for mutant in find_mutants(path="price.py", source=SOURCE)}
    assert lines == {5, 7, 8, 9, 10}
    assert [name for name in changes(SOURCE) if name[0] in "89"] == [
        "8: remove raise",
        "9: remove call",
    ]


def test_every_mutant_differs_from_its_source_and_compiles() -> None:
    plain = ast.unparse(ast.parse(SOURCE))
    for text in changes(SOURCE).values():
        assert text != plain
        compile(text, "price.py", "exec")


def test_a_quantum_changes_its_scale() -> None:
    found = changes("QUANTUM = Decimal('0.01')\nLIMIT = Decimal('25')\n")
    assert "Decimal('0.1')" in found["1: 0.01 -> 0.1"]
    assert "Decimal('26')" in found["2: 25 -> 26"]


@pytest.mark.parametrize("result", read_record(), ids=lambda result: result.module)
def test_the_recorded_scores_hold_the_floor_and_no_survivor_lacks_a_reason(result) -> None:
    assert result.tried >= min(result.mutants, 100)
    assert result.score >= FLOOR_SHARE
    assert [mutant.key for mutant in result.survivors if explain(mutant) is None] == []


@pytest.mark.skipif(not RECORD.exists(), reason="no run was recorded")
def test_the_page_is_that_of_the_record() -> None:
    assert PAGE.read_text() == build_page(read_record())
