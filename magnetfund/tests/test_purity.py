"""A test file counts as pure only when it, and the support it imports, touch nothing of Django."""

from __future__ import annotations

from pathlib import Path

import pytest

from magnetfund.operations.checks.purity import is_pure


@pytest.mark.parametrize(
    ("line", "pure"),
    [
        ("from decimal import Decimal", True),
        ("from risk.domain.sizing import size_position", True),
        ("import magnetfund.kernel.money", True),
        ("from risk.tests.support import make_case", True),
        ("from risk.tests.rows import make_row", False),
        ("    from django.test import Client", False),
        ("from risk.services.fuse import trip_fuse", False),
        ("from magnetfund.core.actors import Actor", False),
        ("import os, redis", False),
        ("def test_a(db: None) -> None: ...", False),
        ('@pytest.mark.usefixtures("as_gateway")', False),
    ],
)
def test_one_line_decides(tmp_path: Path, line: str, pure: bool) -> None:
    support = tmp_path / "risk" / "tests"
    support.mkdir(parents=True)
    (support / "support.py").write_text("from risk.domain.fuse import Fuse\n")
    (support / "rows.py").write_text("from risk.models import LimitSet\n")
    file = support / "test_it.py"
    file.write_text(line + "\n")
    assert is_pure(file, tmp_path) is pure
