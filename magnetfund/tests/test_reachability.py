"""The reachability step follows the names that code uses, and its waiting list only shrinks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from magnetfund.operations.checks import reachability
from magnetfund.operations.checks.reachability import (
    check,
    definitions,
    read_project,
    shrink,
    unreached,
)

FILES = {
    "risk/domain/__init__.py": "",
    "risk/domain/fuse/__init__.py": "from risk.domain.fuse.machine import evaluate as judge\n",
    "risk/domain/fuse/machine.py": (
        "from . import types\n"
        "TABLE = {'cut': lambda: cut()}\n"
        "def evaluate(x: types.Reading): return TABLE\n"
        "def cut(): ...\n"
        "def forgotten(): return also_forgotten()\n"
        "def also_forgotten(): ...\n"
    ),
    "risk/domain/fuse/types.py": "class Base: ...\nclass Reading(Base): ...\nclass Unused: ...\n",
    "risk/domain/sizing.py": "def size(): ...\ndef spare(): ...\n",
    "risk/services/fuse.py": (
        "from risk.domain.fuse import judge\n"
        "def trip():\n"
        "    from risk.domain import sizing as pure\n"
        "    return judge(1), pure.size()\n"
    ),
    "risk/tests/test_it.py": "from risk.domain.sizing import spare\nspare()\n",
}
LOST = [
    "risk.domain.fuse.machine.also_forgotten",
    "risk.domain.fuse.machine.forgotten",
    "risk.domain.fuse.types.Unused",
    "risk.domain.sizing.spare",
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def listed(waiting: dict[str, str], most: int = 4) -> dict[str, Any]:
    return {"requirements": {"R-1": "a"}, "waiting": waiting, "definitions_max": most}


WHOLE = dict.fromkeys(LOST, "R-1")


def problems(project: Path, plain: dict[str, Any]) -> list[str]:
    modules = read_project(project)
    return check(missing=unreached(modules), defined=definitions(modules), listed=plain)


def test_names_are_followed_through_packages_aliases_tables_bases_and_annotations(
    project: Path,
) -> None:
    assert unreached(read_project(project)) == LOST


def test_a_list_of_exactly_what_waits_passes(project: Path) -> None:
    assert problems(project, listed(WHOLE)) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"risk.domain.sizing.spare": "R-9"}, "requirement R-9 is unknown"),
        ({"risk.domain.sizing.size": "R-1"}, "risk.domain.sizing.size: waits, but is reached"),
        ({"risk.domain.gone": "R-1"}, "risk.domain.gone: waits, but is not there any more"),
    ],
)
def test_a_wrong_entry_fails(project: Path, change: dict[str, str], says: str) -> None:
    assert any(says in problem for problem in problems(project, listed(WHOLE | change)))


def test_what_is_neither_reached_nor_listed_fails(project: Path) -> None:
    few = dict.fromkeys(LOST[:3], "R-1")
    assert problems(project, listed(few)) == [
        "risk.domain.sizing.spare: nothing of the product reaches it, and it does not wait for a "
        "requirement"
    ]


def test_the_list_cannot_grow_beyond_its_number(project: Path) -> None:
    assert problems(project, listed(WHOLE, most=3)) == ["4 definitions wait, waiting.toml allows 3"]


def test_shrinking_drops_what_is_reached_and_adds_nothing(project: Path) -> None:
    import tomllib

    modules = read_project(project)
    wide = {"risk.domain.fuse": "R-1"}
    text = shrink(
        missing=unreached(modules), defined=definitions(modules), listed=listed(wide, most=9)
    )
    after = tomllib.loads(text)
    assert after["waiting"] == dict.fromkeys(LOST[:3], "R-1")
    assert after["definitions_max"] == 3


@pytest.mark.slow
def test_the_list_of_this_project_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert reachability.main([]) == 0, capsys.readouterr().out


def test_what_the_library_offers_has_a_door_and_other_lists_of_names_have_none(
    project: Path,
) -> None:
    text = "from risk.domain.sizing import spare\n__all__ = ['spare']\n"
    other = project / "risk/services/again.py"
    other.write_text(text)
    assert unreached(read_project(project)) == LOST
    library = project / "magnetfund/research.py"
    library.parent.mkdir(exist_ok=True)
    library.write_text(text)
    assert "risk.domain.sizing.spare" not in unreached(read_project(project))
