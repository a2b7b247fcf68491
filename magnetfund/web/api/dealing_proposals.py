"""Dealings that the house proposes for holders, over the API, by the services of the desk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import DealingProposal, Investor, ShareClass
from investors.services.dealing_proposals import decide_dealing, propose_dealing
from magnetfund.core.actors import Actor, actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import InvalidInput, NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.fields import ExactDecimal, plain
from magnetfund.web.api.money import KEY_HEADER, own_fund

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
            return 201, _answer(_propose(dict(given), actor_of(request)))

        return answer_once(request, key=key, work=work)


def _propose(given: dict[str, Any], actor: Actor) -> DealingProposal:
    holder = _investor(given.pop("investor"))
    receiver, into = given.pop("receiver", ""), given.pop("into_class", "")
    return propose_dealing(
        kind=given.pop("type"),
        investor=holder,
        receiver=_investor(receiver) if receiver else None,
        share_class=find_class(given.pop("share_class")),
        into_class=find_class(into) if into else None,
        actor=actor,
        **given,
    )


def _investor(number: str) -> Investor:
    found = Investor.objects.filter(number=number).first()
    if found is None:
        raise InvalidInput(f"there is no holder {number}", code="no_investor")
    return found


def find_class(code: str) -> ShareClass:
    """A class of the fund; raises :class:`InvalidInput` (``no_class``)."""
    found = ShareClass.objects.filter(fund=own_fund(), code=code).select_related("fund").first()
    if found is None:
        raise InvalidInput(f"this fund has no class {code}", code="no_class")
    return found


class DealingDecisionView(APIView):
    """The second person's decision, with a fresh second factor; approving carries it out."""

    permission_classes = [needs(Capability.DEALING_APPROVE)]

    @extend_schema(
        operation_id="dealing_decide",
        request=DealingDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: DealingProposalAnswer},
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
