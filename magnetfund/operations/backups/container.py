"""The encrypted file of a backup: named entries in authenticated chunks.

Layout: ``MAGNETBK1`` + big-endian length + header (JSON: salt and key id), then chunks.  A chunk is
a 4-byte big-endian length and AES-256-GCM ciphertext.  The key of a file is derived from the backup
key and the file's salt by HKDF-SHA256, so no nonce is used twice under one key; the nonce is the
chunk's number.  Associated data are the header, the number and whether the chunk is the last: a
chunk that was changed, moved, dropped or cut off cannot be decrypted.  (The construction is the
STREAM of Hoang, Reyhanitabar, Rogaway and Vizár, 2015.)

The plain stream is a sequence of entries: 2-byte name length and name, then blocks of 4-byte length
and bytes, ended by a block of length 0.  A name of length 0 ends the stream.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from magnetfund.kernel.errors import InvalidInput

MAGIC = b"MAGNETBK1"
CHUNK_BYTES = 1 << 20
BLOCK_BYTES = 1 << 18
KEY_BYTES = 32
_HEADER_MAX = 4096
_LENGTH = struct.Struct(">I")
_NAME = struct.Struct(">H")


class DamagedBackup(InvalidInput):
    """The file is cut, changed, or encrypted with another key."""


def key_id(key: bytes) -> str:
    """A short public name of a key; it says nothing about the key."""
    return hashlib.sha256(b"magnetfund backup key id" + key).hexdigest()[:16]


def read_key(path: Path) -> bytes:
    """The backup key of ``path``: 64 hexadecimal digits.

    Raises :class:`InvalidInput` when the file is missing or holds no key.
    """
    try:
        key = bytes.fromhex(path.read_text().strip())
    except OSError:
        raise InvalidInput(f"the backup key {path} cannot be read", code="backup_key") from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"{path} holds no backup key (64 hexadecimal digits)", code="backup_key")
    return key


def make_key(path: Path) -> bool:
    """Create a backup key, readable by its owner alone; False where there is one already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as handle:
        handle.write(os.urandom(KEY_BYTES).hex() + "\n")
    return True


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    derive = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=salt, info=b"magnetfund backup")
    return AESGCM(derive.derive(key))


def _bound(header: bytes, number: int, *, is_last: bool) -> bytes:
    return hashlib.sha256(header).digest() + struct.pack(">Q?", number, is_last)


class Writer:
    """Writes entries to an open binary file; without :meth:`close` it is no backup."""

    def __init__(self, handle: IO[bytes], *, key: bytes) -> None:
        salt = os.urandom(16)
        self._header = json.dumps({"salt": salt.hex(), "key": key_id(key)}).encode()
        self._cipher = _cipher(key, salt)
        self._handle = handle
        self._number = 0
        self._waiting = bytearray()
        handle.write(MAGIC + _LENGTH.pack(len(self._header)) + self._header)

    def begin(self, name: str) -> None:
        """Start an entry; ``name`` is a relative path with forward slashes."""
        encoded = name.encode()
        self._take(_NAME.pack(len(encoded)) + encoded)

    def write(self, data: bytes) -> None:
        """Add to the entry."""
        if data:
            self._take(_LENGTH.pack(len(data)) + data)

    def end(self) -> None:
        """End the entry."""
        self._take(_LENGTH.pack(0))

    def add(self, name: str, source: IO[bytes]) -> None:
        """A whole entry from an open file or pipe."""
        self.begin(name)
        while block := source.read(BLOCK_BYTES):
            self.write(block)
        self.end()

    def close(self) -> None:
        """Write the end of the stream; the last chunk says that it is the last."""
        self._take(_NAME.pack(0))
        self._put(bytes(self._waiting), is_last=True)
        self._waiting.clear()

    def _take(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) > CHUNK_BYTES:
            self._put(bytes(self._waiting[:CHUNK_BYTES]), is_last=False)
            del self._waiting[:CHUNK_BYTES]

    def _put(self, plain: bytes, *, is_last: bool) -> None:
        sealed = self._cipher.encrypt(
            self._number.to_bytes(12, "big"),
            plain,
            _bound(self._header, self._number, is_last=is_last),
        )
        self._handle.write(_LENGTH.pack(len(sealed)) + sealed)
        self._number += 1


class Reader:
    """Reads the entries of a backup in order; every byte it hands out is authenticated."""

    def __init__(self, handle: IO[bytes], *, key: bytes) -> None:
        self._handle = handle
        if handle.read(len(MAGIC)) != MAGIC:
            raise DamagedBackup("this file is not a backup of Magnet Fund", code="no_backup")
        (size,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        if size > _HEADER_MAX:
            raise DamagedBackup("the backup is damaged", code="backup_damaged")
        self._header = self._exactly(size)
        try:
            header = json.loads(self._header)
            salt, kept = bytes.fromhex(header["salt"]), str(header["key"])
        except (ValueError, KeyError, TypeError):
            raise DamagedBackup("the backup is damaged", code="backup_damaged") from None
        if kept != key_id(key):
            raise DamagedBackup(
                f"this backup was encrypted with another key ({kept}), not with {key_id(key)}",
                code="backup_key",
            )
        self._cipher = _cipher(key, salt)
        self._number = 0
        self._is_over = False
        self._plain = bytearray()

    def entries(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Each entry's name with an iterator of its bytes, to be consumed before the next.

        Raises :class:`DamagedBackup` at the first byte that is not as it was written.
        """
        while name := self._bytes(_NAME.unpack(self._bytes(_NAME.size))[0]).decode():
            yield name, self._blocks()
        if not self._is_over or self._plain or self._handle.read(1):
            raise DamagedBackup("the backup is damaged after its end", code="backup_damaged")

    def _blocks(self) -> Iterator[bytes]:
        while size := _LENGTH.unpack(self._bytes(_LENGTH.size))[0]:
            yield self._bytes(size)

    def _bytes(self, count: int) -> bytes:
        while len(self._plain) < count:
            self._plain += self._chunk()
        taken = bytes(self._plain[:count])
        del self._plain[:count]
        return taken

    def _chunk(self) -> bytes:
        if self._is_over:
            raise DamagedBackup("the backup is damaged", code="backup_damaged")
        (size,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        if size > CHUNK_BYTES + 16:
            raise DamagedBackup("the backup is damaged", code="backup_damaged")
        sealed = self._exactly(size)
        nonce = self._number.to_bytes(12, "big")
        for is_last in (False, True):
            try:
                plain = self._cipher.decrypt(
                    nonce, sealed, _bound(self._header, self._number, is_last=is_last)
                )
            except InvalidTag:
                continue
            self._number += 1
            self._is_over = is_last
            return plain
        raise DamagedBackup(
            f"the backup is damaged: chunk {self._number} is not as it was written",
            code="backup_damaged",
        )

    def _exactly(self, count: int) -> bytes:
        data = self._handle.read(count)
        if len(data) != count:
            raise DamagedBackup("the backup is cut off", code="backup_damaged")
        return data
