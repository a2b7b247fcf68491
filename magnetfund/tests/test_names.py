"""A class name means one thing in the product."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("magnetfund", "risk", "trading", "investors")
#: A row and the value that the pure parts decide on: the same thing twice.
ROW_AND_VALUE = {"Candle", "Signal", "Strategy", "Reconciliation"}
#: A signature under an application's text, and one of the house under an act.
TWO = {"Signature"}
CLASS = re.compile(r"^class (\w+)", re.MULTILINE)


def test_no_class_name_stands_for_two_things() -> None:
    places = defaultdict(list)
    for folder in PRODUCT:
        for path in (ROOT / folder).rglob("*.py"):
            if {"tests", "migrations", "commands"} & set(path.parts):
                continue
            for name in CLASS.findall(path.read_text(encoding="utf-8")):
                places[name].append(str(path.relative_to(ROOT)))
    found = {name: paths for name, paths in places.items() if len(paths) > 1}
    assert set(found) <= ROW_AND_VALUE | TWO, {
        name: paths for name, paths in found.items() if name not in ROW_AND_VALUE | TWO
    }
    assert set(found) >= ROW_AND_VALUE | TWO, "an exception that is none any more"
