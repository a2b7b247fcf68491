"""Static files of production are collected anew where one changed, and only there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from magnetfund.operations.static_files import collect_static_files


@pytest.fixture
def sources(settings: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "page.css").write_text("a { color: red }")
    settings.STATICFILES_DIRS = [folder]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATIC_ROOT = tmp_path / "home" / "static"
    settings.STATIC_ROOT.parent.mkdir()
    kind = "magnetfund.core.static_files.HashedStaticFiles"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": kind}}
    return folder


def served(settings: Any) -> str:
    names = json.loads((settings.STATIC_ROOT / "staticfiles.json").read_text())["paths"]
    return str((settings.STATIC_ROOT / names["page.css"]).read_text())


def test_a_start_collects_what_changed_and_nothing_else(sources: Path, settings: Any):
    assert collect_static_files()
    assert served(settings) == "a { color: red }"
    assert not collect_static_files()

    (sources / "page.css").write_text("a { color: tan }")
    os.utime(sources / "page.css", (1, 1))  # older than before, as from an archive
    assert collect_static_files()
    assert served(settings) == "a { color: tan }"

    (settings.STATIC_ROOT / "staticfiles.json").unlink()
    assert collect_static_files()
    (sources / "new.css").write_text("")
    assert collect_static_files()
    assert not collect_static_files()
