"""Check the books of a fund offline, with Python's standard library alone.

    python3 check_books.py books.jsonl.gz root.json [PUBLIC_KEY]

books.jsonl.gz holds every audit line, ledger entry and movement of units with the text that was
hashed; root.json is a day's root as it came by mail.  The key of the house (hex) may be given as
well, else the one in the root is used and printed: compare it with the one that you know.

What is checked: each row hashes to what was recorded and follows the one before it; each entry
balances and its postings are those that were booked; the chains hold what the root holds; the
units of all lots add up to the register's Merkle-sum root; the root is signed (Ed25519, RFC 8032).
"""

import gzip
import hashlib
import json
import sys
from decimal import Decimal, getcontext
from typing import Any, Optional

Point = tuple[int, int, int, int]
Node = tuple[bytes, int]

getcontext().prec = 60
STEP = Decimal("0.000001")

# ---- Ed25519, verification only ------------------------------------------------------------------

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def add(a: Point, b: Point) -> Point:
    x = (a[1] - a[0]) * (b[1] - b[0]) % P
    y = (a[1] + a[0]) * (b[1] + b[0]) % P
    z = 2 * a[3] * b[3] * D % P
    w = 2 * a[2] * b[2] % P
    e, f, g, h = y - x, w - z, w + z, y + x
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(number: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, point)
        point = add(point, point)
        number >>= 1
    return result


def lift_x(y: int, sign: int) -> Optional[int]:  # noqa: UP045
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P:
        return None
    return P - x if (x & 1) != sign else x


def read_point(data: bytes) -> Optional[Point]:  # noqa: UP045
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = lift_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = read_point(BASE_Y.to_bytes(32, "little")) or (0, 1, 1, 0)


def is_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature (64 bytes) over the message was made by the key (32 bytes)."""
    if len(key) != 32 or len(signature) != 64:
        return False
    public, random = read_point(key), read_point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if public is None or random is None or scalar >= Q:
        return False
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    left = multiply(scalar, BASE)
    right = add(random, multiply(int.from_bytes(digest, "little") % Q, public))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % P == 0


# ---- the register's tree -------------------------------------------------------------------------


def leaf(lot: str, steps: int, salt: bytes) -> Node:
    name = lot.encode()
    text = len(name).to_bytes(4, "big") + name + steps.to_bytes(16, "big")
    text += len(salt).to_bytes(4, "big") + salt
    return hashlib.sha256(b"\x00" + text).digest(), steps


def branch(left: Node, right: Node) -> Node:
    text = left[0] + left[1].to_bytes(16, "big") + right[0] + right[1].to_bytes(16, "big")
    return hashlib.sha256(b"\x01" + text).digest(), left[1] + right[1]


def compute_tree_root(lots: dict[str, int], salts: dict[str, bytes]) -> Node:
    """Digest and steps of the Merkle-sum tree over (lot, steps)."""
    level = [leaf(lot, steps, salts[lot]) for lot, steps in sorted(lots.items()) if steps]
    while len(level) > 1:
        if len(level) % 2:
            level.append((hashlib.sha256(b"\x02").digest(), 0))
        level = [branch(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


# ---- the books -----------------------------------------------------------------------------------


def check_row(line: Any, before: tuple[int, str], problems: list[str]) -> tuple[int, str]:
    chain, seq = line["chain"], line["seq"]
    if seq != before[0] + 1 or line["previous"] != before[1]:
        problems.append(f"{chain} {seq}: does not follow {before[0]}")
    made = hashlib.sha256(bytes.fromhex(line["previous"]) + line["text"].encode()).hexdigest()
    if made != line["hash"]:
        problems.append(f"{chain} {seq}: its hash is not that of its content")
    if "content" in line:
        if hashlib.sha256(line["content"].encode()).hexdigest() != json.loads(line["text"])[8]:
            problems.append(f"{chain} {seq}: its postings are not those that were booked")
        sums: dict[str, Decimal] = {}
        for posting in json.loads(line["content"])[3]:
            sums[posting[1]] = sums.get(posting[1], Decimal(0)) + Decimal(posting[2])
        if any(sums.values()) or not sums:
            problems.append(f"{chain} {seq}: it does not balance")
    return seq, line["hash"]


def read_books(path: str, heads: Any, problems: list[str]) -> Any:
    """Heads of all chains, hashes at the numbers of the root, lots at the root, salts."""
    last: dict[str, tuple[int, str]] = {}
    at_root: dict[str, str] = {}
    lots: dict[str, dict[str, int]] = {}
    salts: dict[str, bytes] = {}
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        for raw in handle:
            line = json.loads(raw)
            if "lot" in line:
                salts[line["lot"]] = bytes.fromhex(line["salt"])
                continue
            chain, seq = line["chain"], line["seq"]
            last[chain] = check_row(line, last.get(chain, (0, "")), problems)
            head = heads.get(chain)
            if head and seq == head["seq"]:
                at_root[chain] = line["hash"]
            if head and chain.startswith("units:") and seq <= head["seq"]:
                values = json.loads(line["text"])
                held = lots.setdefault(chain[6:], {})
                held[values[3]] = held.get(values[3], 0) + int(Decimal(values[8]) / STEP)
    return last, at_root, lots, salts


def main(arguments: list[str]) -> int:
    if len(arguments) not in (2, 3):
        print(__doc__)
        return 2
    with open(arguments[1], encoding="utf-8") as handle:
        root = json.load(handle)
    document: Any = root["document"]
    problems: list[str] = []
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    key = arguments[2] if len(arguments) == 3 else root["key"]
    if not is_signed(bytes.fromhex(key), text.encode(), bytes.fromhex(root["signature"])):
        problems.append("the root was not signed by this key")
    last, at_root, lots, salts = read_books(arguments[0], document["chains"], problems)
    for chain, head in document["chains"].items():
        if at_root.get(chain) != head["head"]:
            problems.append(f"{chain}: cut or built anew since the root, up to {head['seq']}")
    for code, register in document["units"].items():
        digest, steps = compute_tree_root(lots.get(code, {}), salts)
        if digest.hex() != register["root"] or steps * STEP != Decimal(register["units"]):
            problems.append(
                f"register of {code}: {register['units']} units in the root, "
                f"{steps * STEP} by the movements"
            )
    for chain, (seq, _) in sorted(last.items()):
        print(f"{chain:<24} {seq:>9} rows")
    for code, register in document["units"].items():
        print(f"register of {code:<12} {register['units']} units in {register['lots']} lots")
        print(f"  root {register['root']}")
    print(f"root {document['number']} of {document['made_at']}")
    print(f"signed by {key}")
    for problem in problems:
        print(f"WRONG  {problem}")
    print("THE BOOKS DIFFER" if problems else "The books are right.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
