"""What an instrument contributes to a leverage decision: volatility, maintenance margin, caps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from magnetfund.kernel.clock import to_milliseconds, utc_now
from risk.domain.leverage import EvidenceState, class_leverage_max
from trading.domain.evidence import derive_evidence_state
from trading.domain.indicators import realised_volatility, volatility_ratio
from trading.domain.magnets import DEFAULT_PARAMETERS
from trading.models import Instrument, ResearchRun, RunState
from trading.services.book_setup import instrument_rules
from trading.services.candle_store import load_candles

HOURS_PER_YEAR = 8_760
#: Days of hourly candles that are read: the 720 returns of the long measure, and room for gaps.
DAYS_READ = 40
#: A volatility older than this is no input of a decision now.
AGE_MAX = timedelta(hours=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageInputs:
    """Annualised volatilities of log returns, maintenance rate, and caps in notional per equity.

    None is "not known": the cap that needs it is then not evaluated.
    """

    sigma_ewma: float | None
    sigma_sample: float | None
    maintenance_rate: float
    venue_cap: float | None
    class_cap: float | None
    evidence_state: EvidenceState | None


def read_leverage_inputs(instrument: Instrument) -> LeverageInputs:
    """The inputs of one instrument from its stored hourly candles and its row."""
    ewma, sample = _find_volatilities(instrument)
    return LeverageInputs(
        sigma_ewma=ewma,
        sigma_sample=sample,
        maintenance_rate=instrument_rules(instrument).maintenance_rate,
        venue_cap=find_venue_cap(instrument),
        class_cap=class_leverage_max(instrument.kind),
        evidence_state=read_evidence_state(instrument),
    )


def read_evidence_state(instrument: Instrument) -> EvidenceState | None:
    """What the newest stored study of an instrument's magnets says; None where none was made.

    A case does not name the kind of its magnet, so the weakest kind that was judged decides.
    """
    run = (
        ResearchRun.objects.filter(
            kind=ResearchRun.Kind.EVIDENCE,
            state=RunState.DONE,
            request__instrument=instrument.symbol,
        )
        .only("result")
        .order_by("-id")
        .first()
    )
    if run is None:
        return None
    states = {
        derive_evidence_state(
            judged=EvidenceState(row["state"]),
            judged_at=row["judged_at"],
            judged_version=row["rules_version"],
            at=to_milliseconds(utc_now()),
            rules_version=DEFAULT_PARAMETERS.version,
        )
        for row in run.result.get("judged", ())
    }
    if not states or EvidenceState.UNPROVEN in states:
        return EvidenceState.UNPROVEN
    return EvidenceState.EXPIRED if EvidenceState.EXPIRED in states else EvidenceState.SUPPORTED


def find_venue_cap(instrument: Instrument) -> float | None:
    """Leverage that the venue allows in the instrument's smallest margin tier, where stored."""
    tiers = instrument.maintenance_tiers or []
    known = [float(tier[2]) for tier in tiers if len(tier) > 2]
    return max(known, default=None)


def _find_volatilities(instrument: Instrument) -> tuple[float | None, float | None]:
    now = utc_now()
    start = int((now - timedelta(days=DAYS_READ)).timestamp() * 1000)
    candles = load_candles(instrument, "1h", start_ms=start)
    newest_age = now.timestamp() - candles.open_time[-1] / 1000 if candles.open_time.size else None
    if newest_age is None or newest_age > AGE_MAX.total_seconds():
        return None, None
    sample = float(realised_volatility(close=candles.close)[-1])
    ewma = float(volatility_ratio(close=candles.close)[-1]) * sample
    scale = math.sqrt(HOURS_PER_YEAR)
    return _positive(ewma * scale), _positive(sample * scale)


def _positive(value: float) -> float | None:
    return value if math.isfinite(value) and value > 0 else None
