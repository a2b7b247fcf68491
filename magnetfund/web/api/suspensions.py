"""Suspending dealing and opening it again over the API, by the services of the desk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import SuspensionProposal
from investors.services.suspension import decide_suspension, propose_suspension
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.dealing_proposals import DealingDecisionRequest, answer_decision
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.api.signing import ConflictAnswer

SHOWN = 50


class SuspensionRequest(serializers.Serializer[Any]):
    suspends = serializers.BooleanField(help_text="False: dealing opens again.")
    reason = serializers.CharField(max_length=300, help_text="For the house.")
    notice = serializers.CharField(max_length=1000, help_text="What the holders are told.")
    from_last_nav = serializers.BooleanField(
        default=False,
        help_text="An opening passes over every dealing day since the last NAV, also one before "
        "the suspension.",
    )
    idempotency_key = serializers.CharField(max_length=200, required=False)


class SuspensionLine(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    suspends = serializers.BooleanField()
    reason = serializers.CharField()
    notice = serializers.CharField()
    from_last_nav = serializers.BooleanField()
    proposed_by = serializers.CharField()
    proposed_at = serializers.DateTimeField()
    is_approved = serializers.BooleanField(allow_null=True, help_text="Null while it waits.")
    decided_by = serializers.CharField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)


class SuspensionsAnswer(serializers.Serializer[Any]):
    is_suspended = serializers.BooleanField()
    proposals = SuspensionLine(many=True)


class SuspensionsView(APIView):
    """Whether dealing is suspended, and the newest proposals; a POST proposes a change, which a
    second person decides: one of the two is a controller, the other a director."""

    def get_permissions(self) -> list[BasePermission]:
        is_read = self.request.method != "POST"
        return [needs(Capability.DESK_VIEW if is_read else Capability.DEALING_SUSPEND)()]

    @extend_schema(operation_id="dealing_suspensions", responses={200: SuspensionsAnswer})
    def get(self, request: Request) -> Response:
        fund = own_fund()
        rows = SuspensionProposal.objects.filter(fund=fund).select_related(
            "proposed_by", "decided_by"
        )
        return Response(
            {
                "is_suspended": fund.is_suspended,
                "proposals": [_answer(row) for row in rows[:SHOWN]],
            }
        )

    @extend_schema(
        operation_id="dealing_suspension_propose",
        request=SuspensionRequest,
        parameters=[KEY_HEADER],
        responses={201: SuspensionLine},
    )
    def post(self, request: Request) -> HttpResponse:
        form = SuspensionRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            row = propose_suspension(fund=own_fund(), actor=actor_of(request), **given)
            return 201, _answer(row)

        return answer_once(request, key=key, work=work)


class SuspensionDecisionView(APIView):
    """The second person's decision, with a fresh second factor; it takes effect once this
    person has signed it at the signer (409 signature_missing until then), and holders are told."""

    permission_classes = [needs(Capability.DEALING_SUSPEND)]

    @extend_schema(
        operation_id="dealing_suspension_decide",
        request=DealingDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: SuspensionLine, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        def decide(is_approved: bool) -> dict[str, Any]:
            row = SuspensionProposal.objects.filter(pk=pk, fund=own_fund()).first()
            if row is None:
                raise NotFound("no such proposal")
            return _answer(
                decide_suspension(proposal=row, is_approved=is_approved, actor=actor_of(request))
            )

        return answer_decision(request, decide)


def _answer(row: SuspensionProposal) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "suspends": row.suspends,
        "reason": row.reason,
        "notice": row.notice,
        "from_last_nav": row.from_last_nav,
        "proposed_by": row.proposed_by.get_full_name(),
        "proposed_at": isoformat_z(row.proposed_at),
        "is_approved": row.is_approved,
        "decided_by": row.decided_by.get_full_name() if row.decided_by else None,
        "decided_at": isoformat_z(row.decided_at) if row.decided_at else None,
    }
