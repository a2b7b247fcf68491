"""Books and audit trail: what was verified, the roots that left, and every line with its body."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import list_actions
from magnetfund.core.templatetags.figures import units
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.backups.copies import read_copy_health
from magnetfund.operations.backups.runs import read_health
from magnetfund.operations.backups.server_log import read_archive_health
from magnetfund.operations.books import check_books
from magnetfund.operations.books.export import export_books
from magnetfund.operations.books.root import StoredRoot, read_root, read_roots
from magnetfund.operations.books.unit_proof import newest_verification
from magnetfund.operations.models import Backup, BackupCheck, BackupCopy
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.lists import Choices, Column, ListSpec
from magnetfund.web.parts import render_page
from magnetfund.web.public.pages import asked_page

PAGE_SIZE = 25
ROOTS_SHOWN = 7
BACKUPS_SHOWN = 7
LINES = ListSpec(
    name="audit-lines",
    url_name="desk_books",
    label="Pages of audit lines",
    columns=(
        Column(label="Line", sorts=("newest", "oldest")),
        Column(label="Action"),
        Column(label="By"),
        Column(label="Subject"),
        Column(label="Body", is_wide=True),
    ),
    filters=(Choices(name="action", label="Action"),),
    sorts=(("newest", "Newest first"), ("oldest", "Oldest first")),
)
SORTS = {"newest": ("-seq", "chain"), "oldest": ("seq", "chain")}


@require_safe
@desk_view(Capability.ADMIN_VIEW)
def books(request: HttpRequest) -> HttpResponse:
    """When the books verified, the root, how to check it offline, and the audit trail."""
    spec = LINES.with_options(action=[(action, action) for action in list_actions()])
    listing = spec.read(request.GET, number=asked_page(request))
    rows = AuditEvent.objects.order_by(*SORTS[listing.sort])
    if listing.chosen["action"]:
        rows = rows.filter(action=listing.chosen["action"])
    page = listing.cut(rows, size=PAGE_SIZE)
    roots = read_roots()
    context: dict[str, Any] = {
        "listing": page,
        "lines": [
            {"row": row, "body": json.dumps(row.body, indent=1, ensure_ascii=False)}
            for row in page.rows
        ],
        "verified": newest_verification(),
        "root": roots[-1] if roots else None,
        "root_count": len(roots),
        "roots": [{"root": root, "units": _units(root)} for root in roots[-ROOTS_SHOWN:][::-1]],
    }
    context |= _read_backups()
    frame = build_frame(request, "books")
    return render_page(request, "desk/books.html", {**frame, **context}, parts=("audit-lines",))


def _read_backups() -> dict[str, Any]:
    """The newest backups, each with its newest restore and its copy in the bucket where one is
    set, and whether one of each is proven in time."""
    rows = list(Backup.objects.order_by("-made_at")[:BACKUPS_SHOWN])
    hashes = [row.sha256 for row in rows if row.sha256]
    checks = BackupCheck.objects.filter(sha256__in=hashes)
    newest = {check.sha256: check for check in checks.order_by("checked_at")}
    health = read_copy_health(at=utc_now())
    copies: dict[str, BackupCopy] = {}
    if health is not None:
        tried = BackupCopy.objects.filter(sha256__in=hashes, place=health.place)
        copies = {copy.sha256: copy for copy in tried.order_by("tried_at")}
    return {
        "backup_health": read_health(at=utc_now()),
        "copy_health": health,
        "log_health": read_archive_health(),
        "backups": [
            {"row": row, "check": newest.get(row.sha256), "copy": copies.get(row.sha256)}
            for row in rows
        ],
    }


def _units(root: StoredRoot) -> str:
    """Units of all funds that a root commits to."""
    return ", ".join(
        f"{units(item['units'])} of {code}" for code, item in root.document["units"].items()
    )


@require_safe
@desk_view(Capability.ADMIN_VIEW)
def root_file(request: HttpRequest, number: int) -> FileResponse:
    """One root as its file holds it."""
    found = read_root(number)
    if found is None:
        raise Http404
    return _download(found.path, f"root-{number:06d}.json", "application/json")


@require_safe
@desk_view(Capability.ADMIN_VIEW)
def checker(request: HttpRequest) -> FileResponse:
    """The program that checks the books offline."""
    return _download(Path(check_books.__file__), "check_books.py", "text/x-python")


@require_safe
@desk_view(Capability.ADMIN_VIEW)
def books_file(request: HttpRequest) -> FileResponse:
    """Every chained row with what was hashed; names people, so it is for the auditor alone."""
    target = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    export_books(target)
    target.seek(0)
    return FileResponse(
        target, as_attachment=True, filename="books.jsonl.gz", content_type="application/gzip"
    )


def _download(path: Path, name: str, kind: str) -> FileResponse:
    return FileResponse(path.open("rb"), as_attachment=True, filename=name, content_type=kind)
