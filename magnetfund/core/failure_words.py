"""The one line that a command says of a failure, whether it runs with Django or without."""

from __future__ import annotations

from magnetfund.kernel.errors import FundError

INTERRUPTED = "interrupted; uncommitted changes were rolled back"


def refused(error: FundError) -> str:
    """What a rule said, with its stable code."""
    return f"{error.message} ({error.code})"


def unreachable(error: Exception) -> str:
    """A database that could not be asked."""
    return f"the database is not reachable: {_first_line(error)}"


def rejected(error: Exception) -> str:
    """A statement that the database refused."""
    return f"rejected by the database, nothing was changed: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:200]
