"""The committed OpenAPI schema is the one that the code says."""

from __future__ import annotations

from pathlib import Path

from django.core.management import call_command

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"


def test_the_committed_schema_is_current(tmp_path: Path):
    fresh = tmp_path / "openapi.yaml"
    call_command("spectacular", file=str(fresh), fail_on_warn=True)
    assert fresh.read_text() == COMMITTED.read_text(), (
        "run: manage.py spectacular --file docs/openapi.yaml"
    )
