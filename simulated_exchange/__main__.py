"""``python -m simulated_exchange --port 0 --data FILE [--script FILE]``: an exchange on loopback.

``--data`` is a file of bars that the platform's own import reads (Parquet with date, open, high,
low, close, volume); give several as ``BTC=FILE``.  The bars are moved so that the last
``--ahead`` hours of them lie in the future: they are the market to come.  ``--script`` is a JSON
list of faults (the fields of ``simulated_exchange.faults.Fault``).  Its address is printed once it
listens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simulated_exchange.faults import Fault
from simulated_exchange.market import INTERVALS, Listing, Market
from simulated_exchange.server import Exchange

#: How often streams speak unless told otherwise (seconds).
PUMP_SECONDS = 0.25


def read_listing(path: Path, *, base: str, tick: str, lot: str, ahead_hours: float) -> Listing:
    """The bars of a Parquet file, moved so that the last ``ahead_hours`` lie in the future.

    Raises :class:`ValueError` in one line for a file that holds no bars.
    """
    from pyarrow import parquet

    table = parquet.read_table(path)
    names = ("date", "open", "high", "low", "close", "volume")
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise ValueError(f"{path.name} holds no bars: it has no column {', '.join(missing)}")
    times = table.column("date").to_numpy().astype("datetime64[ms]").astype(np.int64)
    columns = [table.column(name).to_numpy().astype(np.float64) for name in names[1:]]
    step = int(np.median(np.diff(times[:1000])))
    interval = next((name for name, length in INTERVALS.items() if length == step), None)
    if interval is None:
        raise ValueError(
            f"{path.name} holds bars of {step / 60_000:g} minutes, which is not served"
        )
    end = int(time.time() * 1000 + ahead_hours * 3_600_000)
    shift = (end // 3_600_000 * 3_600_000) - (int(times[-1]) + step) // 3_600_000 * 3_600_000
    return Listing(
        symbol=f"{base}USDT",
        base=base,
        interval=interval,
        bars=np.column_stack([(times + shift).astype(np.float64), *columns]),
        tick=tick,
        lot=lot,
    )


async def serve(exchange: Exchange, port: int, *, pump_seconds: float = PUMP_SECONDS) -> None:
    """Serve until interrupted; streams speak each ``pump_seconds``."""
    bound = await exchange.start(port, pump_seconds=pump_seconds)
    symbols = ", ".join(exchange.market.listings)
    sys.stdout.write(f"EXCHANGE_HOST=http://127.0.0.1:{bound}\n# {symbols}; Ctrl-C ends it\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m simulated_exchange",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--data", action="append", required=True, metavar="[BASE=]FILE")
    parser.add_argument("--script", type=Path)
    parser.add_argument("--ahead", type=float, default=72.0, metavar="HOURS")
    parser.add_argument("--pump", type=float, default=PUMP_SECONDS, metavar="SECONDS")
    parser.add_argument("--tick", default="0.10")
    parser.add_argument("--lot", default="0.001")
    return parser.parse_args(arguments)


def make_exchange(given: argparse.Namespace) -> Exchange:
    """The exchange that the arguments describe; raises :class:`ValueError` in one line."""
    listings = {}
    for text in given.data:
        base, _, file = text.rpartition("=")
        listing = read_listing(
            Path(file), base=base or "BTC", tick=given.tick, lot=given.lot, ahead_hours=given.ahead
        )
        listings[listing.symbol] = listing
    faults = json.loads(given.script.read_text()) if given.script else []
    return Exchange(Market(listings=listings), faults=[Fault(**one) for one in faults])


def main(arguments: Sequence[str] | None = None) -> int:
    given = read_arguments(arguments)
    try:
        exchange = make_exchange(given)
        asyncio.run(serve(exchange, given.port, pump_seconds=given.pump))
    except (OSError, ValueError, TypeError) as error:
        sys.stderr.write(f"simulated_exchange: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
