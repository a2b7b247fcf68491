"""Tokens of the API: RS256, short-lived; an enrolled second factor is asked for."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from allauth.mfa.base.internal.flows import check_rate_limit
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.conf import settings
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from magnetfund.core.doors import STEP_UP_SECONDS, is_of_the_house
from magnetfund.core.models import User
from magnetfund.core.services.refresh_tokens import (
    FamilyToken,
    rotate,
    start_family,
)
from magnetfund.core.sign_in_limits import count_guess
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError


class SignInFailed(FundError):
    """Same answer for every reason, so that it reveals nothing about accounts."""

    http_status = 401
    default_code = "sign_in_failed"


class TooManyGuesses(FundError):
    """No guess is left for this account from this address."""

    http_status = 429
    default_code = "throttled"


class SignInRequest(serializers.Serializer[Any]):
    email = serializers.EmailField()
    password = serializers.CharField(max_length=200, trim_whitespace=False)
    code = serializers.CharField(max_length=10, required=False, allow_blank=True)


class StepUpRequest(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=10, help_text="Of the authenticator app, now.")


class StepUpAnswer(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="An access token whose factor is fresh.")
    expires_in = serializers.IntegerField()
    fresh_for = serializers.IntegerField(help_text="Seconds for which it counts as fresh.")


class TokenAnswer(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="An access token, sent as a bearer.")
    refresh = serializers.CharField(help_text="Good for one more pair of tokens.")
    expires_in = serializers.IntegerField(help_text="Seconds for which the token holds.")


class SignInAnswer(TokenAnswer):
    investor_id = serializers.UUIDField(allow_null=True)


class RefreshRequest(serializers.Serializer[Any]):
    refresh = serializers.CharField(max_length=4000)


class TokenView(APIView):
    """Sign in with email and password, plus a 6-digit code where two-step verification is on.
    Returns an access token and a refresh token."""

    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "sign_in"

    @extend_schema(operation_id="sign_in", request=SignInRequest, responses={200: SignInAnswer})
    def post(self, request: Request) -> Response:
        form = SignInRequest(data=request.data)
        form.is_valid(raise_exception=True)
        user = sign_in(request, **form.validated_data)
        expires_at = utc_now() + api_settings.REFRESH_TOKEN_LIFETIME
        investor = getattr(user, "investor", None)
        return Response(
            {
                **issue_tokens(
                    user,
                    start_family(user, expires_at=expires_at),
                    factor_shown=bool(form.validated_data.get("code")),
                ),
                "investor_id": str(investor.pk) if investor is not None else None,
            }
        )


class InvestorTokenView(TokenView):
    """Sign in, path for investor clients. Same request and answer as the token endpoint."""

    @extend_schema(
        operation_id="investor_login",
        request=SignInRequest,
        responses={200: SignInAnswer},
    )
    def post(self, request: Request) -> Response:
        return super().post(request)


class StepUpView(APIView):
    """Show the code once more. Steps that move money, units or roles answer 403 with the code
    step_up_needed unless one was shown in the last five minutes: with the sign-in, or here. The
    answer is an access token of the same sign-in."""

    permission_classes = [IsAuthenticated]
    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "sign_in"

    @extend_schema(operation_id="step_up", request=StepUpRequest, responses={200: StepUpAnswer})
    def post(self, request: Request) -> Response:
        form = StepUpRequest(data=request.data)
        form.is_valid(raise_exception=True)
        user, family = request.user, (getattr(request.auth, "payload", None) or {}).get("family")
        if not isinstance(user, User) or family is None:
            raise SignInFailed("a browser confirms it on its own page", code="token_needed")
        factor = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).first()
        if factor is None:
            raise SignInFailed(
                "set up an authenticator app on the sign-in page first", code="factor_missing"
            )
        _require_code(user, factor, form.validated_data["code"])
        access = AccessToken.for_user(user)
        access["family"], access["factor_at"] = family, int(time.time())
        return Response(
            {
                "token": str(access),
                "expires_in": int(access.lifetime.total_seconds()),
                "fresh_for": STEP_UP_SECONDS,
            }
        )


class RefreshView(APIView):
    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="refresh_token", request=RefreshRequest, responses={200: TokenAnswer}
    )
    def post(self, request: Request) -> Response:
        form = RefreshRequest(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            given = RefreshToken(form.validated_data["refresh"])
            named = FamilyToken(family=UUID(given["family"]), token=given["jti"])
        except (TokenError, KeyError, ValueError, TypeError, AttributeError):
            raise SignInFailed("this token is no longer valid; sign in again") from None
        expires_at = utc_now() + api_settings.REFRESH_TOKEN_LIFETIME
        rotated = rotate(named, expires_at=expires_at)
        if rotated is None:
            raise SignInFailed("this token is no longer valid; sign in again")
        return Response(issue_tokens(*rotated))


def issue_tokens(user: User, named: FamilyToken, *, factor_shown: bool = False) -> dict[str, Any]:
    """A short-lived access token and a single-use refresh token.

    The access token names its family, and when the code was shown if it was with this sign-in.
    """
    refresh = RefreshToken.for_user(user)
    refresh["family"] = str(named.family)
    access = refresh.access_token
    if factor_shown:
        access["factor_at"] = int(time.time())
    refresh["jti"], refresh["family"] = named.token, str(named.family)
    return {
        "token": str(access),
        "refresh": str(refresh),
        "expires_in": int(access.lifetime.total_seconds()),
    }


def sign_in(request: Request, *, email: str, password: str, code: str = "") -> User:
    """The account behind the credentials; raises :class:`SignInFailed`."""
    guess = count_guess(request._request, email)
    if guess is None:
        raise TooManyGuesses("too many attempts for this account; wait or use a passkey")
    user = authenticate(request._request, username=email.lower(), password=password)
    if not isinstance(user, User) or not user.is_active:
        raise SignInFailed("email address or password is incorrect")
    guess.forget()
    factors = Authenticator.objects.filter(user=user)
    factor = factors.filter(type=Authenticator.Type.TOTP).first()
    if factor is None:
        if factors.exists():
            # A security key needs a browser: its account gets no token by password alone.
            raise SignInFailed(
                "this account signs in with a passkey; use the sign-in page", code="key_needed"
            )
        if settings.SECOND_FACTOR_REQUIRED and is_of_the_house(user):
            raise SignInFailed(
                "staff accounts need an authenticator app; set it up on the sign-in page",
                code="factor_missing",
            )
        return user
    if not code:
        raise SignInFailed(
            "the 6-digit code from your authenticator app is required", code="code_needed"
        )
    _require_code(user, factor, code)
    return user


def _require_code(user: User, factor: Authenticator, code: str) -> None:
    """Raise :class:`SignInFailed` for a wrong code and :class:`TooManyGuesses` after too many."""
    try:
        forget = check_rate_limit(user)
    except ValidationError:
        raise TooManyGuesses("too many codes were tried; wait five minutes") from None
    if not TOTP(factor).validate_code(code):
        raise SignInFailed("the 6-digit code is incorrect", code="code_wrong")
    forget()
