"""Every Python block of the documentation runs, and every pure package stands in an index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+\.md)\)")
ROW = re.compile(r"^\| \[`([a-z_.]+)`\]\(([^)]+)\) \| [^|]{10,} \|", re.MULTILINE)
INDEXES = (ROOT / "docs/accounting.md", ROOT / "docs/quant.md")
PARTS = ("magnetfund/kernel", "investors/domain", "risk/domain", "trading/domain")
PAGES = [
    *INDEXES,
    *sorted(page for part in ("quant", "accounting") for page in ROOT.glob(f"docs/{part}/*.md")),
]
BLOCKS = [
    pytest.param(page, match, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")), start=1)
]
PACKAGES = sorted(
    ".".join((*part.split("/"), entry.stem))
    for part in PARTS
    for entry in (ROOT / part).iterdir()
    if not entry.name.startswith(("_", ".")) and (entry.suffix == ".py" or entry.is_dir())
)


def read_index() -> dict[str, Path]:
    """The page of each package that an index names."""
    return {
        name: page.parent / link
        for page in INDEXES
        for name, link in ROW.findall(page.read_text(encoding="utf-8"))
    }


@pytest.mark.slow
@pytest.mark.parametrize(("page", "match"), BLOCKS)
def test_the_block_runs(page: Path, match: re.Match[str]) -> None:
    # Blank lines before the code make a traceback name the page's own line.
    line = match.string[: match.start(1)].count("\n")
    code = compile("\n" * line + match.group(1), str(page), "exec")
    exec(code, {"__name__": "docs"})


def test_there_are_pages_with_blocks_and_each_block_asserts_something() -> None:
    assert BLOCKS
    for block in BLOCKS:
        page, match = block.values
        assert "assert " in match.group(1), f"{page.name}: a block without an assert"


def test_every_pure_package_stands_in_an_index_and_its_page_is_about_it() -> None:
    index = read_index()
    assert len(PACKAGES) > 30
    assert sorted(index) == PACKAGES
    for name, page in index.items():
        text = page.read_text(encoding="utf-8")
        assert name in text, f"{page.name} does not speak of {name}"
        assert BLOCK.search(text), f"{page.name} shows no code"


def test_every_page_is_in_an_index_and_no_link_is_dead() -> None:
    linked = {path.resolve() for path in read_index().values()} | set(INDEXES)
    assert {page for page in PAGES if page.resolve() not in linked} == set()
    for page in PAGES:
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / link).is_file(), f"{page.name}: {link}"


def test_every_promise_names_a_test_that_exists():
    named = re.findall(
        r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs/promises.md").read_text(encoding="utf-8")
    )
    assert len(named) >= 30
    missing = [
        f"{path}::{name}" for path, name in named
        if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]  # fmt: skip
    assert missing == []
