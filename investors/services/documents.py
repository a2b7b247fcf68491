"""Documents of an application: checked by content, sealed, opened only by people of compliance."""

from __future__ import annotations

import hashlib
from uuid import UUID

from django.db import transaction

from investors.domain.onboarding.uploads import CheckedFile, check_upload
from investors.models import Application, Document
from investors.services.accounts import erase_account
from investors.services.applications import PAPERS, lock_open
from investors.services.sealing import destroy_key, seal, unseal
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput

#: Documents of one application, removed ones included: what a stranger can store is bounded.
DOCUMENTS_MAX = 30
#: States in which nothing obliges the house to keep what it was sent.
_ERASABLE = ("declined", "exited")
#: Days for which the file of a former or refused investor is kept (FATF Recommendation 11).
RETENTION_DAYS = 5 * 365 + 2


def add_document(*, application: Application, item: str, name: str, content: bytes) -> Document:
    """Take one file in, sealed.

    Raises :class:`InvalidInput` with the codes of
    :func:`investors.domain.onboarding.uploads.check_upload`, ``bad_item``, ``upload_count``, and
    :class:`Conflict` (``upload_known``) for the same file again.
    """
    if item not in PAPERS[application.kind]:
        raise InvalidInput("say what the document is for", code="bad_item")
    found: CheckedFile = check_upload(name=name, content=content)
    digest = hashlib.sha256(content).hexdigest()
    with transaction.atomic():
        row = lock_open(application)
        if row.documents.count() >= DOCUMENTS_MAX:
            raise InvalidInput(f"at most {DOCUMENTS_MAX} documents are taken", code="upload_count")
        if row.documents.filter(digest=digest, item=item, removed_at=None).exists():
            raise Conflict("this file has been uploaded already", code="upload_known")
        document = Document(
            application=row,
            item=item,
            name=found.name,
            media_type=found.media_type,
            size=len(content),
            digest=digest,
        )
        document.sealed_content = seal(row.pk, content, place=f"document:{document.pk}")
        document.save(force_insert=True)
        record_audit(
            actor=Actor.system("applicant"),
            action="document.stored",
            subject=("document", document.pk),
            body={"application": row.pk, "item": item, "digest": digest, "size": len(content)},
        )
    return document


def was_sent_in(document: Document, application: Application) -> bool:
    """Whether a document came with an application that was sent in: compliance may rest on it."""
    sent = application.submitted_at
    return sent is not None and document.uploaded_at <= sent


def remove_document(*, application: Application, pk: UUID) -> None:
    """Take a document that was not sent in yet out of its application; its content goes.

    Raises :class:`Conflict` (``document_sent_in``) for one that is in the file of compliance.
    """
    with transaction.atomic():
        row = lock_open(application)
        found = row.documents.filter(pk=pk, removed_at=None).first()
        if found is None:
            return
        if was_sent_in(found, row):
            raise Conflict(
                "this document was sent in and stays in your file; store a newer one beside it",
                code="document_sent_in",
            )
        found.removed_at, found.sealed_content, found.name = utc_now(), b"", ""
        found.save(update_fields=["removed_at", "sealed_content", "name"])
        record_audit(
            actor=Actor.system("applicant"),
            action="document.removed",
            subject=("document", found.pk),
            body={"application": row.pk, "item": found.item, "digest": found.digest},
        )


def open_document(*, document: Document, actor: Actor) -> bytes:
    """The content of a document, with an audit line of who opened it."""
    actor.require(Capability.KYC_VIEW)
    content = unseal(
        document.application_id, document.sealed_content, place=f"document:{document.pk}"
    )
    record_audit(
        actor=actor,
        action="document.opened",
        subject=("document", document.pk),
        body={"application": document.application_id},
    )
    return content


def erase_application(*, application: Application, reason: str, actor: Actor) -> Application:
    """Erase what a person sent: the key is destroyed, so that no backup can bring it back.  An
    account is closed and loses its name, address, keys and sessions.

    Raises :class:`InvalidInput` (``no_reason``) and :class:`Conflict` (``retention``) while the law
    asks to keep the file, ``erased`` where it is done.
    """
    actor.require(Capability.ERASE)
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="no_reason")
    now = utc_now()
    with transaction.atomic():
        row = Application.objects.select_for_update(of=("self",)).get(pk=application.pk)
        if row.erased_at is not None:
            raise Conflict("this application was erased", code="erased")
        investor = row.investor
        if investor is not None:
            last = investor.kyc_moves.order_by("-id").first()
            age = (now - last.moved_at).days if last is not None else 0
            if investor.kyc_state not in _ERASABLE or age < RETENTION_DAYS:
                raise Conflict(
                    "this file must be kept for five years after the relation ended",
                    code="retention",
                )
            investor.legal_name = f"Erased investor {investor.number}"
            investor.email = f"erased-{investor.pk}@example.invalid"
            investor.country = ""
            investor.save(update_fields=["legal_name", "email", "country"])
            if investor.user is not None:
                erase_account(investor.user, name=investor.legal_name, address=investor.email)
        row.email = f"erased-{row.pk}@example.invalid"
        row.sealed_answers, row.erased_at = b"", now
        row.save(update_fields=["email", "sealed_answers", "erased_at"])
        row.documents.update(sealed_content=b"", name="", removed_at=now)
        record_audit(
            actor=actor,
            action="application.erased",
            subject=("application", row.pk),
            body={"reason": reason.strip()[:300]},
        )
        transaction.on_commit(lambda: _destroy(row.pk))
    return row


def _destroy(owner: UUID) -> None:
    destroy_key(owner)


def replay_erasures() -> int:
    """Destroy the keys of erased applications again, after a restore of the store; how many."""
    owners = Application.objects.exclude(erased_at=None).values_list("pk", flat=True)
    return sum(destroy_key(owner) for owner in owners)
