"""``python -m simulated_exchange --port 0 --data FILE [--script FILE]``: serve candles on loopback.

``--data`` is a Parquet file of bars (date, open, high, low, close, volume) that ends in the past;
its last bar is moved to now, so that the exchange has a present.  ``--script`` is a JSON list of
faults (the fields of ``simulated_exchange.server.Fault``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

import numpy as np

from simulated_exchange.market import INTERVALS, Listing, Market
from simulated_exchange.server import Exchange, Fault


def read_listing(path: Path, *, base: str, tick: str, lot: str) -> Listing:
    """The bars of a Parquet file, moved so that the last one closed just now."""
    from pyarrow import parquet

    table = parquet.read_table(path)
    times = table.column("date").to_numpy().astype("datetime64[ms]").astype(np.int64)
    names = ("open", "high", "low", "close", "volume")
    columns = [table.column(name).to_numpy().astype(np.float64) for name in names]
    step = int(np.median(np.diff(times[:1000])))
    interval = next(name for name, length in INTERVALS.items() if length == step)
    shift = (int(time.time() * 1000) // step - 1) * step - int(times[-1])
    return Listing(
        symbol=f"{base}USDT",
        base=base,
        interval=interval,
        bars=np.column_stack([(times + shift).astype(np.float64), *columns]),
        tick=tick,
        lot=lot,
    )


async def serve(exchange: Exchange, port: int) -> None:
    """Serve until interrupted."""
    bound = await exchange.start(port)
    sys.stdout.write(f"EXCHANGE_HOST=http://127.0.0.1:{bound}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulated_exchange", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--script", type=Path)
    parser.add_argument("--base", default="BTC")
    parser.add_argument("--tick", default="0.10")
    parser.add_argument("--lot", default="0.001")
    given = parser.parse_args()
    listing = read_listing(given.data, base=given.base, tick=given.tick, lot=given.lot)
    faults = json.loads(given.script.read_text()) if given.script else []
    market = Market(listings={listing.symbol: listing})
    try:
        asyncio.run(serve(Exchange(market, faults=[Fault(**one) for one in faults]), given.port))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
