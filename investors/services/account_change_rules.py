"""What refuses another account for a holder, and what he is told at each step of his request."""

from __future__ import annotations

from investors.domain.onboarding import KycState
from investors.domain.receipts import mask_number
from investors.models import AccountChange, Investor, PayeeAccount
from investors.services.estate_rules import require_living
from investors.services.messages import Draft, send_messages
from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import NotAllowed

ENDED = (KycState.DECLINED, KycState.EXITED)
CALL_US = "If you did not ask for this, call us at once."
ACCOUNTS_PLACE = "Your accounts stand under Settings."


def require_changeable(investor: Investor) -> None:
    """Raise :class:`NotAllowed` where a holder's accounts stay as they are: ``death_reported``,
    ``on_hold``, ``relationship_ended``, ``kyc_open``."""
    require_living(investor)
    state = Investor.objects.values_list("kyc_state", flat=True).get(pk=investor.pk)
    if state == KycState.RESTRICTED:
        raise NotAllowed(
            "this account is on hold; the fund's compliance officer can tell you more",
            code="on_hold",
        )
    if state in ENDED:
        raise NotAllowed(
            "the relationship has ended; write to us to be paid what is still owed",
            code="relationship_ended",
        )
    if state not in (KycState.APPROVED, KycState.DUE_FOR_REFRESH):
        raise NotAllowed("your identity verification (KYC) is not complete", code="kyc_open")


def require_payable(payee: PayeeAccount) -> None:
    """Raise what :func:`require_changeable` does where a holder asked for this account."""
    if payee.investor is not None and AccountChange.objects.filter(payee=payee).exists():
        require_changeable(payee.investor)


def refuse_asked(payee: PayeeAccount, *, reason: str, actor: Actor) -> None:
    """Refuse the request behind an account that is closed before it was ever paid, in the caller's
    transaction; nothing where nobody asked for it or it is in use."""
    row = AccountChange.objects.select_for_update(of=("self",)).filter(payee=payee).first()
    if row is None or row.withdrawn_at is not None or row.refused_at is not None:
        return
    if payee.usable_from is None or payee.usable_from > utc_now():
        write_refusal(row, reason=reason, actor=actor)


def write_refusal(row: AccountChange, *, reason: str, actor: Actor) -> None:
    """Write on a request, which the caller has locked, that it is refused, and tell the holder."""
    row.refused_by, row.refused_at, row.reason = actor.user, utc_now(), reason.strip()[:300]
    row.save(update_fields=["refused_by", "refused_at", "reason"])
    note_change(row, "account_change.refused", actor, why=row.reason)
    tell_change(
        row,
        "refused",
        "Your new account was refused",
        f"We do not pay to the account {mask_number(row.number)}: {row.reason} {ACCOUNTS_PLACE}",
    )


def tell_change(row: AccountChange, step: str, subject: str, body: str) -> None:
    """Tell the holder of a step of his request: in the portal, and by mail in any case."""
    send_messages(
        [
            Draft(
                investor=row.investor_id, key=f"account-{step}:{row.pk}", subject=subject,
                body=body, at=utc_now(), is_always_mailed=True,
            )
        ]
    )  # fmt: skip


def note_change(row: AccountChange, action: str, actor: Actor, **more: str) -> None:
    """The audit line of a step of a request; the account is named by its ends."""
    record_audit(
        actor=actor,
        action=action,
        subject=("account_change", row.pk),
        body={
            "investor": row.investor.number,
            "account": mask_number(row.number),
            "currency": row.currency,
            **more,
        },
    )
