"""Stresses over the API: run on the open book, saved, changed, retired."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.web.api.access import needs
from magnetfund.web.api.fields import FiniteFloat
from risk.domain.stress import build_scenarios
from trading.models import SavedStress
from trading.selectors.stress import run_stresses
from trading.services.stresses import list_stresses, retire_stress, save_stress, scenario_of


class StressShock(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=60, help_text="Instrument, asset or kind.")
    move = FiniteFloat(help_text="Signed fraction, -0.3 is a fall of 30 %.")


class StressBody(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=80)
    shocks = StressShock(many=True, required=False)
    move_others = FiniteFloat(required=False, default=0.0)
    adverse_sigmas = FiniteFloat(required=False, default=0.0)
    volatility_multiple = FiniteFloat(required=False, default=1.0)
    funding_multiple = FiniteFloat(required=False, default=1.0)
    spread_multiple = FiniteFloat(required=False, default=1.0)
    hours = FiniteFloat(required=False, default=0.0)


class StressAnswer(serializers.Serializer[Any]):
    id = serializers.IntegerField(allow_null=True, help_text="None for a shipped one.")
    title = serializers.CharField()
    result = serializers.FloatField(allow_null=True, help_text="Fund currency, a loss negative.")
    share = serializers.FloatField(allow_null=True)
    trips = serializers.BooleanField()
    liquidated = serializers.ListField(child=serializers.CharField())
    problem = serializers.CharField()


def _may(request: Request, reads: Capability) -> list[Any]:
    return [needs(reads if request.method == "GET" else Capability.RESEARCH_RUN)()]


def _answer(row: SavedStress) -> dict[str, Any]:
    (line,) = run_stresses(settings.MAGNET_BOOK, [scenario_of(row)])
    return {"id": row.pk, **asdict(line)}


def _save(request: Request, number: int | None) -> SavedStress:
    body = StressBody(data=request.data)
    body.is_valid(raise_exception=True)
    given = dict(body.validated_data)
    title, shocks = given.pop("title"), given.pop("shocks", [])
    return save_stress(
        book=settings.MAGNET_BOOK,
        title=title,
        definition={**given, "moves": [(item["name"], item["move"]) for item in shocks]},
        number=number,
        actor=actor_of(request),
    )


class StressesView(APIView):
    """Every stress, saved and shipped, on the book that is open now; save another."""

    def get_permissions(self) -> list[Any]:
        return _may(self.request, Capability.API_READ)

    @extend_schema(
        operation_id="list_stresses", request=None, responses={200: StressAnswer(many=True)}
    )
    def get(self, request: Request) -> Response:
        saved = list(list_stresses(settings.MAGNET_BOOK))
        scenarios = [*(scenario_of(row) for row in saved), *build_scenarios()]
        lines = run_stresses(settings.MAGNET_BOOK, scenarios)
        numbers = [*(row.pk for row in saved), *([None] * (len(lines) - len(saved)))]
        return Response([{"id": n, **asdict(line)} for n, line in zip(numbers, lines, strict=True)])

    @extend_schema(operation_id="save_stress", request=StressBody, responses={201: StressAnswer})
    def post(self, request: Request) -> Response:
        return Response(_answer(_save(request, None)), status=201)


class StressView(APIView):
    """Change or retire a saved stress."""

    permission_classes = [needs(Capability.RESEARCH_RUN)]

    @extend_schema(operation_id="change_stress", request=StressBody, responses={200: StressAnswer})
    def put(self, request: Request, pk: int) -> Response:
        return Response(_answer(_save(request, pk)))

    @extend_schema(operation_id="retire_stress", request=None, responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        retire_stress(
            book=settings.MAGNET_BOOK,
            number=pk,
            actor=actor_of(request),
        )
        return Response(status=204)
