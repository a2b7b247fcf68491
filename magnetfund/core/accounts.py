"""Accounts are created by staff; account forms use the site's CSS classes."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import LoginForm
from django import forms
from django.http import HttpRequest, HttpResponse

from magnetfund.core.models import User
from magnetfund.core.sign_in_limits import count_guess, remember_address


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # untyped
    """Nobody signs up alone: an account follows an accepted application."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the guess by the pair of address and account."""
        email = str(credentials.get("email", ""))
        self._guess = count_guess(request, email)
        if self._guess is None:
            raise self.validation_error("too_many_login_attempts")

    def _rollback_login_failed_rl_usage(self) -> None:
        """A right password is no guess."""
        guess = getattr(self, "_guess", None)
        if guess is not None:
            guess.forget()

    def post_login(self, request: HttpRequest, user: User, **given: Any) -> HttpResponse:
        """The account is known at this address from now on, its second factor shown."""
        remember_address(request, user.email)
        response: HttpResponse = super().post_login(request, user, **given)
        return response

    def set_password(self, user: User, password: str) -> None:
        """Write the one column that the web's database role may change."""
        user.set_password(password)
        user.save(update_fields=["password"])


class StyledLoginForm(LoginForm):  # type: ignore[misc]  # untyped
    """The sign-in form without placeholders that repeat its labels."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("remember", None)
        self.fields["login"].label = "Email"
        for name in ("login", "password"):
            widget = self.fields[name].widget
            widget.attrs.pop("placeholder", None)
            widget.attrs["class"] = "form-control"
        self.fields["password"].help_text = ""
        if isinstance(self.fields["login"].widget, forms.TextInput):
            self.fields["login"].widget.attrs["autocomplete"] = "username webauthn"
