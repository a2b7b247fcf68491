"""How the readings of magnets spread over real hours, beside the published calibration.

Run as ``python -m studies.magnet_bands [--data FOLDER]``; nothing in it is random.  The first rows
are of the better direction of a bar, quantiles 5, 50 and 95 %, shares in % of the bars; the last
are of the zones within 6 ATR, at every thirteenth bar.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from studies import samples
from studies.bands import DirectionShares, find_band_alarms, measure_bands
from studies.samples import find_folder, find_rows, load_candles
from trading.domain.magnets.history import compute_magnet_signals
from trading.domain.magnets.stream import MagnetStream
from trading.domain.market.candles import Candles

ZONE_STEP = 13
"""Hours between two looks at the zones; 13 visits every hour of the day."""
SAMPLES = (samples.BTC_EARLY, samples.BTC_LATE, samples.ETH_WHOLE)
PUBLISHED: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "BTC 2017-10..2021-12": {
        "D": (1.58, 2.43, 3.0),
        "S": (47, 72, 89),
        "C": (0.21, 0.92, 2.9),
        "raw L": (0.34, 0.81, 1.55),
        "L = 1, ..1.5, ..2, ..2.5, above": (70.5, 23.4, 4.8, 0.8, 0.5),
        "high tension": (1.9,),
        "tiers 1 to 4": (1.7, 9.8, 24.5, 64.0),
        "zones: S p1 10 25 50 75 90 99": (20, 27, 33, 46, 61, 74, 89),
        "zones of 1, 2, 3, 4+ kinds": (41, 41, 14, 4),
        "their median S": (31, 50, 70, 82),
        "zones a side": (7,),
    },
    "BTC 2022-01..2024-04": {
        "D": (1.58, 2.44, 3.0),
        "S": (48, 72, 92),
        "C": (0.24, 0.89, 2.9),
        "raw L": (0.34, 0.82, 1.58),
        "L = 1, ..1.5, ..2, ..2.5, above": (68.7, 24.6, 5.5, 0.7, 0.5),
        "high tension": (1.5,),
        "tiers 1 to 4": (1.7, 11.5, 25.8, 61.0),
        "zones: S p1 10 25 50 75 90 99": (20, 27, 33, 45, 60, 74, 91),
        "zones of 1, 2, 3, 4+ kinds": (47, 37, 12, 3),
        "their median S": (33, 52, 70, 83),
        "zones a side": (6,),
    },
    "ETH 2020-11..2025-09": {
        "D": (1.58, 2.46, 3.0),
        "S": (49, 73, 90),
        "C": (0.21, 0.89, 2.9),
        "raw L": (0.35, 0.84, 1.59),
        "L = 1, ..1.5, ..2, ..2.5, above": (66.8, 26.3, 5.5, 0.9, 0.5),
        "high tension": (1.8,),
        "tiers 1 to 4": (2.0, 11.7, 25.3, 61.0),
        "zones: S p1 10 25 50 75 90 99": (20, 27, 33, 46, 61, 74, 90),
        "zones of 1, 2, 3, 4+ kinds": (39, 42, 15, 4),
        "their median S": (31, 49, 69, 83),
        "zones a side": (7,),
    },
}


def describe(shares: DirectionShares) -> dict[str, tuple[float, ...]]:
    """The figures of one direction under the names of the published table."""
    return {
        "D": shares.distance,
        "S": shares.strength,
        "C": shares.conflict,
        "raw L": shares.raw,
        "L = 1, ..1.5, ..2, ..2.5, above": tuple(100 * x for x in shares.leverage_bins),
        "high tension": (100 * shares.high_tension,),
        "tiers 1 to 4": tuple(100 * x for x in shares.tiers),
    }


def measure_zones(candles: Candles, rows: slice) -> dict[str, tuple[float, ...]]:
    """The zones at every ``ZONE_STEP``-th bar of ``rows``, named as the published figures."""
    stream = MagnetStream()
    stream.extend(candles=candles.between(0, rows.start))
    strengths, kinds, sides = [], [], []
    for end in range(rows.start + ZONE_STEP, rows.stop + 1, ZONE_STEP):
        stream.extend(candles=candles.between(end - ZONE_STEP, end - 1))
        found = stream.update(candle=candles.at(end - 1))
        strengths += [zone.strength for zone in found.zones]
        kinds += [min(4, len(zone.best_by_family)) for zone in found.zones]
        sides.append(len(found.zones) / 2)
    strength, kind = np.array(strengths), np.array(kinds)
    return {
        "zones: S p1 10 25 50 75 90 99": tuple(
            np.percentile(strength, [1, 10, 25, 50, 75, 90, 99]).tolist()
        ),
        "zones of 1, 2, 3, 4+ kinds": tuple(
            100 * float((kind == count).mean()) for count in range(1, 5)
        ),
        "their median S": tuple(float(np.median(strength[kind == count])) for count in range(1, 5)),
        "zones a side": (float(np.mean(sides)),),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where the data is absent or a band is left by more than a factor of 2."""
    parser = argparse.ArgumentParser(description="The spread of magnet readings over real hours.")
    parser.add_argument("--data", help="folder of real data")
    folder = find_folder(parser.parse_args(arguments).data)
    if folder is None:
        print("real candle files are not on this machine (set MAGNET_DATA to their folder)")
        return 1
    alarms: list[str] = []
    for sample in SAMPLES:
        candles = load_candles(folder, sample.instruments[0])
        first, last = sample.bounds_ms()
        bands = measure_bands(
            signals=compute_magnet_signals(candles=candles), first_at=first, last_at=last
        )
        rows = find_rows(candles, sample)
        print(f"\n{sample.name}, {rows.stop - rows.start:,} hours (published in brackets)")
        measured = describe(bands.better) | measure_zones(candles, rows)
        for name, found in measured.items():
            digits = 0 if max(found) > 80 and name != "tiers 1 to 4" else 1 if max(found) > 5 else 2
            told = " / ".join(f"{value:.{digits}f}" for value in found)
            known = " / ".join(f"{value:g}" for value in PUBLISHED[sample.name][name])
            print(f"{name:<34}{told:>36}   ({known})")
        alarms += find_band_alarms(bands=bands)
    print(f"\nbands left by more than a factor of 2: {', '.join(alarms) or 'none'}")
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
