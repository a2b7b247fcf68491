"""Reading candle files from disk: CSV, JSON (each also as .gz), ZIP of CSV, feather, Parquet.

Every failure is one clear line (:class:`InvalidInput`), and nothing has been written by then.
"""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import zipfile
import zlib
from pathlib import Path

from magnetfund.kernel.errors import InvalidInput
from trading.domain.candle_files import (
    RawCandles,
    parse_csv_candles,
    parse_json_candles,
    table_to_raw,
)

#: Uncompressed size above which a file is refused (a decompression bomb, or the wrong file).
BYTES_MAX = 2_000_000_000
#: A password is a RuntimeError, a way of packing that nobody knows a NotImplementedError.
_UNPACKING = (zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)


def read_candle_file(path: Path) -> RawCandles:
    """Raw candles of one file; the format follows from its name.

    Raises :class:`InvalidInput` with code ``no_such_file``, ``unknown_format``, ``broken_file``,
    ``wrong_columns`` or ``empty_file``.
    """
    if not path.is_file():
        raise InvalidInput(f"file not found: {path.name}", code="no_such_file")
    if path.stat().st_size > BYTES_MAX:
        raise InvalidInput(f"{path.name} is larger than 2 GB", code="broken_file")
    name = path.name.lower()
    try:
        if name.endswith(".zip"):
            return parse_csv_candles(_zipped_text(path))
        if name.endswith((".csv", ".txt", ".csv.gz", ".txt.gz")):
            return parse_csv_candles(_plain_bytes(path).decode("utf-8-sig"))
        if name.endswith((".json", ".json.gz")):
            return parse_json_candles(json.loads(_plain_bytes(path).decode("utf-8")))
        if name.endswith((".parquet", ".pq", ".feather")):
            return _columnar(path)
    except UnicodeDecodeError:
        raise InvalidInput(f"{path.name} is not text in UTF-8", code="broken_file") from None
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"{path.name} is not valid JSON: {error.msg} in line {error.lineno}", code="broken_file"
        ) from None
    except RecursionError:
        raise InvalidInput(f"{path.name} is nested too deeply", code="broken_file") from None
    except InvalidInput:
        raise
    except (csv.Error, ValueError) as error:  # a cell without an end, a number of 5,000 digits
        raise InvalidInput(
            f"{path.name} cannot be read: {str(error)[:120]}", code="broken_file"
        ) from None
    raise InvalidInput(
        f"{path.name}: unsupported file type; use .csv, .json (or .csv.gz, .json.gz), .zip, "
        f".feather or .parquet",
        code="unknown_format",
    )


def _plain_bytes(path: Path) -> bytes:
    """The content of a file, unpacked where its name ends in .gz."""
    if not path.name.lower().endswith(".gz"):
        return path.read_bytes()
    try:
        with gzip.open(path) as packed:
            content = packed.read(BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(
            f"{path.name} is damaged or cut off: {error}", code="broken_file"
        ) from None
    if len(content) > BYTES_MAX:
        raise InvalidInput(f"{path.name} unpacks to more than 2 GB", code="broken_file")
    return content


def _zipped_text(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename.lower().endswith(".csv")]
            if len(members) != 1:
                raise InvalidInput(
                    f"{path.name} must hold exactly one CSV file, it holds {len(members)}",
                    code="broken_file",
                )
            if members[0].file_size > BYTES_MAX:
                raise InvalidInput(f"{path.name} unpacks to more than 2 GB", code="broken_file")
            return archive.read(members[0]).decode("utf-8-sig")
    except (zipfile.BadZipFile, *_UNPACKING) as error:
        raise InvalidInput(
            f"{path.name} is damaged or cut off: {error}", code="broken_file"
        ) from None


def _columnar(path: Path) -> RawCandles:
    import pyarrow as pa  # loaded only when such a file is read
    from pyarrow import feather, parquet

    try:
        table = (
            feather.read_table(path)
            if path.name.lower().endswith(".feather")
            else parquet.ParquetFile(path).read()
        )
        names = table.column_names
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise InvalidInput(
                f"{path.name} has several columns {min(doubled)!r}", code="wrong_columns"
            )
        columns = {name: table.column(name).to_numpy(zero_copy_only=False) for name in names}
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:120]
        raise InvalidInput(f"{path.name} cannot be read: {reason}", code="broken_file") from None
    return table_to_raw(columns)
