"""An investor's orders: redemption, subscription and switch, each of the account that asks."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from investors.models import Holding, Investor, ShareClass
from investors.services.dealing import submit_redemption, submit_subscription
from investors.services.dealing_quotes import quote_redemption
from investors.services.estimates import estimate_prices
from investors.services.switching import SwitchQuote, quote_switch, submit_switch
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.web.api.access import IDEMPOTENCY_HEADER, answer_once, key_of
from magnetfund.web.api.fields import ExactDecimal, plain
from magnetfund.web.api.investors import HOLDER, OwnView


class WithdrawRequest(serializers.Serializer[Any]):
    amount = ExactDecimal(
        required=False, help_text="Money after fees; becomes units at today's estimate."
    )
    units = ExactDecimal(required=False)
    is_all = serializers.BooleanField(
        required=False, default=False, help_text="Whatever the lots are when it is dealt."
    )
    share_class = serializers.CharField(
        max_length=10, required=False, help_text="Needed where several classes are held."
    )
    reason = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    idempotency_key = serializers.CharField(
        max_length=200, required=False, help_text="Or the header Idempotency-Key."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("amount" in attrs) + ("units" in attrs) + attrs["is_all"] != 1:
            raise serializers.ValidationError({"amount": ["give amount, units or is_all"]})
        return attrs


class WithdrawAnswer(serializers.Serializer[Any]):
    request_id = serializers.UUIDField()
    reference = serializers.CharField()
    status = serializers.ChoiceField(choices=["pending_approval"])
    units = serializers.CharField(allow_null=True, help_text="Null for all units.")
    dealing_day = serializers.DateField()
    cutoff_at = serializers.DateTimeField()


class SubscribeRequest(serializers.Serializer[Any]):
    share_class = serializers.CharField(max_length=10)
    amount = ExactDecimal(help_text="Money before the entry fee; units follow at the NAV.")
    idempotency_key = serializers.CharField(
        max_length=200, required=False, help_text="Or the header Idempotency-Key."
    )


class SubscribeAnswer(serializers.Serializer[Any]):
    request_id = serializers.UUIDField()
    reference = serializers.CharField(help_text="What the payment quotes.")
    status = serializers.CharField(help_text="pending_approval until its NAV.")
    amount = serializers.CharField()
    dealing_day = serializers.DateField()
    cutoff_at = serializers.DateTimeField()
    funding_deadline_at = serializers.DateTimeField(help_text="When the money must be there.")


class SwitchRequest(serializers.Serializer[Any]):
    share_class = serializers.CharField(max_length=10, help_text="Class that units leave.")
    into_class = serializers.CharField(max_length=10, help_text="Class that they buy.")
    units = ExactDecimal(required=False)
    amount = ExactDecimal(
        required=False, help_text="Money after fees; becomes units at today's estimate."
    )
    is_all = serializers.BooleanField(required=False, default=False)
    idempotency_key = serializers.CharField(
        max_length=200, required=False, help_text="Or the header Idempotency-Key."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("amount" in attrs) + ("units" in attrs) + attrs["is_all"] != 1:
            raise serializers.ValidationError({"units": ["give units, amount or is_all"]})
        return attrs


class SwitchQuoteAnswer(serializers.Serializer[Any]):
    units = serializers.CharField(help_text="Units that leave.")
    price = serializers.CharField(help_text="Estimated price of the class they leave.")
    performance_fee = serializers.CharField(help_text="Made final by the switch.")
    exit_fee = serializers.CharField()
    moved = serializers.CharField(help_text="Money that passes to the other class.")
    entry_fee = serializers.CharField()
    into_price = serializers.CharField(help_text="Estimated price of the class they buy.")
    into_units = serializers.CharField()
    lockup_until = serializers.DateField(allow_null=True)
    dealing_day = serializers.DateField()
    cutoff_at = serializers.DateTimeField()


class SwitchAnswer(serializers.Serializer[Any]):
    request_id = serializers.UUIDField()
    reference = serializers.CharField()
    status = serializers.CharField(help_text="pending_approval until its NAV.")
    units = serializers.CharField(allow_null=True, help_text="Null for all units.")
    dealing_day = serializers.DateField()
    cutoff_at = serializers.DateTimeField()


class WithdrawView(OwnView):
    """Place a redemption order. The same key and body return the stored answer; the order waits
    for its dealing day, and the NAV that deals it is approved by two people. Asks for a fresh
    second factor (403 step_up_needed)."""

    may = "may_redeem"

    @extend_schema(
        operation_id="investor_withdraw",
        request=WithdrawRequest,
        parameters=[
            OpenApiParameter(IDEMPOTENCY_HEADER, str, OpenApiParameter.HEADER, required=False),
            HOLDER,
        ],
        responses={202: WithdrawAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        investor = self.investor(request)
        require_step_up(request)
        form = WithdrawRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        key = key_of(request, given.get("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            share_class = _class_of(investor, given.get("share_class", ""))
            at = utc_now()
            units = given.get("units")
            if "amount" in given:
                units = quote_redemption(
                    investor=investor,
                    share_class=share_class,
                    estimate=estimate_prices(share_class.fund, at=at),
                    amount=given["amount"],
                    at=at,
                ).units
            order = submit_redemption(
                investor=investor,
                share_class=share_class,
                units=units,
                reason=given["reason"],
                actor=actor_of(request),
                at=at,
            )
            assert order.dealing_day is not None
            return 202, {
                "request_id": str(order.pk),
                "reference": order.reference,
                "status": "pending_approval",
                "units": None if units is None else plain(units),
                "dealing_day": order.dealing_day.day.isoformat(),
                "cutoff_at": isoformat_z(order.dealing_day.cutoff_at),
            }

        return answer_once(request, key=key, work=work)


class SubscribeView(OwnView):
    """Place a subscription; it is dealt once its money came and the NAV is approved by two."""

    may = "may_subscribe"

    @extend_schema(
        operation_id="investor_subscribe",
        request=SubscribeRequest,
        parameters=[
            OpenApiParameter(IDEMPOTENCY_HEADER, str, OpenApiParameter.HEADER, required=False),
            HOLDER,
        ],
        responses={202: SubscribeAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        investor = self.investor(request)
        form = SubscribeRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        key = key_of(request, given.get("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            order = submit_subscription(
                investor=investor,
                share_class=_named_class(given["share_class"]),
                amount=given["amount"],
                actor=actor_of(request),
            )
            assert order.dealing_day is not None
            return 202, {
                "request_id": str(order.pk),
                "reference": order.reference,
                "status": "pending_approval",
                "amount": plain(given["amount"]),
                "dealing_day": order.dealing_day.day.isoformat(),
                "cutoff_at": isoformat_z(order.dealing_day.cutoff_at),
                "funding_deadline_at": isoformat_z(order.dealing_day.funding_deadline_at),
            }

        return answer_once(request, key=key, work=work)


class SwitchQuoteView(OwnView):
    """What a switch would be now; nothing is ordered."""

    may = "may_redeem"

    @extend_schema(
        operation_id="investor_switch_quote",
        request=SwitchRequest,
        responses={200: SwitchQuoteAnswer},
    )
    def post(self, request: Request) -> Response:
        investor = self.investor(request)
        form = SwitchRequest(data=request.data)
        form.is_valid(raise_exception=True)
        quote = _quote_switch(investor, form.validated_data)
        bought = quote.bought.subscription
        return Response(
            {
                "units": plain(quote.units),
                "price": plain(quote.price),
                "performance_fee": plain(quote.proceeds.performance_fee),
                "exit_fee": plain(quote.proceeds.exit_fee),
                "moved": plain(quote.bought.clearing),
                "entry_fee": plain(bought.entry_fee),
                "into_price": plain(quote.into_price),
                "into_units": plain(bought.units),
                "lockup_until": quote.lockup_until.isoformat() if quote.lockup_until else None,
                "dealing_day": quote.day.day.isoformat(),
                "cutoff_at": isoformat_z(quote.day.cutoff_at),
            }
        )


class SwitchView(OwnView):
    """Place a switch between two classes: both halves are dealt at one NAV and no cash leaves.
    Asks for a fresh second factor (403 step_up_needed)."""

    may = "may_redeem"

    @extend_schema(
        operation_id="investor_switch",
        request=SwitchRequest,
        parameters=[
            OpenApiParameter(IDEMPOTENCY_HEADER, str, OpenApiParameter.HEADER, required=False),
            HOLDER,
        ],
        responses={202: SwitchAnswer},
    )
    def post(self, request: Request) -> HttpResponse:
        investor = self.investor(request)
        require_step_up(request)
        form = SwitchRequest(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        key = key_of(request, given.get("idempotency_key", ""))

        def work() -> tuple[int, dict[str, Any]]:
            units = given.get("units")
            if "amount" in given:
                units = _quote_switch(investor, given).units
            order = submit_switch(
                investor=investor,
                share_class=_class_of(investor, given["share_class"]),
                into_class=_named_class(given["into_class"]),
                units=units,
                actor=actor_of(request),
            )
            assert order.dealing_day is not None
            return 202, {
                "request_id": str(order.pk),
                "reference": order.reference,
                "status": "pending_approval",
                "units": None if units is None else plain(units),
                "dealing_day": order.dealing_day.day.isoformat(),
                "cutoff_at": isoformat_z(order.dealing_day.cutoff_at),
            }

        return answer_once(request, key=key, work=work)


def _quote_switch(investor: Investor, given: dict[str, Any]) -> SwitchQuote:
    share_class, at = _class_of(investor, given["share_class"]), utc_now()
    return quote_switch(
        investor=investor,
        share_class=share_class,
        into_class=_named_class(given["into_class"]),
        estimate=estimate_prices(share_class.fund, at=at),
        at=at,
        units=given.get("units"),
        amount=given.get("amount"),
    )


def _named_class(code: str) -> ShareClass:
    found = (
        ShareClass.objects.filter(fund__book=settings.MAGNET_BOOK, code=code)
        .select_related("fund")
        .first()
    )
    if found is None:
        raise InvalidInput(f"this fund has no class {code}", code="no_class")
    return found


def _class_of(investor: Investor, code: str) -> ShareClass:
    """The class that is named, or the only one that is held."""
    held = Holding.objects.filter(
        investor=investor, units__gt=0, share_class__fund__book=settings.MAGNET_BOOK
    ).select_related("share_class__fund")
    found = [row.share_class for row in (held.filter(share_class__code=code) if code else held)]
    if not found:
        raise InvalidInput("no units are held in this class", code="no_holding")
    if len(found) > 1:
        raise InvalidInput("several classes are held; name share_class", code="class_needed")
    return found[0]
