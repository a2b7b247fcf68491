"""Every Python block of the documentation runs, alone and in a fresh namespace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted(page for part in ("quant", "accounting") for page in ROOT.glob(f"docs/{part}/*.md"))
BLOCKS = [
    pytest.param(page, match, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")), start=1)
]


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
