"""What the documentation names is there: files, modules, and what they define."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Decisions tell of a past: what they name may be gone.
PAGES = sorted(
    page
    for page in [*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    if page.parent.name != "adr"
)
FOLDERS = ("magnetfund", "risk", "trading", "investors", "simulated_exchange", "docs")
FOLDERS += ("bench", "drills", "deploy", "templates", "static")
FILE = re.compile(r"(?<![\w./<-])((?:[a-z_]+/)*[a-z_]+\.(?:py|toml|sql|html|typ))\b")
DOTTED = re.compile(r"`((?:magnetfund|risk|trading|investors)(?:\.\w+)+)(?:\([^`]*)?`")
#: `request_of` beside the file that makes it, as in "`orders.py`: `request_of`".
BESIDE = re.compile(r"`((?:[a-z_]+/)*[a-z_]+\.py)`: `(\w+)`")
FORM = re.compile(r"^\| `([A-Z]\w+)`", re.MULTILINE)
#: What a person writes, in a place of his own.
OWN = {"report.html"}
#: Libraries that are called like files.
OWN |= {"backtesting.py"}


@cache
def project_files() -> tuple[str, ...]:
    """Paths of the project, relative to it."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    found += [path for path in ROOT.iterdir() if path.is_file()]
    return tuple(str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts)


def files_named(name: str) -> list[str]:
    return [path for path in project_files() if path == name or path.endswith("/" + name)]


def is_defined(dotted: str) -> bool:
    """Whether a dotted name is a package, a module, or a name that one of them speaks of."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:length])
        module = base.with_suffix(".py") if not base.is_dir() else base / "__init__.py"
        if not module.is_file():
            continue
        if length == len(parts):
            return True
        text = module.read_text(encoding="utf-8")
        if all(re.search(rf"\b{name}\b", text) for name in parts[length:]):
            return True
    return is_table_or_capability(dotted)


def is_table_or_capability(dotted: str) -> bool:
    """``investors.distribution`` as the admin names a table, ``trading.stop`` as a right."""
    if f'"{dotted}"' in (ROOT / "magnetfund/core/roles.py").read_text(encoding="utf-8"):
        return True
    app, _, table = dotted.partition(".")
    models = [path for path in project_files() if path.startswith(f"{app}/models")]
    code = "".join((ROOT / path).read_text(encoding="utf-8") for path in models)
    return re.search(rf"^class {table}\(", code, re.MULTILINE | re.IGNORECASE) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_names_of_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    gone = {name for name in FILE.findall(text) if name not in OWN and not files_named(name)}
    gone |= {name for name in DOTTED.findall(text) if not is_defined(name)}
    assert not gone


def test_the_ways_of_an_order_and_a_strike_name_what_is_there() -> None:
    text = (ROOT / "docs/pipeline.md").read_text(encoding="utf-8")
    pairs = BESIDE.findall(text)
    assert len(pairs) >= 2
    for file, name in pairs:
        sources = [(ROOT / path).read_text(encoding="utf-8") for path in files_named(file)]
        assert any(re.search(rf"^def {name}\b", source, re.MULTILINE) for source in sources), file
    forms = FORM.findall(text)
    assert len(forms) >= 7
    code = "\n".join(
        (ROOT / path).read_text(encoding="utf-8")
        for path in project_files()
        if path.endswith(".py") and "/tests/" not in path
    )
    for name in [*forms, *re.findall(r"-> (?:Order )?([A-Z][a-z]+[A-Z]\w+)", text)]:
        assert re.search(rf"^class {name}\b", code, re.MULTILINE), f"no class {name}"
