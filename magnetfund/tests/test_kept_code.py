"""Machine code that one clone compiled is found by another, and none of another source is run."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from magnetfund.tests.kept_code import bring_code, keep_code

INNER = Path("trading/domain/magnets")


def make_clone(folder: Path, text: str = "x = 1\n") -> Path:
    for package in ("risk/domain/fuse", str(INNER)):
        (folder / package).mkdir(parents=True)
        (folder / package / "rule.py").write_text(text)
    return folder


def code_of(clone: Path) -> tuple[Path, Path]:
    """Where numba puts the code: beside a source, and in a folder that names the clone."""
    named = hashlib.sha1(str(clone / INNER).encode(), usedforsecurity=False).hexdigest()
    return (
        clone / "risk/domain/fuse/__pycache__/rule.f-1.py311.nbi",
        clone / f"trading/domain/__pycache__/compiled-1/magnets_{named}/rule.g-1.py311.1.nbc",
    )


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    clone = make_clone(tmp_path / "first")
    for path in code_of(clone):
        path.parent.mkdir(parents=True)
        path.write_text(path.name)
    return clone


def test_another_clone_finds_the_code_where_numba_looks(compiled: Path, tmp_path: Path) -> None:
    assert keep_code(compiled)
    assert not keep_code(compiled), "nothing is new"
    clone = make_clone(tmp_path / "second")
    assert bring_code(clone)
    assert [path.read_text() for path in code_of(clone)] == [p.name for p in code_of(compiled)]
    assert not bring_code(clone), "it has it already"


def test_the_very_sources_come_before_newer_ones_and_more_code_is_kept(
    compiled: Path, tmp_path: Path
) -> None:
    assert not bring_code(compiled), "nothing is kept yet"
    assert keep_code(compiled)
    changed = make_clone(tmp_path / "changed", "x = 2\n")
    own = code_of(changed)[1]
    own.parent.mkdir(parents=True)
    own.write_text("its own")
    assert bring_code(changed), "numba asks each file for its source"
    assert [path.read_text() for path in code_of(changed)] == [code_of(compiled)[0].name, "its own"]
    code_of(changed)[0].write_text("of the change")
    code_of(changed)[0].with_suffix(".nbc").write_text("more")
    assert keep_code(changed)
    assert not keep_code(changed), "nothing is new"
    other = make_clone(tmp_path / "other", "x = 3\n")
    assert bring_code(other)
    assert code_of(other)[0].read_text() == "of the change", "the newest"
    same = make_clone(tmp_path / "same")
    assert bring_code(same)
    assert code_of(same)[0].read_text() == code_of(compiled)[0].name


@pytest.mark.slow
def test_code_of_another_source_is_not_run(tmp_path: Path) -> None:
    """The same names and lines, another figure: what was brought is compiled anew."""
    text = "import numba\n\n@numba.njit(cache=True)\ndef f():\n    return {}\n"
    answers = []
    for name, figure in (("first", 1), ("same", 1), ("other", 2)):
        clone = make_clone(tmp_path / name, text.format(figure))
        bring_code(clone)
        ask = (
            "from trading.domain.magnets.rule import f;"
            " print(f(), sum(f.stats.cache_hits.values()))"
        )
        told = subprocess.run(
            [sys.executable, "-c", ask], cwd=clone, capture_output=True, text=True
        )
        answers.append(told.stdout.split())
        keep_code(clone)
    assert answers == [["1", "0"], ["1", "1"], ["2", "0"]], told.stderr


@pytest.mark.slow
def test_numba_names_the_folder_of_a_source_so(tmp_path: Path) -> None:
    from numba.core.caching import UserProvidedCacheLocator as Locator

    source = make_clone(tmp_path / "first") / INNER / "rule.py"
    assert (
        Locator.get_suitable_cache_subpath(str(source))
        == code_of(tmp_path / "first")[1].parent.name
    )


def test_a_folder_that_cannot_be_written_costs_nothing(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert not keep_code(compiled)
    assert not bring_code(compiled)
