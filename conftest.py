"""Fixtures for every test of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real candles; the test is skipped where it is absent."""
    folder = Path(os.environ.get("MAGNET_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "candles").is_dir():
        pytest.skip(f"no real candles under {folder} (set MAGNET_DATA)")
    return folder
