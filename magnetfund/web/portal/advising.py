"""What an adviser has beside the holder's pages: his link, and whose portal he reads."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from allauth.account.internal.flows.login import record_authentication
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from investors.models import AdviserAccess
from investors.services.advisers import (
    accept_access,
    accesses_of,
    account_of,
    open_adviser_account,
    read_adviser_link,
)
from investors.services.attorneys import powers_of
from magnetfund.core.actors import actor_of
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import FundError
from magnetfund.web.portal.access import (
    ACTS_UNDER,
    CHOSEN,
    choose_access,
    choose_power,
    place_of,
)
from magnetfund.web.public.join import BACKEND, PasswordForm
from magnetfund.web.public.pages import page_context


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def accept(request: HttpRequest, word: str) -> HttpResponse:
    """Accept a holder's invitation: with a new account, or with one's own, signed in."""
    try:
        access = read_adviser_link(word)
    except FundError as error:
        return _say_no(request, error, 404)
    known = account_of(access)
    try:
        if known is not None:
            return _accept_signed_in(request, access, known)
        return _open(request, access)
    except FundError as error:
        return _say_no(request, error, error.http_status)


def _say_no(request: HttpRequest, refusal: FundError, status: int) -> HttpResponse:
    page = {**page_context(request), "refusal": refusal}
    return render(request, "public/advise.html", page, status=status)


def _accept_signed_in(request: HttpRequest, access: AdviserAccess, known: User) -> HttpResponse:
    if request.method == "POST":
        if not request.user.is_authenticated:
            return redirect(f"{reverse('account_login')}?{urlencode({'next': request.path})}")
        done = accept_access(access=access, actor=actor_of(request))
        request.session[CHOSEN] = str(done.pk)
        return redirect(place_of(done))
    page = {
        **page_context(request),
        "access": access,
        "is_known": True,
        "is_signed_in": request.user == known,
        "sign_in": f"{reverse('account_login')}?{urlencode({'next': request.path})}",
    }
    return render(request, "public/advise.html", page)


def _open(request: HttpRequest, access: AdviserAccess) -> HttpResponse:
    is_sent = request.method == "POST"
    with_passkey = is_sent and request.POST.get("way") == "passkey"
    form = PasswordForm(
        User(email=access.email, name=access.name), request.POST if is_sent else None
    )
    if with_passkey or (form.is_bound and form.is_valid()):
        password = None if with_passkey else form.cleaned_data["password"]
        user = open_adviser_account(access=access, password=password)
        login(request, user, backend=BACKEND)
        record_authentication(request, user, "code" if with_passkey else "password")
        return redirect("mfa_add_webauthn" if with_passkey else place_of(access))
    page = {**page_context(request), "access": access, "form": form}
    return render(
        request, "public/advise.html", page, status=422 if is_sent and not with_passkey else 200
    )


@require_safe
@login_required
def begin(request: HttpRequest) -> HttpResponse:
    """Where an adviser lands: the portal that he reads, or the choice among several."""
    user: Any = request.user
    found = list(accesses_of(user)[:2])
    return redirect(place_of(found[0]) if len(found) == 1 else "advised")


@require_safe
@login_required
def advised(request: HttpRequest) -> HttpResponse:
    """Whose portals the account may read now, and for whom it may act."""
    user: Any = request.user
    if not (user.can(Capability.PORTAL_READ) or user.can(Capability.PORTAL_VIEW)):
        raise Http404
    found = list(accesses_of(user))
    page = {
        **page_context(request, "advised"),
        "accesses": found,
        "powers": powers_of(user),
        "chosen": request.session.get(CHOSEN),
        "has_own": user.can(Capability.PORTAL_VIEW),
        "adviser": user,
    }
    return render(request, "portal/advised.html", page)


@require_POST
@login_required
def choose(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Read one holder's portal from now on."""
    return redirect(place_of(choose_access(request, pk)))


@require_POST
@login_required
def act(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Act for one holder from now on."""
    choose_power(request, pk)
    return redirect("overview")


@require_POST
@login_required
def leave(request: HttpRequest) -> HttpResponse:
    """Go back to one's own portal."""
    request.session.pop(CHOSEN, None)
    request.session.pop(ACTS_UNDER, None)
    return redirect("home")
