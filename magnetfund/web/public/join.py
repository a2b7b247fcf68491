"""Opening an account by the link of an invitation: a passkey or a password, then the portal."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import record_authentication
from django import forms
from django.contrib.auth import login
from django.contrib.auth.password_validation import validate_password
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from investors.services.accounts import open_account, read_invitation
from magnetfund.core.models import User
from magnetfund.kernel.errors import InvalidInput, NotFound
from magnetfund.operations.first_account import check_link, make_first_administrator
from magnetfund.web.public.pages import page_context

BACKEND = "magnetfund.core.sessions.AccountBackend"


class PasswordForm(forms.Form):
    """A first password, twice."""

    password = forms.CharField(
        label="Password",
        max_length=128,
        strip=False,
        widget=forms.PasswordInput(
            attrs={"class": "form-control", "autocomplete": "new-password"}, render_value=False
        ),
    )
    again = forms.CharField(
        label="The same password again",
        max_length=128,
        strip=False,
        widget=forms.PasswordInput(
            attrs={"class": "form-control", "autocomplete": "new-password"}, render_value=False
        ),
    )

    def __init__(self, user: User, data: Any = None) -> None:
        super().__init__(data)
        self.user = user

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if password:
            validate_password(password, self.user)
        return password

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if "password" in given and given["password"] != given.get("again"):
            self.add_error("again", "The two passwords differ.")
        return given


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, word: str) -> HttpResponse:
    """Open the account: with a passkey, which is added next, or with a password."""
    try:
        user = read_invitation(word)
    except NotFound as error:
        page = {**page_context(request), "refusal": error}
        return render(request, "public/join.html", page, status=404)
    with_passkey = request.method == "POST" and request.POST.get("way") == "passkey"
    form = PasswordForm(user, request.POST if request.method == "POST" else None)
    if with_passkey or (form.is_bound and form.is_valid()):
        password = None if with_passkey else form.cleaned_data["password"]
        try:
            row = open_account(user=user, password=password)
        except NotFound as error:
            page = {**page_context(request), "refusal": error}
            return render(request, "public/join.html", page, status=404)
        login(request, row, backend=BACKEND)
        record_authentication(request, row, "code" if with_passkey else "password")
        return redirect("mfa_add_webauthn" if with_passkey else "home")
    page = {**page_context(request), "form": form, "invited": user}
    return render(
        request, "public/join.html", page, status=422 if form.is_bound and not with_passkey else 200
    )


class FirstForm(PasswordForm):
    """The first administrator: name, address, and a password unless a passkey comes first."""

    name = forms.CharField(
        label="Your full name",
        max_length=200,
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "name"}),
    )
    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"class": "form-control", "autocomplete": "email"}),
    )
    field_order = ("name", "email", "password", "again")

    def __init__(self, data: Any = None, *, with_passkey: bool = False) -> None:
        super().__init__(User(), data)
        if with_passkey:
            # Still on the page, so that whoever has no passkey after all finds them there.
            self.fields["password"].required = self.fields["again"].required = False
            self.data = {**dict(self.data.items()), "password": "", "again": ""}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def found_home(request: HttpRequest, word: str) -> HttpResponse:
    """The link that ``prepare`` printed: make the first administrator, then go on founding."""
    try:
        check_link(word)
    except NotFound as error:
        page = {**page_context(request), "refusal": error}
        return render(request, "public/join.html", page, status=404)
    is_sent = request.method == "POST"
    with_passkey = is_sent and request.POST.get("way") == "passkey"
    form = FirstForm(request.POST if is_sent else None, with_passkey=with_passkey)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        try:
            row = make_first_administrator(
                word=word,
                name=given["name"],
                email=given["email"],
                password=None if with_passkey else given["password"],
            )
        except InvalidInput as error:
            form.add_error(None, error.message.capitalize() + ".")
        else:
            login(request, row, backend=BACKEND)
            record_authentication(request, row, "code" if with_passkey else "password")
            return redirect("mfa_add_webauthn" if with_passkey else "desk_founding")
    page = {**page_context(request), "form": form}
    return render(request, "public/found_home.html", page, status=422 if form.is_bound else 200)
