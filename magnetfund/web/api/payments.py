"""Payments over the API: prepared, signed, released, confirmed, by the services of the desk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.domain.payments import PaymentKind
from investors.models import DealingOrder, PayeeAccount, Payment, StatementLine
from investors.services.money_accounts import find_account
from investors.services.payment_books import OF_LOTS
from investors.services.payment_drafts import (
    PAID_OUT,
    payable_of,
    prepare_fee,
    prepare_of_lots,
    prepare_proceeds,
    prepare_refund,
    release_holdback,
)
from investors.services.payments import (
    approve_payment,
    cancel_payment,
    confirm_payment,
    release_payments,
    return_payment,
)
from magnetfund.core.actors import Actor, actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import InvalidInput, NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.fields import ExactDecimal, plain
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.api.signing import ConflictAnswer

PAYMENTS_MAX = 200
STEPS = ("approve", "release", "confirm", "return", "cancel")


class PrepareRequest(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=[item.value for item in PaymentKind])
    payee_id = serializers.UUIDField(required=False, help_text="Not for a refund.")
    order_id = serializers.UUIDField(required=False, help_text="Of a redemption.")
    receipt_id = serializers.UUIDField(required=False, help_text="Of a refund.")
    amount = ExactDecimal(required=False, help_text="Of a fee or expense; left out: all.")
    text = serializers.CharField(max_length=140, required=False, allow_blank=True, default="")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class StepRequest(serializers.Serializer[Any]):
    step = serializers.ChoiceField(choices=STEPS)
    hash = serializers.CharField(max_length=64, required=False, default="")
    account = serializers.CharField(max_length=20, required=False, default="")
    reference = serializers.CharField(max_length=100, required=False, default="")
    reason = serializers.CharField(max_length=300, required=False, default="")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class PaymentAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    reference = serializers.CharField()
    kind = serializers.CharField()
    state = serializers.CharField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    to_name = serializers.CharField()
    to_number = serializers.CharField()
    hash = serializers.CharField(help_text="Sent back with the step approve.")


class PaymentsAnswer(serializers.Serializer[Any]):
    payments = PaymentAnswer(many=True)


def _answer(row: Payment) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "reference": row.reference,
        "kind": row.kind,
        "state": row.state,
        "amount": plain(row.amount),
        "currency": row.currency,
        "to_name": row.to_name,
        "to_number": row.to_number,
        "hash": row.content_hash,
    }


class PaymentsView(APIView):
    """The newest payments; a POST prepares one of what is owed."""

    permission_classes = [needs(Capability.DEALING_PROCESS, Capability.PAYMENTS_APPROVE)]

    @extend_schema(operation_id="money_payments", responses={200: PaymentsAnswer})
    def get(self, request: Request) -> Response:
        rows = Payment.objects.filter(fund=own_fund())[:PAYMENTS_MAX]
        return Response({"payments": [_answer(row) for row in rows]})

    @extend_schema(
        operation_id="money_prepare_payment",
        request=PrepareRequest,
        parameters=[KEY_HEADER],
        responses={201: PaymentAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = PrepareRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            return 201, _answer(_prepare(given, actor_of(request)))

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )


def _prepare(given: dict[str, Any], actor: Actor) -> Payment:
    fund, kind = own_fund(), PaymentKind(given["kind"])
    if kind is PaymentKind.REFUND:
        line = StatementLine.objects.filter(pk__in=_named(given, "receipt_id"), fund=fund).first()
        if line is None:
            raise NotFound("no such receipt")
        return prepare_refund(line=line, reason=given["text"], actor=actor)
    payee = PayeeAccount.objects.filter(pk__in=_named(given, "payee_id"), fund=fund).first()
    if payee is None:
        raise InvalidInput("name the account that is paid", code="nothing_chosen")
    if kind in PAID_OUT.values():
        order = DealingOrder.objects.filter(
            pk__in=_named(given, "order_id"), share_class__fund=fund
        ).first()
        if order is None:
            raise NotFound("no such order")
        return prepare_proceeds(order=order, payee=payee, actor=actor)
    if kind in OF_LOTS:
        return prepare_of_lots(fund=fund, kind=kind, payee=payee, actor=actor)
    return prepare_fee(
        fund=fund, kind=kind, payee=payee, amount=given.get("amount"),
        text=given["text"] or kind.value, actor=actor,
    )  # fmt: skip


def _named(given: dict[str, Any], name: str) -> list[UUID]:
    return [given[name]] if given.get(name) else []


class ReleaseRequest(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=300, help_text="As the audit's report and its date.")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class ReleaseAnswer(serializers.Serializer[Any]):
    order_id = serializers.UUIDField()
    held_amount = serializers.CharField()
    payable = serializers.CharField(help_text="Owed now and in no payment yet.")


class HoldbackView(APIView):
    """Release what was withheld of a redemption until the audit, with a fresh second factor."""

    permission_classes = [needs(Capability.PAYMENTS_APPROVE)]

    @extend_schema(
        operation_id="money_holdback_release",
        request=ReleaseRequest,
        parameters=[KEY_HEADER],
        responses={200: ReleaseAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = ReleaseRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            order = DealingOrder.objects.filter(pk=pk, share_class__fund=own_fund()).first()
            if order is None:
                raise NotFound("no such order")
            row = release_holdback(order=order, reason=given["reason"], actor=actor_of(request))
            return 200, {
                "order_id": str(row.pk),
                "held_amount": plain(row.held_amount),
                "payable": plain(payable_of(row)),
            }

        key = key_of(request, given.get("idempotency_key", ""))
        return answer_once(request, key=key, work=work)


class PaymentStepView(APIView):
    """The next step of one payment, with a fresh second factor; who may take it, the step asks."""

    permission_classes = [
        needs(Capability.DEALING_PROCESS, Capability.PAYMENTS_APPROVE, Capability.PAYMENTS_DIRECT)
    ]

    @extend_schema(
        operation_id="money_payment_step",
        request=StepRequest,
        parameters=[KEY_HEADER],
        responses={200: PaymentAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = StepRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            row = Payment.objects.filter(pk=pk, fund=own_fund()).first()
            if row is None:
                raise NotFound("no such payment")
            return 200, _answer(_step(row, given, actor_of(request)))

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )


def _step(row: Payment, given: dict[str, Any], actor: Actor) -> Payment:
    step = given["step"]
    if step == "approve":
        return approve_payment(payment=row, seen_hash=given["hash"], actor=actor)
    if step == "release":
        account = find_account(row.fund, given["account"])
        release_payments(payments=[row], account=account, actor=actor)
        row.refresh_from_db()
        return row
    if step == "confirm":
        return confirm_payment(payment=row, bank_reference=given["reference"], actor=actor)
    if step == "return":
        return return_payment(payment=row, reason=given["reason"], actor=actor)
    return cancel_payment(payment=row, reason=given["reason"], actor=actor)
