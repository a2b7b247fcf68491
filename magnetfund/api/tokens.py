"""Tokens of the API: RS256, short-lived; an enrolled second factor is asked for."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth import authenticate
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from magnetfund.core.models import User
from magnetfund.kernel.errors import FundError


class SignInFailed(FundError):
    """One answer for every reason, so that nothing is learnt about accounts."""

    http_status = 401
    default_code = "sign_in_failed"


class SignInRequest(serializers.Serializer[Any]):
    email = serializers.EmailField()
    password = serializers.CharField(max_length=200, trim_whitespace=False)
    code = serializers.CharField(max_length=10, required=False, allow_blank=True)


class RefreshRequest(serializers.Serializer[Any]):
    refresh = serializers.CharField(max_length=4000)


class TokenView(APIView):
    """E-mail and password, and the six digits where the account has them, for two tokens."""

    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="sign_in", request=SignInRequest, responses={200: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request) -> Response:
        form = SignInRequest(data=request.data)
        form.is_valid(raise_exception=True)
        user = sign_in(request, **form.validated_data)
        refresh = RefreshToken.for_user(user)
        investor = getattr(user, "investor", None)
        return Response(
            {
                "token": str(refresh.access_token),
                "refresh": str(refresh),
                "expires_in": int(refresh.access_token.lifetime.total_seconds()),
                "investor_id": str(investor.pk) if investor is not None else None,
            }
        )


class InvestorTokenView(TokenView):
    """The same sign-in under the path that investor clients know."""

    @extend_schema(
        operation_id="investor_login",
        request=SignInRequest,
        responses={200: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        return super().post(request)


class RefreshView(APIView):
    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="refresh_token", request=RefreshRequest, responses={200: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request) -> Response:
        form = RefreshRequest(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            refresh = RefreshToken(form.validated_data["refresh"])
            user = User.objects.get(pk=refresh["user_id"], is_active=True)
        except (TokenError, User.DoesNotExist, KeyError):
            raise SignInFailed("this token is not valid any more") from None
        access = RefreshToken.for_user(user).access_token
        return Response({"token": str(access), "expires_in": int(access.lifetime.total_seconds())})


def sign_in(request: Request, *, email: str, password: str, code: str = "") -> User:
    """The account behind the credentials; raises :class:`SignInFailed`."""
    user = authenticate(request._request, username=email.lower(), password=password)
    if not isinstance(user, User) or not user.is_active:
        raise SignInFailed("e-mail address or password is wrong")
    factor = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).first()
    if factor is None:
        return user
    if not code:
        raise SignInFailed("the six digits of your authenticator are needed", code="code_needed")
    if not TOTP(factor).validate_code(code):
        raise SignInFailed("the six digits are wrong", code="code_wrong")
    return user
