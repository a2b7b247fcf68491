"""Machine code that one clone compiled is found by another with the same sources alone."""

from __future__ import annotations

import hashlib
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


def test_other_sources_find_nothing_and_more_code_is_kept(compiled: Path, tmp_path: Path) -> None:
    assert not bring_code(compiled)
    assert keep_code(compiled)
    assert not bring_code(make_clone(tmp_path / "changed", "x = 2\n"))
    code_of(compiled)[0].with_suffix(".nbc").write_text("more")
    assert keep_code(compiled)


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
