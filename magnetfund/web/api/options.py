"""Option chains over the API: the snapshots of an instrument, and one with its greeks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from magnetfund.core.roles import Capability
from magnetfund.web.api.access import needs
from trading.selectors.options import (
    describe_option,
    describe_snapshot,
    find_snapshot,
    list_snapshots,
    say_expiry,
    view_chain,
)
from trading.services.instruments import get_instrument


class SnapshotsView(APIView):
    """The newest snapshots, with the walls that their gamma makes."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(
        operation_id="list_option_snapshots",
        parameters=[OpenApiParameter("instrument", str), OpenApiParameter("venue", str)],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        asked = request.query_params.get("instrument")
        venue = request.query_params.get("venue")
        instrument = get_instrument(asked, venue=venue) if asked else None
        return Response({"snapshots": [describe_snapshot(r) for r in list_snapshots(instrument)]})


class SnapshotView(APIView):
    """One snapshot: its options by expiry, and dollar gamma by strike."""

    permission_classes = [needs(Capability.API_READ)]

    @extend_schema(operation_id="read_option_snapshot", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, pk: int) -> Response:
        row = find_snapshot(pk)
        if row is None:
            raise NotFound("there is no such snapshot")
        view = view_chain(row)
        expiries: list[dict[str, Any]] = [
            {
                "expiry": say_expiry(expiry),
                "days": round(expiry.days, 6),
                "forward": expiry.forward,
                "calls": expiry.calls,
                "puts": expiry.puts,
                "implied_volatility": expiry.middle_volatility,
                "options": [describe_option(option) for option in expiry.options],
            }
            for expiry in view.expiries
        ]
        return Response(
            {
                **describe_snapshot(row),
                "expiries": expiries,
                "gamma_by_strike": [{**asdict(item), "net": item.net} for item in view.gamma],
            }
        )
