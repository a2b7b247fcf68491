"""Applications to join: started with an address, proved by a link, saved step by step, sent in.

Nothing here needs an account.  A link names the application and the number of its newest link; who
opens it has the mailbox, which proves the address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.urls import reverse

from investors.domain.onboarding import KycState
from investors.models import Application, Investor, KycCheck, ShareClass
from investors.services.agreements import list_agreements
from investors.services.application_drafts import (
    APPLICANT,
    free_of_withdrawn,
    take_begun,
    withdraw_drafts,
)
from investors.services.application_links import mail_link
from investors.services.founding import check_holder, check_holder_name, next_number
from investors.services.kyc import move_case
from investors.services.kyc_file import read_checklist
from investors.services.screening import screen_investor
from investors.services.sealing import make_key, seal, unseal
from investors.services.stated_anew import reopen_checks
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.mail import queue_mail, register_mail
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.money import currency_quantum

KNOWN = "application_known"
ANSWERS_MAX = 40_000
#: Steps of each kind of holder, in their order; the last one is signed.
STEPS: Mapping[str, tuple[str, ...]] = {
    "person": ("about", "tax", "experience", "source", "papers", "sign"),
    "joint": ("about", "second", "tax", "experience", "source", "papers", "sign"),
    "company": ("company", "owners", "tax", "experience", "source", "papers", "sign"),
    "trust": ("trust", "parties", "tax", "experience", "source", "papers", "sign"),
}
#: Documents that a kind of holder sends, by the item of the checklist that they are for.
PAPERS: Mapping[str, Mapping[str, str]] = {
    "person": {
        "identity": "Passport or identity card",
        "address": "Proof of address, at most three months old",
        "source_of_funds": "Proof of the money's source",
    },
    "joint": {
        "identity": "Passports or identity cards of both",
        "address": "Proof of address of both",
        "source_of_funds": "Proof of the money's source",
    },
    "company": {
        "existence": "Register extract, at most three months old",
        "owners": "List of shareholders",
        "identity": "Passports of owners and signatories",
        "source_of_funds": "Accounts, or proof of the money's source",
    },
    "trust": {
        "trust_deed": "Trust deed",
        "trust_parties": "List of the parties",
        "identity": "Passports of trustees and beneficiaries",
        "source_of_funds": "Proof of the money's source",
    },
}
#: Steps that name the holder.
_NAMING = ("about", "second", "company", "trust")
#: States of a file in which its applicant may still change the application.
_OPEN_FILES = (KycState.NOT_STARTED, KycState.COLLECTING, KycState.MORE_INFO)


def start_application(*, kind: str, email: str) -> Application | None:
    """Begin an application, or send a new link to the one that an address has; mails it.

    None where the address belongs to an account already: its owner is mailed that, and the caller
    shows the same to everybody.
    """
    _, address = check_holder(name="x", email=email, kind=kind, country="CH")
    with transaction.atomic():
        take_lock(AdvisoryLock.FOUNDING, 0)
        if User.objects.filter(email=address).exists():
            queue_mail(
                key=f"{KNOWN}:{address}:{utc_now():%Y-%m-%d}", kind=KNOWN, recipient=address,
                params={},
            )  # fmt: skip
            return None
        row = Application.objects.filter(
            email=address, erased_at=None, state__in=("draft", "submitted")
        ).first()
        if row is None:
            row = _create(kind=kind, email=address)
            record_audit(
                actor=Actor.system(APPLICANT), action="application.started",
                subject=("application", row.pk), body={"kind": kind},
            )  # fmt: skip
        else:
            if row.state == Application.State.DRAFT and not row.steps_done:
                Application.objects.filter(pk=row.pk).update(saved_at=utc_now())
            Application.objects.filter(pk=row.pk).update(generation=F("generation") + 1)
            row.refresh_from_db()
        mail_link(row)
    return row


def _create(*, kind: str, email: str, investor: Investor | None = None) -> Application:
    row = Application.objects.create(kind=kind, email=email, investor=investor)
    make_key(row.pk)
    return row


def invite_to_apply(*, investor: Investor, actor: Actor) -> Application:
    """Mail a holder whom the house entered the link to an application of his own.

    Raises :class:`Conflict` (``file_open``) once the file is with compliance.
    """
    actor.require(Capability.KYC_REVIEW)
    with transaction.atomic():
        row = Investor.objects.select_for_update(of=("self",)).get(pk=investor.pk)
        if row.kyc_state not in _OPEN_FILES:
            raise Conflict("the file is with compliance already", code="file_open")
        free_of_withdrawn(row)
        found = Application.objects.filter(investor=row).first()
        if found is None:
            found = take_begun(row)
        if found is None:
            found = _create(kind=row.kind, email=row.email, investor=row)
        else:
            Application.objects.filter(pk=found.pk).update(generation=F("generation") + 1)
            found.refresh_from_db()
        mail_link(found)
        record_audit(actor=actor, action="application.invited", subject=("investor", row.pk))
    return found


def read_answers(row: Application) -> dict[str, dict[str, Any]]:
    """The answers of each step; raises :class:`NotFound` (``erased``)."""
    if not row.sealed_answers:
        return {}
    return dict(json.loads(unseal(row.pk, row.sealed_answers, place="answers")))


def can_change(row: Application) -> bool:
    """Whether its applicant may still change an application."""
    if row.erased_at is not None or row.state == Application.State.WITHDRAWN:
        return False
    if row.state == Application.State.DRAFT:
        return True
    return row.investor is not None and row.investor.kyc_state in _OPEN_FILES


def lock_open(row: Application) -> Application:
    """The application, locked; raises :class:`Conflict` (``application_closed``)."""
    found = Application.objects.select_for_update(of=("self",)).get(pk=row.pk)
    if not can_change(found):
        raise Conflict("this application can no longer be changed", code="application_closed")
    return found


def save_step(*, application: Application, step: str, answers: Mapping[str, Any]) -> Application:
    """Keep the answers of one step, sealed; of a file that is known, what rests on changed ones
    is checked anew.

    Raises :class:`InvalidInput` (``no_such_step``, ``too_long``, ``us_person``, ``bad_name``,
    ``missing_glyph``).
    """
    with transaction.atomic():
        row = lock_open(application)
        if step not in STEPS[row.kind]:
            raise InvalidInput("this is not a step of the application", code="no_such_step")
        if step == "tax" and answers.get("is_us_person") == "yes":
            raise InvalidInput(
                "we cannot take US persons yet; nothing of this step was kept", code="us_person"
            )
        before = read_answers(row)
        found = {**before, step: dict(answers)}
        if step in _NAMING:
            # A name that could not be entered is told where it is written, not at the signature.
            check_holder_name(holder_name(row, found))
        plain = json.dumps(found, ensure_ascii=False, sort_keys=True).encode()
        if len(plain) > ANSWERS_MAX:
            raise InvalidInput("the answers are too long", code="too_long")
        row.sealed_answers = seal(row.pk, plain, place="answers")
        row.steps_done = [name for name in STEPS[row.kind] if name in {*row.steps_done, step}]
        row.saved_at = utc_now()
        row.save(update_fields=["sealed_answers", "steps_done", "saved_at"])
        if row.investor is not None and found[step] != before.get(step):
            reopen_checks(row.investor, step=step)
    return row


def choose_amount(
    *, application: Application, share_class: ShareClass, amount: Decimal
) -> Application:
    """The class and amount that the applicant wants; not an order yet.

    Raises :class:`InvalidInput` (``bad_amount``, ``below_minimum``).
    """
    currency = share_class.fund.currency
    if not amount.is_finite() or amount <= 0 or amount % currency_quantum(currency):
        raise InvalidInput(f"this is not an amount of {currency}", code="bad_amount")
    if amount < share_class.minimum_subscription:
        raise InvalidInput(
            f"the minimum first subscription of class {share_class.code} is "
            f"{share_class.minimum_subscription:,.2f} {currency}",
            code="below_minimum",
        )
    with transaction.atomic():
        row = lock_open(application)
        row.share_class, row.amount = share_class, amount
        row.save(update_fields=["share_class", "amount"])
    return row


def holder_name(row: Application, answers: Mapping[str, Mapping[str, Any]]) -> str:
    """The name under which a holder is entered."""
    about = answers.get("about", {})
    if row.kind == "company":
        return str(answers.get("company", {}).get("name", ""))
    if row.kind == "trust":
        return str(answers.get("trust", {}).get("name", ""))
    if row.kind == "joint":
        return f"{about.get('name', '')} and {answers.get('second', {}).get('name', '')}"
    return str(about.get("name", ""))


def holder_country(row: Application, answers: Mapping[str, Mapping[str, Any]]) -> str:
    step = {"company": "company", "trust": "trust"}.get(row.kind, "about")
    return str(answers.get(step, {}).get("country", ""))


def list_parties(row: Application) -> tuple[str, ...]:
    """Everybody of an application who is screened: holders, owners, signatories, parties."""
    answers = read_answers(row)
    found = [holder_name(row, answers)] if row.kind != "joint" else []
    for step in ("about", "second"):
        if row.kind in ("person", "joint") and step in answers:
            found.append(str(answers[step].get("name", "")))
    for step in ("owners", "parties"):
        for line in str(answers.get(step, {}).get("people", "")).splitlines():
            found.append(line.partition(",")[0].strip())
    return tuple(dict.fromkeys(name.strip() for name in found if name.strip()))


def find_open_steps(row: Application) -> tuple[str, ...]:
    """Steps that are still to be done before an application can be sent in."""
    found = [name for name in STEPS[row.kind][:-1] if name not in row.steps_done]
    sent = set(row.documents.filter(removed_at=None).values_list("item", flat=True))
    if "papers" not in found and set(PAPERS[row.kind]) - sent:
        found.append("papers")
    return tuple(found)


def submit_application(*, application: Application) -> Application:
    """Send an application in: the holder is entered, the file goes to compliance and is screened.

    Raises :class:`Conflict`: ``application_closed``, ``steps_open``, ``not_signed``,
    ``email_not_proved``, ``investor_exists``.
    """
    actor = Actor.system(APPLICANT)
    with transaction.atomic():
        take_lock(AdvisoryLock.FOUNDING, 0)
        row = lock_open(application)
        _require_complete(row)
        investor = _enter_holder(row, actor)
        row.investor = investor
        row.state, row.submitted_at = Application.State.SUBMITTED, utc_now()
        row.save(update_fields=["investor", "state", "submitted_at"])
        _note_received(row, investor)
        if investor.kyc_state in (KycState.NOT_STARTED, KycState.MORE_INFO):
            investor = _move(investor, KycState.COLLECTING, actor)
        investor = _move(investor, KycState.SUBMITTED, actor)
        record_audit(
            actor=actor, action="application.submitted", subject=("application", row.pk),
            body={"investor": investor.number},
        )  # fmt: skip
        system = Actor.system("screening")
        investor = move_case(investor=investor, to=KycState.SCREENING, actor=system)
        if screen_investor(investor, parties=list_parties(row)):
            move_case(investor=investor, to=KycState.REVIEW, actor=system)
    return row


def _move(investor: Investor, to: KycState, actor: Actor) -> Investor:
    return move_case(investor=investor, to=to, actor=actor, as_applicant=True)


def _require_complete(row: Application) -> None:
    if row.email_proved_at is None:
        raise Conflict("the address is not proved yet", code="email_not_proved")
    open_steps = find_open_steps(row)
    if open_steps or row.share_class_id is None:
        raise Conflict(
            f"still open: {', '.join(open_steps or ('amount',))}",
            code="steps_open",
            details={"steps": list(open_steps)},
        )
    signed = set(row.signatures.values_list("agreement_id", flat=True))
    if any(item.digest not in signed for item in list_agreements()):
        raise Conflict("the agreements are not all signed", code="not_signed")


def _enter_holder(row: Application, actor: Actor) -> Investor:
    answers = read_answers(row)
    name, country = holder_name(row, answers), holder_country(row, answers)
    legal_name, address = check_holder(name=name, email=row.email, kind=row.kind, country=country)
    investor = row.investor or Investor.objects.filter(email=address).first()
    if investor is None:
        investor = Investor.objects.create(
            number=next_number(), kind=row.kind, legal_name=legal_name, email=address,
            country=country,
        )  # fmt: skip
        record_audit(
            actor=actor, action="investor.registered", subject=("investor", investor.pk),
            body={"number": investor.number, "kind": row.kind},
        )  # fmt: skip
        return investor
    if investor.kyc_state not in _OPEN_FILES or investor.kind != row.kind:
        raise Conflict("an investor with this address exists already", code="investor_exists")
    free_of_withdrawn(investor)
    withdraw_drafts(investor, row)
    investor.legal_name, investor.country = legal_name, country
    investor.save(update_fields=["legal_name", "country"])
    return investor


def _note_received(row: Application, investor: Investor) -> None:
    """Every item that the application brought, for a person to check."""
    count: dict[str, int] = {}
    for item in row.documents.filter(removed_at=None).values_list("item", flat=True):
        count[item] = count.get(item, 0) + 1
    received = {item: f"{n} document{'s' if n > 1 else ''}" for item, n in count.items()}
    received.setdefault("tax_residence", "stated in the application")
    received.setdefault("suitability", "stated in the application")
    received["agreements"] = f"{row.signatures.count()} signed"
    checked = {
        line.item: line.note.noted_at
        for line in read_checklist(investor)
        if line.note is not None and line.note.outcome == KycCheck.Outcome.CHECKED
    }
    newest = {
        document.item: document.uploaded_at for document in row.documents.filter(removed_at=None)
    }
    KycCheck.objects.bulk_create(
        KycCheck(investor=investor, item=item, outcome=KycCheck.Outcome.RECEIVED, evidence=evidence)
        for item, evidence in received.items()
        # What was checked stays checked unless something newer came.
        if item not in checked or (item in newest and newest[item] > checked[item])
    )


def withdraw_application(*, application: Application) -> Application:
    """Take an application back before it is sent in."""
    with transaction.atomic():
        row = lock_open(application)
        if row.state != Application.State.DRAFT:
            raise Conflict("this application was sent in already", code="application_closed")
        row.state = Application.State.WITHDRAWN
        row.save(update_fields=["state"])
        record_audit(
            actor=Actor.system(APPLICANT), action="application.withdrawn",
            subject=("application", row.pk),
        )  # fmt: skip
    return row


def step_after(row: Application, step: str) -> str:
    """The step that follows one."""
    steps: Sequence[str] = STEPS[row.kind]
    place = steps.index(step)
    return steps[min(place + 1, len(steps) - 1)]


def find_application(pk: str) -> Application | None:
    """An application by its id as text; None for none and for an erased one."""
    try:
        return (
            Application.objects.filter(pk=UUID(pk), erased_at=None)
            .select_related("investor", "share_class__fund")
            .first()
        )
    except ValueError:
        return None


register_mail(KNOWN, lambda _: {"link": settings.PUBLIC_URL + reverse("account_login")})
