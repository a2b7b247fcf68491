"""The page on which somebody of the house without a factor learns what is missing.

In the demo an invented person answers with one button; in a production home no such button exists.
"""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import (
    authenticator_added,
    authenticator_removed,
    authenticator_reset,
    authenticator_used,
)
from django.contrib.auth.decorators import login_required
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from magnetfund.core.actors import Actor
from magnetfund.core.doors import has_factor, may_answer_as_invented
from magnetfund.core.services.audit import record_audit


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def second_factor(request: HttpRequest) -> HttpResponse:
    """Set up a factor, or in the demo answer as the invented person."""
    user: Any = request.user
    given = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(given, allowed_hosts={request.get_host()})
    back_to = given if is_ours else get_adapter(request).get_login_redirect_url(request)
    is_invented = may_answer_as_invented(user)
    if request.method == "POST":
        if not is_invented:
            return redirect("mfa_index")
        record_authentication(request, user, "mfa", type="demo", reauthenticated=True)
        return redirect(back_to)
    if has_factor(user):
        return redirect("mfa_reauthenticate")
    return render(
        request,
        "account/second_factor.html",
        {"is_invented": is_invented, "back_to": back_to, "person": user.get_full_name()},
    )


@receiver(authenticator_added)
def note_first_factor(
    request: HttpRequest, user: Any, authenticator: Authenticator, **more: Any
) -> None:
    """Count a first passkey or app as shown: its making proved it, a moment ago."""
    kinds = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    if authenticator.type not in kinds:
        return
    if Authenticator.objects.filter(user=user, type__in=kinds).count() == 1:
        record_authentication(
            request, user, "mfa", type=str(authenticator.type), reauthenticated=True
        )


def _note(action: str, user: Any, authenticator: Authenticator, **body: Any) -> None:
    record_audit(
        actor=Actor.of(user),
        action=action,
        subject=("user", user.pk),
        body={"kind": str(authenticator.type), **body},
    )


@receiver(authenticator_added)
def note_added(user: Any, authenticator: Authenticator, **more: Any) -> None:
    _note("factor.added", user, authenticator)


@receiver(authenticator_reset)
def note_reset(user: Any, authenticator: Authenticator, **more: Any) -> None:
    """Recovery codes were made anew; the former ones work no more."""
    _note("factor.reset", user, authenticator)


@receiver(authenticator_removed)
def note_removed(user: Any, authenticator: Authenticator, **more: Any) -> None:
    _note("factor.removed", user, authenticator)


@receiver(authenticator_used)
def note_recovery(user: Any, authenticator: Authenticator, **more: Any) -> None:
    """A recovery code means that somebody has lost a device, or found a sheet of paper."""
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        authenticator.refresh_from_db()
        left = len(authenticator.wrap().get_unused_codes())
        _note("factor.recovery_code_used", user, authenticator, left=left)
