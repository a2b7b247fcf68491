"""Rebates of fees over the API, by the services of the desk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import Investor, Rebate
from investors.services.dealing_import import find_class, find_investor
from investors.services.payment_drafts import list_rebates
from investors.services.rebates import decide_rebate, propose_rebate
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.fields import ExactDecimal, plain
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.api.signing import ConflictAnswer

SHOWN = 500


class RebateRequest(serializers.Serializer[Any]):
    investor = serializers.CharField(max_length=20, help_text="The investor's number.")
    share_class = serializers.CharField(max_length=10)
    management_share = ExactDecimal(help_text="Of the management fee; 0.5 is half.")
    performance_share = ExactDecimal(help_text="Of the performance fee; 0.5 is half.")
    first_day = serializers.DateField(help_text="After the last NAV.")
    reference = serializers.CharField(max_length=80, help_text="Of the letter that agrees it.")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class RebateDecisionRequest(serializers.Serializer[Any]):
    is_approved = serializers.BooleanField()
    reason = serializers.CharField(max_length=300, required=False, help_text="Why it is declined.")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class RebateAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    investor = serializers.CharField()
    share_class = serializers.CharField()
    management_share = serializers.CharField()
    performance_share = serializers.CharField()
    first_day = serializers.DateField()
    reference = serializers.CharField()
    is_approved = serializers.BooleanField(allow_null=True, help_text="Null while it waits.")
    reason = serializers.CharField()


class RebateOwedAnswer(serializers.Serializer[Any]):
    investor = serializers.CharField()
    amount = serializers.CharField(help_text="Owed and in no payment yet.")


class RebatesAnswer(serializers.Serializer[Any]):
    rebates = RebateAnswer(many=True)
    owed = RebateOwedAnswer(many=True)


def _answer(row: Rebate) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "investor": row.investor.number,
        "share_class": row.share_class.code,
        "management_share": plain(row.management_share),
        "performance_share": plain(row.performance_share),
        "first_day": row.first_day.isoformat(),
        "reference": row.reference,
        "is_approved": row.is_approved,
        "reason": row.reason,
    }


class RebatesView(APIView):
    """Agreements, the newest proposal first, and what is owed; a POST proposes one."""

    permission_classes = [needs(Capability.TERMS_PROPOSE, Capability.TERMS_APPROVE)]

    @extend_schema(operation_id="rebates", responses={200: RebatesAnswer})
    def get(self, request: Request) -> Response:
        fund = own_fund()
        rows = Rebate.objects.filter(share_class__fund=fund)
        owed = list_rebates(fund)
        names = Investor.objects.in_bulk(list(owed))
        return Response(
            {
                "rebates": [
                    _answer(row) for row in rows.select_related("investor", "share_class")[:SHOWN]
                ],
                "owed": [
                    {"investor": names[who].number, "amount": plain(amount)}
                    for who, amount in owed.items()
                ],
            }
        )

    @extend_schema(
        operation_id="rebate_propose",
        request=RebateRequest,
        parameters=[KEY_HEADER],
        responses={201: RebateAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = RebateRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            row = propose_rebate(
                **{
                    **given,
                    "investor": find_investor(given["investor"]),
                    "share_class": find_class(own_fund(), given["share_class"]),
                },
                actor=actor_of(request),
            )
            return 201, _answer(row)

        return answer_once(request, key=key, work=work)


class RebateDecisionView(APIView):
    """The second person's decision, with a fresh second factor, once this person has signed it at
    the signer (409 signature_missing until then)."""

    permission_classes = [needs(Capability.TERMS_APPROVE)]

    @extend_schema(
        operation_id="rebate_decide",
        request=RebateDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: RebateAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = RebateDecisionRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            row = Rebate.objects.filter(pk=pk, share_class__fund=own_fund()).first()
            if row is None:
                raise NotFound("no such rebate")
            done = decide_rebate(
                proposal=row, is_approved=given["is_approved"], reason=given.get("reason", ""),
                actor=actor_of(request),
            )  # fmt: skip
            return 200, _answer(done)

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )
