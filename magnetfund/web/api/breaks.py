"""Breaks over the API, by the services of the desk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import BookBreak
from investors.services.breaks import raise_break
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.fields import ExactDecimal, plain
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.break_forms import age_of, take_step

SHOWN = 500


class BreakRequest(serializers.Serializer[Any]):
    counterparty = serializers.ChoiceField(choices=BookBreak.Source.choices)
    reference = serializers.CharField(max_length=100)
    asset = serializers.CharField(max_length=16)
    ours = ExactDecimal()
    theirs = ExactDecimal()
    day = serializers.DateField()
    text = serializers.CharField(max_length=300)
    idempotency_key = serializers.CharField(max_length=200, required=False)


class BreakStepRequest(serializers.Serializer[Any]):
    step = serializers.ChoiceField(choices=["assign", "explain", "close"])
    owner = serializers.CharField(max_length=254, required=False, help_text="E-mail; to assign.")
    words = serializers.CharField(max_length=300, required=False, help_text="Cause or reason.")
    account = serializers.CharField(
        max_length=4, required=False, help_text="Expense account; without one it is accepted."
    )
    idempotency_key = serializers.CharField(max_length=200, required=False)


class BreakAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    counterparty = serializers.CharField()
    type = serializers.CharField()
    reference = serializers.CharField()
    asset = serializers.CharField()
    ours = serializers.CharField()
    theirs = serializers.CharField()
    difference = serializers.CharField()
    day = serializers.DateField()
    age_days = serializers.IntegerField()
    is_blocking = serializers.BooleanField()
    state = serializers.CharField()
    owner = serializers.CharField(allow_null=True)
    cause = serializers.CharField()
    resolution = serializers.CharField()
    closed_at = serializers.DateTimeField(allow_null=True)


class BreaksAnswer(serializers.Serializer[Any]):
    breaks = BreakAnswer(many=True)


def _answer(row: BookBreak) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "counterparty": row.source,
        "type": row.kind,
        "reference": row.reference,
        "asset": row.asset,
        "ours": plain(row.ours),
        "theirs": plain(row.theirs),
        "difference": plain(row.difference),
        "day": row.day.isoformat(),
        "age_days": age_of(row),
        "is_blocking": row.is_blocking,
        "state": row.state,
        "owner": row.owner.email if row.owner else None,
        "cause": row.cause,
        "resolution": row.resolution,
        "closed_at": isoformat_z(row.closed_at) if row.closed_at else None,
    }


class BreaksView(APIView):
    """Breaks, the open ones first; a POST raises one."""

    permission_classes = [needs(Capability.DEALING_PROCESS, Capability.PAYMENTS_APPROVE)]

    @extend_schema(operation_id="breaks", responses={200: BreaksAnswer})
    def get(self, request: Request) -> Response:
        rows = BookBreak.objects.filter(fund=own_fund()).select_related("owner")
        ordered = [*rows.filter(closed_at=None), *rows.exclude(closed_at=None)]
        return Response({"breaks": [_answer(row) for row in ordered[:SHOWN]]})

    @extend_schema(
        operation_id="break_raise",
        request=BreakRequest,
        parameters=[KEY_HEADER],
        responses={201: BreakAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = BreakRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))
        rest = {name: value for name, value in given.items() if name != "counterparty"}

        def work() -> tuple[int, dict[str, Any]]:
            row = raise_break(
                fund=own_fund(), source=given["counterparty"], actor=actor_of(request), **rest
            )
            return 201, _answer(row)

        return answer_once(request, key=key, work=work)


class BreakStepView(APIView):
    """Assign, explain or close one break; who may, the step asks."""

    permission_classes = [needs(Capability.DEALING_PROCESS, Capability.PAYMENTS_APPROVE)]

    @extend_schema(
        operation_id="break_step",
        request=BreakStepRequest,
        parameters=[KEY_HEADER],
        responses={200: BreakAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        form = BreakStepRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        if given["step"] == "close":
            require_step_up(request)

        def work() -> tuple[int, dict[str, Any]]:
            row = BookBreak.objects.filter(pk=pk, fund=own_fund()).first()
            if row is None:
                raise NotFound("no such break")
            return 200, _answer(take_step(row, given["step"], given, actor_of(request)))

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )
