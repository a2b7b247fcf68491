"""An investor's proof: his lots under the register's root of a day, as a file and as a page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from investors.domain.proof import Proof, UnitTree, build_proof, build_tree, verify_proof
from investors.models import Fund, Investor, UnitLot
from magnetfund.core.models import JobRun
from magnetfund.kernel.errors import InvariantBroken, NotFound
from magnetfund.operations.books.root import StoredRoot, read_register, read_root, salt_of

FORMAT = "magnetfund-units-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLeaf:
    """One lot of the investor with its way to the root."""

    lot: UnitLot
    proof: Proof
    salt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnProof:
    """Every lot of an investor at a root; none where he held nothing then."""

    fund: Fund
    root: StoredRoot
    leaves: tuple[OwnLeaf, ...]

    @property
    def register(self) -> dict[str, Any]:
        """Root, units and lots of the fund's register, as they were published."""
        found: dict[str, Any] = self.root.document["units"][self.fund.code]
        return found

    @property
    def units(self) -> Decimal:
        return sum((leaf.proof.units for leaf in self.leaves), Decimal(0))


def prove_units(investor: Investor, fund: Fund, *, number: int | None = None) -> OwnProof:
    """The investor's lots under a root (the newest without ``number``).

    Raises :class:`NotFound` (``no_root``) where no such root has left or it holds no units, and
    :class:`InvariantBroken` (``root_differs``) where the register does not give that root again.
    """
    root = read_root(number)
    if root is None or fund.code not in root.document["units"]:
        raise NotFound("no root of the register was published yet", code="no_root")
    published = root.document["units"][fund.code]
    tree = _tree_of(fund.pk, root.document["chains"][f"units:{fund.code}"]["seq"])
    if tree.root.digest != published["root"]:
        raise InvariantBroken("the register does not give the published root", code="root_differs")
    lots = UnitLot.objects.filter(
        holding__investor=investor, share_class__fund=fund, opened_at__lte=root.made_at
    ).select_related("share_class")
    leaves = []
    for lot in lots.order_by("number"):
        name = str(lot.pk)
        if name in tree.places:
            proof, salt = build_proof(tree=tree, lot=name), salt_of(name)
            assert verify_proof(proof=proof, salt=salt, root=tree.root)
            leaves.append(OwnLeaf(lot=lot, proof=proof, salt=salt))
    return OwnProof(fund=fund, root=root, leaves=tuple(leaves))


@lru_cache(maxsize=2)
def _tree_of(fund: int, seq: int) -> UnitTree:
    """The register's tree as its first ``seq`` movements left it: rows that never change."""
    return build_tree(holdings=read_register(fund, seq))


def write_proof(proof: OwnProof) -> str:
    """The file that ``check_units.py`` reads; it names nobody."""
    return json.dumps(
        {
            "format": FORMAT,
            "fund": proof.fund.code,
            "number": proof.root.number,
            "made_at": proof.root.document["made_at"],
            "register_root": proof.register["root"],
            "all_units": proof.register["units"],
            "lots": [
                {
                    "lot": leaf.proof.lot,
                    "units": f"{leaf.proof.units:.6f}",
                    "salt": leaf.salt.hex(),
                    "neighbours": [
                        {
                            "digest": item.digest.hex(),
                            "units": f"{Decimal(item.steps).scaleb(-6):f}",
                            "side": "left" if item.on_left else "right",
                        }
                        for item in leaf.proof.siblings
                    ],
                }
                for leaf in proof.leaves
            ],
        },
        indent=1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The last run of the daily verification, and whether it found the books right."""

    at: datetime
    is_clean: bool
    detail: str


def newest_verification() -> Verification | None:
    row = JobRun.objects.filter(job="daily_verification").order_by("-scheduled_for").first()
    if row is None or row.finished_at is None:
        return None
    is_clean = row.state == JobRun.State.DONE and row.detail.startswith("clean")
    return Verification(at=row.finished_at, is_clean=is_clean, detail=row.detail)
