"""Who asks the API, by the token that he shows."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from magnetfund.core.services.refresh_tokens import is_family_alive


class FamilyAuthentication(JWTAuthentication):
    """An access token is good only while the sign-in that it came from is."""

    def get_user(self, validated_token: Any) -> Any:
        try:
            user: Any = super().get_user(validated_token)
        except (ValueError, ValidationError):  # what it names is no account's id at all
            raise InvalidToken("this token names no account") from None
        family = validated_token.get("family")
        if family is not None and not is_family_alive(str(family), user):
            raise InvalidToken("this sign-in has ended")
        return user
