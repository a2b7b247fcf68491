"""A Merkle-sum tree over the units of all lots: one root that commits to each lot and to the total.

Each node holds a hash and a sum of whole unit steps.  A leaf hashes its lot, its units and a salt
that only its holder knows; a branch hashes both children's hashes and both children's sums, so no
branch can hide units or lend them to another.  Leaves and branches hash under different prefixes,
so that a branch can never be shown as a leaf.  Units are never negative: a negative leaf would let
the total be understated.

Source: the Merkle-sum proof of liabilities of G. Maxwell and P. Todd, with both children's sums
hashed apart (the original hashed only their total, which lets one branch understate).  A level of
odd length is filled up by an empty node, not by a copy of the last one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from investors.domain.exact import exactly
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import UNITS_QUANTUM, decimal_of

LEAF, BRANCH, EMPTY = b"\x00", b"\x01", b"\x02"
#: Steps fit into 16 bytes: 2^127 millionths of a unit are beyond any fund.
SUM_BYTES = 16
SALT_BYTES_MIN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenLot:
    """Units of one lot, and the holder's secret salt (at least 16 bytes, from the caller)."""

    lot: str
    units: Decimal
    salt: bytes


@dataclass(frozen=True, slots=True)
class Node:
    """A hash and the unit steps below it."""

    digest: bytes
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """The neighbour on one level of a path; ``on_left`` tells its side."""

    digest: bytes
    steps: int
    on_left: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What one holder needs, with his own salt, to find his lot under the published root."""

    lot: str
    units: Decimal
    siblings: tuple[Sibling, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """What the fund publishes for a strike: the digest (hex) and the units in issue."""

    digest: str
    units: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTree:
    """All levels, leaves first; a level's odd end is filled by an empty node."""

    quantum: Decimal
    places: dict[str, int]
    holdings: tuple[ProvenLot, ...]
    levels: tuple[tuple[Node, ...], ...]

    @property
    def root(self) -> Root:
        """The published commitment."""
        return _root(self.levels[-1][0], self.quantum)


def build_tree(*, holdings: Sequence[ProvenLot], quantum: Decimal = UNITS_QUANTUM) -> UnitTree:
    """The tree of all lots with units, ordered by lot.

    Raises :class:`InvalidInput`: ``no_holdings``, ``two_lots`` (one lot twice), ``negative``,
    ``too_fine`` (units finer than ``quantum``), ``weak_salt``.
    """
    ordered = tuple(sorted(holdings, key=lambda holding: holding.lot))
    if not ordered:
        raise InvalidInput("a proof needs holdings", code="no_holdings")
    places = {holding.lot: index for index, holding in enumerate(ordered)}
    if len(places) != len(ordered):
        raise InvalidInput("a lot appears twice in the register", code="two_lots")
    level = tuple(_leaf(item.lot, _steps(item.units, quantum), item.salt) for item in ordered)
    levels = [_even(level)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = tuple(_branch(below[i], below[i + 1]) for i in range(0, len(below), 2))
        levels.append(_even(above))
    return UnitTree(quantum=quantum, places=places, holdings=ordered, levels=tuple(levels))


def build_proof(*, tree: UnitTree, lot: str) -> Proof:
    """The path of one lot; raises ``InvalidInput`` (``unknown_lot``)."""
    try:
        place = tree.places[lot]
    except KeyError:
        raise InvalidInput("the tree has no such lot", code="unknown_lot") from None
    holding, siblings = tree.holdings[place], []
    for level in tree.levels[:-1]:
        node = level[place ^ 1]
        siblings.append(Sibling(digest=node.digest, steps=node.steps, on_left=bool(place & 1)))
        place //= 2
    return Proof(lot=lot, units=holding.units, siblings=tuple(siblings))


def verify_proof(
    *, proof: Proof, salt: bytes, root: Root, quantum: Decimal = UNITS_QUANTUM
) -> bool:
    """Whether the lot with its units stands under the published root and its total.

    Needs nothing but the proof, the holder's salt and the root; a malformed proof is false.
    """
    try:
        node = _leaf(proof.lot, _steps(proof.units, quantum), salt)
        for sibling in proof.siblings:
            other = Node(sibling.digest, sibling.steps)
            node = _branch(other, node) if sibling.on_left else _branch(node, other)
    except (InvalidInput, OverflowError, TypeError):
        return False
    return _root(node, quantum) == root


def _leaf(lot: str, steps: int, salt: bytes) -> Node:
    if len(salt) < SALT_BYTES_MIN:
        raise InvalidInput("a salt has at least 16 bytes", code="weak_salt")
    name = lot.encode()
    # Lengths go in front of what varies, so that no two leaves share their text.
    text = len(name).to_bytes(4) + name + _bytes(steps) + len(salt).to_bytes(4) + salt
    return Node(hashlib.sha256(LEAF + text).digest(), steps)


def _branch(left: Node, right: Node) -> Node:
    if len(left.digest) != 32 or len(right.digest) != 32:
        raise InvalidInput("a digest has 32 bytes", code="bad_digest")
    text = left.digest + _bytes(left.steps) + right.digest + _bytes(right.steps)
    return Node(hashlib.sha256(BRANCH + text).digest(), left.steps + right.steps)


def _bytes(steps: int) -> bytes:
    # Negative sums raise OverflowError: an unsigned field is what keeps units from being hidden.
    return steps.to_bytes(SUM_BYTES)


_EMPTY_NODE = Node(hashlib.sha256(EMPTY).digest(), 0)


def _even(level: tuple[Node, ...]) -> tuple[Node, ...]:
    return (*level, _EMPTY_NODE) if len(level) > 1 and len(level) % 2 else level


@exactly
def _steps(units: Decimal, quantum: Decimal) -> int:
    if decimal_of(units) < 0:
        raise InvalidInput("units may not be negative", code="negative")
    steps = units / quantum
    if steps != steps.to_integral_value():
        raise InvalidInput("units are finer than their step", code="too_fine")
    return int(steps)


@exactly
def _root(node: Node, quantum: Decimal) -> Root:
    return Root(digest=node.digest.hex(), units=node.steps * quantum)
