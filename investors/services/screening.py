"""Screening of names by the lists of this home: at application, and again by each new list."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from django.db import transaction

from investors.domain.onboarding.list_files import read_list
from investors.domain.onboarding.screening import ListedName, Match, NameIndex
from investors.models import Investor, Screening, ScreeningList, ScreeningName
from investors.services.kyc_work import record_screening
from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.errors import Conflict, InvalidInput

#: Matches of one name that are kept; more means that the name says too little.
MATCHES_MAX = 10
_INDEXES: dict[int, NameIndex] = {}


def import_list(*, content: bytes, form: str, kind: str, actor: Actor) -> ScreeningList:
    """Store a published list with all its names.

    Raises :class:`InvalidInput` (``bad_list``) and :class:`Conflict` (``list_known``).
    """
    if kind not in Screening.Kind.values:
        raise InvalidInput("a list is of sanctions or of public offices", code="bad_list")
    found = read_list(content, form=form)
    digest = hashlib.sha256(content).hexdigest()
    with transaction.atomic():
        if ScreeningList.objects.filter(digest=digest).exists():
            raise Conflict(f"{found.name} {found.version} is here already", code="list_known")
        row = ScreeningList.objects.create(
            name=found.name,
            kind=kind,
            version=found.version,
            digest=digest,
            names_count=len(found.names),
            imported_by=actor.user,
        )
        ScreeningName.objects.bulk_create(
            (
                ScreeningName(
                    screening_list=row,
                    entry=item.entry[:60],
                    name=item.name[:300],
                    note=item.note[:120],
                )
                for item in found.names
            ),
            batch_size=2_000,
        )
        record_audit(
            actor=actor,
            action="screening.list",
            subject=("screening_list", row.pk),
            body={"name": row.name, "version": row.version, "digest": digest,
                  "names": row.names_count},
        )  # fmt: skip
    return row


def newest_lists() -> list[ScreeningList]:
    """The newest version of each list."""
    return list(ScreeningList.objects.order_by("name", "-id").distinct("name"))


def index_of(row: ScreeningList) -> NameIndex:
    """The names of a list, ready to be searched; kept by the process while the list is newest."""
    found = _INDEXES.get(row.pk)
    if found is None:
        found = NameIndex.of(
            ListedName(entry=entry, name=name, note=note)
            for entry, name, note in row.names.values_list("entry", "name", "note").iterator()
        )
        kept = {item.pk for item in newest_lists()}
        for pk in [pk for pk in _INDEXES if pk not in kept]:
            del _INDEXES[pk]
        _INDEXES[row.pk] = found
    return found


def screen_investor(investor: Investor, *, parties: Sequence[str]) -> int:
    """Screen the names of a file against the newest lists; how many lists there were.

    A name that was screened against a version is not screened against it again.
    """
    lists = newest_lists()
    for row in lists:
        version = f"{row.version}, {row.digest[:8]}"
        done = set(
            Screening.objects.filter(
                investor=investor, list_name=row.name, list_version=version
            ).values_list("party", flat=True)
        )
        for party in parties:
            if party[:200] in done:
                continue
            matches = index_of(row).find(party)[:MATCHES_MAX]
            if not matches:
                _record(investor, party, row, version, None)
            for match in matches:
                _record(investor, party, row, version, match)
    return len(lists)


def _record(
    investor: Investor, party: str, row: ScreeningList, version: str, match: Match | None
) -> None:
    words = ""
    if match is not None:
        words = f"{match.name}, {match.note}" if match.note else match.name
    record_screening(
        investor=investor,
        party=party,
        kind=row.kind,
        list_name=row.name,
        list_version=version,
        names_in_list=row.names_count,
        match=words,
        match_id=match.entry if match is not None else "",
        score=match.score if match is not None else None,
        actor=Actor.system("screening"),
    )
