"""Nothing is written from an adviser's session, whatever page or path it asks."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from magnetfund.core.doors import ACCOUNT_PAGES
from magnetfund.web.portal.access import ReadOnly, is_advising
from magnetfund.web.public.pages import page_context

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: His own account, accepting a link, choosing whose portal he reads, and the API's sign-in.
OWN = (ACCOUNT_PAGES, "/advise/", "/advised/", "/api/auth/")
WORDS = "an adviser reads and changes nothing"


class AdviserMiddleware:
    """Refuses every unsafe request of an adviser with 403 ``read_only``, and says in words what a
    page did not show him."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in SAFE or request.path.startswith(OWN):
            return self._get_response(request)
        # A stop writes nothing before it has stopped, and nothing stands in its way.
        if getattr(request, "on_stop_lane", False) or not is_advising(request):
            return self._get_response(request)
        return self._refuse(request, ReadOnly(WORDS))

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return self._refuse(request, exception) if isinstance(exception, ReadOnly) else None

    @staticmethod
    def _refuse(request: HttpRequest, refusal: ReadOnly) -> HttpResponse:
        if request.path.startswith("/api/"):
            body = {"code": refusal.code, "message": refusal.message, "details": {}}
            return JsonResponse({"error": body}, status=403)
        page = {**page_context(request), "refusal": refusal}
        return render(request, "portal/read_only.html", page, status=403)
