"""The way from a page of the desk to the signer and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from magnetfund.core.actors import actor_of
from magnetfund.core.services.signing import SignatureMissing, ask_to_sign
from magnetfund.kernel.errors import FundError


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


def list_waiting(request: HttpRequest, proposals: Iterable[Any]) -> list[dict[str, Any]]:
    """Proposals that wait for a second person, as a page shows them to one."""
    return [
        {
            "row": row,
            "is_own": row.proposed_by_id == request.user.pk,
            "reason": reason_of(request, row.pk),
        }
        for row in proposals
    ]


def answer_decision(
    request: HttpRequest,
    proposal: Any,
    *,
    decide: Callable[..., Any],
    back: str,
    approved: Callable[[Any], str],
) -> HttpResponse:
    """Let the second person decide on a proposal, by way of the signer, and come ``back``.

    ``decide`` is the service; ``approved`` says what an approved row does from now on.
    """
    reason = request.POST.get("reason", "")
    is_approved = request.POST.get("decision") == "approve"
    try:
        done = decide(
            proposal=proposal, is_approved=is_approved, reason=reason, actor=actor_of(request)
        )
    except SignatureMissing as missing:
        return go_on_signing(request, missing, back=back, reason=reason)
    except FundError as error:
        messages.error(request, f"Not decided: {error.message}. ({error.code})")
    else:
        words = f"Approved; {approved(done)}." if done.is_approved else "Declined."
        messages.success(request, words)
    return redirect(back)


def is_own(request: HttpRequest, missing: SignatureMissing) -> bool:
    """Whether the signature that is missing is that of whoever asks."""
    return bool(missing.details.get("account") == str(request.user.pk))
