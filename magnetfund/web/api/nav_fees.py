"""The performance fee of a NAV over the API: by lots, by series and by equalisation."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.domain.fee_methods import FeeProof, LotFees, SeriesFees
from investors.models import NavStrike
from investors.selectors import read_fee_proofs
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.kernel.money import quantize
from magnetfund.web.api.access import needs
from magnetfund.web.api.fields import plain
from magnetfund.web.api.money import own_fund

LOTS_MAX = 1_000
FINE = Decimal("1e-12")


class NavFeesQuery(serializers.Serializer[Any]):
    after = serializers.IntegerField(required=False, min_value=0, default=0)


class SeriesFeesLine(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="Dealing day; a further series of it has a number.")
    lots = serializers.IntegerField()
    units = serializers.CharField()
    high_water_mark = serializers.CharField()
    hurdle_start = serializers.DateField()
    fee_per_unit = serializers.CharField()
    net_price = serializers.CharField()
    fee = serializers.CharField()
    joins = serializers.CharField(
        allow_null=True, help_text="What it could roll up into if fees became final here."
    )
    ratio = serializers.CharField(allow_null=True, help_text="Units of that one for one of its.")


class LotFeesLine(serializers.Serializer[Any]):
    lot = serializers.IntegerField()
    series = serializers.CharField()
    units = serializers.CharField()
    by_lot = serializers.CharField(help_text="What the NAV charged; unrounded, as the others.")
    by_series = serializers.CharField()
    by_equalisation = serializers.CharField()
    credit = serializers.CharField(help_text="Equalisation credit, money of the holder.")
    contingent = serializers.CharField(help_text="Contingent redemption, due to the manager.")


class ClassFeesAnswer(serializers.Serializer[Any]):
    share_class = serializers.CharField()
    price = serializers.CharField(help_text="Dealing price, before the performance fee.")
    charged = serializers.CharField(help_text="Accrued by the NAV, in whole cash steps.")
    by_lots = serializers.CharField()
    by_series = serializers.CharField()
    by_equalisation = serializers.CharField()
    agrees = serializers.BooleanField(help_text="No lot differs by more than half a cash step.")
    largest_difference = serializers.CharField(help_text="Of any lot, unrounded.")
    cash_quantum = serializers.CharField()
    published_price = serializers.CharField(help_text="Of a unit under equalisation.")
    published_mark = serializers.CharField(help_text="The mark of the class for it.")
    published_part = serializers.CharField(help_text="That unit as a part of the fund's.")
    taken = serializers.CharField(help_text="The class's fee on all units.")
    credits = serializers.CharField()
    contingent = serializers.CharField()
    series = SeriesFeesLine(many=True)
    lots = LotFeesLine(many=True)
    next_after = serializers.IntegerField(
        allow_null=True, help_text="`after` for the lots that follow; null where none do."
    )


class NavFeesAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    valuation_at = serializers.DateTimeField()
    version = serializers.IntegerField()
    state = serializers.ChoiceField(choices=NavStrike.State.choices)
    classes = ClassFeesAnswer(many=True, help_text="Classes that charge a performance fee.")


class NavFeesView(APIView):
    """The performance fee of a NAV, prepared or dealt, by the three methods, which must agree: for
    each class the totals, its series, and its lots by number, 1,000 at a time."""

    permission_classes = [needs(Capability.DESK_VIEW)]

    @extend_schema(
        operation_id="nav_fees",
        parameters=[
            OpenApiParameter("after", int, description="Lots with a number above this one.")
        ],
        responses={200: NavFeesAnswer},
    )
    def get(self, request: Request, pk: UUID) -> Response:
        asked = NavFeesQuery(data=request.query_params)
        asked.is_valid(raise_exception=True)
        row = NavStrike.objects.filter(pk=pk, fund=own_fund()).first()
        if row is None:
            raise NotFound("no such NAV")
        after = asked.validated_data["after"]
        return Response(
            {
                "id": str(row.pk),
                "valuation_at": isoformat_z(row.valuation_at),
                "version": row.version,
                "state": row.state,
                "classes": [_class(proof, after) for proof in read_fee_proofs(row)],
            }
        )


def _class(proof: FeeProof, after: int) -> dict[str, Any]:
    lots = [lot for lot in proof.lots if lot.number > after]
    shown = lots[:LOTS_MAX]
    return {
        "share_class": proof.code,
        "price": plain(proof.price),
        "charged": plain(proof.charged),
        "by_lots": _fine(proof.by_lots),
        "by_series": _fine(proof.by_series),
        "by_equalisation": _fine(proof.by_equalisation),
        "agrees": proof.agrees,
        "largest_difference": _fine(proof.largest_difference),
        "cash_quantum": plain(proof.cash_quantum),
        "published_price": plain(proof.published_price),
        "published_mark": plain(proof.published_mark),
        "published_part": _fine(proof.part),
        "taken": _fine(proof.taken),
        "credits": _fine(proof.credits),
        "contingent": _fine(proof.contingent),
        "series": [_series(item) for item in proof.series],
        "lots": [_lot(lot) for lot in shown],
        "next_after": shown[-1].number if len(lots) > len(shown) else None,
    }


def _series(item: SeriesFees) -> dict[str, Any]:
    return {
        "code": item.code,
        "lots": item.lots,
        "units": plain(item.units),
        "high_water_mark": plain(item.mark),
        "hurdle_start": item.clock.isoformat(),
        "fee_per_unit": _fine(item.fee_per_unit),
        "net_price": _fine(item.net_price),
        "fee": _fine(item.fee),
        "joins": item.joins or None,
        "ratio": None if item.ratio is None else _fine(item.ratio),
    }


def _lot(lot: LotFees) -> dict[str, Any]:
    return {
        "lot": lot.number,
        "series": lot.series,
        "units": plain(lot.units),
        "by_lot": _fine(lot.by_lot),
        "by_series": _fine(lot.by_series),
        "by_equalisation": _fine(lot.by_equalisation),
        "credit": _fine(lot.credit),
        "contingent": _fine(lot.contingent),
    }


def _fine(value: Decimal) -> str | None:
    """Twelve decimals, as a NAV stores a fee per unit."""
    return plain(quantize(value, FINE))
