"""The Merkle-sum proof: honest holders find themselves, and no change goes unseen."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from investors.domain.proof import (
    Proof,
    ProvenLot,
    Root,
    Sibling,
    build_proof,
    build_tree,
    verify_proof,
)
from magnetfund.kernel.errors import InvalidInput

unit_amounts = st.lists(st.decimals(0, "1000000", places=6), min_size=1, max_size=40)


def register(amounts: list[D]) -> list[ProvenLot]:
    return [
        ProvenLot(lot=f"lot-{i:03}", units=units, salt=hashlib.sha256(str(i).encode()).digest())
        for i, units in enumerate(amounts)
    ]


@given(unit_amounts)
def test_every_lot_is_found_under_a_root_that_shows_the_exact_total(amounts: list[D]) -> None:
    holdings = register(amounts)
    tree = build_tree(holdings=holdings[::-1])
    assert tree.root.units == sum(amounts)
    for holding in holdings:
        proof = build_proof(tree=tree, lot=holding.lot)
        assert proof.units == holding.units
        assert verify_proof(proof=proof, salt=holding.salt, root=tree.root)


@given(unit_amounts.filter(lambda amounts: len(amounts) > 1), st.data())
def test_any_change_to_a_proof_breaks_it(amounts: list[D], data: st.DataObject) -> None:
    holdings = register(amounts)
    tree = build_tree(holdings=holdings)
    own = data.draw(st.sampled_from(holdings))
    proof = build_proof(tree=tree, lot=own.lot)
    first, *rest = proof.siblings
    forged: list[Proof] = [
        replace(proof, units=proof.units + D("0.000001")),
        replace(proof, units=D("-1")),
        replace(proof, lot="lot-x"),
        replace(proof, siblings=(replace(first, on_left=not first.on_left), *rest)),
        replace(proof, siblings=(replace(first, steps=first.steps + 1), *rest)),
        replace(proof, siblings=(replace(first, steps=-1), *rest)),
        replace(proof, siblings=(replace(first, digest=b"short"), *rest)),
        replace(proof, siblings=proof.siblings[:-1]),
    ]
    for item in forged:
        assert not verify_proof(proof=item, salt=own.salt, root=tree.root)
    assert not verify_proof(proof=proof, salt=bytes(32), root=tree.root)
    lower = Root(digest=tree.root.digest, units=tree.root.units - 1)
    assert not verify_proof(proof=proof, salt=own.salt, root=lower)


def test_units_cannot_move_between_two_branches_under_one_digest() -> None:
    tree = build_tree(holdings=register([D(1), D(2), D(3), D(4)]))
    proof = build_proof(tree=tree, lot="lot-000")
    near, far = proof.siblings
    moved = (
        Sibling(digest=near.digest, steps=near.steps + 1, on_left=near.on_left),
        Sibling(digest=far.digest, steps=far.steps - 1, on_left=far.on_left),
    )
    salt = register([D(1)])[0].salt
    assert verify_proof(proof=proof, salt=salt, root=tree.root)
    assert not verify_proof(proof=replace(proof, siblings=moved), salt=salt, root=tree.root)


def test_the_root_is_that_of_the_published_construction() -> None:
    one, two = register([D("1.5"), D("2")])

    def leaf(item: ProvenLot, steps: int) -> bytes:
        name = item.lot.encode()
        return hashlib.sha256(
            b"\x00"
            + len(name).to_bytes(4, "big")
            + name
            + steps.to_bytes(16, "big")
            + (32).to_bytes(4, "big")
            + item.salt
        ).digest()

    text = (
        b"\x01"
        + leaf(one, 1_500_000)
        + (1_500_000).to_bytes(16, "big")
        + leaf(two, 2_000_000)
        + (2_000_000).to_bytes(16, "big")
    )
    root = build_tree(holdings=[one, two]).root
    assert root == Root(digest=hashlib.sha256(text).hexdigest(), units=D("3.5"))


@pytest.mark.parametrize(
    ("holdings", "code"),
    [
        ([], "no_holdings"),
        (register([D(1)]) * 2, "two_lots"),
        (register([D(-1)]), "negative"),
        (register([D("0.0000001")]), "too_fine"),
        ([ProvenLot(lot="a", units=D(1), salt=b"short")], "weak_salt"),
    ],
)
def test_bad_registers_are_refused(holdings: list[ProvenLot], code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        build_tree(holdings=holdings)
    assert refused.value.code == code


def test_a_lot_that_is_not_there_has_no_proof() -> None:
    with pytest.raises(InvalidInput, match="no such lot"):
        build_proof(tree=build_tree(holdings=register([D(1)])), lot="other")
