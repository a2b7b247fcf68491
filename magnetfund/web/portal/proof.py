"""Proof of units: one's own lots under the published root, to be checked without us."""

from __future__ import annotations

from decimal import Decimal
from itertools import accumulate
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from investors.models import Fund
from magnetfund.kernel.errors import NotFound
from magnetfund.operations.books import check_units
from magnetfund.operations.books.root import read_roots
from magnetfund.operations.books.unit_proof import (
    OwnLeaf,
    OwnProof,
    newest_verification,
    prove_units,
    write_proof,
)
from magnetfund.web.parts import render_page
from magnetfund.web.portal.access import HOLDINGS, seen_investor
from magnetfund.web.public.pages import page_context

ROOTS_SHOWN = 10


@require_safe
@login_required
def proof(request: HttpRequest) -> HttpResponse:
    """One's units in the newest root, how to check them, and the roots of the last days."""
    investor, fund = seen_investor(request, HOLDINGS), _fund()
    own: OwnProof | None = None
    if fund is not None:
        try:
            own = prove_units(investor, fund)
        except NotFound:
            own = None
    context: dict[str, Any] = {
        **page_context(request, "statements"),
        "investor": investor,
        "fund": fund,
        "proof": own,
        "verified": newest_verification(),
        "roots": [
            {"root": root, "register": root.document["units"][fund.code]}
            for root in read_roots(newest=ROOTS_SHOWN)[::-1]
            if fund is not None and fund.code in root.document["units"]
        ],
    }
    if own is not None and own.leaves:
        text = request.GET.get("lot", "1")
        chosen = int(text) if text.isdecimal() and len(text) < 5 else 1
        chosen = min(max(chosen, 1), len(own.leaves))
        context |= {
            "place": "statements",
            "chosen": chosen,
            "next": chosen % len(own.leaves) + 1,
            "leaf": own.leaves[chosen - 1],
            "way": _way(own.leaves[chosen - 1]),
        }
    answer = render_page(request, "portal/proof.html", context, parts=("way",))
    answer["Cache-Control"] = "private, no-store"
    return answer


def _way(leaf: OwnLeaf) -> list[dict[str, Any]]:
    """Each neighbour with what it adds, and the units so far."""
    added = [Decimal(item.steps).scaleb(-6) for item in leaf.proof.siblings]
    sums = list(accumulate(added, initial=leaf.proof.units))[1:]
    return [
        {"number": k, "digest": item.digest.hex(), "units": units, "sum": total}
        for k, (item, units, total) in enumerate(
            zip(leaf.proof.siblings, added, sums, strict=True), start=1
        )
    ]


@require_safe
@login_required
def proof_file(request: HttpRequest, number: int) -> HttpResponse:
    """The proof of one's own lots at one root."""
    investor, fund = seen_investor(request, HOLDINGS), _fund()
    if fund is None:
        raise Http404
    try:
        found = prove_units(investor, fund, number=number)
    except NotFound:
        raise Http404 from None
    answer = HttpResponse(write_proof(found), content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="proof-{number}.json"'
    answer["Cache-Control"] = "private, no-store"
    return answer


@require_safe
@login_required
def checker(request: HttpRequest) -> FileResponse:
    """The program that checks a proof offline; the same for everybody."""
    seen_investor(request, HOLDINGS)
    return FileResponse(
        Path(check_units.__file__).open("rb"),
        as_attachment=True,
        filename="check_units.py",
        content_type="text/x-python",
    )


def _fund() -> Fund | None:
    return Fund.objects.filter(book=settings.MAGNET_BOOK).first()
