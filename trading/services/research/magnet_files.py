"""Readings of magnets over a history, kept as files of the home so that workers share them.

A file's name is the hash of every candle, of every parameter and of the code that reads: other
candles, parameters or code are another file, so none is ever stale.  Workers that need the same
readings at once wait for the first; one that dies leaves its lock free and no half file behind.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from django.conf import settings

import trading.domain
from trading.domain.magnets import MagnetParameters, MagnetSignals
from trading.domain.market.candles import Candles

log = logging.getLogger(__name__)
#: Six years of hours take some 25 MB; the files that nobody read for longest go first.
FILES_MAX = 24
VERSION = "parameters_version"


def keep_magnets(
    candles: Candles, parameters: MagnetParameters, make: Callable[[], MagnetSignals]
) -> MagnetSignals:
    """The readings of ``candles``: from their file, else from ``make``, which then writes it.

    A folder that cannot be written costs the time of ``make`` and nothing else.
    """
    folder = Path(settings.MAGNET_HOME) / "cache" / "magnets"
    path = folder / f"{name_readings(candles, parameters)}.npz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("a")
    except OSError as error:
        log.warning("readings of magnets are not kept: %s", error)
        return make()
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _read(path)
        if found is None:
            found = make()
            try:
                _write(path, found)
                _trim(folder)
            except OSError as error:
                log.warning("readings of magnets are not kept: %s", error)
        return found


def name_readings(candles: Candles, parameters: MagnetParameters) -> str:
    """The hash of everything that readings depend on."""
    plain = {**asdict(parameters), "families": sorted(parameters.families)}
    told = json.dumps([plain, candles.instrument, candles.timeframe_ms, hash_code()])
    digest = hashlib.sha256(told.encode())
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        digest.update(np.ascontiguousarray(getattr(candles, name)).tobytes())
    return digest.hexdigest()


@cache
def hash_code() -> str:
    """The hash of the text that makes readings, and the versions of what runs it."""
    folder = Path(trading.domain.__path__[0])
    digest = hashlib.sha256(f"{np.__version__} {version('numba')}".encode())
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> MagnetSignals | None:
    """The readings of a file; None where there is none, or none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            columns = {name: stored[name] for name in stored.files}
        version = str(columns.pop(VERSION))
        names = {item.name for item in fields(MagnetSignals)} - {VERSION}
        if set(columns) != names:
            raise ValueError("it has other columns")
        os.utime(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s cannot be read and is made again: %s", path.name, error)
        return None
    return MagnetSignals(**columns, parameters_version=version)


def _write(path: Path, signals: MagnetSignals) -> None:
    """Write beside the name and move there: a reader finds all of it or nothing."""
    columns = {item.name: getattr(signals, item.name) for item in fields(MagnetSignals)}
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("wb") as sink:
            np.savez(sink, **columns)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _trim(folder: Path) -> None:
    """Take away the files that nobody read for longest."""
    files = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
    for path in files[:-FILES_MAX]:
        path.unlink(missing_ok=True)
        path.with_suffix(".lock").unlink(missing_ok=True)
