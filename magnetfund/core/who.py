"""How records name who does a step, and what is said where nobody is found."""

from __future__ import annotations

from magnetfund.kernel.errors import InvalidInput


def label_of(*, name: str, email: str, is_simulated: bool) -> str:
    """The name, or the address where there is none; a simulated person is marked as one."""
    return f"{name or email}{' (SIMULATED)' if is_simulated else ''}"


def unknown_person(email: str) -> InvalidInput:
    """An address that no active account of the house has."""
    return InvalidInput(f"no active staff account has the address {email}", code="unknown_person")
