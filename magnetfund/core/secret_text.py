"""Seeds of authenticator apps and recovery codes, unreadable in the database and in its dumps.

The key lies beside the home's other keys, never in the database.  Text of an earlier version that
was stored in the clear is still read, and ``prepare`` encrypts it.
"""

from __future__ import annotations

import os
import secrets
from functools import lru_cache
from pathlib import Path

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from magnetfund.kernel.errors import Unavailable

MARK = "fernet:"
KEY_FILE = "seeds.key"


def make_seed_key(folder: Path) -> None:
    """Make the key once, readable by us alone."""
    path = folder / KEY_FILE
    if path.exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / f"{KEY_FILE}.{secrets.token_hex(4)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(Fernet.generate_key())
    draft.rename(path)


@lru_cache(maxsize=4)
def _cipher(path: Path) -> Fernet:
    try:
        return Fernet(path.read_bytes().strip())
    except (OSError, ValueError):
        raise Unavailable(
            f"the key of two-step verification is missing: {path.name}; run manage.py prepare",
            code="seed_key_missing",
        ) from None


class FactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # untyped
    """Encrypts what allauth stores of a second factor."""

    def encrypt(self, text: str) -> str:
        return (
            MARK + _cipher(settings.MAGNET_HOME / "keys" / KEY_FILE).encrypt(text.encode()).decode()
        )

    def decrypt(self, encrypted_text: str) -> str:
        if not encrypted_text.startswith(MARK):
            return encrypted_text
        try:
            cipher = _cipher(settings.MAGNET_HOME / "keys" / KEY_FILE)
            return cipher.decrypt(encrypted_text.removeprefix(MARK).encode()).decode()
        except InvalidToken:
            raise Unavailable(
                "the key of two-step verification does not fit this database",
                code="seed_key_differs",
            ) from None


def encrypt_stored_seeds() -> int:
    """Encrypt what an earlier version stored in the clear; returns how many rows."""
    adapter, changed = FactorAdapter(), 0
    for row in Authenticator.objects.all():
        data = dict(row.data)
        for name in ("secret", "seed"):
            if isinstance(data.get(name), str) and not data[name].startswith(MARK):
                data[name] = adapter.encrypt(data[name])
        if isinstance(data.get("migrated_codes"), list):
            data["migrated_codes"] = [
                code if code.startswith(MARK) else adapter.encrypt(code)
                for code in data["migrated_codes"]
            ]
        if data != row.data:
            row.data = data
            row.save(update_fields=["data"])
            changed += 1
    return changed
