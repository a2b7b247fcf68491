"""Accounts of the fund and those it may pay, over the API: proposed by one, signed by another."""

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

from investors.domain.receipts import mask_number
from investors.models import FundAccount, Investor, PayeeAccount
from investors.services.money_accounts import (
    add_payee,
    approve_account,
    approve_payee,
    close_payee,
    open_account,
)
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import InvalidInput, NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.api.signing import ConflictAnswer

PAYEES_MAX = 200
KINDS = ("bank", "wallet")


class AccountRequest(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=20, help_text="Short, for statements and payments.")
    kind = serializers.ChoiceField(choices=KINDS)
    bank = serializers.CharField(max_length=120, help_text="Name of the bank, or of the chain.")
    number = serializers.CharField(max_length=120, help_text="IBAN, account number or address.")
    currency = serializers.CharField(max_length=8)
    confirmations = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=10_000,
        help_text="Of a wallet: blocks after which a transfer is final.",
    )  # fmt: skip
    idempotency_key = serializers.CharField(max_length=200, required=False)


class AccountLine(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    code = serializers.CharField()
    kind = serializers.CharField()
    bank = serializers.CharField()
    number = serializers.CharField()
    currency = serializers.CharField()
    confirmations = serializers.IntegerField()
    proposed_by = serializers.CharField()
    is_approved = serializers.BooleanField()


class PayeeRequest(serializers.Serializer[Any]):
    investor = serializers.CharField(
        max_length=20, required=False, default="", allow_blank=True,
        help_text="Number of the holder; empty for a supplier or the manager.",
    )  # fmt: skip
    kind = serializers.ChoiceField(choices=KINDS)
    name = serializers.CharField(max_length=200, help_text="Holder of the account.")
    number = serializers.CharField(max_length=120, help_text="IBAN, account number or address.")
    bank = serializers.CharField(
        max_length=120, required=False, default="", allow_blank=True, help_text="BIC or chain."
    )
    currency = serializers.CharField(max_length=8)
    evidence = serializers.CharField(
        max_length=300, help_text="How it was proved: call-back, test transfer, signed message."
    )
    idempotency_key = serializers.CharField(max_length=200, required=False)


class PayeeLine(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    investor = serializers.CharField(allow_null=True)
    kind = serializers.CharField()
    name = serializers.CharField()
    number = serializers.CharField()
    bank = serializers.CharField(allow_blank=True)
    currency = serializers.CharField()
    evidence = serializers.CharField()
    proposed_by = serializers.CharField()
    is_approved = serializers.BooleanField()
    is_closed = serializers.BooleanField()
    usable_from = serializers.DateTimeField(allow_null=True, help_text="After the cooling-off.")


class AccountsAnswer(serializers.Serializer[Any]):
    accounts = AccountLine(many=True)
    payees = PayeeLine(many=True)


class AccountStepRequest(serializers.Serializer[Any]):
    idempotency_key = serializers.CharField(max_length=200, required=False)


class PayeeStepRequest(AccountStepRequest):
    step = serializers.ChoiceField(choices=("approve", "close"))
    reason = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)


class AccountsView(APIView):
    """The open accounts of the fund and those that it may pay; a POST proposes one of the fund.
    Without the capability holders.view the fund's alone, their numbers but for the ends."""

    def get_permissions(self) -> list[BasePermission]:
        is_read = self.request.method != "POST"
        return [needs(Capability.DESK_VIEW if is_read else Capability.ACCOUNTS_PROPOSE)()]

    @extend_schema(operation_id="money_accounts", responses={200: AccountsAnswer})
    def get(self, request: Request) -> Response:
        fund = own_fund()
        own = FundAccount.objects.filter(fund=fund, closed_at=None).select_related("opened_by")
        user: Any = request.user
        sees_all = user.can(Capability.HOLDERS_VIEW)
        payees = PayeeAccount.objects.filter(fund=fund, closed_at=None).select_related(
            "investor", "added_by"
        )
        if not sees_all:
            payees = payees.none()
        return Response(
            {
                "accounts": [
                    {**_account(row), **({} if sees_all else {"number": mask_number(row.number)})}
                    for row in own
                ],
                "payees": [
                    _payee(row) for row in payees.order_by("approved_at", "name")[:PAYEES_MAX]
                ],
            }
        )

    @extend_schema(
        operation_id="money_account_propose",
        request=AccountRequest,
        parameters=[KEY_HEADER],
        responses={201: AccountLine},
    )
    def post(self, request: Request) -> HttpResponse:
        form = AccountRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            return 201, _account(open_account(fund=own_fund(), actor=actor_of(request), **given))

        return answer_once(request, key=key, work=work)


class AccountApproveView(APIView):
    """The second signature on an account of the fund, with a fresh second factor, once this person
    has signed it at the signer (409 signature_missing until then)."""

    permission_classes = [needs(Capability.ACCOUNTS_APPROVE)]

    @extend_schema(
        operation_id="money_account_approve",
        request=AccountStepRequest,
        parameters=[KEY_HEADER],
        responses={200: AccountLine, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = AccountStepRequest(data=request.data)
        form.is_valid(raise_exception=True)

        def work() -> tuple[int, dict[str, Any]]:
            row = FundAccount.objects.filter(pk=pk, fund=own_fund()).first()
            if row is None:
                raise NotFound("no such account")
            return 200, _account(approve_account(account=row, actor=actor_of(request)))

        key = key_of(request, form.validated_data.get("idempotency_key", ""))
        return answer_once(request, key=key, work=work)


class PayeesView(APIView):
    """Propose an account that the fund may pay."""

    permission_classes = [needs(Capability.ACCOUNTS_PROPOSE)]

    @extend_schema(
        operation_id="money_payee_propose",
        request=PayeeRequest,
        parameters=[KEY_HEADER],
        responses={201: PayeeLine},
    )
    def post(self, request: Request) -> HttpResponse:
        form = PayeeRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key, number = key_of(request, given.pop("idempotency_key", "")), given.pop("investor")

        def work() -> tuple[int, dict[str, Any]]:
            fund = own_fund()
            holder = Investor.objects.filter(number=number).first() if number else None
            if number and holder is None:
                raise InvalidInput("there is no investor of this number", code="unknown_investor")
            row = add_payee(fund=fund, investor=holder, actor=actor_of(request), **given)
            return 201, _payee(row)

        return answer_once(request, key=key, work=work)


class PayeeStepView(APIView):
    """Approve an account that is paid, once this person has signed it at the signer (409
    signature_missing until then), or take it off the list; with a fresh second factor."""

    permission_classes = [needs(Capability.ACCOUNTS_APPROVE, Capability.ACCOUNTS_PROPOSE)]

    @extend_schema(
        operation_id="money_payee_step",
        request=PayeeStepRequest,
        parameters=[KEY_HEADER],
        responses={200: PayeeLine, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = PayeeStepRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given, actor = form.validated_data, actor_of(request)

        def work() -> tuple[int, dict[str, Any]]:
            row = PayeeAccount.objects.filter(pk=pk, fund=own_fund()).first()
            if row is None:
                raise NotFound("no such account")
            if given["step"] == "approve":
                return 200, _payee(approve_payee(payee=row, actor=actor))
            return 200, _payee(close_payee(payee=row, reason=given["reason"], actor=actor))

        key = key_of(request, given.get("idempotency_key", ""))
        return answer_once(request, key=key, work=work)


def _account(row: FundAccount) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "code": row.code,
        "kind": row.kind,
        "bank": row.bank,
        "number": row.number,
        "currency": row.currency,
        "confirmations": row.confirmations,
        "proposed_by": row.opened_by.get_full_name(),
        "is_approved": row.approved_at is not None,
    }


def _payee(row: PayeeAccount) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "investor": row.investor.number if row.investor else None,
        "kind": row.kind,
        "name": row.name,
        "number": row.number,
        "bank": row.bank,
        "currency": row.currency,
        "evidence": row.evidence,
        "proposed_by": row.added_by.get_full_name(),
        "is_approved": row.approved_at is not None,
        "is_closed": row.closed_at is not None,
        "usable_from": isoformat_z(row.usable_from) if row.usable_from else None,
    }
