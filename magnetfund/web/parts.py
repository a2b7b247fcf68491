"""One way to answer a request that wants a part of a page.

A template marks its parts with ``partialdef``; a part's name is the id of the element that it
fills.  htmx names that element in its request, and keeps the name when the answer is a redirect, so
a form that posts and a link that filters both come back to the same view.  Without scripts the
same addresses give the whole page.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

#: The part that every page of the desk has: all that stands beside rail and strip.
MAIN = "main"


def asked_part(request: HttpRequest, parts: Collection[str]) -> str:
    """The part of the page that is asked for; "" for the whole page."""
    htmx = getattr(request, "htmx", None)
    if not htmx or htmx.history_restore_request:
        return ""
    return htmx.target if htmx.target in parts else ""


def render_page(
    request: HttpRequest, template: str, context: dict[str, Any], *, parts: Collection[str]
) -> HttpResponse:
    """The page, or the one of its ``parts`` that htmx asks for with the messages beside it."""
    part = asked_part(request, [*parts, MAIN])
    if part == MAIN:
        response = render(request, template, {**context, "desk_frame": "frames/_desk_main.html"})
    elif part:
        response = render(
            request, "components/_part.html", {**context, "part": f"{template}#{part}"}
        )
    else:
        response = render(request, template, context)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


#: Tables that people open in a spreadsheet, by the end of the name.
TABLE_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def send_pdf(name: str, content: bytes) -> HttpResponse:
    """A PDF to be kept, never shown inside a page."""
    return send_file(f"{name}.pdf", content, kind="application/pdf")


def send_file(name: str, content: bytes, *, kind: str) -> HttpResponse:
    """A file of somebody's figures: to be kept by him, by no cache on the way."""
    answer = HttpResponse(content, content_type=kind)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "private, no-store"
    return answer
