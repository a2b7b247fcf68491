"""Why a surviving mutant survives, by file, text of its line and change."""

from __future__ import annotations

EXPLAINED: dict[tuple[str, str, str], str] = {}
