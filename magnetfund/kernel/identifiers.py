"""Deterministic identifiers and canonical hashing.

The same input gives the same id for ever, so a retry, a replay or a rebuild names the same thing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID, uuid5

from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.money import CONTEXT

NAMESPACE = UUID("6f1c1f6e-7f0b-5a52-9b1e-0d5f0c4b5a25")


_ZERO = Decimal(0)
#: What canonical JSON holds as it stands.
_PLAIN = frozenset({str, int, bool, type(None)})


def derived_uuid(*parts: str) -> UUID:
    """UUIDv5 of the parts under the platform's namespace; parts may not hold the separator."""
    if any("\x1f" in part for part in parts):
        raise ValueError("a part holds the separator character")
    return uuid5(NAMESPACE, "\x1f".join(parts))


#: Headers by which a starter recognises its own web server.
START_QUESTION, START_ANSWER = "X-Start-Question", "X-Start-Answer"


def answer_start(token: str, question: str) -> str:
    """What only a process that was given ``token`` can answer."""
    return hashlib.sha256(f"{token}:{question}".encode()).hexdigest()


def client_order_id(intent_id: UUID, venue: str) -> str:
    """Order id sent to a venue: 32 lower-case letters and digits, a pure function of the intent.

    Fits the strictest common venue rule (32 alphanumeric characters).
    """
    return "f" + hashlib.sha256(f"{venue}:{intent_id}".encode()).hexdigest()[:31]


def canonical(value: Any) -> Any:
    """Reduce a value to what canonical JSON holds: Decimals lose trailing zeros, times end in Z."""
    # What a large strike holds a million of comes first.
    if value is None or isinstance(value, (str, int)):  # a bool is an int
        return value
    if isinstance(value, Decimal):
        return format(CONTEXT.normalize(value) if value else _ZERO, "f")
    if isinstance(value, (list, tuple)):
        # Most of what a list holds is text: it is spared the call.
        return [item if type(item) in _PLAIN else canonical(item) for item in value]
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Enum):
        return canonical(value.value)
    if isinstance(value, datetime):
        return isoformat_z(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, Iterable):
        return [canonical(item) for item in value]
    raise TypeError(f"no canonical form for {type(value).__name__}")


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces, ASCII only: equal values give equal bytes."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def content_hash(value: Any) -> str:
    """sha256 (hex) of the canonical JSON; what an approver signs."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
