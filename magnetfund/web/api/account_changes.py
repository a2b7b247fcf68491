"""Another account for a holder over the API: asked by him, called back and refused by the house."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.domain.receipts import mask_number
from investors.models import AccountChange, Fund
from investors.services.account_changes import (
    ask_change,
    record_call_back,
    refuse_change,
    withdraw_change,
)
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.investors import HOLDER, OwnView
from magnetfund.web.api.money import KEY_HEADER, own_fund

SHOWN = 200
KINDS = ("bank", "wallet")


class AskedAccountRequest(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=KINDS)
    name = serializers.CharField(
        max_length=200, help_text="Holder of the account; the investor's own name."
    )
    number = serializers.CharField(max_length=120, help_text="IBAN, account number or address.")
    bank = serializers.CharField(
        max_length=120, required=False, default="", allow_blank=True, help_text="BIC or chain."
    )
    currency = serializers.CharField(max_length=8)
    idempotency_key = serializers.CharField(max_length=200, required=False)


class AskedAccountStepRequest(serializers.Serializer[Any]):
    idempotency_key = serializers.CharField(max_length=200, required=False)


class CallBackRequest(AskedAccountStepRequest):
    called_at = serializers.DateTimeField(help_text="When you spoke; after the request.")
    called_number = serializers.CharField(max_length=40, help_text="The number that was called.")
    known_since = serializers.DateField(help_text="A day before that of the request (UTC).")
    spoken_with = serializers.CharField(max_length=80)


class AccountRefusalRequest(AskedAccountStepRequest):
    reason = serializers.CharField(max_length=300, help_text="The holder reads it.")


class AskedAccountLine(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    number = serializers.CharField(help_text="Its first and last four signs.")
    bank = serializers.CharField(allow_blank=True)
    currency = serializers.CharField()
    state = serializers.ChoiceField(choices=AccountChange.State.choices)
    asked_at = serializers.DateTimeField()
    asked_by = serializers.CharField(
        allow_blank=True, help_text="The attorney, where one asked for the holder."
    )
    called_at = serializers.DateTimeField(allow_null=True)
    usable_from = serializers.DateTimeField(
        allow_null=True, help_text="End of the cooling-off, once two people have signed."
    )
    reason = serializers.CharField(allow_blank=True, help_text="Why it was refused.")


class AskedAccountsAnswer(serializers.Serializer[Any]):
    changes = AskedAccountLine(many=True)


class HolderAccountLine(AskedAccountLine):
    investor = serializers.CharField(help_text="The holder's number.")
    name = serializers.CharField()
    full_number = serializers.CharField()
    payee_id = serializers.UUIDField(
        allow_null=True, help_text="The account that the call-back proposed; it is signed there."
    )


class HolderAccountsAnswer(serializers.Serializer[Any]):
    changes = HolderAccountLine(many=True)


def _own(row: AccountChange) -> dict[str, Any]:
    usable = row.payee.usable_from if row.payee is not None else None
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "number": mask_number(row.number),
        "bank": row.bank,
        "currency": row.currency,
        "state": row.state,
        "asked_at": isoformat_z(row.asked_at),
        "asked_by": row.under_power.acts_as if row.under_power is not None else "",
        "called_at": None if row.called_at is None else isoformat_z(row.called_at),
        "usable_from": None if usable is None else isoformat_z(usable),
        "reason": row.reason,
    }


def _staff(row: AccountChange) -> dict[str, Any]:
    return {
        **_own(row),
        "investor": row.investor.number,
        "name": row.name,
        "full_number": row.number,
        "payee_id": str(row.payee_id) if row.payee_id is not None else None,
    }


def _rows() -> Any:
    return AccountChange.objects.select_related(
        "investor", "payee", "under_power__attorney", "under_power__investor"
    )


def _find(pk: UUID, **given: Any) -> AccountChange:
    row: AccountChange | None = _rows().filter(pk=pk, **given).first()
    if row is None:
        raise NotFound("no such request")
    return row


def _fund() -> Fund:
    fund = own_fund()
    if fund is None:
        raise NotFound("there is no fund yet", code="no_fund")
    return fund


class OwnAccountChangesView(OwnView):
    """The accounts that the holder asked for, the newest first; a POST asks for one, with a fresh
    second factor.  The fund calls the holder back."""

    may = "may_change_account"

    @extend_schema(
        operation_id="investor_account_changes",
        parameters=[HOLDER],
        responses={200: AskedAccountsAnswer},
    )
    def get(self, request: Request) -> Response:
        rows = _rows().filter(investor=self.investor(request))[:SHOWN]
        return Response({"changes": [_own(row) for row in rows]})

    @extend_schema(
        operation_id="investor_account_change_ask",
        request=AskedAccountRequest,
        parameters=[KEY_HEADER, HOLDER],
        responses={201: AskedAccountLine},
    )
    def post(self, request: Request) -> HttpResponse:
        require_step_up(request)
        form = AskedAccountRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given, investor = dict(form.validated_data), self.investor(request)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            row = ask_change(fund=_fund(), investor=investor, actor=actor_of(request), **given)
            return 201, _own(row)

        return answer_once(request, key=key, work=work)


class OwnAccountWithdrawView(OwnView):
    """Take a request back until its account is in use, with a fresh second factor."""

    may = "may_change_account"

    @extend_schema(
        operation_id="investor_account_change_withdraw",
        request=AskedAccountStepRequest,
        parameters=[KEY_HEADER, HOLDER],
        responses={200: AskedAccountLine},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = AskedAccountStepRequest(data=request.data)
        form.is_valid(raise_exception=True)
        row = _find(pk, investor=self.investor(request))
        return answer_once(
            request,
            key=key_of(request, form.validated_data.get("idempotency_key", "")),
            work=lambda: (200, _own(withdraw_change(change=row, actor=actor_of(request)))),
        )


class AccountChangesView(APIView):
    """What holders asked for, the newest first, for those who call back and sign."""

    permission_classes = [needs(Capability.ACCOUNTS_PROPOSE, Capability.ACCOUNTS_APPROVE)]

    @extend_schema(operation_id="money_account_changes", responses={200: HolderAccountsAnswer})
    def get(self, request: Request) -> Response:
        rows = _rows().filter(fund=_fund())[:SHOWN]
        return Response({"changes": [_staff(row) for row in rows]})


class AccountCallBackView(APIView):
    """Record the call-back and propose the account; another person signs it as a payee."""

    permission_classes = [needs(Capability.ACCOUNTS_PROPOSE)]

    @extend_schema(
        operation_id="money_account_call_back",
        request=CallBackRequest,
        parameters=[KEY_HEADER],
        responses={200: HolderAccountLine},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = CallBackRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            row = _find(pk, fund=_fund())
            return 200, _staff(record_call_back(change=row, actor=actor_of(request), **given))

        return answer_once(request, key=key, work=work)


class AccountRefuseView(APIView):
    """Refuse a request until its account is in use; the holder reads the reason."""

    permission_classes = [needs(Capability.ACCOUNTS_PROPOSE, Capability.ACCOUNTS_APPROVE)]

    @extend_schema(
        operation_id="money_account_refuse",
        request=AccountRefusalRequest,
        parameters=[KEY_HEADER],
        responses={200: HolderAccountLine},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = AccountRefusalRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            row = _find(pk, fund=_fund())
            return 200, _staff(refuse_change(change=row, actor=actor_of(request), **given))

        return answer_once(request, key=key, work=work)
