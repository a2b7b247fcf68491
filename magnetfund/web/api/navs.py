"""NAVs over the API: prepared by one, approved by another; and NAV(V, K), a fund at an instant as
its books knew it at another."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from investors.models import NavStrike
from investors.services.coin_values import coins_taken, say_taken
from investors.services.nav import approve_strike, prepare_due, reject_strike
from investors.services.nav_as_known import nav_as_known
from investors.services.nav_calendar import find_due
from magnetfund.core.actors import Actor, actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.kernel.errors import NotFound
from magnetfund.web.api.access import answer_once, key_of, needs
from magnetfund.web.api.fields import plain
from magnetfund.web.api.money import KEY_HEADER, own_fund
from magnetfund.web.api.signing import ConflictAnswer

NAVS_MAX = 24


class KnownNavQuery(serializers.Serializer[Any]):
    at = serializers.DateTimeField(help_text="Valuation instant.")
    known = serializers.DateTimeField(required=False, help_text="Recorded by then; now without.")


class KnownClassAnswer(serializers.Serializer[Any]):
    share_class = serializers.CharField()
    units = serializers.CharField()
    price = serializers.CharField(allow_null=True)
    nav = serializers.CharField()
    management_fee = serializers.CharField()
    performance_fee = serializers.CharField()


class KnownNavAnswer(serializers.Serializer[Any]):
    fund = serializers.CharField()
    valuation_at = serializers.DateTimeField()
    known_at = serializers.DateTimeField()
    is_struck = serializers.BooleanField(help_text="Whether it had been prepared by then.")
    result_hash = serializers.CharField(help_text="What an approver of this NAV signs.")
    net_assets = serializers.CharField()
    nav = serializers.CharField()
    classes = KnownClassAnswer(many=True)


class KnownNavView(APIView):
    """The NAV at ``at`` from what was recorded by ``known``: the same two give the same bytes."""

    permission_classes = [needs(Capability.DESK_VIEW)]

    @extend_schema(
        operation_id="nav_as_known",
        parameters=[
            OpenApiParameter("at", str, required=True),
            OpenApiParameter("known", str, required=False),
        ],
        responses={200: KnownNavAnswer},
    )
    def get(self, request: Request) -> Response:
        form = KnownNavQuery(data=request.query_params)
        form.is_valid(raise_exception=True)
        given, fund = form.validated_data, own_fund()
        if fund is None:
            raise NotFound("no fund has been founded")
        found = nav_as_known(
            fund=fund, valuation_at=given["at"], known_at=given.get("known") or utc_now()
        )
        return Response(found.plain())


class NavClassLine(serializers.Serializer[Any]):
    share_class = serializers.CharField()
    units = serializers.CharField(help_text="Before the dealing of this NAV.")
    price = serializers.CharField(allow_null=True, help_text="At which orders deal; before fees.")
    nav = serializers.CharField()
    nav_per_unit = serializers.CharField(allow_null=True, help_text="After every fee.")


class NavCheckLine(serializers.Serializer[Any]):
    name = serializers.CharField()
    passed = serializers.BooleanField()


class NavCoinLine(serializers.Serializer[Any]):
    coin = serializers.CharField()
    amount = serializers.CharField(help_text="Coins: cash, margin and open result.")
    rate = serializers.CharField(help_text="Of one coin in the fund's currency.")
    shown_by = serializers.CharField(help_text="The source of the rate.")
    observed_at = serializers.DateTimeField()
    taken = serializers.CharField(help_text="At par, by its rate, or by its rate as par is void.")
    difference = serializers.CharField(help_text="What they are worth beyond one for one.")


class NavLine(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    valuation_at = serializers.DateTimeField()
    dealing_day = serializers.DateField(allow_null=True, help_text="Null at a period's end.")
    version = serializers.IntegerField()
    state = serializers.ChoiceField(choices=NavStrike.State.choices)
    nav = serializers.CharField()
    content_hash = serializers.CharField(help_text="What the second person approves.")
    prepared_by = serializers.CharField()
    approved_by = serializers.CharField(allow_null=True)
    checks = NavCheckLine(many=True)
    classes = NavClassLine(many=True)
    coins = NavCoinLine(many=True, help_text="Stablecoins that the venue held.")


class NavsAnswer(serializers.Serializer[Any]):
    due_at = serializers.DateTimeField(allow_null=True, help_text="The NAV to prepare next.")
    navs = NavLine(many=True)


class NavPrepareRequest(serializers.Serializer[Any]):
    idempotency_key = serializers.CharField(max_length=200, required=False)


class HashedDecisionRequest(serializers.Serializer[Any]):
    is_approved = serializers.BooleanField()
    content_hash = serializers.CharField(max_length=64, required=False, default="")
    reason = serializers.CharField(max_length=300, required=False, default="")
    idempotency_key = serializers.CharField(max_length=200, required=False)


class NavsView(APIView):
    """The newest NAVs; a POST prepares the one that is due, which a second person approves."""

    def get_permissions(self) -> list[BasePermission]:
        asks = Capability.NAV_PREPARE if self.request.method == "POST" else Capability.DESK_VIEW
        return [needs(asks)()]

    @extend_schema(operation_id="navs", responses={200: NavsAnswer})
    def get(self, request: Request) -> Response:
        fund = own_fund()
        due = find_due(fund, at=utc_now())
        rows = (
            NavStrike.objects.filter(fund=fund)
            .defer("inputs", "second_engine", "balances")
            .select_related("prepared_by", "approved_by", "dealing_day")
            .prefetch_related("classes__share_class")
            .order_by("-valuation_at", "-version")
        )
        return Response(
            {
                "due_at": isoformat_z(due[0]) if due else None,
                "navs": [_answer(row) for row in rows[:NAVS_MAX]],
            }
        )

    @extend_schema(
        operation_id="nav_prepare",
        request=NavPrepareRequest,
        parameters=[KEY_HEADER],
        responses={201: NavLine},
    )
    def post(self, request: Request) -> HttpResponse:
        form = NavPrepareRequest(data=request.data)
        form.is_valid(raise_exception=True)

        def work() -> tuple[int, dict[str, Any]]:
            return 201, _answer(prepare_due(fund=own_fund(), actor=actor_of(request)))

        key = key_of(request, form.validated_data.get("idempotency_key", ""))
        return answer_once(request, key=key, work=work)


class NavDecisionView(APIView):
    """The second person's decision, with a fresh second factor.  Approving deals the orders, once
    this person has signed the NAV at the signer (409 signature_missing until then)."""

    permission_classes = [needs(Capability.NAV_APPROVE)]

    @extend_schema(
        operation_id="nav_decide",
        request=HashedDecisionRequest,
        parameters=[KEY_HEADER],
        responses={200: NavLine, 409: ConflictAnswer},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        require_step_up(request)
        form = HashedDecisionRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data

        def work() -> tuple[int, dict[str, Any]]:
            row = NavStrike.objects.filter(pk=pk, fund=own_fund()).first()
            if row is None:
                raise NotFound("no such NAV")
            return 200, _answer(_decide(row, given, actor_of(request)))

        return answer_once(
            request, key=key_of(request, given.get("idempotency_key", "")), work=work
        )


def _decide(row: NavStrike, given: dict[str, Any], actor: Actor) -> NavStrike:
    if given["is_approved"]:
        return approve_strike(strike=row, seen_hash=given["content_hash"], actor=actor)
    return reject_strike(strike=row, reason=given["reason"], actor=actor)


def _answer(row: NavStrike) -> dict[str, Any]:
    return {
        "coins": [
            {
                "coin": item["coin"],
                "amount": item["amount"],
                "rate": item["rate"],
                "shown_by": item["source"],
                "observed_at": item["observed_at"],
                "taken": say_taken(item),
                "difference": item.get("difference", "0"),
            }
            for item in coins_taken(row.checklist)
        ],
        "id": str(row.pk),
        "valuation_at": isoformat_z(row.valuation_at),
        "dealing_day": row.dealing_day.day.isoformat() if row.dealing_day else None,
        "version": row.version,
        "state": row.state,
        "nav": plain(row.nav),
        "content_hash": row.result_hash,
        "prepared_by": row.prepared_by.get_full_name(),
        "approved_by": row.approved_by.get_full_name() if row.approved_by else None,
        "checks": [{"name": line["name"], "passed": line["passed"]} for line in row.checklist],
        "classes": [
            {
                "share_class": item.share_class.code,
                "units": plain(item.units),
                "price": None if item.price is None else plain(item.price),
                "nav": plain(item.nav),
                "nav_per_unit": None if item.nav_per_unit is None else plain(item.nav_per_unit),
            }
            for item in sorted(row.classes.all(), key=lambda item: item.share_class.code)
        ],
    }
