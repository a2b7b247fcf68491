"""The way from a page of the desk to the signer and back."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from magnetfund.core.actors import actor_of
from magnetfund.core.services.signing import SignatureMissing, ask_to_sign


def go_to_sign(request: HttpRequest, *, action: str, subject: UUID, back: str) -> HttpResponse:
    """Send the person to the signer; scripts get the address in a header, since it is elsewhere."""
    url = ask_to_sign(action=action, subject=subject, back=back, actor=actor_of(request))
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": url})
    return redirect(url)


def go_on_signing(
    request: HttpRequest, missing: SignatureMissing, *, back: str, reason: str = ""
) -> HttpResponse:
    """Send the person to sign what a step says is missing; a ``reason`` typed is kept for it."""
    subject = UUID(str(missing.details["subject"]))
    request.session["reasons"] = {str(subject): reason} if reason else {}
    return go_to_sign(request, action=str(missing.details["action"]), subject=subject, back=back)


def reason_of(request: HttpRequest, subject: UUID) -> str:
    """What the person typed before going to sign about ``subject``."""
    return str(request.session.get("reasons", {}).get(str(subject), ""))


def is_own(request: HttpRequest, missing: SignatureMissing) -> bool:
    """Whether the signature that is missing is that of whoever asks."""
    return bool(missing.details.get("account") == str(request.user.pk))
