"""Every error of the API has one shape: ``{"error": {"code", "message", "details"}}``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from magnetfund.core.services.signing import SignatureMissing
from magnetfund.kernel.errors import FundError
from magnetfund.web.api.signing import where_to_sign

_log = logging.getLogger("magnetfund.web.api")
#: When a request that found no free database session may come again.
RETRY_SECONDS = "2"
UNAVAILABLE = "the database is temporarily unavailable; try again"
_CODES = {
    exceptions.NotAuthenticated: "not_authenticated",
    exceptions.AuthenticationFailed: "not_authenticated",
    exceptions.PermissionDenied: "not_allowed",
    exceptions.NotFound: "not_found",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.Throttled: "throttled",
    exceptions.ParseError: "malformed_body",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.NotAcceptable: "not_acceptable",
    exceptions.ValidationError: "invalid_input",
}


def error_body(code: str, message: str, details: Any = None) -> dict[str, Any]:
    """Body of an error response."""
    return {"error": {"code": code, "message": message, "details": details or {}}}


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF exception handler: known errors use the standard body; unknown errors remain 500."""
    if isinstance(error, SignatureMissing):
        details = where_to_sign(error, context["request"])
        return Response(error_body(error.code, error.message, details), error.http_status)
    if isinstance(error, FundError):
        return Response(error_body(error.code, error.message, error.details), error.http_status)
    if isinstance(error, OperationalError):
        _log.error("the database is temporarily unavailable; try again")
        return Response(
            error_body("unavailable", UNAVAILABLE),
            503,
            headers={"Retry-After": RETRY_SECONDS},
        )
    if isinstance(error, DatabaseError):
        _log.exception("the database refused a request")
        return Response(
            error_body("refused", "the request conflicts with a database rule and was not applied"),
            409,
        )
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    response = exception_handler(error, context)
    if response is None:
        return None
    code = next((c for kind, c in _CODES.items() if isinstance(error, kind)), "error")
    if isinstance(error, exceptions.ValidationError):
        response.status_code = 422
        body = error_body(code, "some fields are invalid; see details", response.data)
    else:
        body = error_body(code, _message_of(error, code))
    response.data = body
    return response


def _message_of(error: Exception, code: str) -> str:
    """One sentence; a refused token carries a mapping whose ``detail`` is the sentence."""
    if isinstance(error, exceptions.NotAuthenticated):
        return "sign in first: send an access token in the Authorization header"
    detail = getattr(error, "detail", None)
    if isinstance(detail, Mapping):
        detail = detail.get("detail")
    return str(detail) if isinstance(detail, str) and detail else code.replace("_", " ")


@csrf_exempt
def not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """An unknown path under /api/, whatever the method: it changes nothing, so it needs no token
    against forged forms."""
    return JsonResponse(error_body("not_found", "no such path"), status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """The last answer to a fault: the one shape under /api/, the page everywhere else.

    503 with Retry-After where no database session was free or the server is away.
    """
    is_api = request.path.startswith("/api/")
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        retry = {"Retry-After": RETRY_SECONDS}
        if is_api:
            body = error_body("unavailable", UNAVAILABLE)
            return JsonResponse(body, status=503, headers=retry)
        words = "The server is busy. Please try again in a moment.\n"
        return HttpResponse(words, status=503, content_type="text/plain", headers=retry)
    if is_api:
        body = error_body("error", "an internal error; nothing more was done with this request")
        return JsonResponse(body, status=500)
    return defaults.server_error(request)
