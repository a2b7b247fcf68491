"""Refuses, before any page, text that no column of the database can hold."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse, QueryDict

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class StorableTextMiddleware:
    """A NUL in a query or in a form is answered with 400; bodies of the API have their parser."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_form = request.method == "POST" and request.content_type in FORMS
        if _has_nul(request.GET) or "\0" in request.path or (is_form and _has_nul(request.POST)):
            return _refuse(request.path)
        return self._get_response(request)


def _refuse(path: str) -> HttpResponse:
    """400, in the one shape of the API's errors under its path."""
    message = "the request contains a character that cannot be stored"
    if path.startswith("/api/"):
        error = {"code": "malformed_request", "message": message, "details": {}}
        return JsonResponse({"error": error}, status=400)
    return HttpResponseBadRequest(f"{message.capitalize()}.")


def _has_nul(given: QueryDict) -> bool:
    return any("\0" in name or any("\0" in v for v in values) for name, values in given.lists())
