"""Which test files are pure: they, and the test support they import, touch nothing of Django.

Such a file runs with ``-p no:django``: no settings, no app registry, no database.
"""

from __future__ import annotations

import re
from pathlib import Path

_IMPORT = re.compile(r"^\s*(?:from\s+(\S+)\s+import\b|import\s+(.+?)\s*(?:#.*)?$)", re.MULTILINE)
_SLOW = "\npytestmark = pytest.mark.slow\n"
_FRAMEWORK = {"django", "rest_framework", "celery", "redis", "psycopg", "playwright"}
_APPS = {"risk", "trading", "investors"}
#: Fixtures of ``conftest.py`` that start a database, and pytest-django's own.
_FIXTURES = re.compile(
    r"\b(?:db|cluster|client|admin_client|rf|settings|mailoutbox|transactional_db|django_db\w*"
    r"|fresh_database|module_database|as_gateway|traded_month|token_keys|live_server|django_assert\w*)\b\s*[:,)\"']"
    r"|\bcall_command\b|pytest\.mark\.django_db"
)


def imported_modules(text: str) -> set[str]:
    """Dotted modules that a file imports anywhere."""
    names = set()
    for source, plain in _IMPORT.findall(text):
        names |= {source} if source else {part.split()[0] for part in plain.split(",")}
    return names


def _is_free_of_django(module: str) -> bool:
    parts = module.split(".")
    if parts[0] in _FRAMEWORK or parts[0] == "conftest":
        return False
    if parts[0] == "magnetfund":
        return parts[1:2] in (["kernel"], ["tests"]) or parts[1:3] == ["operations", "checks"]
    if parts[0] in _APPS:
        return parts[1:2] in (["domain"], ["tests"])
    return True


def is_pure(path: Path, project: Path) -> bool:
    """Whether the test file needs neither Django nor a database."""
    seen: set[Path] = set()
    waiting = [path.resolve()]
    while waiting:
        item = waiting.pop()
        if item in seen:
            continue
        seen.add(item)
        text = item.read_text(encoding="utf-8")
        if _FIXTURES.search(text):
            return False
        for module in imported_modules(text):
            if not _is_free_of_django(module):
                return False
            file = project.joinpath(*module.split(".")).with_suffix(".py")
            if ".tests." in f"{module}." and file.is_file():
                waiting.append(file)
    return True


def pure_test_files(project: Path) -> list[Path]:
    """The pure test files of the project in order, without those that are slow as a whole."""
    files = [
        path
        for folder in ("magnetfund", "risk", "trading", "investors")
        for path in (project / folder).rglob("test_*.py")
    ]
    return sorted(
        path for path in files if is_pure(path, project) and _SLOW not in path.read_text("utf-8")
    )
