"""Ask a person to sign at the signer, whose proof the owner's functions demand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection

from magnetfund.core.actors import Actor
from magnetfund.core.models import Signature, SignatureRequest, User
from magnetfund.kernel.errors import Conflict, FundError, NotAllowed

#: What is signed: see ``authority_content`` in PostgreSQL.
ARM = "fuse.arm"
LIMITS = "limits.set"
NAV = "nav.approve"
PAYMENT = "payment.approve"
KYC = "kyc.approve"
ROLE = "role.give"
ROLE_TAKEN = "role.take"
DEALING = "dealing.approve"
ACCOUNT = "account.approve"
PAYEE = "payee.approve"
DISTRIBUTION = "distribution.approve"
TERMS = "terms.approve"
RESTATEMENT = "restatement.approve"
SUSPENSION = "suspension.approve"
EXPENSE = "expense.approve"
EXPENSE_CHANGE = "expense_change.approve"
REBATE = "rebate.approve"
RATE = "rate.approve"
PAR = "par.approve"
SLEEVE = "sleeve.approve"
ADVISER = "adviser.approve"
ATTORNEY = "attorney.approve"
POCKET = "pocket.approve"
ESTATE = "estate.approve"
POCKET_CHANGE = "pocket_change.approve"

#: How a refusal for want of a signature begins.
SIGNATURE_SAYS = "signature: "


class SignatureMissing(Conflict):
    """A person has not signed; ``details`` say whose ``account`` it is and, where the step is
    known, the ``action`` and the ``subject`` that are to be signed."""

    default_code = "signature_missing"


def signed_to(action: str, *, is_approved: bool) -> str:
    """What is signed for a decision: ``action`` itself, or the refusal of the same."""
    return action if is_approved else f"{action.partition('.')[0]}.decline"


def ask_to_sign(*, action: str, subject: UUID, back: str, actor: Actor) -> str:
    """The address at which the actor signs ``subject``; he returns to the path ``back``."""
    if actor.user is None:
        raise NotAllowed(
            "this step must be taken by a person, not a service account", code="needs_person"
        )
    row = SignatureRequest.objects.create(
        action=action, subject=subject, account=actor.user.pk, back=back
    )
    return f"{settings.SIGN_URL}/sign/{row.pk}/"


def content_hash_of(*, action: str, subject: UUID) -> str | None:
    """SHA-256 of the words that a signature about ``subject`` is on now, as the signer shows it;
    ``None`` where there is nothing to sign."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT authority_content(%s, %s)", [action, subject])
        (words,) = cursor.fetchone()
    return None if words is None else sha256(words.encode()).hexdigest()


def is_signed(subject: UUID, account: User) -> bool:
    """Whether the account has signed about the subject; the wall decides what it counts for."""
    return Signature.objects.filter(subject=subject, account=account.pk).exists()


@contextmanager
def signed_step(*, action: str, subject: UUID | None) -> Iterator[None]:
    """A write that PostgreSQL refuses for want of a signature raises :class:`SignatureMissing`
    about ``action`` on ``subject``."""
    try:
        yield
    except DatabaseError as error:
        missing = refusal_of(error, wall=SIGNATURE_SAYS, code="signature_missing")
        if missing is None:
            raise
        if isinstance(missing, SignatureMissing) and subject is not None:
            missing.details.update(action=action, subject=str(subject))
        raise missing from None


def refusal_of(error: DatabaseError, *, wall: str, code: str) -> FundError | None:
    """What an owner's function refused, as an error for people; None for another failure."""
    said = str(error).splitlines()[0]
    if said.startswith(SIGNATURE_SAYS):
        cause = getattr(error.__cause__, "diag", None)
        account = getattr(cause, "message_detail", None) or ""
        return SignatureMissing(said.removeprefix(SIGNATURE_SAYS), details={"account": account})
    return Conflict(said.removeprefix(wall), code=code) if said.startswith(wall) else None
