"""Trades and equity of a run as files: CSV, JSON, Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from magnetfund.core.spreadsheets import safe_cell
from magnetfund.kernel.clock import from_milliseconds, isoformat_z
from trading.domain.research.run import Backtest


def encode_trades(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Trades as Parquet, one row a round trip."""
    return _parquet({name: [row[name] for row in rows] for name in rows[0]} if rows else {})


def encode_equity(backtest: Backtest) -> bytes:
    """Equity and drawdown at every close as Parquet."""
    result = backtest.result
    return _parquet(
        {"time_ms": result.time_ms, "equity": result.equity, "drawdown": result.drawdown}
    )


def _parquet(columns: Mapping[str, Any]) -> bytes:
    import pyarrow as pa  # loaded only where a run is stored or exported
    from pyarrow import parquet

    sink = io.BytesIO()
    parquet.write_table(pa.table(dict(columns)), sink, compression="zstd")
    return sink.getvalue()


def decode_rows(body: bytes | memoryview | None) -> list[dict[str, Any]]:
    """The rows of a stored Parquet file."""
    if not body:
        return []
    import pyarrow as pa
    from pyarrow import parquet

    rows: list[dict[str, Any]] = (
        parquet.ParquetFile(pa.BufferReader(bytes(body))).read().to_pylist()
    )
    return rows


def write_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV; columns ending in ``_ms`` are written as ISO times without that ending."""
    sink = io.StringIO()
    if not rows:
        return ""
    names = list(rows[0])
    writer = csv.writer(sink)
    writer.writerow([name.removesuffix("_ms") for name in names])
    for row in rows:
        writer.writerow(
            [
                isoformat_z(from_milliseconds(row[name]))
                if name.endswith("_ms")
                else safe_cell(row[name])
                for name in names
            ]
        )
    return sink.getvalue()
