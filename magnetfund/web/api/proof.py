"""An investor's proof of units over the API."""

from __future__ import annotations

import json
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from magnetfund.kernel.errors import InvalidInput, NotFound
from magnetfund.operations.books.unit_proof import prove_units, write_proof
from magnetfund.web.api.investors import HOLDER, OwnView
from magnetfund.web.api.money import own_fund


class Neighbour(serializers.Serializer[Any]):
    digest = serializers.CharField()
    units = serializers.CharField()
    side = serializers.ChoiceField(choices=["left", "right"])


class ProvenLeaf(serializers.Serializer[Any]):
    lot = serializers.CharField()
    units = serializers.CharField()
    salt = serializers.CharField(help_text="Known to its holder alone.")
    neighbours = Neighbour(many=True)


class ProofAnswer(serializers.Serializer[Any]):
    format = serializers.CharField()
    fund = serializers.CharField()
    number = serializers.IntegerField(help_text="Of the root.")
    made_at = serializers.DateTimeField()
    register_root = serializers.CharField()
    all_units = serializers.CharField()
    lots = ProvenLeaf(many=True)


class OwnProofView(OwnView):
    """The way of each own lot to the register's root, as check_units.py reads it."""

    shows = "sees_holdings"

    @extend_schema(
        operation_id="investor_proof",
        parameters=[
            OpenApiParameter("number", OpenApiTypes.INT, description="Newest without it."),
            HOLDER,
        ],
        responses={200: ProofAnswer},
    )
    def get(self, request: Request) -> Response:
        investor = self.investor(request)
        text = request.query_params.get("number", "")
        if text and not (text.isdecimal() and len(text) < 9):
            raise InvalidInput("number is that of a root", code="bad_number")
        fund = own_fund()
        if fund is None:
            raise NotFound("no fund has been founded", code="no_fund")
        found = prove_units(investor, fund, number=int(text) if text else None)
        return Response(json.loads(write_proof(found)))
