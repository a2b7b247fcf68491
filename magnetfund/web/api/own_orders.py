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
from investors.services.order_figures import account_for
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


class OrderAccountLine(serializers.Serializer[Any]):
    words = serializers.CharField(help_text="What the line is.")
    amount = serializers.CharField(help_text="In the fund's currency; a fee is negative.")
    note = serializers.CharField(allow_blank=True, help_text="Why a line is nothing.")
    is_total = serializers.BooleanField(help_text="The sum of the lines since the last total.")


class OrderLotLine(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    share_class = serializers.CharField()
    bought = serializers.DateField()
    dealt = serializers.DateField()
    units = serializers.CharField(help_text="That this order moved.")
    price = serializers.CharField(help_text="Dealing price per unit.")
    net_per_unit = serializers.CharField(help_text="After the performance fee of the lot.")
    high_water_mark = serializers.CharField()
    amount = serializers.CharField(help_text="Units at the net value, in cents.")
    units_left = serializers.CharField()


class OwnOrderAnswer(OwnOrderLine):
    currency = serializers.CharField()
    account = OrderAccountLine(
        many=True,
        help_text="From what came or was redeemed, less each fee, to what was invested or is owed;"
        " of what was withheld and paid. The lines of the page and of the contract note; empty"
        " before anything was dealt.",
    )
    lots = OrderLotLine(many=True, help_text="At most 100; the contract note has all.")


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


def _account(row: DealingOrder) -> dict[str, Any]:
    """The account of an order by the selector of its page and note."""
    figures = account_for(row)
    lines, lots = (figures.lines, figures.lots) if figures is not None else ((), ())
    return {
        "currency": row.share_class.fund.currency,
        "account": [
            {
                "words": line.label,
                "amount": plain(line.amount),
                "note": line.note if not line.amount else "",
                "is_total": line.is_total,
            }
            for line in lines
        ],
        "lots": [
            {
                "number": lot.number,
                "share_class": lot.share_class,
                "bought": lot.bought.isoformat(),
                "dealt": lot.dealt.isoformat(),
                "units": plain(lot.units),
                "price": plain(lot.price),
                "net_per_unit": plain(lot.net),
                "high_water_mark": plain(lot.mark),
                "amount": plain(lot.amount),
                "units_left": plain(lot.left),
            }
            for lot in lots
        ],
    }


class OwnOrderView(OwnView):
    """One order with its account: what came or was redeemed, every fee, what is withheld, paid and
    owed, and its lots."""

    may = ANY_POWER

    @extend_schema(
        operation_id="investor_order", parameters=[HOLDER], responses={200: OwnOrderAnswer}
    )
    def get(self, request: Request, pk: UUID) -> Response:
        rows = DealingOrder.objects.filter(investor=self.investor(request)).select_related(
            "share_class__fund", "into_class", "dealing_day", "strike", "investor",
            "under_power__attorney", "under_power__investor",
        ).defer("strike__inputs")  # fmt: skip
        row = get_object_or_404(rows, pk=pk)
        return Response({**_answer(row), **_account(row)})


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
