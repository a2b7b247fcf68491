"""An S3-compatible bucket as a place for backups.

Files are encrypted before they leave, so the bucket's keeper reads nothing.  A large file goes in
parts, each signed with the hash of its bytes (AWS Signature Version 4) and repeated where the
server or the line fails; it appears under its name when all parts are there.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magnetfund.env import BucketAddress
from magnetfund.kernel.errors import FundError, InvalidInput, NotFound, Unavailable
from magnetfund.operations.backups.storage import StoredBackup, newest_first

if TYPE_CHECKING:
    from obstore.store import S3Store

#: S3 takes 10,000 parts of one file at most, and none below 5 MiB but the last.
PART_BYTES, PARTS_MAX = 8 << 20, 9_000
_PARTS_AT_ONCE = 2
_CONNECT_SECONDS, _QUIET_SECONDS = 10, 120
_RETRY_FOR = timedelta(minutes=3)
_SERVER_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_REFUSED_KEY = frozenset(
    {"SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken"}
)


class Bucket:
    """One prefix of a bucket."""

    def __init__(
        self, address: BucketAddress, *, key_id: str, secret: str, retry_for: timedelta = _RETRY_FOR
    ) -> None:
        self._address = address
        self._access: dict[str, Any] = {
            "key_id": key_id, "secret": secret, "retry_for": retry_for,
        }  # fmt: skip
        self._store = self._open(key_id, secret, retry_for)

    def _open(self, key_id: str, secret: str, retry_for: timedelta) -> S3Store:
        from obstore.store import S3Store

        return S3Store(
            self._address.bucket,
            prefix=self._address.prefix or None,
            # By its long name, which no variable of the machine stands above.
            aws_endpoint_url_s3=self._address.endpoint,
            region=self._address.region,
            access_key_id=key_id,
            secret_access_key=secret,
            virtual_hosted_style_request=False,
            skip_signature=False,
            # Not every compatible server knows the call that deletes many.
            disable_bulk_delete=True,
            client_options={
                "allow_http": self._address.endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
                "timeout": timedelta(seconds=_QUIET_SECONDS),
            },
            retry_config={"max_retries": 6, "retry_timeout": retry_for},
        )

    def within(self, folder: str) -> Bucket:
        """A place under this one, by the same keys."""
        prefix = "/".join(part for part in (self._address.prefix, folder) if part)
        return Bucket(replace(self._address, prefix=prefix), **self._access)

    @property
    def place(self) -> str:
        return self._address.place

    def list(self) -> list[StoredBackup]:
        found = self.sizes().items()
        return newest_first(StoredBackup.of_name(name, size) for name, size in found)

    def sizes(self) -> dict[str, int]:
        """Bytes of every file right here, by its name; places under this one are not looked at."""
        import obstore

        with self._clear_errors("list"):
            found = obstore.list_with_delimiter(self._store)["objects"]
        return {item["path"]: item["size"] for item in found}

    def folders(self) -> tuple[str, ...]:
        """Names of the places right under this one."""
        import obstore

        with self._clear_errors("list"):
            found = obstore.list_with_delimiter(self._store)["common_prefixes"]
        return tuple(str(name) for name in found)

    def read(self, name: str) -> Iterator[bytes]:
        import obstore

        with self._clear_errors("read", name):
            for block in obstore.get(self._store, name).stream(min_chunk_size=1 << 20):
                yield bytes(block)

    def put(self, path: Path) -> None:
        import obstore

        size = path.stat().st_size
        with self._clear_errors("write", path.name), path.open("rb") as handle:
            obstore.put(
                self._store,
                path.name,
                handle,
                chunk_size=max(PART_BYTES, -(-size // PARTS_MAX)),
                max_concurrency=_PARTS_AT_ONCE,
            )

    def remove(self, name: str) -> None:
        import obstore

        with self._clear_errors("delete", name):
            obstore.delete(self._store, name)

    def fetch(self, name: str, into: Path) -> Path:
        """Write a file to a folder of this machine under its own name."""
        path = into / name
        try:
            with path.open("wb") as out:
                for block in self.read(name):
                    out.write(block)
        except OSError as error:
            raise Unavailable(
                f"{name} cannot be written to {into}: {error.strerror}", code="no_room"
            ) from None
        return path

    @contextmanager
    def borrow(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="magnetfund-bucket-") as folder:
            yield self.fetch(name, Path(folder))

    @contextmanager
    def _clear_errors(self, act: str, name: str = "") -> Iterator[None]:
        """One line for what the library says, which repeats addresses, headers and bodies."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise self._explain(error, act, name) from None

    def _explain(self, error: Exception, act: str, name: str) -> FundError:
        said = str(error)
        code, status = _SERVER_CODE.search(said), _STATUS.search(said)
        answer = code[1] if code else f"status {status[1]}" if status else ""
        if answer == "NoSuchBucket":
            return NotFound(
                f"there is no bucket {self._address.bucket} at {self._address.host}",
                code="no_bucket",
            )
        if answer in _REFUSED_KEY:
            return Unavailable(
                f"{self._address.host} refuses the key of the bucket ({answer}); set "
                "BACKUP_S3_KEY_ID and BACKUP_S3_SECRET to a pair that it knows",
                code="bucket_key",
            )
        if isinstance(error, FileNotFoundError):
            return NotFound(f"there is no {name} in {self.place}", code="no_backup")
        if answer == "AccessDenied":
            return Unavailable(f"the key may not {act} in {self.place}", code="bucket_denied")
        if answer:
            return Unavailable(
                f"{self._address.host} answered {answer} to {act} in {self.place}",
                code="bucket_failed",
            )
        return Unavailable(f"{self._address.host} does not answer", code="bucket_silent")


def open_bucket(address: BucketAddress | None) -> Bucket:
    """The bucket of the settings, by the pair of keys in the environment.

    Raises :class:`InvalidInput` where no bucket or no pair is set.
    """
    if address is None:
        raise InvalidInput("no bucket is set; see BACKUP_S3_URL in .env.example", code="no_bucket")
    pair = [os.environ.get(f"BACKUP_S3_{word}", "").strip() for word in ("KEY_ID", "SECRET")]
    if not all(pair):
        raise InvalidInput(
            f"the bucket {address.place} needs BACKUP_S3_KEY_ID and BACKUP_S3_SECRET",
            code="bucket_key",
        )
    return Bucket(address, key_id=pair[0], secret=pair[1])
