"""NAV(V, K) over the API: a fund at an instant, as its books knew it at another."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.services.nav_as_known import nav_as_known
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import needs
from magnetfund.web.api.money import own_fund


class KnownNavQuery(serializers.Serializer[Any]):
    at = serializers.DateTimeField(help_text="Valuation instant.")
    known = serializers.DateTimeField(required=False, help_text="Recorded by then; now without.")


class KnownClassAnswer(serializers.Serializer[Any]):
    share_class = serializers.CharField()
    units = serializers.CharField()
    price = serializers.CharField(allow_null=True)
    nav = serializers.CharField()
    management_fee = serializers.CharField()
    performance_fee = serializers.CharField()


class KnownNavAnswer(serializers.Serializer[Any]):
    fund = serializers.CharField()
    valuation_at = serializers.DateTimeField()
    known_at = serializers.DateTimeField()
    is_struck = serializers.BooleanField(help_text="Whether it had been prepared by then.")
    result_hash = serializers.CharField(help_text="What an approver of this NAV signs.")
    net_assets = serializers.CharField()
    nav = serializers.CharField()
    classes = KnownClassAnswer(many=True)


class KnownNavView(APIView):
    """The NAV at ``at`` from what was recorded by ``known``: the same two give the same bytes."""

    permission_classes = [needs(Capability.DESK_VIEW)]

    @extend_schema(
        operation_id="nav_as_known",
        parameters=[
            OpenApiParameter("at", str, required=True),
            OpenApiParameter("known", str, required=False),
        ],
        responses={200: KnownNavAnswer},
    )
    def get(self, request: Request) -> Response:
        form = KnownNavQuery(data=request.query_params)
        form.is_valid(raise_exception=True)
        given, fund = form.validated_data, own_fund()
        if fund is None:
            raise NotFound("no fund has been founded")
        found = nav_as_known(
            fund=fund, valuation_at=given["at"], known_at=given.get("known") or utc_now()
        )
        return Response(found.plain())
