"""Proof that each holder's units are counted in the published total, without showing others'."""

from investors.domain.proof.tree import (
    Proof,
    ProvenLot,
    Root,
    Sibling,
    UnitTree,
    build_proof,
    build_tree,
    verify_proof,
)

__all__ = [
    "Proof",
    "ProvenLot",
    "Root",
    "Sibling",
    "UnitTree",
    "build_proof",
    "build_tree",
    "verify_proof",
]
