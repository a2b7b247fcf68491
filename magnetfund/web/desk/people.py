"""People and roles: who has which, what is proposed, and a director's decisions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from magnetfund.core.actors import actor_of
from magnetfund.core.models import RoleGrant, RoleProposal
from magnetfund.core.roles import STAFF_ROLES, Capability
from magnetfund.core.services.signing import SignatureMissing
from magnetfund.kernel.errors import FundError
from magnetfund.operations.founding_state import SEATS
from magnetfund.operations.role_changes import (
    REASON_MAX,
    decide_role,
    has_director,
    propose_role,
)
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.signing import go_on_signing
from magnetfund.web.parts import render_page

GRANTS_SHOWN = 200


class RoleForm(forms.Form):
    """A role for a person, new or known."""

    email = forms.EmailField(
        label="E-mail address", widget=forms.EmailInput(attrs={"class": "form-control"})
    )
    name = forms.CharField(
        label="Full name, for a new person",
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"class": "form-control"}),
    )
    role = forms.ChoiceField(
        label="Role",
        choices=sorted((role.value, role.value.replace("_", " ")) for role in STAFF_ROLES),
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    reason = forms.CharField(
        label="Reason",
        max_length=REASON_MAX,
        widget=forms.TextInput(attrs={"class": "form-control"}),
    )


@require_safe
@desk_view()
def people(request: HttpRequest) -> HttpResponse:
    """Every person of the house with roles, seats that are empty, and open proposals."""
    return render_page(request, "desk/people.html", _context(request, RoleForm()), parts=())


def _context(request: HttpRequest, form: RoleForm) -> dict[str, Any]:
    user: Any = request.user
    grants = (
        RoleGrant.objects.filter(revoked_at=None, role__in=[role.value for role in STAFF_ROLES])
        .select_related("user")
        .order_by("user__name", "user__email", "role")[:GRANTS_SHOWN]
    )
    held: dict[str, set[object]] = {}
    for grant in grants:
        if grant.user.is_active:
            held.setdefault(grant.role, set()).add(grant.user.person)
    return {
        **build_frame(request, "today"),
        "grants": grants,
        "proposals": RoleProposal.objects.filter(decided_at=None).select_related("proposed_by"),
        "seats": [
            {
                "role": role.value.replace("_", " "),
                "needed": needed,
                "held": len(held.get(role.value, ())),
                "is_full": len(held.get(role.value, ())) >= needed,
            }
            for role, needed in SEATS.items()
        ],
        "form": form,
        "may_propose": user.can(Capability.ROLES_MANAGE),
        "may_decide": user.can(Capability.ROLES_APPROVE),
        "has_director": has_director(),
    }


@require_POST
@desk_view(Capability.ROLES_MANAGE, step_up=True)
def propose(request: HttpRequest) -> HttpResponse:
    """Propose to give a role, or to take one away."""
    form = RoleForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        try:
            row = propose_role(
                email=given["email"],
                name=given["name"],
                role=given["role"],
                reason=given["reason"],
                is_grant=request.POST.get("change") != "revoke",
                actor=actor_of(request),
            )
        except FundError as error:
            form.add_error(None, f"{error.message.capitalize()}. ({error.code})")
        else:
            said = "is in force" if row.is_approved else "waits for a director"
            messages.success(request, f"{row.role.replace('_', ' ').capitalize()}: {said}.")
            return redirect("desk_people")
    answer = render_page(request, "desk/people.html", _context(request, form), parts=())
    answer.status_code = 422
    return answer


@require_POST
@desk_view(Capability.ROLES_APPROVE, step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A director's decision on one proposal."""
    row = get_object_or_404(RoleProposal, pk=pk)
    is_approved = request.POST.get("decision") == "approve"
    try:
        decide_role(proposal=row, is_approved=is_approved, actor=actor_of(request))
    except SignatureMissing as missing:
        return go_on_signing(request, missing, back=reverse("desk_people"))
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}. ({error.code})")
    else:
        messages.success(request, "Approved." if is_approved else "Declined.")
    return redirect("desk_people")
