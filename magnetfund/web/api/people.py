"""People and roles over the API: an administrator proposes, a director decides."""

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

from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.models import RoleGrant, RoleProposal
from magnetfund.core.roles import STAFF_ROLES, Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.operations.role_changes import REASON_MAX, decide_role, propose_role
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.dealing_proposals import DealingDecisionRequest, answer_decision
from magnetfund.web.api.money import KEY_HEADER
from magnetfund.web.api.signing import ConflictAnswer

GRANTS_MAX = 200


class RoleRequest(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(
        max_length=200, required=False, default="", help_text="In full, for a new person."
    )
    role = serializers.ChoiceField(choices=sorted(role.value for role in STAFF_ROLES))
    is_grant = serializers.BooleanField(
        required=False, default=True, help_text="False: the role is taken."
    )
    reason = serializers.CharField(max_length=REASON_MAX)
    idempotency_key = serializers.CharField(max_length=200, required=False)


class RoleLine(serializers.Serializer[Any]):
    email = serializers.CharField()
    name = serializers.CharField()
    role = serializers.CharField()
    is_active = serializers.BooleanField()


class RoleProposalLine(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    email = serializers.CharField()
    name = serializers.CharField()
    role = serializers.CharField()
    is_grant = serializers.BooleanField()
    reason = serializers.CharField()
    proposed_by = serializers.CharField()
    proposed_at = serializers.DateTimeField()
    is_approved = serializers.BooleanField(
        allow_null=True, help_text="Null while a director is to decide."
    )


class PeopleAnswer(serializers.Serializer[Any]):
    roles = RoleLine(many=True)
    proposals = RoleProposalLine(many=True, help_text="Those that a director is to decide.")


class PeopleView(APIView):
    """Who of the house has which role, and what is proposed.  A POST proposes a change, with a
    fresh second factor; it is in force at once while the home has no director."""

    def get_permissions(self) -> list[BasePermission]:
        asks = Capability.ROLES_MANAGE if self.request.method == "POST" else Capability.DESK_VIEW
        return [needs(asks)()]

    @extend_schema(operation_id="people", responses={200: PeopleAnswer})
    def get(self, request: Request) -> Response:
        house = [role.value for role in STAFF_ROLES]
        grants = RoleGrant.objects.filter(revoked_at=None, role__in=house).select_related("user")
        waiting = RoleProposal.objects.filter(decided_at=None).select_related("proposed_by")
        return Response(
            {
                "roles": [
                    {
                        "email": row.user.email,
                        "name": row.user.get_full_name(),
                        "role": row.role,
                        "is_active": row.user.is_active,
                    }
                    for row in grants.order_by("user__name", "user__email", "role")[:GRANTS_MAX]
                ],
                "proposals": [_answer(row) for row in waiting],
            }
        )

    @extend_schema(
        operation_id="people_propose_role",
        request=RoleRequest,
        parameters=[KEY_HEADER],
        responses={201: RoleProposalLine},
    )
    def post(self, request: Request) -> HttpResponse:
        form = RoleRequest(data=request.data)
        form.is_valid(raise_exception=True)
        require_step_up(request)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            return 201, _answer(propose_role(actor=actor_of(request), **given))

        return answer_once(request, key=key, work=work)


class RoleDecisionView(APIView):
    """A director's decision on a role, with a fresh second factor; it takes effect once he
    has signed it at the signer (409 signature_missing until then)."""

    permission_classes = [needs(Capability.ROLES_APPROVE)]

    @extend_schema(
        operation_id="people_decide_role",
        request=DealingDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: RoleProposalLine, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        def decide(is_approved: bool) -> dict[str, Any]:
            row = RoleProposal.objects.filter(pk=pk).first()
            if row is None:
                raise NotFound("no such proposal")
            return _answer(
                decide_role(proposal=row, is_approved=is_approved, actor=actor_of(request))
            )

        return answer_decision(request, decide)


def _answer(row: RoleProposal) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "email": row.email,
        "name": row.name,
        "role": row.role,
        "is_grant": row.is_grant,
        "reason": row.reason,
        "proposed_by": row.proposed_by.get_full_name(),
        "proposed_at": isoformat_z(row.proposed_at),
        "is_approved": row.is_approved,
    }
