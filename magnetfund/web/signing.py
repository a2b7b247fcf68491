"""Where a signature that is missing is given: the link that pages, the API and the admin show."""

from __future__ import annotations

from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from magnetfund.core.actors import Actor
from magnetfund.core.services.signing import (
    ACCOUNT,
    ADVISER,
    ARM,
    ATTORNEY,
    DEALING,
    DISTRIBUTION,
    ESTATE,
    EXPENSE,
    EXPENSE_CHANGE,
    KYC,
    LIMITS,
    NAV,
    PAR,
    PAYEE,
    PAYMENT,
    POCKET,
    POCKET_CHANGE,
    RATE,
    REBATE,
    RESTATEMENT,
    ROLE,
    ROLE_TAKEN,
    SLEEVE,
    SUSPENSION,
    TERMS,
    SignatureMissing,
    ask_to_sign,
)

#: The page to which the signer leads back.
BACK = {
    ARM: "desk_risk",
    NAV: "desk_nav",
    DISTRIBUTION: "desk_distributions",
    KYC: "desk_cases",
    DEALING: "desk_dealing_proposals",
    PAYMENT: "desk_payments",
    ACCOUNT: "desk_accounts",
    PAYEE: "desk_accounts",
    TERMS: "desk_founding",
    LIMITS: "desk_founding",
    RESTATEMENT: "desk_restatements",
    SUSPENSION: "desk_suspension",
    EXPENSE: "desk_expenses",
    EXPENSE_CHANGE: "desk_expenses",
    REBATE: "desk_rebates",
    RATE: "desk_rates",
    POCKET: "desk_pockets",
    PAR: "desk_rates",
    POCKET_CHANGE: "desk_pocket_changes",
    ROLE: "desk_people",
    ROLE_TAKEN: "desk_people",
    SLEEVE: "desk_strategies",
    ADVISER: "advisers",
    ATTORNEY: "desk_cases",
    ESTATE: "desk_cases",
}
#: The same by the first word of an action, which its refusal has too.
PAGE_OF = {action.partition(".")[0]: page for action, page in BACK.items()}


def link_to_sign(missing: SignatureMissing, actor: Actor, *, back: str = "") -> str:
    """The signer's address for what the actor has not signed, good for 15 minutes; "" where
    another account must sign, or where nothing names what is signed.

    ``back`` is the path to which the signer leads; without it, the page of the desk.
    """
    action, subject = missing.details.get("action"), missing.details.get("subject")
    is_own = actor.user is not None and missing.details.get("account") == str(actor.user.pk)
    if not is_own or not isinstance(action, str) or not isinstance(subject, str):
        return ""
    back = back or reverse(PAGE_OF[action.partition(".")[0]])
    return ask_to_sign(action=action, subject=UUID(subject), back=back, actor=actor)


def words_to_sign(missing: SignatureMissing, actor: Actor, *, back: str = "") -> SafeString:
    """A refusal for want of a signature, with the link where the reader is the one to sign."""
    url = link_to_sign(missing, actor, back=back)
    link = format_html(' <a href="{}">Sign it, then repeat the step</a>', url) if url else ""
    return format_html("{} ({}){}", missing.message, missing.code, link)
