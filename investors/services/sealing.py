"""Sealing of documents and answers: one key an application, in a store outside the database.

AES-256-GCM with a random nonce; what a piece of content belongs to is bound into it, so that a
sealed row cannot be moved to another place.  A key that is destroyed makes everything under it
unreadable, in the database and in every backup of it: this is how erasing works.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from magnetfund.kernel.errors import InvariantBroken, NotFound

_NONCE, _KEY_BITS = 12, 256


def make_key(owner: UUID) -> None:
    """Make the key of an application, once; one that was erased is never made again."""
    path = _path(owner)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.with_suffix(".erased").exists():
        raise NotFound("this file was erased", code="erased")
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(AESGCM.generate_key(bit_length=_KEY_BITS))
            handle.flush()
            os.fsync(handle.fileno())


def destroy_key(owner: UUID) -> bool:
    """Overwrite and remove a key, and leave a mark that it was erased; whether there was one."""
    path = _path(owner)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.with_suffix(".erased").touch(mode=0o600)
    if not path.exists():
        return False
    with path.open("r+b") as handle:
        handle.write(secrets.token_bytes(_KEY_BITS // 8))
        handle.flush()
        os.fsync(handle.fileno())
    path.unlink()
    return True


def list_erased() -> list[UUID]:
    """Owners whose keys were destroyed, by the marks that they left."""
    return [UUID(path.stem) for path in Path(settings.DOCUMENT_KEYS).glob("*.erased")]


def seal(owner: UUID, content: bytes, *, place: str) -> bytes:
    """Sealed ``content``; ``place`` names where it belongs."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(_key(owner)).encrypt(nonce, content, place.encode())


def unseal(owner: UUID, sealed: bytes | memoryview, *, place: str) -> bytes:
    """The content of :func:`seal`.

    Raises :class:`NotFound` (``erased``) without the key and :class:`InvariantBroken` for content
    that was changed or moved.
    """
    content = bytes(sealed)
    try:
        return AESGCM(_key(owner)).decrypt(content[:_NONCE], content[_NONCE:], place.encode())
    except InvalidTag:
        raise InvariantBroken("sealed content was changed", code="seal_broken") from None


def _path(owner: UUID) -> Path:
    return Path(settings.DOCUMENT_KEYS) / f"{owner}.key"


def _key(owner: UUID) -> bytes:
    try:
        return _path(owner).read_bytes()
    except FileNotFoundError:
        raise NotFound("this file was erased", code="erased") from None
