"""Distributions over the API, by the services of the desk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import DealingOrder, Distribution
from investors.services.dealing_import import find_class
from investors.services.distributions import decide_distribution, propose_distribution
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.dealing_proposals import DealingDecisionRequest, answer_decision
from magnetfund.web.api.fields import ExactDecimal, plain
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.api.signing import ConflictAnswer

SHOWN = 100
ORDERS_MAX = 10_000


class DistributionRequest(serializers.Serializer[Any]):
    share_class = serializers.CharField(max_length=10)
    per_unit = ExactDecimal(required=False)
    amount = ExactDecimal(required=False, help_text="In all; or an amount per unit.")
    is_in_units = serializers.BooleanField(required=False, default=False)
    exceptions = serializers.ListField(
        child=serializers.CharField(max_length=20),
        required=False,
        default=list,
        help_text="Numbers of holders who get the other form.",
    )
    reason = serializers.CharField(max_length=300)
    idempotency_key = serializers.CharField(max_length=200, required=False)


class DistributedOrderAnswer(serializers.Serializer[Any]):
    reference = serializers.CharField()
    investor = serializers.CharField()
    type = serializers.CharField(help_text="distribution (cash) or reinvestment (units).")
    amount = serializers.CharField()
    state = serializers.CharField()


class DistributionAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    reference = serializers.CharField()
    share_class = serializers.CharField()
    record_at = serializers.DateTimeField(help_text="The NAV whose holders are paid.")
    per_unit = serializers.CharField(allow_null=True)
    amount = serializers.CharField(allow_null=True)
    is_in_units = serializers.BooleanField()
    exceptions = serializers.ListField(child=serializers.CharField())
    is_approved = serializers.BooleanField(allow_null=True, help_text="Null while it waits.")
    decided_at = serializers.DateTimeField(allow_null=True)
    total = serializers.CharField(allow_null=True)
    lowers_marks_by = serializers.CharField(allow_null=True)
    orders = DistributedOrderAnswer(many=True)


class DistributionsAnswer(serializers.Serializer[Any]):
    distributions = DistributionAnswer(many=True)


def _answer(row: Distribution, *, with_orders: bool = True) -> dict[str, Any]:
    orders = DealingOrder.objects.filter(distribution=row).select_related("investor")
    return {
        "id": str(row.pk),
        "reference": row.reference,
        "share_class": row.share_class.code,
        "record_at": isoformat_z(row.strike.valuation_at),
        "per_unit": _plain(row.per_unit),
        "amount": _plain(row.amount),
        "is_in_units": row.is_in_units,
        "exceptions": row.exceptions,
        "is_approved": row.is_approved,
        "decided_at": isoformat_z(row.decided_at) if row.decided_at else None,
        "total": _plain(row.total),
        "lowers_marks_by": _plain(row.lowers_marks_by),
        "orders": [
            {
                "reference": order.reference,
                "investor": order.investor.number,
                "type": order.kind,
                "amount": _plain(order.amount),
                "state": order.state,
            }
            for order in orders.order_by("investor__number")[:ORDERS_MAX]
        ]
        if with_orders
        else [],
    }


def _plain(value: Any) -> str | None:
    return None if value is None else plain(value)


class DistributionsView(APIView):
    """The newest distributions; a POST proposes one, which a second person declares."""

    permission_classes = [needs(Capability.DEALING_PROCESS, Capability.DEALING_APPROVE)]

    @extend_schema(operation_id="distributions", responses={200: DistributionsAnswer})
    def get(self, request: Request) -> Response:
        rows = Distribution.objects.filter(share_class__fund=own_fund()).select_related(
            "share_class", "strike"
        )
        return Response(
            {"distributions": [_answer(row, with_orders=False) for row in rows[:SHOWN]]}
        )

    @extend_schema(
        operation_id="distribution_propose",
        request=DistributionRequest,
        parameters=[KEY_HEADER],
        responses={201: DistributionAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = DistributionRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            row = propose_distribution(
                **{**given, "share_class": find_class(own_fund(), given["share_class"])},
                actor=actor_of(request),
            )
            return 201, _answer(row)

        return answer_once(request, key=key, work=work)


class DistributionDecisionView(APIView):
    """The second person's decision, with a fresh second factor; approving declares it, once this
    person has signed it at the signer (409 signature_missing until then)."""

    permission_classes = [needs(Capability.DEALING_APPROVE)]

    @extend_schema(
        operation_id="distribution_decide",
        request=DealingDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: DistributionAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        def decide(is_approved: bool) -> dict[str, Any]:
            row = Distribution.objects.filter(pk=pk, share_class__fund=own_fund()).first()
            if row is None:
                raise NotFound("no such distribution")
            return _answer(
                decide_distribution(
                    distribution=row, is_approved=is_approved, actor=actor_of(request)
                )
            )

        return answer_decision(request, decide)
