"""Documents of an application: checked by content, sealed, opened only by people of compliance."""

from __future__ import annotations

import hashlib
from uuid import UUID

from django.db import connections, transaction
from django.db.models import Q

from investors.domain.onboarding.uploads import CheckedFile, check_upload
from investors.models import Application, Document, Investor, PowerOfAttorney
from investors.services.applications import PAPERS, lock_open
from investors.services.sealing import destroy_key, list_erased, seal, unseal
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
    """Erase what a person sent: the key is destroyed, so that no backup can bring it back, and his
    words leave every row that no law asks to keep (:func:`_erase_rows`).  An account is closed and
    loses its name, address, keys and sessions.

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
        deeds = _deeds_of(investor)
        _erase_rows(row.pk)
        record_audit(
            actor=actor,
            action="application.erased",
            subject=("application", row.pk),
            body={"reason": reason.strip()[:300]},
        )
        transaction.on_commit(lambda: _destroy(row.pk, *deeds))
    row.refresh_from_db()
    return row


def _deeds_of(investor: Investor | None) -> list[UUID]:
    """The powers by which others act for a person, or he for others: each deed has a key."""
    if investor is None:
        return []
    own = Q(investor=investor) | Q(attorney=investor)
    return list(PowerOfAttorney.objects.filter(own).values_list("pk", flat=True))


def _erase_rows(application: UUID, *, using: str = "default") -> None:
    """Take a person's words out of his rows, in the caller's transaction: one function of the
    database's owner, since no run-time role may change the rows of a file of compliance."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT investors_erase_person(%s)", [application])


def _destroy(*owners: UUID) -> None:
    for owner in owners:
        destroy_key(owner)


def replay_erasures(*, using: str = "default") -> int:
    """Erase again what a restore brought back; how many applications.

    A restored database has the rows of a person whose key is marked as erased; a restored store of
    keys has the key of an application that was erased.
    """
    found = 0
    rows = Application.objects.using(using)
    for pk in rows.filter(pk__in=list_erased(), erased_at=None).values_list("pk", flat=True):
        with transaction.atomic(using=using):
            _erase_rows(pk, using=using)
        found += 1
    owners = rows.exclude(erased_at=None).values_list("pk", flat=True)
    return found + sum(destroy_key(owner) for owner in owners)
