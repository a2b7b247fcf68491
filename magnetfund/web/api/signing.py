"""Where a signature that is missing is given: an answer that a program can follow to the signer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request

from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.services.signing import SignatureMissing, content_hash_of
from magnetfund.web.signing import link_to_sign


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
    url = link_to_sign(missing, Actor.of(request.user)) if isinstance(request.user, User) else ""
    if url:
        details["sign_url"] = url
    return details
