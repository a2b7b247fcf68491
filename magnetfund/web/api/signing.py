"""Where a signature that is missing is given: an answer that a program can follow to the signer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request

from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.services.signing import (
    ACCOUNT,
    DISTRIBUTION,
    EXPENSE,
    EXPENSE_CHANGE,
    KYC,
    LIMITS,
    NAV,
    PAYEE,
    PAYMENT,
    RESTATEMENT,
    ROLE,
    ROLE_TAKEN,
    SUSPENSION,
    TERMS,
    TRANSFER,
    SignatureMissing,
    ask_to_sign,
    content_hash_of,
)

#: The page of the desk to which the signer leads back.
BACK = {
    NAV: "desk_nav",
    DISTRIBUTION: "desk_distributions",
    KYC: "desk_cases",
    TRANSFER: "desk_dealing_proposals",
    PAYMENT: "desk_payments",
    ACCOUNT: "desk_accounts",
    PAYEE: "desk_accounts",
    TERMS: "desk_founding",
    LIMITS: "desk_founding",
    RESTATEMENT: "desk_restatements",
    SUSPENSION: "desk_suspension",
    EXPENSE: "desk_expenses",
    EXPENSE_CHANGE: "desk_expenses",
    ROLE: "desk_people",
    ROLE_TAKEN: "desk_people",
}


class ConflictDetails(serializers.Serializer[Any]):
    """What ``signature_missing`` adds to a refusal; other codes have none of these."""

    account = serializers.CharField(
        required=False,
        help_text="Whose signature is missing; may be empty.",
    )
    action = serializers.CharField(required=False, help_text="What is signed, as nav.approve.")
    subject = serializers.UUIDField(required=False, help_text="The row that it is about.")
    content_hash = serializers.CharField(
        required=False, help_text="SHA-256 of the words to sign; the signer's page shows the same."
    )
    sign_url = serializers.URLField(
        required=False,
        help_text="The signer's page for the account that asked, good for 15 minutes; sign there, "
        "then send the request again with the same key. Absent where another account must sign.",
    )


class ConflictBody(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="signature_missing until the person has signed.")
    message = serializers.CharField()
    details = ConflictDetails()


class ConflictAnswer(serializers.Serializer[Any]):
    """A step that the state of the books refuses."""

    error = ConflictBody()


def where_to_sign(missing: SignatureMissing, request: Request) -> dict[str, Any]:
    """The refusal's details with the hash of what is to be signed and, for its signer, the link."""
    details = dict(missing.details)
    action, subject = details.get("action"), details.get("subject")
    if not isinstance(action, str) or not isinstance(subject, str):
        return details
    details["content_hash"] = content_hash_of(action=action, subject=UUID(subject))
    if isinstance(request.user, User) and details.get("account") == str(request.user.pk):
        details["sign_url"] = ask_to_sign(
            action=action,
            subject=UUID(subject),
            back=reverse(BACK[action]),
            actor=Actor.of(request.user),
        )
    return details
