"""An investor's own orders over the API: what became of each, taking one back, its notes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from investors.models import DealingOrder
from investors.services.dealing import cancel_order
from investors.services.papers import contract_note, note_download
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.kernel.clock import isoformat_z
from magnetfund.web.api.access import answer_once, key_of
from magnetfund.web.api.fields import plain
from magnetfund.web.api.investors import ANY_POWER, HOLDER, OwnView
from magnetfund.web.api.money import KEY_HEADER
from magnetfund.web.parts import send_pdf

ORDERS_MAX = 200
AMOUNTS = (
    "amount", "units", "funded_amount", "dealt_units", "dealt_price", "dealt_amount", "fee_amount",
    "into_units", "paid_amount",
)  # fmt: skip


class OwnOrderLine(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    reference = serializers.CharField()
    type = serializers.ChoiceField(choices=DealingOrder.Kind.choices)
    state = serializers.ChoiceField(choices=DealingOrder.State.choices)
    share_class = serializers.CharField()
    into_class = serializers.CharField(allow_null=True, help_text="Of a switch.")
    is_all = serializers.BooleanField()
    dealing_day = serializers.DateField(allow_null=True)
    received_at = serializers.DateTimeField()
    amount = serializers.CharField(allow_null=True)
    units = serializers.CharField(allow_null=True, help_text="Null for all units.")
    funded_amount = serializers.CharField(help_text="Money that came for it.")
    dealt_units = serializers.CharField(allow_null=True)
    dealt_amount = serializers.CharField(allow_null=True)
    dealt_price = serializers.CharField(allow_null=True)
    fee_amount = serializers.CharField()
    into_units = serializers.CharField(help_text="Units that a switch bought.")
    paid_amount = serializers.CharField(help_text="Proceeds that the bank confirmed.")
    placed_by = serializers.CharField(
        allow_blank=True, help_text="The attorney who placed it, and for whom."
    )


class OwnOrdersAnswer(serializers.Serializer[Any]):
    orders = OwnOrderLine(many=True)


class CancelRequest(serializers.Serializer[Any]):
    idempotency_key = serializers.CharField(max_length=200, required=False)


def _answer(row: DealingOrder) -> dict[str, Any]:
    figures = {name: getattr(row, name) for name in AMOUNTS}
    return {
        "id": str(row.pk),
        "reference": row.reference,
        "type": row.kind,
        "state": row.state,
        "share_class": row.share_class.code,
        "into_class": row.into_class.code if row.into_class else None,
        "is_all": row.is_all,
        "dealing_day": row.dealing_day.day.isoformat() if row.dealing_day else None,
        "received_at": isoformat_z(row.received_at),
        "placed_by": row.under_power.acts_as if row.under_power else "",
        **{name: None if value is None else plain(value) for name, value in figures.items()},
    }


class OwnOrdersView(OwnView):
    """The account's newest orders."""

    may = ANY_POWER

    @extend_schema(
        operation_id="investor_orders", parameters=[HOLDER], responses={200: OwnOrdersAnswer}
    )
    def get(self, request: Request) -> Response:
        rows = (
            DealingOrder.objects.filter(investor=self.investor(request))
            .select_related(
                "share_class",
                "into_class",
                "dealing_day",
                "under_power__attorney",
                "under_power__investor",
            )
            .order_by("-received_at")
        )
        return Response({"orders": [_answer(row) for row in rows[:ORDERS_MAX]]})


class OwnOrderCancelView(OwnView):
    """Take an order back before its cut-off, with a fresh second factor."""

    may = ANY_POWER

    @extend_schema(
        operation_id="investor_order_cancel",
        request=CancelRequest,
        parameters=[KEY_HEADER, HOLDER],
        responses={200: OwnOrderLine},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = CancelRequest(data=request.data)
        form.is_valid(raise_exception=True)
        row = get_object_or_404(DealingOrder, pk=pk, investor=self.investor(request))

        def work() -> tuple[int, dict[str, Any]]:
            return 200, _answer(cancel_order(order=row, actor=actor_of(request)))

        key = key_of(request, form.validated_data.get("idempotency_key", ""))
        return answer_once(request, key=key, work=work)


class OwnOrderNoteView(OwnView):
    """The contract note of what the newest NAV dealt of an order; each download is noted."""

    shows = "sees_papers"

    @extend_schema(
        operation_id="investor_order_note",
        parameters=[HOLDER],
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        row = get_object_or_404(DealingOrder, pk=pk, investor=self.investor(request))
        paper = contract_note(order=row)
        return send_pdf(paper.number, note_download(paper, actor=actor_of(request)))
