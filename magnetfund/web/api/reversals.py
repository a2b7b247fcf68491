"""Receipts that the bank took back, over the API: the same service as the desk's page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from investors.models import StatementLine
from investors.services.reversals import reverse_receipt
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.fields import plain
from magnetfund.web.api.money import KEY_HEADER, own_fund


class ReverseRequest(serializers.Serializer[Any]):
    reversal_reference = serializers.CharField(
        max_length=100, help_text="The bank's reference of the debit that took the receipt back."
    )
    idempotency_key = serializers.CharField(max_length=200, required=False)


class ReverseAnswer(serializers.Serializer[Any]):
    receipt_id = serializers.UUIDField()
    reversal_reference = serializers.CharField()
    amount = serializers.CharField()


class ReverseView(APIView):
    """End an unused receipt by the debit with which the bank took it back."""

    permission_classes = [needs(Capability.DEALING_PROCESS)]

    @extend_schema(
        operation_id="money_reverse_receipt",
        request=ReverseRequest,
        parameters=[KEY_HEADER],
        responses={200: ReverseAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        form = ReverseRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            lines = StatementLine.objects.filter(fund=own_fund())
            receipt = lines.filter(pk=pk, amount__gt=0).first()
            # One reference may stand on two accounts of the fund.
            found = list(
                lines.filter(
                    reference=given["reversal_reference"],
                    amount__lt=0,
                    **({"account": receipt.account_id} if receipt and receipt.account_id else {}),
                )[:2]
            )
            if receipt is None or len(found) != 1:
                raise NotFound("no such receipt or debit")
            row = reverse_receipt(receipt=receipt, reversal=found[0], actor=actor_of(request))
            return 200, {
                "receipt_id": str(receipt.pk),
                "reversal_reference": found[0].reference,
                "amount": plain(row.amount),
            }

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )
