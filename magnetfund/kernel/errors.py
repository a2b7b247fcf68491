"""The few exceptions of the platform, each with a stable code and one HTTP meaning.

A denial (a fuse, a limit, a pre-trade check saying no) is a value, not an exception; see
``risk.domain``.  What is raised here stops a step: nothing was written when it left a service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class FundError(Exception):
    """Base of every error that a user may see.

    ``code`` is a stable machine word, ``message`` one plain sentence without secrets, ``details``
    a JSON-serialisable mapping (never a traceback, never a credential).
    """

    http_status: ClassVar[int] = 500
    default_code: ClassVar[str] = "error"

    def __init__(
        self, message: str, *, code: str | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.details: dict[str, Any] = dict(details or {})

    @property
    def sentence(self) -> str:
        """The message as a page begins a sentence; the name of a parameter stays as written."""
        if self.message.split(" ", 1)[0] == self.details.get("parameter"):
            return self.message
        return self.message[:1].upper() + self.message[1:]


class InvalidInput(FundError, ValueError):
    """The caller sent something that can never be right: malformed, non-finite, out of range."""

    http_status = 422
    default_code = "invalid_input"


class NotAllowed(FundError):
    """The actor lacks the capability, or is maker and checker at once."""

    http_status = 403
    default_code = "not_allowed"


class NotFound(FundError):
    """Not found, or not visible to this user; both give the same answer."""

    http_status = 404
    default_code = "not_found"


class Conflict(FundError):
    """The state moved on: wrong state for the step, key in flight, version superseded."""

    http_status = 409
    default_code = "conflict"


class Unavailable(FundError):
    """A part that the step needs does not answer: database, venue, trader, stale prices."""

    http_status = 503
    default_code = "unavailable"


class InvariantBroken(FundError):
    """The books contradict themselves.  Never caught to carry on; always a defect or tampering."""

    http_status = 500
    default_code = "invariant_broken"
