"""Dealings that the house proposes for holders, over the API, by the services of the desk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import DealingProposal
from investors.services.dealing_import import BYTES_MAX, import_dealings, propose_row
from investors.services.dealing_proposals import decide_dealing
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.fields import ExactDecimal, IsBase64, file_bytes, plain
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.api.signing import ConflictAnswer

PROPOSALS_MAX = 200
EITHER = (Capability.DEALING_PROCESS, Capability.DEALING_APPROVE)


class DealingProposalRequest(serializers.Serializer[Any]):
    type = serializers.ChoiceField(
        choices=DealingProposal.Kind.choices, help_text="What is to be dealt."
    )
    investor = serializers.CharField(max_length=20, help_text="Number of the holder.")
    share_class = serializers.CharField(max_length=10)
    into_class = serializers.CharField(max_length=10, required=False, help_text="Of a switch.")
    receiver = serializers.CharField(
        max_length=20, required=False, help_text="Number of the holder who receives a transfer."
    )
    amount = ExactDecimal(required=False, help_text="Of a subscription.")
    units = ExactDecimal(required=False)
    is_all = serializers.BooleanField(required=False, default=False)
    instruction = serializers.CharField(max_length=500, required=False, default="")
    called_back = serializers.CharField(max_length=200, required=False, default="")
    reason = serializers.CharField(max_length=300)
    notice = serializers.CharField(max_length=1000, required=False, default="")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class DealingDecisionRequest(serializers.Serializer[Any]):
    is_approved = serializers.BooleanField()
    idempotency_key = serializers.CharField(max_length=200, required=False)


class DealingProposalAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    reference = serializers.CharField()
    type = serializers.CharField()
    investor = serializers.CharField()
    receiver = serializers.CharField(allow_null=True)
    share_class = serializers.CharField()
    amount = serializers.CharField(allow_null=True)
    units = serializers.CharField(allow_null=True)
    is_all = serializers.BooleanField()
    is_approved = serializers.BooleanField(allow_null=True, help_text="Null while it waits.")
    decided_at = serializers.DateTimeField(allow_null=True)
    order_reference = serializers.CharField(allow_null=True)
    value = serializers.CharField(allow_null=True, help_text="Of transferred units.")


class DealingProposalsAnswer(serializers.Serializer[Any]):
    proposals = DealingProposalAnswer(many=True)


def _answer(row: DealingProposal) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "reference": row.reference,
        "type": row.kind,
        "investor": row.investor.number,
        "receiver": row.receiver.number if row.receiver else None,
        "share_class": row.share_class.code,
        "amount": None if row.amount is None else plain(row.amount),
        "units": None if row.units is None else plain(row.units),
        "is_all": row.is_all,
        "is_approved": row.is_approved,
        "decided_at": isoformat_z(row.decided_at) if row.decided_at else None,
        "order_reference": row.order.reference if row.order else None,
        "value": None if row.value is None else plain(row.value),
    }


class DealingProposalsView(APIView):
    """The newest proposals; a POST proposes one, which a second person decides."""

    permission_classes = [needs(*EITHER)]

    @extend_schema(operation_id="dealing_proposals", responses={200: DealingProposalsAnswer})
    def get(self, request: Request) -> Response:
        rows = DealingProposal.objects.filter(share_class__fund=own_fund()).select_related(
            "investor", "receiver", "share_class", "order"
        )
        return Response({"proposals": [_answer(row) for row in rows[:PROPOSALS_MAX]]})

    @extend_schema(
        operation_id="dealing_propose",
        request=DealingProposalRequest,
        parameters=[KEY_HEADER],
        responses={201: DealingProposalAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = DealingProposalRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            return 201, _answer(propose_row(fund=own_fund(), row=given, actor=actor_of(request)))

        return answer_once(request, key=key, work=work)


class DealingImportRequest(serializers.Serializer[Any]):
    content = serializers.CharField(
        max_length=BYTES_MAX,
        trim_whitespace=False,
        help_text="CSV or .xlsx with the columns type, investor, share_class and reason; and as "
        "needed amount, units, is_all, into_class, receiver, instruction, called_back, notice.",
    )
    is_base64 = IsBase64()
    is_dry_run = serializers.BooleanField(required=False, default=False)
    idempotency_key = serializers.CharField(max_length=200, required=False)


class RefusedLineAnswer(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    code = serializers.CharField()
    words = serializers.CharField()


class DealingImportAnswer(serializers.Serializer[Any]):
    lines = serializers.IntegerField()
    refused = RefusedLineAnswer(many=True, help_text="While there is one, nothing is proposed.")
    proposals = DealingProposalAnswer(many=True)


class DealingImportView(APIView):
    """A file of orders for holders: tried as a dry run, or proposed, all or none; a second person
    decides on each."""

    permission_classes = [needs(Capability.DEALING_PROCESS)]

    @extend_schema(
        operation_id="dealing_import",
        request=DealingImportRequest,
        parameters=[KEY_HEADER],
        responses={200: DealingImportAnswer, 201: DealingImportAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = DealingImportRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            report = import_dealings(
                fund=own_fund(),
                content=file_bytes(given),
                actor=actor_of(request),
                is_dry_run=given["is_dry_run"],
            )
            return (201 if report.proposals else 200), {
                "lines": report.lines,
                "refused": [asdict(item) for item in report.refused],
                "proposals": [_answer(row) for row in report.proposals],
            }

        key = key_of(request, given.get("idempotency_key", ""))
        return answer_once(request, key=key, work=work)


class DealingDecisionView(APIView):
    """The second person's decision, with a fresh second factor; approving carries it out."""

    permission_classes = [needs(Capability.DEALING_APPROVE)]

    @extend_schema(
        operation_id="dealing_decide",
        request=DealingDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: DealingProposalAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        def decide(is_approved: bool) -> dict[str, Any]:
            row = DealingProposal.objects.filter(pk=pk, share_class__fund=own_fund()).first()
            if row is None:
                raise NotFound("no such proposal")
            return _answer(
                decide_dealing(proposal=row, is_approved=is_approved, actor=actor_of(request))
            )

        return answer_decision(request, decide)


def answer_decision(request: Request, decide: Callable[[bool], dict[str, Any]]) -> HttpResponse:
    """Decide as the body says, once for its key and with a fresh second factor."""
    require_step_up(request)
    form = DealingDecisionRequest(data=request.data)
    form.is_valid(raise_exception=True)
    given = form.validated_data
    return answer_once(
        request,
        key=key_of(request, given.get("idempotency_key", "")),
        work=lambda: (200, decide(given["is_approved"])),
    )
