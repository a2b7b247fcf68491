"""Restatements over the API, by the services of the desk."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import Restatement
from investors.services.restatements import (
    decline_restatement,
    prepare_restatement,
    sign_restatement,
)
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.fields import ExactDecimal, plain
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.api.signing import ConflictAnswer

SHOWN = 50


class RestatementRequest(serializers.Serializer[Any]):
    first = serializers.DateField(help_text="Day of the first wrong NAV.")
    last = serializers.DateField(required=False, help_text="Of the last; every later one without.")
    amount = ExactDecimal(help_text="What net assets of each lacked; below zero: too much.")
    material_from = ExactDecimal(
        required=False, default=Decimal("0.01"), help_text="Share of the right price."
    )
    is_borne_by_manager = serializers.BooleanField(required=False, default=False)
    cause = serializers.CharField(max_length=300)
    evidence = serializers.CharField(max_length=500)
    idempotency_key = serializers.CharField(max_length=200, required=False)


class RestatementDecisionRequest(serializers.Serializer[Any]):
    is_approved = serializers.BooleanField()
    content_hash = serializers.CharField(max_length=64, help_text="Of the package that was read.")
    reason = serializers.CharField(max_length=300, required=False, default="")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class RestatedPriceLine(serializers.Serializer[Any]):
    nav = serializers.DateField()
    share_class = serializers.CharField()
    published = serializers.CharField()
    right = serializers.CharField()
    ratio = serializers.CharField(help_text="Published less right, as a share of the right price.")
    is_material = serializers.BooleanField()


class CompensatedHolderLine(serializers.Serializer[Any]):
    number = serializers.CharField()
    share_class = serializers.CharField()
    amount = serializers.CharField()


class RestatementAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    reference = serializers.CharField()
    first = serializers.DateField()
    last = serializers.DateField(allow_null=True)
    amount = serializers.CharField()
    cause = serializers.CharField()
    evidence = serializers.CharField()
    is_borne_by_manager = serializers.BooleanField()
    content_hash = serializers.CharField(help_text="What the two signers sign.")
    owed = serializers.CharField(help_text="To holders, in all.")
    fund_loss = serializers.CharField(help_text="What the manager makes good first.")
    claims = serializers.CharField(help_text="What the fund may claim; not booked.")
    prices = RestatedPriceLine(many=True)
    holders = CompensatedHolderLine(many=True)
    is_approved = serializers.BooleanField(help_text="By a controller.")
    is_directed = serializers.BooleanField(help_text="By a director.")
    booked_at = serializers.DateTimeField(allow_null=True)
    declined_at = serializers.DateTimeField(allow_null=True)


class RestatementsAnswer(serializers.Serializer[Any]):
    restatements = RestatementAnswer(many=True)


def _answer(row: Restatement) -> dict[str, Any]:
    content = row.content
    return {
        "id": str(row.pk),
        "reference": row.reference,
        "first": row.first.isoformat(),
        "last": row.last.isoformat() if row.last else None,
        "amount": plain(row.amount),
        "cause": row.cause,
        "evidence": row.evidence,
        "is_borne_by_manager": row.is_borne_by_manager,
        "content_hash": row.content_hash,
        **{name: content[name] for name in ("owed", "fund_loss", "claims", "prices")},
        "holders": [
            {name: holder[name] for name in ("number", "share_class", "amount")}
            for holder in content["holders"]
        ],
        "is_approved": row.approved_by_id is not None,
        "is_directed": row.directed_by_id is not None,
        "booked_at": isoformat_z(row.booked_at) if row.booked_at else None,
        "declined_at": isoformat_z(row.declined_at) if row.declined_at else None,
    }


class RestatementsView(APIView):
    """The newest restatements; a POST prepares one, which a controller and a director sign."""

    permission_classes = [
        needs(Capability.NAV_PREPARE, Capability.RESTATE_APPROVE, Capability.OVERRIDE_SIGN)
    ]

    @extend_schema(operation_id="restatements", responses={200: RestatementsAnswer})
    def get(self, request: Request) -> Response:
        rows = Restatement.objects.filter(fund=own_fund())
        return Response({"restatements": [_answer(row) for row in rows[:SHOWN]]})

    @extend_schema(
        operation_id="restatement_prepare",
        request=RestatementRequest,
        parameters=[KEY_HEADER],
        responses={201: RestatementAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = RestatementRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given, fund = dict(form.validated_data), own_fund()
        if fund is None:
            raise NotFound("no fund has been founded")
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            row = prepare_restatement(fund=fund, **given, actor=actor_of(request))
            return 201, _answer(row)

        return answer_once(request, key=key, work=work)


class RestatementDecisionView(APIView):
    """A controller's or a director's decision, with a fresh second factor; the second signature
    books the package (409 signature_missing until this person has signed at the signer)."""

    permission_classes = [needs(Capability.RESTATE_APPROVE, Capability.OVERRIDE_SIGN)]

    @extend_schema(
        operation_id="restatement_decide",
        request=RestatementDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: RestatementAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = RestatementDecisionRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given, actor = form.validated_data, actor_of(request)

        def work() -> tuple[int, dict[str, Any]]:
            row = Restatement.objects.filter(pk=pk, fund=own_fund()).first()
            if row is None:
                raise NotFound("no such restatement")
            if given["is_approved"]:
                row = sign_restatement(
                    restatement=row, seen_hash=given["content_hash"], actor=actor
                )
            else:
                row = decline_restatement(restatement=row, reason=given["reason"], actor=actor)
            return 200, _answer(row)

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )
