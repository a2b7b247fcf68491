"""Statements and receipts over the API: the same services as the desk's page."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import DealingOrder, Fund, StatementLine
from investors.services.money_accounts import find_account
from investors.services.receipt_suggestions import open_receipts, suggest_all
from investors.services.receipts import match_receipt
from investors.services.statements import StatementImport, confirm_statement, upload_statement
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import IDEMPOTENCY_HEADER, answer_once, key_of, needs
from magnetfund.web.api.fields import ExactDecimal, IsBase64, file_bytes, plain

RECEIPTS_MAX = 200
KEY_HEADER = OpenApiParameter(IDEMPOTENCY_HEADER, str, OpenApiParameter.HEADER, required=False)


class StatementRequest(serializers.Serializer[Any]):
    account = serializers.CharField(max_length=20, help_text="Code of the fund's account.")
    name = serializers.CharField(max_length=120)
    content = serializers.CharField(
        max_length=2_000_000,
        trim_whitespace=False,
        help_text="camt.053, or a bank's or a chain's table as CSV or .xlsx.",
    )
    is_base64 = IsBase64()
    is_dry_run = serializers.BooleanField(default=False)
    idempotency_key = serializers.CharField(
        max_length=200, required=False, help_text="Or the header Idempotency-Key."
    )


class RefusedLine(serializers.Serializer[Any]):
    reference = serializers.CharField()
    code = serializers.CharField()
    words = serializers.CharField()


class StatementAnswer(serializers.Serializer[Any]):
    file_id = serializers.UUIDField()
    is_dry_run = serializers.BooleanField()
    format = serializers.CharField()
    new = serializers.IntegerField()
    known = serializers.IntegerField()
    deeper = serializers.IntegerField(help_text="Chain lines with more confirmations than before.")
    waiting = serializers.IntegerField(help_text="Chain lines that are not final yet.")
    matched = serializers.IntegerField()
    money_in = serializers.DictField(child=serializers.CharField())
    money_out = serializers.DictField(child=serializers.CharField())
    refused = RefusedLine(many=True)


class ReceiptRow(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    reference = serializers.CharField()
    booked_at = serializers.DateTimeField()
    amount = serializers.CharField()
    open_amount = serializers.CharField()
    currency = serializers.CharField()
    party = serializers.CharField()
    outcome = serializers.CharField()
    order_id = serializers.CharField(allow_blank=True)
    matched = serializers.CharField(help_text="What the suggested order would take.")


class ReceiptsAnswer(serializers.Serializer[Any]):
    receipts = ReceiptRow(many=True)


class MatchRequest(serializers.Serializer[Any]):
    order_id = serializers.UUIDField()
    amount = ExactDecimal(required=False, help_text="Left out: as much as the order wants.")
    reason = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class MatchAnswer(serializers.Serializer[Any]):
    order_id = serializers.UUIDField()
    state = serializers.CharField()
    funded_amount = serializers.CharField()
    missing = serializers.CharField()


def own_fund() -> Fund:
    """The fund of this home; raises :class:`NotFound` (``no_fund``)."""
    found = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    if found is None:
        raise NotFound("no fund has been founded", code="no_fund")
    return found


class StatementsView(APIView):
    """Import a statement of one of the fund's accounts; with ``is_dry_run`` nothing is booked."""

    permission_classes = [needs(Capability.DEALING_PROCESS)]

    @extend_schema(
        operation_id="money_import_statement",
        request=StatementRequest,
        parameters=[KEY_HEADER],
        responses={200: StatementAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = StatementRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            actor = actor_of(request)
            row, report = upload_statement(
                account=find_account(own_fund(), given["account"]),
                name=given["name"],
                content=file_bytes(given),
                actor=actor,
            )
            if not given["is_dry_run"]:
                report = confirm_statement(file=row, actor=actor)
            return 200, _report(row.pk, report, is_dry_run=given["is_dry_run"])

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )


class ReceiptsView(APIView):
    """Receipts with open money, oldest first, each with its suggestion."""

    permission_classes = [needs(Capability.DEALING_PROCESS, Capability.NAV_APPROVE)]

    @extend_schema(operation_id="money_receipts", responses={200: ReceiptsAnswer})
    def get(self, request: Request) -> Response:
        fund = own_fund()
        lines = list(open_receipts(fund)[:RECEIPTS_MAX])
        return Response(
            {
                "receipts": [
                    {
                        "id": str(line.pk),
                        "reference": line.reference,
                        "booked_at": isoformat_z(line.booked_at),
                        "amount": plain(line.amount),
                        "open_amount": plain(line.open_amount),
                        "currency": line.currency,
                        "party": line.party,
                        "outcome": found.outcome.value,
                        "order_id": found.order,
                        "matched": plain(found.matched),
                    }
                    for line, found in zip(lines, suggest_all(fund, lines), strict=True)
                ]
            }
        )


class MatchView(APIView):
    """Use a receipt, or a part of it, for an order that waits for money."""

    permission_classes = [needs(Capability.DEALING_PROCESS)]

    @extend_schema(
        operation_id="money_match_receipt",
        request=MatchRequest,
        parameters=[KEY_HEADER],
        responses={200: MatchAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        form = MatchRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            fund = own_fund()
            line = StatementLine.objects.filter(pk=pk, fund=fund, amount__gt=0).first()
            order = DealingOrder.objects.filter(
                pk=given["order_id"], share_class__fund=fund
            ).first()
            if line is None or order is None:
                raise NotFound("no such receipt or order")
            done = match_receipt(
                line=line,
                order=order,
                amount=given.get("amount"),
                reason=given["reason"],
                actor=actor_of(request),
            )
            missing = (done.amount or Decimal(0)) - done.funded_amount
            return 200, {
                "order_id": str(done.pk),
                "state": done.state,
                "funded_amount": plain(done.funded_amount),
                "missing": plain(missing),
            }

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )


def _report(pk: UUID, report: StatementImport, *, is_dry_run: bool) -> dict[str, Any]:
    return {"file_id": str(pk), "is_dry_run": is_dry_run, **report.plain()}
