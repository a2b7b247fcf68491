"""Side pockets over the API, by the services of the desk."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.domain.ledger.chart import POCKET_SOURCES
from investors.models import PocketChange, SidePocket
from investors.services.pocket_books import PocketBalance, read_merged, read_pocket_balances
from investors.services.pocket_changes import (
    SOURCE_MAX,
    decide_change,
    withdraw_change,
)
from investors.services.pockets import (
    WORDS_MAX,
    decide_pocket,
    propose_pocket,
    withdraw_pocket,
)
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.fields import ExactDecimal, plain
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.api.signing import ConflictAnswer
from magnetfund.web.pocket_forms import propose

SHOWN = 500


class PocketRequest(serializers.Serializer[Any]):
    asset = serializers.CharField(
        max_length=WORDS_MAX["asset"], help_text="What is claimed, and from whom."
    )
    source_account = serializers.ChoiceField(
        choices=POCKET_SOURCES, help_text="Account of the ledger that the value is taken out of."
    )
    value = ExactDecimal(help_text="What the claim is carried at, in the fund's currency.")
    cause = serializers.CharField(max_length=WORDS_MAX["cause"])
    notice = serializers.CharField(
        max_length=WORDS_MAX["notice"], help_text="What the holders are told."
    )
    idempotency_key = serializers.CharField(max_length=200, required=False)


class PocketStepRequest(serializers.Serializer[Any]):
    step = serializers.ChoiceField(
        choices=("approve", "decline", "withdraw"),
        help_text="Withdraw: before a NAV has set the claim apart.",
    )
    reason = serializers.CharField(
        max_length=300, required=False, help_text="Why it is declined or withdrawn."
    )
    idempotency_key = serializers.CharField(max_length=200, required=False)


class PocketAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    asset = serializers.CharField()
    source_account = serializers.CharField()
    value = serializers.CharField(help_text="What was proposed.")
    carried_at = serializers.CharField(help_text="What the ledger carries the claim at now.")
    cause = serializers.CharField()
    notice = serializers.CharField()
    is_approved = serializers.BooleanField(allow_null=True, help_text="Null while it waits.")
    reason = serializers.CharField()
    nav_of = serializers.DateTimeField(
        allow_null=True, help_text="Valuation of the NAV that set it apart."
    )
    withdrawn_at = serializers.DateTimeField(allow_null=True)
    merged_back_at = serializers.DateTimeField(
        allow_null=True, help_text="Valuation of the NAV that made main units of it."
    )


class PocketsAnswer(serializers.Serializer[Any]):
    pockets = PocketAnswer(many=True)


def _answer(
    row: SidePocket, balances: dict[str, PocketBalance], merged: dict[UUID, datetime]
) -> dict[str, Any]:
    stands, back = balances.get(row.name), merged.get(row.pk)
    return {
        "id": str(row.pk),
        "name": row.name,
        "asset": row.asset,
        "source_account": row.account,
        "value": plain(row.value),
        "carried_at": "0" if stands is None else plain(stands.assets),
        "cause": row.cause,
        "notice": row.notice,
        "is_approved": row.is_approved,
        "reason": row.reason,
        "nav_of": None if row.strike is None else isoformat_z(row.strike.valuation_at),
        "withdrawn_at": None if row.withdrawn_at is None else isoformat_z(row.withdrawn_at),
        "merged_back_at": None if back is None else isoformat_z(back),
    }


class PocketsView(APIView):
    """Side pockets, the newest proposal first; a POST proposes one for the next NAV."""

    permission_classes = [needs(Capability.DEALING_PROCESS, Capability.POCKETS_APPROVE)]

    @extend_schema(operation_id="pockets", responses={200: PocketsAnswer})
    def get(self, request: Request) -> Response:
        fund = own_fund()
        balances, merged = read_pocket_balances(fund), read_merged(fund)
        rows = SidePocket.objects.filter(fund=fund).select_related("strike")
        return Response({"pockets": [_answer(row, balances, merged) for row in rows[:SHOWN]]})

    @extend_schema(
        operation_id="pocket_propose",
        request=PocketRequest,
        parameters=[KEY_HEADER],
        responses={201: PocketAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = PocketRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            row = propose_pocket(
                account=given["source_account"],
                **{name: given[name] for name in ("asset", "value", "cause", "notice")},
                fund=own_fund(),
                actor=actor_of(request),
            )
            return 201, _answer(row, {}, {})

        return answer_once(request, key=key, work=work)


class PocketStepView(APIView):
    """A director's decision, with a fresh second factor, once he has signed it at the signer (409
    signature_missing until then); or the withdrawal of an approved one."""

    permission_classes = [needs(Capability.DEALING_PROCESS, Capability.POCKETS_APPROVE)]

    @extend_schema(
        operation_id="pocket_step",
        request=PocketStepRequest,
        parameters=[KEY_HEADER],
        responses={200: PocketAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        form = PocketStepRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        step, reason = given["step"], given.get("reason", "")
        if step != "withdraw":
            require_step_up(request)

        def work() -> tuple[int, dict[str, Any]]:
            fund = own_fund()
            row = SidePocket.objects.filter(pk=pk, fund=fund).first()
            if row is None:
                raise NotFound("no such side pocket")
            actor = actor_of(request)
            if step == "withdraw":
                done = withdraw_pocket(pocket=row, reason=reason, actor=actor)
            else:
                done = decide_pocket(
                    proposal=row, is_approved=step == "approve", reason=reason, actor=actor
                )
            return 200, _answer(done, read_pocket_balances(fund), read_merged(fund))

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )


class PocketChangeRequest(serializers.Serializer[Any]):
    pocket = serializers.CharField(max_length=20, help_text="Its name, SP-1.")
    value = ExactDecimal(
        required=False, help_text="What the claim is carried at afterwards; zero closes it."
    )
    cash = ExactDecimal(required=False, help_text="What came in and is paid to its holders.")
    receipt = serializers.CharField(
        max_length=100, required=False, help_text="The bank's reference; without: the venue paid."
    )
    merge_into = serializers.ChoiceField(
        choices=POCKET_SOURCES,
        required=False,
        help_text="All of it becomes main units at the next NAV, and its value comes into this "
        "account; without value and cash.",
    )
    rests_on = serializers.CharField(
        max_length=SOURCE_MAX, help_text="A letter, a price, a notice."
    )
    idempotency_key = serializers.CharField(max_length=200, required=False)


class PocketChangeAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    pocket = serializers.CharField()
    value = serializers.CharField()
    cash = serializers.CharField()
    receipt = serializers.CharField(allow_null=True)
    merged = serializers.CharField(help_text="What comes back into main units.")
    merge_into = serializers.CharField(allow_null=True)
    rests_on = serializers.CharField()
    is_approved = serializers.BooleanField(allow_null=True, help_text="Null while it waits.")
    reason = serializers.CharField()
    nav_of = serializers.DateTimeField(allow_null=True, help_text="Of the NAV that booked it.")
    withdrawn_at = serializers.DateTimeField(allow_null=True)


class PocketChangesAnswer(serializers.Serializer[Any]):
    changes = PocketChangeAnswer(many=True)


def _change(row: PocketChange) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "pocket": row.pocket.name,
        "value": plain(row.value),
        "cash": plain(row.cash),
        "receipt": None if row.line is None else row.line.reference,
        "merged": plain(row.merged),
        "merge_into": row.account or None,
        "rests_on": row.source,
        "is_approved": row.is_approved,
        "reason": row.reason,
        "nav_of": None if row.strike is None else isoformat_z(row.strike.valuation_at),
        "withdrawn_at": None if row.withdrawn_at is None else isoformat_z(row.withdrawn_at),
    }


class PocketChangesView(APIView):
    """New values of claims, cash that came in and merges back into main units, the newest proposal
    first; a POST proposes."""

    permission_classes = [needs(Capability.DEALING_PROCESS, Capability.POCKETS_APPROVE)]

    @extend_schema(operation_id="pocket_changes", responses={200: PocketChangesAnswer})
    def get(self, request: Request) -> Response:
        rows = PocketChange.objects.filter(pocket__fund=own_fund()).select_related(
            "pocket", "strike", "line"
        )
        return Response({"changes": [_change(row) for row in rows[:SHOWN]]})

    @extend_schema(
        operation_id="pocket_change_propose",
        request=PocketChangeRequest,
        parameters=[KEY_HEADER],
        responses={201: PocketChangeAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        form = PocketChangeRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = dict(form.validated_data)
        key = key_of(request, given.pop("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            number = given["pocket"].removeprefix("SP-")
            row = SidePocket.objects.filter(
                fund=own_fund(), number=int(number) if number.isdecimal() else 0
            ).first()
            if row is None:
                raise NotFound("no such side pocket")
            done = propose(
                row,
                value=given.get("value"),
                cash=given.get("cash"),
                receipt=given.get("receipt", ""),
                merge_into=given.get("merge_into", ""),
                source=given["rests_on"],
                actor=actor_of(request),
            )
            return 201, _change(done)

        return answer_once(request, key=key, work=work)


class PocketChangeStepView(APIView):
    """A director's decision on a change, with a fresh second factor, once he has signed it at the
    signer (409 signature_missing until then); or the withdrawal of an approved one."""

    permission_classes = [needs(Capability.DEALING_PROCESS, Capability.POCKETS_APPROVE)]

    @extend_schema(
        operation_id="pocket_change_step",
        request=PocketStepRequest,
        parameters=[KEY_HEADER],
        responses={200: PocketChangeAnswer, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        form = PocketStepRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        step, reason = given["step"], given.get("reason", "")
        if step != "withdraw":
            require_step_up(request)

        def work() -> tuple[int, dict[str, Any]]:
            row = PocketChange.objects.filter(pk=pk, pocket__fund=own_fund()).first()
            if row is None:
                raise NotFound("no such change")
            actor = actor_of(request)
            if step == "withdraw":
                done = withdraw_change(change=row, reason=reason, actor=actor)
            else:
                done = decide_change(
                    proposal=row, is_approved=step == "approve", reason=reason, actor=actor
                )
            return 200, _change(done)

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )
