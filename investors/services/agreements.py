"""Agreements that an applicant signs: the words as they are shown, their hash, a name and a time.

The texts come from the folder of ``AGREEMENTS`` (``subscription.txt``, ``risks.txt``,
``data.txt``), where a house keeps its own; the shipped ones stand in until then and say so.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from investors.models import AgreementText, Application, Signature
from investors.services.sealing import seal
from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.identifiers import content_hash

TITLES = {
    "subscription": "Subscription agreement",
    "risks": "Risk disclosure",
    "data": "Privacy notice",
}
_SHIPPED = Path(__file__).resolve().parents[1] / "agreements"
NAME_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A text with the hash of its words."""

    code: str
    title: str
    text: str
    digest: str


def list_agreements() -> tuple[Agreement, ...]:
    """The agreements in force, read from their files."""
    found = []
    for code, title in TITLES.items():
        own = Path(settings.AGREEMENTS) / f"{code}.txt"
        path = own if own.is_file() else _SHIPPED / f"{code}.txt"
        text = path.read_text(encoding="utf-8").strip()
        found.append(
            Agreement(
                code=code,
                title=title,
                text=text,
                digest=hashlib.sha256(text.encode()).hexdigest(),
            )
        )
    return tuple(found)


def sign_agreements(
    *, application: Application, name: str, seen: dict[str, str]
) -> list[Signature]:
    """Sign every agreement under a typed name; ``seen`` are the hashes that were shown, by code.

    Raises :class:`InvalidInput` (``name_missing``) and :class:`Conflict` (``changed``) where a text
    is not the one that was shown.
    """
    name = name.strip()
    if not 1 < len(name) <= NAME_MAX or not name.isprintable():
        raise InvalidInput("type your name as your signature", code="name_missing")
    made = []
    with transaction.atomic():
        row = Application.objects.select_for_update(of=("self",)).get(pk=application.pk)
        for item in list_agreements():
            if seen.get(item.code) != item.digest:
                raise Conflict(
                    f"the text of “{item.title}” changed; read it again before you sign",
                    code="changed",
                )
            text, _ = AgreementText.objects.get_or_create(
                digest=item.digest,
                defaults={"code": item.code, "title": item.title, "text": item.text},
            )
            if Signature.objects.filter(application=row, agreement=text).exists():
                continue
            at = utc_now()
            made.append(
                Signature.objects.create(
                    application=row,
                    agreement=text,
                    sealed_name=seal(row.pk, name.encode(), place=f"signature:{item.digest}"),
                    content_hash=content_hash([str(row.pk), item.digest, name, isoformat_z(at)]),
                    signed_at=at,
                )
            )
        if made:
            record_audit(
                actor=Actor.system("applicant"),
                action="agreements.signed",
                subject=("application", row.pk),
                body={item.agreement.code: item.content_hash for item in made},
            )
    return made
