"""Check offline that your units stand under the published root, with Python's standard library.

    python3 check_units.py proof.json [ROOT]

proof.json holds your lots, each with its secret salt and the neighbours on its way to the root: no
name, and nobody else's holding.  ROOT is the root of that day as you got it from somebody else: by
mail, from the auditor, or from another holder.  Without it the root in the file is used; compare it
yourself.

Each lot is hashed with its units and salt; each step adds the units of a neighbour and hashes both
with both sums.  So a root cannot leave a holding out, and cannot count more units than it shows.
"""

import hashlib
import json
import sys
from decimal import Decimal
from typing import Any

STEP = Decimal("0.000001")
Node = tuple[bytes, int]


def steps_of(units: str) -> int:
    """Whole millionths of a unit; raises ValueError for anything finer or below zero."""
    steps = Decimal(units) / STEP
    if steps != steps.to_integral_value() or steps < 0:
        raise ValueError("units are finer than their step, or below zero")
    return int(steps)


def leaf(lot: str, steps: int, salt: bytes) -> Node:
    name = lot.encode()
    text = len(name).to_bytes(4, "big") + name + steps.to_bytes(16, "big")
    text += len(salt).to_bytes(4, "big") + salt
    return hashlib.sha256(b"\x00" + text).digest(), steps


def branch(left: Node, right: Node) -> Node:
    text = left[0] + left[1].to_bytes(16, "big") + right[0] + right[1].to_bytes(16, "big")
    return hashlib.sha256(b"\x01" + text).digest(), left[1] + right[1]


def climb(lot: Any) -> Node:
    """Digest and steps of the root that a lot's own way leads to."""
    node = leaf(lot["lot"], steps_of(lot["units"]), bytes.fromhex(lot["salt"]))
    for item in lot["neighbours"]:
        digest = bytes.fromhex(item["digest"])
        if len(digest) != 32:
            raise ValueError("a digest has 32 bytes")
        other = (digest, steps_of(item["units"]))
        node = branch(other, node) if item["side"] == "left" else branch(node, other)
    return node


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        print(__doc__)
        return 2
    with open(arguments[0], encoding="utf-8") as handle:
        proof = json.load(handle)
    expected = (arguments[1] if len(arguments) == 2 else proof["register_root"]).strip().lower()
    total, own, is_right, seen = steps_of(proof["all_units"]), 0, True, set()
    for lot in proof["lots"]:
        try:
            digest, steps = climb(lot)
            found = digest.hex() == expected and steps == total and lot["lot"] not in seen
        except (ValueError, KeyError, TypeError, ArithmeticError, OverflowError):
            found = False
        seen.add(lot.get("lot"))
        word = "in tree" if found else "NOT FOUND"
        print(f"lot {lot.get('lot')}  {lot.get('units')!s:>18}  {word}")
        is_right = is_right and found
        own += steps_of(lot["units"]) if found else 0
    print(f"yours      {own * STEP:>18}")
    print(f"all units  {total * STEP:>18}")
    print(f"root {expected}")
    print("Your units are in this root." if is_right else "THIS PROOF DOES NOT HOLD.")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
