"""Binance's public monthly archives of candles: by URL, from a mirror, or from a folder.

An archive is a ZIP of one CSV file beside a text with its SHA-256; without the right sum nothing of
it is read.  The layout is that of data.binance.vision, which a mirror or a folder keeps.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
from django.conf import settings

from magnetfund.kernel.errors import InvalidInput, Unavailable
from trading.domain.candle_files import RawCandles
from trading.domain.market.symbols import parse_symbol
from trading.services.candle_files import read_candle_file

PUBLIC = "https://data.binance.vision"
TIMEOUT_SECONDS = 30
BYTES_MAX = 500_000_000
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One month of an instrument's candles."""

    month: str
    path: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def list_archives(symbol: str, timeframe: str, first: str, last: str) -> Iterator[Archive]:
    """The months from ``first`` to ``last`` (YYYY-MM, both included) of a linear perpetual.

    Raises :class:`InvalidInput` (``bad_month``).
    """
    parts = parse_symbol(symbol)
    name = f"{parts.base}{parts.quote}"
    start, end = _index(first), _index(last)
    if end < start:
        raise InvalidInput(f"{last} lies before {first}", code="bad_month")
    for index in range(start, end + 1):
        month = f"{index // 12:04d}-{index % 12 + 1:02d}"
        file = f"{name}-{timeframe}-{month}.zip"
        path = f"data/futures/um/monthly/klines/{name}/{timeframe}/{file}"
        yield Archive(month=month, path=path)


def _index(month: str) -> int:
    found = _MONTH.fullmatch(month)
    if found is None:
        raise InvalidInput(f"{month} is not a month; use YYYY-MM", code="bad_month")
    return int(found[1]) * 12 + int(found[2]) - 1


def read_archive(archive: Archive, *, mirror: str) -> RawCandles | None:
    """The candles of an archive whose sum is right; None where the mirror has none of that month.

    Raises :class:`InvalidInput` (``wrong_checksum``, ``no_checksum`` and those of
    :func:`read_candle_file`) and :class:`Unavailable` (``archive_away``).
    """
    body = _fetch(mirror, archive.path)
    if body is None:
        return None
    told = _fetch(mirror, f"{archive.path}.CHECKSUM")
    if told is None:
        raise InvalidInput(f"{archive.name} has no checksum beside it", code="no_checksum")
    wanted = told.decode("ascii", "replace").split()[:1]
    if wanted != [hashlib.sha256(body).hexdigest()]:
        raise InvalidInput(
            f"{archive.name} does not have the checksum that stands beside it; nothing of it was "
            f"read. Fetch it again",
            code="wrong_checksum",
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / archive.name
        file.write_bytes(body)
        return read_candle_file(file)


def _fetch(mirror: str, path: str) -> bytes | None:
    if not mirror.startswith(("http://", "https://")):
        return _read_local(Path(mirror), path)
    proxies = {"https": settings.EXCHANGE_PROXY, "http": settings.EXCHANGE_PROXY}
    try:
        answer = requests.get(
            f"{mirror.rstrip('/')}/{path}",
            timeout=TIMEOUT_SECONDS,
            proxies=proxies if settings.EXCHANGE_PROXY else None,
        )
    except requests.RequestException as error:
        raise _away(mirror, type(error).__name__) from None
    if answer.status_code == 404:
        return None
    if answer.status_code != 200 or len(answer.content) > BYTES_MAX:
        raise _away(mirror, f"status {answer.status_code}")
    return answer.content


def _read_local(folder: Path, path: str) -> bytes | None:
    """A file of a folder that keeps the archive's layout, or just the files side by side."""
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is neither a folder nor a URL", code="no_such_folder")
    for file in (folder / path, folder / path.rpartition("/")[2]):
        if file.is_file():
            return file.read_bytes()
    return None


def _away(mirror: str, why: str) -> Unavailable:
    return Unavailable(
        f"{mirror} cannot be reached ({why}); check the network or a proxy (EXCHANGE_PROXY), or "
        f"name a mirror or a folder with --mirror",
        code="archive_away",
    )
