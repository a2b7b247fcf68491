"""Running costs over the API, by the services of the desk."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import Expense, ExpenseChange
from investors.models.expenses import EXPENSE_ACCOUNTS
from investors.services.expenses import decide_expense, propose_expense, read_expenses, terms_of
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.fields import ExactDecimal, plain
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.api.signing import ConflictAnswer
from magnetfund.web.expense_forms import propose_change

SHOWN = 500
ZERO = Decimal(0)


class ExpenseRequest(serializers.Serializer[Any]):
    account = serializers.ChoiceField(choices=EXPENSE_ACCOUNTS)
    supplier = serializers.CharField(max_length=120)
    reference = serializers.CharField(max_length=80)
    amount = ExactDecimal()
    is_yearly = serializers.BooleanField(required=False, default=False)
    first_day = serializers.DateField()
    last_day = serializers.DateField(required=False, allow_null=True, default=None)
    idempotency_key = serializers.CharField(max_length=200, required=False)


class ExpenseStepRequest(serializers.Serializer[Any]):
    step = serializers.ChoiceField(choices=["approve", "decline", "end", "invoice"])
    reason = serializers.CharField(max_length=300, required=False, help_text="Why it is declined.")
    last_day = serializers.DateField(required=False, help_text="Of an end.")
    amount = ExactDecimal(required=False, help_text="Of the final invoice, in all.")
    reference = serializers.CharField(max_length=80, required=False, help_text="Of the invoice.")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class ExpenseChangeAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    last_day = serializers.DateField(allow_null=True)
    amount = serializers.CharField(allow_null=True)
    reference = serializers.CharField()
    is_approved = serializers.BooleanField(allow_null=True)


class ExpenseAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    account = serializers.CharField()
    supplier = serializers.CharField()
    reference = serializers.CharField()
    amount = serializers.CharField()
    is_yearly = serializers.BooleanField()
    first_day = serializers.DateField()
    last_day = serializers.DateField(allow_null=True)
    invoiced = serializers.CharField(allow_null=True)
    in_navs = serializers.CharField(help_text="What NAVs took of it so far.")
    is_approved = serializers.BooleanField(allow_null=True)
    reason = serializers.CharField()
    changes = ExpenseChangeAnswer(many=True)


class ExpensesAnswer(serializers.Serializer[Any]):
    expenses = ExpenseAnswer(many=True)


def _answer(row: Expense, taken: Decimal = ZERO) -> dict[str, Any]:
    terms = terms_of(row)
    return {
        "id": str(row.pk),
        "account": row.account,
        "supplier": row.supplier,
        "reference": row.reference,
        "amount": plain(row.amount),
        "is_yearly": row.is_yearly,
        "first_day": terms.first_day.isoformat(),
        "last_day": terms.last_day.isoformat() if terms.last_day else None,
        "invoiced": None if terms.invoiced is None else plain(terms.invoiced),
        "in_navs": plain(taken),
        "is_approved": row.is_approved,
        "reason": row.reason,
        "changes": [_change(item) for item in row.changes.all()],
    }


def _change(row: ExpenseChange) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "last_day": row.last_day.isoformat() if row.last_day else None,
        "amount": None if row.amount is None else plain(row.amount),
        "reference": row.reference,
        "is_approved": row.is_approved,
    }


class ExpensesView(APIView):
    """Running costs, the newest proposal first; a POST proposes one."""

    permission_classes = [needs(Capability.NAV_PREPARE, Capability.NAV_APPROVE)]

    @extend_schema(operation_id="expenses", responses={200: ExpensesAnswer})
    def get(self, request: Request) -> Response:
        fund = own_fund()
        taken = {state.row.pk: state.total for state in read_expenses(fund)}
        rows = Expense.objects.filter(fund=fund).prefetch_related("changes")[:SHOWN]
        return Response({"expenses": [_answer(row, taken.get(row.pk, ZERO)) for row in rows]})

    @extend_schema(
        operation_id="expense_propose",
        request=ExpenseRequest,
        parameters=[KEY_HEADER],
        responses={201: ExpenseAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = ExpenseRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            row = propose_expense(fund=own_fund(), actor=actor_of(request), **given)
            return 201, _answer(row)

        return answer_once(request, key=key, work=work)


class ExpenseStepView(APIView):
    """Approve or decline an expense or a change by its id; propose an end or the final invoice. An
    approval takes effect once this person has signed it (409 signature_missing until then)."""

    permission_classes = [needs(Capability.NAV_PREPARE, Capability.NAV_APPROVE)]

    @extend_schema(
        operation_id="expense_step",
        request=ExpenseStepRequest,
        parameters=[KEY_HEADER],
        responses={200: ExpenseAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        form = ExpenseStepRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        step = given["step"]
        if step in ("approve", "decline"):
            require_step_up(request)

        def work() -> tuple[int, dict[str, Any]]:
            fund, actor = own_fund(), actor_of(request)
            row = Expense.objects.filter(pk=pk, fund=fund).first()
            if step in ("end", "invoice"):
                if row is None:
                    raise NotFound("no such expense")
                propose_change(row, {**given, "change": step}, actor)
            else:
                change = ExpenseChange.objects.filter(pk=pk, expense__fund=fund).first()
                proposal = row or change
                if proposal is None:
                    raise NotFound("no such expense")
                decide_expense(
                    proposal=proposal, is_approved=step == "approve",
                    reason=given.get("reason", ""), actor=actor,
                )  # fmt: skip
                row = row or (change.expense if change is not None else None)
            assert row is not None
            return 200, _answer(Expense.objects.get(pk=row.pk))

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )
